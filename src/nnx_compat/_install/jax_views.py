"""The jax that files of Flax see: one that takes arguments it has given up since.

Flax names an argument in a call to jax even where nobody asked for it, so that a jax
without the argument refuses every call. ``install`` gives the file of Flax's that makes
the call a view of jax, in which the function takes the argument and leaves it out. Jax
itself is as it was, and so is what everybody else sees of it. Which functions,
arguments and files: rows ``[[argument]]`` of ``facts/faults.toml``.
"""

from __future__ import annotations

import functools
import importlib
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

import jax

from .. import facts
from ..revisions import flax_version, jax_version


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
    """A function that takes an argument where it asks for nothing: None, False, empty.

    With any other value it is the function's own ``TypeError``.
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if argument in kwargs and not kwargs[argument]:
            del kwargs[argument]
        return function(*args, **kwargs)

    return call


def view(module: ModuleType, arguments: Mapping[str, str]) -> View:
    """A view of a module.

    Args:
        module: what is seen.
        arguments: by the path of a function in it, ``"experimental.f"``, the argument
            that is left out.
    """
    replaced: dict[str, object] = {}
    inner: dict[str, dict[str, str]] = {}
    for path, argument in arguments.items():
        name, _, rest = path.partition(".")
        if rest:
            inner.setdefault(name, {})[rest] = argument
        else:
            with warnings.catch_warnings():
                # a function that jax is to drop warns whoever looks it up
                warnings.simplefilter("ignore", DeprecationWarning)
                replaced[name] = leaving_out(argument, getattr(module, name))
    for name, of_inner in inner.items():
        child = importlib.import_module(f"{module.__name__}.{name}")
        replaced[name] = view(child, of_inner)
    return View(module, replaced)


def views() -> Iterator[tuple[ModuleType, str, View]]:
    """The file, the name ``jax`` in it, and the view that it gets on this pair."""
    left_out: dict[str, dict[str, str]] = {}
    for row in facts.arguments():
        if facts.fault(row.fault).holds(flax_version, jax_version):
            for file in row.modules:
                left_out.setdefault(f"flax.{file}", {})[row.function] = row.argument
    for path, arguments in left_out.items():
        module = sys.modules.get(path)
        if module is not None and vars(module).get("jax") is jax:
            yield module, "jax", view(jax, arguments)
