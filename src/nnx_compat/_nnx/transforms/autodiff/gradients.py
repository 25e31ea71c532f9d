"""Gradients with respect to a part of a Module: the state that a filter selects.

The arguments are brought up to date with what the function did to them, the statistics
of a BatchNorm for example.
"""

from __future__ import annotations

import dataclasses
import functools
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeGuard, overload

import jax

from ...._release import here, native
from ....errors import (
    ArgumentTypeError,
    ArgumentValueError,
    RemovedNameWarning,
    kind_of,
)
from ....functional import Filter, predicate
from ....revisions import nnx
from .._layout import Layout
from .._lifted import positional
from .._outcome import Static, Traced
from .._transform import (
    MISSING,
    Builder,
    Derived,
    Function,
    P,
    Q,
    R,
    completed,
    natively,
)

__all__ = ["DiffState", "grad", "value_and_grad"]


@dataclasses.dataclass(frozen=True)
class DiffState:
    """Says with respect to what part of an argument ``nnx.grad`` differentiates.

    Args:
        argnum: the position of the argument.
        filter: selects leaves of its state.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> only_bias = nnx.DiffState(0, lambda path, leaf: "bias" in path)
        >>> loss = lambda model: model(jnp.ones((1, 2))).sum()
        >>> grads = nnx.grad(loss, argnums=only_bias)(model)
        >>> [g.tolist() for g in jax.tree_util.tree_leaves(grads)]
        [[1.0, 1.0, 1.0]]
    """

    argnum: int
    filter: Filter


def is_diff_state(value: object) -> TypeGuard[DiffState]:
    """Whether this is a ``DiffState``, Flax's own or ours."""
    return hasattr(value, "argnum")


# -- Which arrays of the arguments are differentiated -------------------------------


class Parts:
    """The arrays of arguments, parted into those that are differentiated and the rest.

    Args:
        layout: of a tuple of arguments.
        filters: for each position that is differentiated, which leaves of the argument.
    """

    def __init__(self, layout: Layout, filters: Mapping[int, Filter]) -> None:
        arguments = [
            number
            for number, argument in enumerate(layout.treedef.children())
            for _ in range(argument.num_leaves)
        ]
        self.wanted: list[bool] = []
        for leaf, path in layout.owners:
            number = arguments[leaf]
            # a filter sees the path inside the Module; an array or a bare Variable,
            # which has no path there, is differentiated whole
            self.wanted.append(
                number in filters
                and (
                    len(path) < 2
                    or predicate(filters[number])(path[1:], layout.leaves[path])
                )
            )
        self.paths = {
            path for (_, path), w in zip(layout.owners, self.wanted, strict=True) if w
        }

    def parted(
        self, arrays: Sequence[jax.Array]
    ) -> tuple[list[jax.Array], list[jax.Array]]:
        """Those that are differentiated, and the rest."""
        pairs = list(zip(arrays, self.wanted, strict=True))
        return [a for a, w in pairs if w], [a for a, w in pairs if not w]

    def joined(
        self, diff: Sequence[jax.Array], rest: Sequence[jax.Array]
    ) -> list[jax.Array]:
        """All arrays in their order, from the two parts."""
        wanted, others = iter(diff), iter(rest)
        return [next(wanted if w else others) for w in self.wanted]


# -- Gradients with respect to a part of a Module: the state that a filter selects --


Argnums = int | DiffState | Sequence[int | DiffState]
_NO_WRT: object = object()
#: Flax's own where there is one: its ``grad`` takes no other.
_State: type[DiffState] = native.get("DiffState", DiffState)


class _ValueAndGrad(Protocol[Q]):
    @overload
    def __call__(
        self, f: Callable[P, R], /, *args: Q.args, **options: Q.kwargs
    ) -> Callable[P, tuple[R, Any]]: ...

    @overload
    def __call__(
        self, *args: Q.args, **options: Q.kwargs
    ) -> Callable[[Callable[P, R]], Callable[P, tuple[R, Any]]]: ...


def _gradient(build: Builder[Q]) -> Derived[Q, Any]:
    made: Derived[Q, Any] = completed(build, ("argnums",))
    return made


def _with_value(like: Derived[Q, Any]) -> Callable[[Function], _ValueAndGrad[Q]]:
    return functools.partial(completed, prefixes=("argnums",), like=like)


@_gradient
def grad(
    f: Function = MISSING,
    *,
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
    graph: bool | None = None,
    graph_updates: bool | None = None,
    wrt: object = _NO_WRT,
) -> Function:
    """A function that gives the gradients of ``f``, a State for each Module.

    What ``f`` does to its arguments is propagated to them. Without ``f`` it is a
    decorator.

    Args:
        f: takes Modules and arrays, by position or keyword, and returns a scalar; with
            ``has_aux`` a pair of it and anything else.
        argnums: of the arguments to differentiate with respect to: a position, which
            means the ``nnx.Param`` of Modules and all of other arguments; or
            ``nnx.DiffState(position, filter)``; or a tuple of such.
        has_aux: whether ``f`` returns auxiliary data besides.
        holomorphic: whether ``f`` is holomorphic.
        allow_int: whether to differentiate with respect to integers, in vain.
        graph: True, where the release has no tree mode.
        graph_updates: True, where the release always propagates updates.
        wrt: the old spelling of ``DiffState(0, wrt)``; it warns.

    Raises:
        ArgumentValueError: ``f`` is a bound method, or a position is there twice.
        RefusedArgumentError: ``graph`` or ``graph_updates`` is False.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> loss = lambda model, x: model(x).sum()
        >>> grads = nnx.grad(loss)(model, jnp.ones((1, 2)))
        >>> [g.shape for g in jax.tree_util.tree_leaves(grads)]
        [(3,), (2, 3)]
    """
    return _differentiated("grad", f, argnums, has_aux, holomorphic, allow_int, wrt)


@_with_value(grad)
def value_and_grad(f: Function, **options: Any) -> Function:
    """A function that gives the value of ``f`` and its gradients.

    Args:
        f: as in ``grad``.
        **options: those of ``grad``.

    Returns:
        A function that returns ``(value, gradients)``, with ``has_aux``
        ``((value, aux), gradients)``.

    Raises:
        ArgumentValueError: as in ``grad``, as are the other errors.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> @nnx.value_and_grad(argnums=nnx.DiffState(0, nnx.Param))
        ... def loss(model):
        ...     return (0 * model(jnp.ones((1, 2)))).sum()
        >>> float(loss(model)[0])
        0.0
    """
    return _differentiated("value_and_grad", f, **options)


def _differentiated(
    name: str,
    f: Function,
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
    wrt: object = _NO_WRT,
    **modes: object,
) -> Function:
    if wrt is not _NO_WRT:
        argnums = _from_wrt(name, argnums, wrt)
    options = {"holomorphic": holomorphic, "allow_int": allow_int}
    if here.transforms_take_filters:
        given = {"argnums": argnums, "has_aux": has_aux, **options}
        return natively(name, f, given)
    chosen = _filters(name, argnums)

    @functools.wraps(f)
    def call(*args: object, **kwargs: object) -> object:
        args = positional(f, args, kwargs)
        filters = {i if i >= 0 else len(args) + i: w for i, w in chosen.items()}
        if any(i >= len(args) or i < 0 for i in filters):
            raise ArgumentValueError(
                f"nnx.{name} is to differentiate with respect to arguments "
                f"{sorted(filters)}, and was called with {len(args)}",
                instead="argnums below the number of arguments",
            )
        layout = Layout(args)
        parts = Parts(layout, filters)

        def loss(diff: list[jax.Array], rest: list[jax.Array]) -> object:
            traced = Traced(layout, parts.joined(diff, rest))
            out = f(*traced.tree)
            value, aux = out if has_aux else (out, None)
            arrays, outcome = traced.outcome(aux)
            return value, (arrays, Static(outcome))

        (value, (arrays, outcome)), found = jax.value_and_grad(
            loss, has_aux=True, **options
        )(*parts.parted(layout.arrays))
        aux = outcome.value.apply(layout.nodes, arrays)
        every = parts.joined(found, [None] * len(layout.arrays))
        states = layout.states(every, parts.paths.__contains__)
        grads = tuple(states[i] for i in filters)
        grads = grads[0] if _is_one(argnums) else grads
        if name == "grad":
            return (grads, aux) if has_aux else grads
        return ((value, aux) if has_aux else value), grads

    return call


def _is_one(argnums: object) -> bool:
    return isinstance(argnums, int) or is_diff_state(argnums)


def _from_wrt(name: str, argnums: Any, wrt: Any) -> Argnums:
    positions = (argnums,) if isinstance(argnums, int) else argnums
    if not all(isinstance(position, int) for position in positions):
        raise ArgumentTypeError(
            f"nnx.{name} was given both wrt= and a DiffState",
            instead="argnums=nnx.DiffState(position, filter)",
        )
    warnings.warn(
        f"nnx.{name}(wrt=...) is gone from newer Flax\n"
        "  instead: argnums=nnx.DiffState(0, filter)",
        RemovedNameWarning,
        stacklevel=5,  # the caller of the transform
    )
    states = tuple(_State(position, wrt) for position in positions)
    return states[0] if isinstance(argnums, int) else states


def _filters(name: str, argnums: Any) -> dict[int, Filter]:
    """The filter for each position that is differentiated."""
    found: dict[int, Filter] = {}
    for one in (argnums,) if _is_one(argnums) else argnums:
        position = one.argnum if is_diff_state(one) else one
        if not isinstance(position, int):
            raise ArgumentTypeError(
                f"nnx.{name} was given {kind_of(one)} in argnums",
                instead="a position, or nnx.DiffState(position, filter)",
            )
        if position in found:
            raise ArgumentValueError(
                f"nnx.{name}: argnum {position} is repeated in argnums",
                instead="a DiffState with a tuple of filters",
            )
        found[position] = one.filter if is_diff_state(one) else nnx.Param
    return found
