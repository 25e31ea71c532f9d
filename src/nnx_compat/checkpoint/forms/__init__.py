"""One file per form of checkpoint on disk. Imports neither flax nor jax.

A *form* is a module of this folder with two functions, and a row in ``FORMS``::

    def recognises(place: Path, head: bytes) -> bool
    def contents(place: Path, step: int | None) -> Contents

``recognises`` looks at what is there and never at a suffix: ``head`` is the first 64
bytes of a file, and ``b""`` of a folder (then ``place.is_dir()``). The first form that
recognises a place reads it. ``contents`` builds the table without reading arrays, each
``Entry`` with a ``load`` that reads what an index selects; it imports what it needs
(tensorstore, zipfile, ...) inside. Paths, kinds and dtypes are those on file.

A form refuses a damaged or unfinished file with ``CheckpointFormError``. ``step`` is
None unless the user named one: a form without steps refuses it (``without_steps``).
"""

from __future__ import annotations

import importlib
import os
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Protocol, cast

from ...errors import (
    ArgumentValueError,
    CheckpointFormError,
    CheckpointNotFoundError,
    NnxCompatError,
)
from .._table import Contents

#: In the order in which they are asked.
FORMS = ("orbax", "safetensors", "npz", "pickles", "msgpack")

_HEAD = 64


class Form(Protocol):
    """What a module of this folder has."""

    def recognises(self, place: Path, head: bytes) -> bool:
        """Whether the place is of this form, by content."""

    def contents(self, place: Path, step: int | None) -> Contents:
        """The table of the place, no array read."""


def opened(path: str | os.PathLike[str], step: int | None = None) -> Contents:
    """The table of a checkpoint of any form.

    Raises:
        CheckpointNotFoundError: nothing is there.
        CheckpointFormError: it is of no known form, damaged or unfinished.
    """
    place = Path(path).absolute()
    if not place.exists():
        raise CheckpointNotFoundError(
            f"there is nothing at {place}",
            details=_beside(place),
            instead="the path of a file or folder that was saved",
        )
    head = b""
    if place.is_file():
        with place.open("rb") as file:
            head = file.read(_HEAD)
    try:
        for name in FORMS:
            form = cast("Form", importlib.import_module(f".{name}", __name__))
            if form.recognises(place, head):
                return form.contents(place, step)
    except NnxCompatError:
        raise
    except BROKEN as error:
        raise damaged(place, error) from None
    raise CheckpointFormError(
        f"{place} is of no form that is known: "
        + ("a folder with " + _listed(place) if place.is_dir() else f"begins {head!r}"),
        instead=f"one of: {', '.join(FORMS)}",
    )


#: What parsers of JSON, zip archives and the like raise at a byte that is wrong.
BROKEN = (
    ValueError, LookupError, TypeError, AttributeError, EOFError, RecursionError,
    struct.error, zipfile.BadZipFile, zlib.error, NotImplementedError, OverflowError,
)  # fmt: skip


def damaged(place: Path, why: object) -> CheckpointFormError:
    """The error of a file that is not whole, or was changed."""
    if isinstance(why, Exception):
        why = " ".join(f"{type(why).__name__}: {why}"[:300].split())
    return CheckpointFormError(
        f"{place} is damaged: {why}", instead="a copy of it that is whole"
    )


def without_steps(place: Path, step: int | None) -> None:
    """Refuse a step for a form that has none."""
    if step is not None:
        raise ArgumentValueError(
            f"step={step} was asked for, and {place} holds no steps",
            instead="no step=",
        )


def _beside(place: Path) -> list[str]:
    from .._nearest import nearest

    if not place.parent.is_dir():
        return [f"nor is there a folder {place.parent}"]
    return nearest(place.name, (one.name for one in place.parent.iterdir()))


def _listed(folder: Path) -> str:
    names = sorted(one.name for one in folder.iterdir())
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return shown or "nothing in it"
