"""Branches over Modules: what they do to their operands is propagated.

All branches leave their operands with the same structure: jax traces each of them once,
for all outcomes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar, cast

import jax

from ....errors import StateStructureError
from ... import _parameters as parameters
from .._layout import Layout
from .._lifted import Lifted
from .._transform import Function

__all__ = ["cond", "switch"]

R = TypeVar("R")


def cond(
    pred: bool | jax.Array,
    true_fun: Callable[..., R],
    false_fun: Callable[..., R],
    *operands: object,
    graph: bool | None = None,
    graph_updates: bool | None = None,
) -> R:
    """The output of one of two functions; what it does to the operands is propagated.

    Args:
        pred: a boolean scalar, possibly traced.
        true_fun: called when it is true, with the operands.
        false_fun: called when it is false. Both leave Modules with the same structure.
        *operands: Modules and arrays.
        graph: True, as there is no tree mode.
        graph_updates: True, as updates are always propagated.

    Raises:
        StateStructureError: the branches leave operands of different structure.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> zeros = lambda model, x: jnp.zeros((1, 3))
        >>> x = jnp.ones((1, 2))
        >>> nnx.cond(False, nnx.Linear.__call__, zeros, model, x).tolist()
        [[0.0, 0.0, 0.0]]
    """
    parameters.check("cond", graph=graph, graph_updates=graph_updates)
    call = _Branched("cond", (true_fun, false_fun), operands)
    arrays = jax.lax.cond(pred, *call.branches, call.layout.arrays)
    return cast(R, call.apply(arrays))


def switch(
    index: int | jax.Array,
    branches: Sequence[Callable[..., R]],
    *operands: object,
    graph: bool | None = None,
    graph_updates: bool | None = None,
) -> R:
    """The output of one of several functions; see ``cond``.

    Args:
        index: an integer scalar, possibly traced; it is clamped into range.
        branches: the functions. All leave Modules with the same structure.
        *operands: Modules and arrays.
        graph: True, as there is no tree mode.
        graph_updates: True, as updates are always propagated.

    Raises:
        StateStructureError: as in ``nnx.cond``.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> branches = [nnx.Linear.__call__, lambda model, x: jnp.zeros((1, 3))]
        >>> nnx.switch(1, branches, model, jnp.ones((1, 2))).tolist()
        [[0.0, 0.0, 0.0]]
    """
    parameters.check("switch", graph=graph, graph_updates=graph_updates)
    call = _Branched("switch", branches, operands)
    arrays = jax.lax.switch(index, call.branches, call.layout.arrays)
    return cast(R, call.apply(arrays))


class _Branched:
    """Functions of the same operands, as functions of arrays."""

    def __init__(
        self, name: str, branches: Sequence[Function], operands: tuple[object, ...]
    ) -> None:
        self.name = name
        self.layout = Layout(operands)
        self.traced: list[Lifted] = []
        self.branches = [
            self._checked(number, Lifted(branch, self.layout))
            for number, branch in enumerate(branches)
        ]

    def _checked(self, number: int, branch: Lifted) -> Function:
        def call(arrays: list[jax.Array]) -> list[jax.Array]:
            found = branch(arrays)
            self.traced.append(branch)
            first, this = self.traced[0].outcome, branch.outcome
            if not first.layout.fits(this.layout) or first.origins != this.origins:
                raise StateStructureError(
                    f"the branches of nnx.{self.name} leave their operands, or return, "
                    f"different structures: number {number} is unlike the first",
                    instead="the same attributes and types in each branch",
                )
            return found

        return call

    def apply(self, arrays: Sequence[jax.Array]) -> object:
        """The output, the caller's operands brought up to date."""
        return self.traced[0].apply(arrays)
