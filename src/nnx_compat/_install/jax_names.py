"""Names that Flax takes from jax and that jax has no more: put back for the import.

A Flax that is older than a change of jax's does not import beside it, or cannot make a
Module. ``install`` sets the names that went, before anything imports Flax. Most of them
moved; where the object itself is gone, and what needs it is an experiment that is off,
a class stands in that can be derived from and refuses to be used. Which names: rows
``[[name]]`` of ``facts/faults.toml``. Imports no Flax.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any, NoReturn

from .. import facts
from ..errors import UnknownFactError, UnsupportedFlaxError


def restored() -> Iterator[tuple[ModuleType, str, object]]:
    """The module of jax, the name and the object of each name that Flax misses."""
    try:
        flax = importlib.metadata.version("flax")
        jax = importlib.metadata.version("jax")
        rows = facts.gone(flax, jax)
    except (importlib.metadata.PackageNotFoundError, UnknownFactError, ValueError):
        return  # a checkout, or none at all: what imports Flax says so
    if rows:
        _forget_half_an_import()
    for row in rows:
        place, _, name = row.name.rpartition(".")
        yield importlib.import_module(place), name, _now(row)


def _forget_half_an_import() -> None:
    """Let Flax be imported as if nobody had tried: an import that failed left parts.

    Python takes a package away whose import failed, and leaves the files of it that
    were imported by then; the next import finds them and does not bind them.
    """
    for name in ("flax", "flax.nnx", "flax.experimental.nnx"):
        if name not in sys.modules:
            for part in [m for m in sys.modules if m.startswith(f"{name}.")]:
                del sys.modules[part]


def _now(row: facts.Gone) -> Any:
    place, _, name = row.now.rpartition(".")
    if place:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return getattr(importlib.import_module(place), name)
    return type(row.name.rpartition(".")[2], (StandIn,), {"was": row.name})


class StandIn:
    """Stands for a class of jax that is gone: it can be derived from, and not used.

    Attributes:
        was: the name of the class.
    """

    was = ""

    def __init__(self, *args: object, **kwargs: object) -> None:
        """Flax makes its primitives at import, so this is no use yet."""

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise UnsupportedFlaxError(
            f"{self.was} is gone from jax {importlib.metadata.version('jax')}, and "
            f"flax {importlib.metadata.version('flax')} needs it here",
            instead="leave hijax Variables off, as they are by default",
            otherwise="nnx-compat doctor, which says what jax this Flax works with",
        )
