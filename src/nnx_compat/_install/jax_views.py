"""The jax that files of Flax see: one that takes arguments it has given up since.

Flax names an argument in a call to jax even where nobody asked for it, so that a jax
without the argument refuses every call. ``install`` gives the file of Flax's that makes
the call a view of jax, in which the function takes the argument and leaves it out. Jax
itself is as it was, and so is what everybody else sees of it. Which functions,
arguments and files: rows ``[[argument]]`` of ``facts/faults.toml``.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

import jax

from .. import facts
from ..revisions import flax_version, jax_version, nnx


class View(ModuleType):
    """A module with some of its functions replaced, and all else as it is now.

    Args:
        module: what is seen.
        replaced: what stands for a name of it.
    """

    def __init__(self, module: ModuleType, replaced: Mapping[str, object]) -> None:
        super().__init__(module.__name__, module.__doc__)
        vars(self).update(replaced, _module=module)

    def __getattr__(self, name: str) -> Any:
        return getattr(vars(self)["_module"], name)

    def __dir__(self) -> list[str]:
        return dir(vars(self)["_module"])


def leaving_out(argument: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that takes an argument which asks for nothing when it is None.

    With any other value it is the function's own ``TypeError``.
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get(argument, call) is None:
            del kwargs[argument]
        return function(*args, **kwargs)

    return call


def views() -> Iterator[tuple[ModuleType, str, View]]:
    """The file, the name ``jax`` in it, and the view that it gets on this pair."""
    replaced: dict[str, dict[str, Callable[..., Any]]] = {}
    for row in facts.arguments():
        if facts.fault(row.fault).holds(flax_version, jax_version):
            function = leaving_out(row.argument, getattr(jax, row.function))
            for file in row.modules:
                replaced.setdefault(file, {})[row.function] = function
    for file, functions in replaced.items():
        for root in (nnx.__name__, f"{nnx.__name__}.nnx"):
            module = sys.modules.get(f"{root}.{file}")
            if module is not None and vars(module).get("jax") is jax:
                yield module, "jax", View(jax, functions)
