"""Flax's own msgpack: nested dicts, arrays as extension types.

``flax.serialization.to_bytes`` and, without orbax, ``flax.training.checkpoints`` write
it, the latter as ``checkpoint_<step>`` in a folder. Orbax's oldest releases keep the
structure of a folder in it. The package msgpack comes with every Flax.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import CheckpointFormError, MissingPackageError
from .. import _table
from .._dtypes import named
from .._table import Contents, Entry, Index, Item
from . import without_steps
from ._steps import chosen

if TYPE_CHECKING:
    from .._table import Array

_NDARRAY, _COMPLEX, _SCALAR = 1, 2, 3
_CHUNKED = "__msgpack_chunked_array__"
_STEP = re.compile(r".*_(\d+)$")


def recognises(place: Path, head: bytes) -> bool:
    """A map whose first key is a str; or a folder of such files, by step."""
    if place.is_dir():
        return bool(_by_step(place))
    return _begins(head)


def contents(place: Path, step: int | None) -> Contents:
    """The table of a file, which is read whole; or of the newest of a folder."""
    if place.is_dir():
        steps = _by_step(place)
        number = chosen(place, step, steps)
        file = steps[number]
    else:
        without_steps(place, step)
        file, steps, number = place, {}, None
    try:
        tree = decoded(file.read_bytes())
    except ValueError as error:
        raise CheckpointFormError(
            f"{file} begins like a msgpack map and is none: {error}",
            instead="a copy of the file that is whole",
        ) from None
    item = Item(list(entries(tree)))
    return Contents(
        str(place), "msgpack", {"": item}, step=number, steps=tuple(sorted(steps))
    )


def decoded(data: bytes) -> Any:
    """Nested dicts, lists and arrays; nothing that a file names is called."""
    try:
        msgpack = importlib.import_module("msgpack")
    except ImportError:
        raise MissingPackageError(
            "reading this checkpoint needs the package msgpack",
            instead="pip install msgpack",
        ) from None

    def extension(code: int, data: bytes) -> object:
        if code == _COMPLEX:
            real, imaginary = msgpack.unpackb(data)
            return complex(real, imaginary)
        if code not in (_NDARRAY, _SCALAR):
            raise ValueError(f"extension type {code} is not one of Flax's")
        shape, dtype, buffer = msgpack.unpackb(data, raw=True)
        array = np.frombuffer(buffer, named(dtype.decode())).reshape(shape)
        return array if code == _NDARRAY else array[()]

    return msgpack.unpackb(data, ext_hook=extension, strict_map_key=False)


def entries(tree: Any, path: _table.Path = ()) -> Iterator[Entry]:
    """The values of nested dicts and lists, by path; empty ones as ``none``."""
    if isinstance(tree, dict) and tree.get(_CHUNKED):
        tree = _joined(tree)
    pairs: Any = None
    if isinstance(tree, dict):
        pairs = tree.items()
    elif isinstance(tree, (list, tuple)):
        pairs = enumerate(tree)
    if pairs is not None and len(pairs if isinstance(tree, dict) else tree):
        for key, value in pairs:
            yield from entries(
                value, (*path, key if isinstance(key, int) else str(key))
            )
        return
    source = _table.text(path)
    if isinstance(tree, (str, bytes)):
        yield Entry(path, "text", value=tree, source=source)
    elif tree is None or pairs is not None:
        yield Entry(path, "none", source=source)
    else:
        yield _of_array(path, tree)


def _of_array(path: _table.Path, value: Any) -> Entry:
    array = np.asarray(value)
    is_array = isinstance(value, (np.ndarray, np.generic))

    def load(index: Index) -> Array:
        return np.array(array[index])

    return Entry(
        path, "array" if is_array else "scalar", array.shape, array.dtype,
        source=_table.text(path), load=load,
    )  # fmt: skip


def _joined(tree: dict[str, Any]) -> Any:
    """An array above 1 GiB, which is in chunks."""
    chunks = [tree["chunks"][str(n)] for n in range(len(tree["chunks"]))]
    shape = [tree["shape"][str(n)] for n in range(len(tree["shape"]))]
    return np.concatenate(chunks).reshape(shape)


def _begins(head: bytes) -> bool:
    if not head:
        return False
    after = {0xDE: 3, 0xDF: 5}.get(head[0], 1 if 0x81 <= head[0] <= 0x8F else 0)
    key = head[after : after + 1]
    return bool(after) and (b"\xa0" <= key <= b"\xbf" or key in (b"\xd9", b"\xda"))


def _by_step(folder: Path) -> dict[int, Path]:
    found = {}
    for file in folder.iterdir():
        match = _STEP.match(file.name)
        if match and file.is_file():
            with file.open("rb") as stream:
                if _begins(stream.read(8)):
                    found[int(match[1])] = file
    return found
