"""Loops over Modules, which are brought up to date after the last step.

The structure of what a loop carries stays the same from step to step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import jax

from ....errors import StateStructureError
from ... import _parameters as parameters
from .._layout import Layout
from .._outcome import Traced
from .._transform import Function

__all__ = ["fori_loop", "while_loop"]

T = TypeVar("T")


def while_loop(
    cond_fun: Callable[[T], bool | jax.Array],
    body_fun: Callable[[T], T],
    init_val: T,
    *,
    graph: bool | None = None,
    graph_updates: bool | None = None,
) -> T:
    """Call ``body_fun`` on its own output for as long as ``cond_fun`` says so.

    Args:
        cond_fun: from a value to a boolean scalar.
        body_fun: from a value to the next one, of the same structure.
        init_val: the first value, a tree of Modules and arrays. The Modules in it are
            brought up to date.
        graph: True, as there is no tree mode.
        graph_updates: True, as updates are always propagated.

    Returns:
        The last value.

    Raises:
        StateStructureError: ``body_fun`` changes the structure of the value.

    Example:
        >>> from nnx_compat import nnx
        >>> double = lambda value: (value[0], 2 * value[1])
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> _, x = nnx.while_loop(lambda v: v[1] < 9, double, (model, jnp.float32(1)))
        >>> float(x)
        16.0
    """
    parameters.check("while_loop", graph=graph, graph_updates=graph_updates)
    body = _Body("while_loop", body_fun, init_val)

    def goes_on(arrays: list[jax.Array]) -> bool | jax.Array:
        return cond_fun(body.layout.merge(arrays)[0])

    arrays = jax.lax.while_loop(goes_on, body, body.layout.arrays)
    return cast(T, body.apply(arrays))


def fori_loop(
    lower: int | jax.Array,
    upper: int | jax.Array,
    body_fun: Callable[[jax.Array, T], T],
    init_val: T,
    *,
    unroll: int | bool | None = None,
    graph: bool | None = None,
    graph_updates: bool | None = None,
) -> T:
    """Call ``body_fun`` with each index and its own output.

    Args:
        lower: the first index.
        upper: the first that is not used any more.
        body_fun: from an index and a value to the next value, of the same structure.
        init_val: the first value, as in ``nnx.while_loop``.
        unroll: how many steps to put into one of the compiled loop.
        graph: True, as there is no tree mode.
        graph_updates: True, as updates are always propagated.

    Returns:
        What ``body_fun`` returns last.

    Raises:
        StateStructureError: that has another structure than ``init_val``.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
        >>> step = lambda i, value: (value[0], value[0](value[1]))
        >>> model, x = nnx.fori_loop(0, 3, step, (model, jnp.ones((1, 2))))
        >>> x.shape
        (1, 2)
    """
    parameters.check("fori_loop", graph=graph, graph_updates=graph_updates)
    body = _Body("fori_loop", body_fun, init_val)
    start = body.layout.arrays
    arrays = jax.lax.fori_loop(lower, upper, body, start, unroll=unroll)
    return cast(T, body.apply(arrays))


class _Body:
    """The body of a loop over arrays.

    Args:
        name: of the loop.
        f: takes what jax gives besides (an index), and the value.
        start: the first value.
    """

    def __init__(self, name: str, f: Function, start: object) -> None:
        self.name, self.f, self.layout = name, f, Layout(start)

    def __call__(self, *args: Any) -> list[jax.Array]:
        *before, arrays = args
        traced = Traced(self.layout, arrays)
        out = self.f(*before, traced.tree)
        after = Layout(out)
        same = list(map(id, after.nodes)) == list(map(id, traced.nodes))
        if not self.layout.fits(after) or not same:
            raise StateStructureError(
                f"the body of nnx.{self.name} returns a value of another structure "
                f"than it was given: {after.treedef} for {self.layout.treedef}"
                + (", with other Modules or Variables in it" if not same else ""),
                instead="the Modules it was given, with the same attributes",
            )
        return [jax.numpy.asarray(array) for array in after.arrays]

    def apply(self, arrays: Sequence[jax.Array]) -> object:
        """The last value: the caller's nodes, brought up to date."""
        last = Traced(self.layout, arrays)
        found, outcome = last.outcome(last.tree)
        return outcome.apply(self.layout.nodes, found)
