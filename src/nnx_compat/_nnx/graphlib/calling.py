"""Methods of a node that is split, called as pure functions."""

from __future__ import annotations

import operator
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, TypeAlias

from .. import newest

if TYPE_CHECKING:
    from flax.nnx import GraphDef, State

__all__ = ["call"]

_Pure: TypeAlias = "tuple[GraphDef[Any], State]"

#: From a node, or from something in it, to an element or attribute of it.
Reach: TypeAlias = Callable[[Any], Any]


def call(graphdef_state: _Pure, /) -> Any:
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
    return _Call(graphdef_state, ())


class _Call:
    def __init__(self, pure: _Pure, reach: tuple[Reach, ...]) -> None:
        self._pure, self._reach = pure, reach

    def __getattr__(self, name: str) -> _Call:
        return _Call(self._pure, (*self._reach, operator.attrgetter(name)))

    def __getitem__(self, key: Hashable) -> _Call:
        return _Call(self._pure, (*self._reach, operator.itemgetter(key)))

    def __call__(self, *args: Any, **kwargs: Any) -> tuple[Any, _Pure]:
        node = method = newest("merge")(*self._pure)
        for get in self._reach:
            method = get(method)
        return method(*args, **kwargs), newest("split")(node)
