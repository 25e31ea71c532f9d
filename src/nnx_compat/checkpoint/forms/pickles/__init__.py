"""Pickles of States, optimizers, Modules and dicts of arrays, read as data.

Made by pickle, cloudpickle or dill on any release. Nothing of what a file names is
imported or run: ``_machine`` runs its instructions over stand-ins, ``_known`` builds
the arrays, and ``_shapes`` finds them by what a State, a Variable or a Module looks
like.
"""

from __future__ import annotations

import mmap
import pickletools
from pathlib import Path

from ..._table import Contents
from .. import without_steps
from ._machine import load
from ._shapes import table

__all__ = ["contents", "recognises"]


def recognises(place: Path, head: bytes) -> bool:
    """A pickle of any protocol: its first bytes, and of the oldest its last one too."""
    if head[:1] == b"\x80":
        return head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")
    return head[:1] in _FIRST and _last_byte(place) == b"." and _parses(head)


# what protocols 0 and 1, which do not say so, begin with: a mark, a class, a container
_FIRST = (b"(", b"c", b"}", b"]", b")")


def _last_byte(place: Path) -> bytes:
    with place.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1)


def _parses(head: bytes) -> bool:
    instructions = pickletools.genops(head)
    try:
        return len([*zip(instructions, range(3), strict=False)]) == 3
    except ValueError:
        return False


def contents(place: Path, step: int | None) -> Contents:
    """The table of a pickle; of several behind one another, of all of them."""
    without_steps(place, step)
    with (
        place.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as stream,
    ):
        loaded = [load(stream, place)]
        while stream.tell() < len(stream):
            loaded.append(load(stream, place))
    roots = [root for root, _ in loaded]
    count = sum(count for _, count in loaded)
    return table(str(place), roots[0] if len(roots) == 1 else roots, count)
