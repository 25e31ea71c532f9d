"""Transformed functions with arguments that are bound for good."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeVar

from .. import _parameters as parameters

__all__ = ["cached_partial"]

R = TypeVar("R")


def cached_partial(
    f: Callable[..., R],
    *cached_args: object,
    graph: bool | None = None,
    graph_updates: bool | None = None,
) -> Callable[..., R]:
    """A function with its first arguments bound.

    A cache of how the arguments are taken apart makes the native one faster; here is
    none, and the bound arguments are the caller's objects themselves.

    Args:
        f: a transformed function, ``nnx.jit(...)``.
        *cached_args: its first arguments.
        graph: True, as there is no tree mode.
        graph_updates: True, as updates are always propagated.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> call = nnx.cached_partial(nnx.jit(lambda m, x: m(x)), model)
        >>> call(jnp.ones((1, 2))).shape
        (1, 3)
    """
    parameters.check("cached_partial", graph=graph, graph_updates=graph_updates)
    return functools.partial(f, *cached_args)
