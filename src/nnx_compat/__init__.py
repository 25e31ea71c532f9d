"""One piece of code, unchanged, on every Flax release that ships NNX.

    >>> import nnx_compat as nc
    >>> model = nc.nnx.Linear(3, 2, rngs=nc.nnx.Rngs(0))
    >>> graphdef, state = nc.split(model)
    >>> bigger = nc.merge(graphdef, jax.tree_util.tree_map(lambda a: 2 * a, state))

Importing this changes nothing and does not import Flax: that happens when the first of
the names below is used, so that ``nnx_compat.facts`` also serves machines without Flax.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import checkpoint, errors, facts, nnx, pure
    from .stable.v1 import *  # noqa: F403

__version__ = "0.1.0"

__all__ = [
    # the graph
    "split", "merge", "state", "graphdef", "update", "clone", "pop",
    "iter_graph", "iter_modules", "variables",
    # Variables
    "is_variable", "variable_type", "get_value", "set_value",
    "get_metadata", "set_metadata",
    # State
    "to_flat_state", "from_flat_state", "to_pure_dict", "from_pure_dict",
    "filter_state", "split_state", "merge_state", "map_state",
    # the main job, and the same weights on every release
    "pure_state_update", "reproducible_init",
    # the training step
    "jit", "compile_step",
    # what no static look can see
    "audit",
    # what is installed: versions, the revision chosen
    "flax_version", "jax_version", "revision", "supports",
    # the one door that touches flax
    "install", "installed", "installed_names", "uninstall",
    # rooms of their own; nnx is the drop-in namespace
    "checkpoint", "errors", "facts", "nnx", "pure",
]  # fmt: skip

_ROOMS = ("checkpoint", "errors", "facts", "nnx", "pure")

#: These do not need Flax to be importable: on some pairs ``install`` makes it so.
_DOOR = ("install", "installed", "installed_names", "uninstall")


if not TYPE_CHECKING:  # to a type checker it would say that every name is here

    def __getattr__(name: str) -> object:
        if name in _ROOMS:
            return importlib.import_module(f".{name}", __name__)
        if name in __all__:
            room = "._install" if name in _DOOR else ".stable.v1"
            value = getattr(importlib.import_module(room, __name__), name)
            globals()[name] = value
            return value
        raise AttributeError(_not_here(name), name=name, obj=sys.modules[__name__])


def _not_here(name: str) -> str:
    """Say where a name is that is not here: most are asked for by habit of ``nnx``."""
    said = f"module {__name__!r} has no attribute {name!r}"
    if name.startswith("_"):  # what Python and its tools ask for, often
        return said
    public = importlib.import_module(".facts", __name__).names()
    return said + f"\n  instead: {__name__}.nnx.{name}" * (f"nnx.{name}" in public)


def __dir__() -> list[str]:
    return __all__
