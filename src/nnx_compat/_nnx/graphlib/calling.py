"""Methods of a node that is split, called as pure functions."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar

from ..._release import here
from ...revisions import nnx
from .. import _parameters as parameters
from .. import newest

if TYPE_CHECKING:
    from flax.nnx import GraphDef, State
    from flax.nnx.graphlib import MergeContext
    from typing_extensions import Unpack

__all__ = ["cached_partial", "call", "merge_context"]


def call(graphdef_state: tuple[GraphDef[Any], State], /) -> Call:
    """A proxy of the node behind a ``(graphdef, state)`` pair, for pure functions.

    Calling it, or what indexing and attributes reach, runs that method on a fresh node
    and returns ``(result, (graphdef, state))`` with the new state.

    Example:
        >>> from nnx_compat import nnx
        >>> pure = nnx.split({"a": nnx.Linear(2, 3, rngs=nnx.Rngs(0))})
        >>> y, pure = nnx.call(pure)["a"](jnp.ones(2))
        >>> y.shape
        (3,)
    """
    return Call(graphdef_state)


class Call:
    """A node to be put together, and what of it is to be called.

    Args:
        pure: a graphdef and states.
        reach: the steps from the node to what is called.
    """

    def __init__(
        self,
        pure: tuple[GraphDef[Any], Unpack[tuple[State, ...]]],
        reach: tuple[Callable[[Any], Any], ...] = (),
    ) -> None:
        self._pure, self._reach = pure, reach

    def __getattr__(self, name: str) -> Call:
        if name.startswith("__"):
            raise AttributeError(name)
        return Call(self._pure, (*self._reach, operator.attrgetter(name)))

    def __getitem__(self, key: Hashable) -> Call:
        return Call(self._pure, (*self._reach, operator.itemgetter(key)))

    def __call__(
        self, *args: Any, **kwargs: Any
    ) -> tuple[Any, tuple[GraphDef[Any], State]]:
        node = method = newest("merge")(*self._pure)
        for get in self._reach:
            method = get(method)
        return method(*args, **kwargs), newest("split")(node)


# -- Several nodes merged as one graph, so that what they share stays shared --------


def merge_context(
    ctxtag: Hashable | None = None, inner: bool | None = None
) -> AbstractContextManager[MergeContext]:
    """A context that merges several nodes which share Variables.

    Args:
        ctxtag: the tag of an ``update_context``.
        inner: whether it is inside the transform. Some releases find out themselves.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> try:
        ...     with nnx.split_context() as context:
        ...         parts = context.split(model)
        ...     with nnx.merge_context() as context:
        ...         print(context.merge(*parts).out_features)
        ... except AttributeError:  # a release without these contexts
        ...     print(3)
        3
    """
    options = {"inner": inner} if here.merge_context_takes_inner else {}
    if inner is None:
        options = {}
    context: AbstractContextManager[MergeContext]
    context = nnx.merge_context(ctxtag=ctxtag, **options)
    return context


# -- Transformed functions with arguments that are bound for good -------------------


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
