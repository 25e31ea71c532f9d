"""An npz archive: arrays by name, in a zip file.

Names are paths, with ``/`` or, where no name has one, with ``.``. ``numpy.savez`` has
no name for bfloat16 and writes two bytes without a meaning (``|V2``): no other dtype of
jax comes out so, and they are read as bfloat16. Arrays of objects would be unpickled,
that is run, and are refused.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import CheckpointFormError
from .._dtypes import named
from .._table import Contents, Entry, Index, Item
from . import without_steps

if TYPE_CHECKING:
    from .._table import Array, Reader


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
    with archive.open(f"{name}.npy") as member:
        try:
            version = np.lib.format.read_magic(member)
            header = (
                np.lib.format.read_array_header_1_0(member)
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0(member)
            )
        except ValueError as error:
            raise CheckpointFormError(
                f"{place}: the array {name} is damaged: {error}",
                instead="a copy of the file that is whole",
            ) from None
    shape, _, dtype = header
    if dtype.hasobject:
        raise CheckpointFormError(
            f"{place}: {name} is an array of objects, and reading it would run code",
            instead="arrays of numbers in the archive",
        )
    if dtype == np.dtype("V2"):
        dtype = named("bfloat16")
    path = tuple(name.split(separator))
    load = _reader(place, name, dtype)
    return Entry(path, shape=shape, dtype=dtype, source=name, load=load)


def _reader(place: Path, name: str, dtype: np.dtype[Any]) -> Reader:
    def load(index: Index) -> Array:
        with np.load(place, allow_pickle=False) as archive:
            whole = archive[name]
        read: Array = np.array(whole.view(dtype)[index], order="C")
        return read

    return load
