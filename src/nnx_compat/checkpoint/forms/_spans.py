"""Parts of a file read as arrays: what an index selects, and no more of the file.

Into memory of its own, never a view of the file: a file that is truncated later would
kill the process that has mapped it. Memory is aligned as XLA wants it, so that jax on a
CPU takes the array without a second copy.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import CheckpointFormError
from .._table import Index

if TYPE_CHECKING:
    from .._table import Array, Reader

_ALIGNMENT = 64


class Span:
    """Reads arrays of one file, and notices when it is no longer the same one.

    Args:
        place: the file; it is opened for each read.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self._state = _state(os.stat(place))

    def reader(
        self, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> Reader:
        """What reads the array that begins at ``offset``."""

        def load(index: Index) -> Array:
            rows = _leading(index, shape)
            if rows is None:
                with self.place.open("rb") as file:
                    self._same(file.fileno())
                    mapped = np.memmap(file, np.uint8, "r")
                flat = mapped[offset : offset + _bytes(shape, dtype)]
                chosen: Array = np.array(flat.view(dtype).reshape(shape)[index])
                return chosen
            start, stop = rows
            part = (stop - start, *shape[1:]) if shape else ()
            row = _bytes(shape[1:], dtype)
            return self._read(offset + start * row, part, dtype)

        return load

    def _read(self, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        size = _bytes(shape, dtype)
        buffer = np.empty(size + _ALIGNMENT, np.uint8)
        skipped = -buffer.ctypes.data % _ALIGNMENT
        flat = buffer[skipped : skipped + size]
        view, done = flat.data, 0
        with self.place.open("rb", buffering=0) as file:
            self._same(file.fileno())
            file.seek(offset)
            while done < size:
                count = file.readinto(view[done:])
                if not count:
                    raise self._changed()
                done += count
        return flat.view(dtype).reshape(shape)

    def _same(self, descriptor: int) -> None:
        if _state(os.fstat(descriptor)) != self._state:
            raise self._changed()

    def _changed(self) -> CheckpointFormError:
        return CheckpointFormError(
            f"{self.place} was changed after its header was read",
            instead="read it again",
        )


def _state(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_ino, found.st_size, found.st_mtime_ns


def _bytes(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    total = dtype.itemsize
    for size in shape:
        total *= size
    return total


def _leading(index: Index, shape: tuple[int, ...]) -> tuple[int, int] | None:
    """The rows that an index selects, when what it selects is in one piece."""
    if index is ... or index == () or not shape:
        return (0, shape[0]) if shape else (0, 1)
    assert isinstance(index, tuple)
    spans = [
        part.indices(size) if isinstance(part, slice) else (part, part + 1, 0)
        for part, size in zip(index, shape, strict=False)
    ]
    whole = [(0, size, 1) for size in shape[1 : len(spans)]]
    if spans[0][2] != 1 or spans[1:] != whole:
        return None
    return spans[0][0], max(spans[0][1], spans[0][0])
