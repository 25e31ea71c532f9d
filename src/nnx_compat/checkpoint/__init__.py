"""Portable checkpoints: any release of Flax reads what any other wrote.

    nc.checkpoint.save("model.safetensors", model=model, optimizer=optimizer)
    nc.checkpoint.load("model.safetensors", model=model, optimizer=optimizer)

What is on disk is read as one table (``read``), by a reader per form (``forms``), and
neither needs Flax or jax; ``load`` and ``save`` do, and are imported at the first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._convert import convert as convert
    from ._diff import Difference as Difference
    from ._diff import diff as diff
    from ._inspect import Inspection as Inspection
    from ._inspect import inspect as inspect
    from ._load import load as load
    from ._read import read as read
    from ._report import LoadReport as LoadReport
    from ._report import Row as Row
    from ._save import save as save
    from ._table import Contents as Contents
    from ._table import Entry as Entry
    from ._table import Item as Item
    from ._tree import load_tree as load_tree
    from ._tree import tree as tree

#: Where each public name is. What the first rows name imports neither flax nor jax.
_HOMES = {
    "Contents": "_table",
    "Difference": "_diff",
    "Entry": "_table",
    "Inspection": "_inspect",
    "Item": "_table",
    "diff": "_diff",
    "inspect": "_inspect",
    "read": "_read",
    # what uses Flax and jax
    "LoadReport": "_report",
    "Row": "_report",
    "convert": "_convert",
    "load": "_load",
    "load_tree": "_tree",
    "save": "_save",
    "tree": "_tree",
}

__all__ = list(_HOMES)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        home = importlib.import_module(f".{_HOMES[name]}", __name__)
        value = globals()[name] = getattr(home, name)
        return value


def __dir__() -> list[str]:
    return __all__
