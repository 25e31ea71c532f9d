"""An npz archive: arrays by name, in a zip file.

Names are paths, with ``/`` or, where no name has one, with ``.``. ``numpy.savez`` has
no name for bfloat16 and writes two bytes without a meaning (``|V2``): no other dtype of
jax comes out so, and they are read as bfloat16. Arrays of objects would be unpickled,
that is run, and are refused.
"""

from __future__ import annotations

import zipfile
from io import BufferedIOBase
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from ...errors import CheckpointFormError
from .._dtypes import named
from .._table import Contents, Entry, Index, Item
from . import BROKEN, damaged, without_steps

if TYPE_CHECKING:
    from .._table import Array


def recognises(place: Path, head: bytes) -> bool:
    """A zip file of which every member is an array of numpy's."""
    if not head.startswith(b"PK") or not zipfile.is_zipfile(place):
        return False
    with zipfile.ZipFile(place) as archive:
        return all(name.endswith(".npy") for name in archive.namelist())


def contents(place: Path, step: int | None) -> Contents:
    """The table of an archive, from the headers of its members."""
    without_steps(place, step)
    with zipfile.ZipFile(place) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        separator = "/" if any("/" in name for name in names) else "."
        entries = [_entry(place, archive, name, separator) for name in names]
    return Contents(str(place), "npz", {"": Item(entries)})


def _entry(place: Path, archive: zipfile.ZipFile, name: str, separator: str) -> Entry:
    member = f"{name}.npy"
    with archive.open(member) as file:
        try:
            version = np.lib.format.read_magic(file)
            header = (
                np.lib.format.read_array_header_1_0(file)
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0(file)
            )
        except ValueError as error:
            raise damaged(place, f"the array {name}: {error}") from None
        start = file.tell()
    shape, fortran_order, dtype = header
    if dtype.hasobject:
        raise CheckpointFormError(
            f"{place}: {name} is an array of objects, and reading it would run code",
            instead="arrays of numbers in the archive",
        )
    if dtype == np.dtype("V2"):
        dtype = named("bfloat16")
    path = tuple(name.split(separator))

    def load(index: Index) -> Array:
        # Arrays are read in threads, and numpy's reader would parse the header again:
        # in CPython 3.11 two threads in ast.literal_eval at once get a SystemError,
        # "AST constructor recursion depth mismatch" (gh-106905).
        whole = np.empty(shape, dtype, order="F" if fortran_order else "C")
        raw = whole.reshape(-1, order="A").view(np.uint8).data
        try:
            with zipfile.ZipFile(place) as archive, archive.open(member) as file:
                file.read(start)
                got = cast(BufferedIOBase, file).readinto(raw)
        except BROKEN as error:
            raise damaged(place, error) from None
        if got < raw.nbytes:
            raise damaged(place, f"the array {name} ends too early")
        read: Array = np.array(whole[index], order="C")
        return read

    return Entry(path, shape=shape, dtype=dtype, source=name, load=load)
