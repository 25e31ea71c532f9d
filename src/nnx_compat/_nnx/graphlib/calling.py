"""Methods of a node that is split, called as pure functions."""

from __future__ import annotations

import operator
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

from .. import newest

if TYPE_CHECKING:
    from flax.nnx import GraphDef, State
    from typing_extensions import Unpack

__all__ = ["call"]


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
