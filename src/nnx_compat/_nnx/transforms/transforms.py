"""Branches over Modules, and functions that jax traces for shapes, jaxprs or errors.

What branches do to their operands is propagated. They leave them with the same
structure: jax traces each branch once, for all outcomes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

import jax
from jax.experimental import checkify as jax_checkify

from ..._release import native
from ...errors import StateStructureError
from .. import _parameters as parameters
from ._checks import not_shared, propagates_updates, propagates_values
from ._layout import Layout
from ._lifted import Lifted, with_static, without_static
from ._transform import MISSING, Builder, Derived, Function, P, Q, R, completed

if TYPE_CHECKING:
    from jax.extend.core import ClosedJaxpr

__all__ = ["checkify", "cond", "eval_shape", "make_jaxpr", "switch"]


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


# -- traced, and run or not ---------------------------------------------------------


def checkify(
    f: Callable[P, R],
    errors: frozenset[Any] = jax_checkify.user_checks,
    graph: bool | None = None,
    graph_updates: bool | None = None,
) -> Callable[P, tuple[jax_checkify.Error, R]]:
    """A function that returns ``(error, output)``; see ``jax.experimental.checkify``.

    Args:
        f: takes Modules and arrays. What it does to them is propagated.
        errors: the set of checks to make.
        graph: True, as there is no tree mode.
        graph_updates: True, as updates are always propagated.

    Raises:
        ArgumentValueError: ``f`` is a bound method.
        RefusedArgumentError: ``graph`` or ``graph_updates`` is False.

    Example:
        >>> from jax.experimental import checkify
        >>> from nnx_compat import nnx
        >>> call = nnx.checkify(jnp.log, errors=checkify.float_checks)
        >>> call(-1.0)[0].get() is not None
        True
    """
    f = propagates_updates("checkify", f, graph, graph_updates)
    if "checkify" in native:
        return cast(Function, native["checkify"](f, errors))

    @functools.wraps(f)
    def call(*args: P.args, **kwargs: P.kwargs) -> tuple[jax_checkify.Error, R]:
        lifted = Lifted(lambda args, kwargs: f(*args, **kwargs), (args, kwargs))
        error, arrays = jax_checkify.checkify(lifted, errors)(lifted.arrays)
        return error, lifted.apply(arrays)

    return call


def eval_shape(
    f: Callable[..., R],
    *args: Any,
    graph: bool | None = None,
    graph_updates: bool | None = None,
    **kwargs: Any,
) -> R:
    """What ``f`` returns, its arrays replaced by ``jax.ShapeDtypeStruct``.

    Nothing is computed, and the arguments stay as they are.

    Args:
        f: takes Modules and arrays.
        *args: its arguments.
        graph: True, as there is no tree mode.
        graph_updates: True, as updates are always propagated.
        **kwargs: its arguments by keyword.

    Raises:
        ArgumentValueError: ``f`` is a bound method of a Module.
        RefusedArgumentError: as in ``nnx.checkify``.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.eval_shape(lambda: nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
        >>> [leaf.shape for leaf in jax.tree_util.tree_leaves(nnx.split(model)[1])]
        [(3,), (2, 3)]
    """
    f = propagates_updates("eval_shape", f, graph, graph_updates)
    if "eval_shape" in native:
        return cast(R, native["eval_shape"](f, *args, **kwargs))
    layout = Layout((args, kwargs))
    out = Layout(())

    def pure(arrays: list[jax.Array]) -> list[jax.Array]:
        nonlocal out
        given, named = layout.merge(arrays)[0]
        out = Layout(f(*given, **named))
        return out.arrays

    shapes = jax.eval_shape(pure, layout.arrays)
    return cast(R, out.merge(shapes)[0])


def _completed(build: Builder[Q]) -> Derived[Q, ClosedJaxpr]:
    made: Derived[Q, ClosedJaxpr] = completed(build, check=propagates_values)
    return made


@_completed
def make_jaxpr(
    f: Function = MISSING,
    *,
    graph: bool | None = None,
    graph_updates: bool | None = None,
    static_argnums: int | Sequence[int] = (),
) -> Function:
    """A function that returns the jaxpr of ``f``; the arguments stay as they are.

    One of ``graph=False`` and ``graph_updates=False`` has to be said, as to the newest
    Flax. Without ``f`` it is a decorator.

    Args:
        f: takes Modules and arrays.
        graph: False to refuse Modules and Variables that are shared.
        graph_updates: False.
        static_argnums: positions of arguments that are static.

    Raises:
        ArgumentValueError: ``f`` is a bound method, or neither mode is False.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> jaxpr = nnx.make_jaxpr(lambda m, x: m(x), graph_updates=False)
        >>> [v.aval.shape for v in jaxpr(model, jnp.ones((1, 2))).jaxpr.outvars]
        [(1, 3)]
    """

    @functools.wraps(f)
    def call(*args: object, **kwargs: object) -> ClosedJaxpr:
        not_shared("make_jaxpr", graph, (args, kwargs))
        rest, static = without_static(args, static_argnums)
        layout = Layout((rest, kwargs))

        def pure(*arrays: jax.Array) -> list[jax.Array]:
            given, named = layout.merge(arrays)[0]
            return Layout(f(*with_static(given, static), **named)).arrays

        return jax.make_jaxpr(pure)(*layout.arrays)

    return call
