"""Functions whose derivative is given by hand."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any, Generic, Protocol, cast, overload

import jax

from ...._release import here
from ....errors import ArgumentTypeError, ArgumentValueError
from ....functional import Path, stored
from ....revisions import bound
from .._layout import Layout, nodes_of
from .._lifted import positional, with_static, without_static
from .._outcome import Outcome, Traced
from .._transform import MISSING, Builder, Function, P, Q, R, completed
from .gradients import DiffState, Parts, is_diff_state

__all__ = ["custom_vjp"]

Argnums = int | DiffState | Sequence[int | DiffState]


class _Transform(Protocol[Q]):
    @overload
    def __call__(
        self, fun: Callable[P, R], /, *args: Q.args, **options: Q.kwargs
    ) -> CustomVjp[P, R]: ...

    @overload
    def __call__(
        self, *args: Q.args, **options: Q.kwargs
    ) -> Callable[[Callable[P, R]], CustomVjp[P, R]]: ...


def _custom(build: Builder[Q]) -> _Transform[Q]:
    # the first one looks for a State in each argument, so it takes Modules only
    native = here.custom_vjp_takes_arrays
    made: _Transform[Q] = completed(build, ("nondiff_argnums",), native)
    return made


@_custom
def custom_vjp(
    fun: Function = MISSING,
    *,
    nondiff_argnums: Argnums = (),
    graph: bool | None = None,
    graph_updates: bool | None = None,
) -> Function:
    """A function whose derivative is given by hand, with ``defvjp``.

    Args:
        fun: a function of Modules and arrays; without it the result is a decorator. Its
            ``defvjp(fwd, bwd)`` takes two functions: ``fwd`` returns the output and
            what is to be kept, ``bwd`` takes what was kept and a pair, of the
            cotangents of the arguments as ``fun`` leaves them and of the output.
        nondiff_argnums: positions without a derivative, or ``nnx.DiffState`` for a
            Module of which only a part has one.
        graph: True, as there is no tree mode.
        graph_updates: True, as updates are always propagated.

    Raises:
        ArgumentValueError: ``fun`` is a bound method of a Module, or a position is
            there twice.
        RefusedArgumentError: ``graph`` or ``graph_updates`` is False.

    Example:
        >>> from nnx_compat import nnx
        >>> @nnx.custom_vjp
        ... def double(x):
        ...     return 2 * x
        >>> double.defvjp(lambda x: (double(x), ()), lambda residual, g: (100 * g[1],))
        >>> float(jax.grad(double)(1.0))
        100.0
    """
    return CustomVjp(fun, nondiff_argnums)


class CustomVjp(Generic[P, R]):
    """A function over Modules with a derivative by hand.

    Args:
        fun: the function.
        nondiff_argnums: positions and ``DiffState``.
    """

    def __init__(self, fun: Callable[P, R], nondiff_argnums: Any) -> None:
        functools.update_wrapper(self, fun, updated=())
        self.fun = fun
        self.fwd: Function | None = None
        self.bwd: Function | None = None
        self.symbolic_zeros = False
        single = isinstance(nondiff_argnums, int) or is_diff_state(nondiff_argnums)
        given = (nondiff_argnums,) if single else tuple(nondiff_argnums)
        self.filters = {n.argnum: n.filter for n in given if is_diff_state(n)}
        self.static = sorted(n for n in given if isinstance(n, int))
        if len(given) != len({*self.filters, *self.static}):
            raise ArgumentValueError(
                "an argnum is repeated in nondiff_argnums of nnx.custom_vjp",
                instead="a DiffState with a tuple of filters",
            )

    def defvjp(
        self, fwd: Function, bwd: Function, symbolic_zeros: bool = False
    ) -> None:
        """Say what the derivative is.

        Args:
            fwd: takes what the function takes; returns its output and what to keep.
            bwd: takes the static arguments, what was kept and a pair: the cotangents
                of the arguments as ``fun`` leaves them, a State for each Module and
                None for arrays; and that of the output. Returns a tuple with the
                cotangent of each argument that is not static.
            symbolic_zeros: as in ``jax.custom_vjp``.
        """
        self.fwd, self.bwd, self.symbolic_zeros = fwd, bwd, symbolic_zeros

    def __get__(self, instance: object, owner: type | None = None) -> Function:
        this = cast(Function, self)
        return this if instance is None else functools.partial(this, instance)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if self.fwd is None or self.bwd is None:
            raise ArgumentValueError(
                f"no derivative is defined for {getattr(self.fun, '__name__', 'it')}",
                instead="its defvjp(fwd, bwd) first",
            )
        given = positional(self.fun, args, kwargs)
        return cast(R, _Call(self, self.fwd, self.bwd, given).result())


class _Call:
    """One call of a function with a derivative by hand."""

    def __init__(
        self,
        owner: CustomVjp[..., Any],
        fwd: Function,
        bwd: Function,
        args: tuple[Any, ...],
    ) -> None:
        self.owner, self.fwd, self.bwd = owner, fwd, bwd
        rest, self.static = without_static(args, owner.static)
        if any(nodes_of(value) for value in self.static.values()):
            raise ArgumentTypeError(
                "nondiff_argnums of nnx.custom_vjp has the position of a Module",
                instead="nnx.DiffState(position, filter), of what has a derivative",
            )
        self.layout = Layout(tuple(rest))
        positions = [i for i in range(len(args)) if i not in self.static]
        filters = {at: owner.filters.get(i, ...) for at, i in enumerate(positions)}
        self.parts = Parts(self.layout, filters)
        self.outcome: Outcome
        self.residual: Layout

    def result(self) -> object:
        """The output, the arguments brought up to date."""
        function = jax.custom_vjp(self.primal)
        options = {"symbolic_zeros": True} if self.owner.symbolic_zeros else {}
        function.defvjp(self.forward, self.backward, **options)
        arrays = function(*self.parts.parted(self.layout.arrays))
        return self.outcome.apply(self.layout.nodes, arrays)

    def _called(
        self, f: Function, diff: list[jax.Array], rest: list[jax.Array]
    ) -> tuple[Traced, Any]:
        traced = Traced(self.layout, self.parts.joined(diff, rest))
        return traced, f(*with_static(traced.tree, self.static))

    def primal(self, diff: list[jax.Array], rest: list[jax.Array]) -> list[jax.Array]:
        """The function itself, over arrays."""
        traced, out = self._called(self.owner.fun, diff, rest)
        arrays, self.outcome = traced.outcome(out)
        return arrays

    def forward(
        self, diff: list[Any], rest: list[Any]
    ) -> tuple[list[jax.Array], list[jax.Array]]:
        """The function, and the arrays of its residual."""
        if self.owner.symbolic_zeros:
            diff, rest = ([p.value for p in part] for part in (diff, rest))
        traced, (out, residual) = self._called(self.fwd, diff, rest)
        arrays, self.outcome = traced.outcome(out)
        self.residual = Layout(residual)
        return arrays, self.residual.arrays

    def backward(self, residual: list[jax.Array], cotangents: list[jax.Array]) -> Any:
        """The cotangents of the arrays, by those of what the function leaves."""
        nodes, out = self.outcome.layout.states(cotangents)
        inputs = self.layout.tree(nodes, repeat(None))
        found = self.bwd(
            *(self.static[i] for i in sorted(self.static)),
            self.residual.merge(residual)[0],
            (inputs, out),
        )
        return self._of_arrays(self.layout.treedef.flatten_up_to(tuple(found)))

    def _of_arrays(self, found: list[Any]) -> tuple[list[Any], list[Any]]:
        """``(those differentiated, the rest)``; None is zero."""
        values: dict[Path, Any] = {}
        for leaf, number in zip(found, self.layout.at, strict=True):
            if number is not None and leaf is not None:
                for path, part in bound.flatten(leaf).items():
                    values[(number, *path)] = stored(part)
        parts: tuple[list[Any], list[Any]] = ([], [])
        last: Path | None = None
        for (position, path), wanted in zip(
            self.layout.owners, self.parts.wanted, strict=True
        ):
            if not path:
                parts[not wanted].append(found[position])
            elif path != last:  # a value with several arrays comes once
                count = sum(owner == (position, path) for owner in self.layout.owners)
                given = jax.tree_util.tree_leaves(values.get(path))
                usable = wanted and len(given) == count and _inexact(given)
                parts[not wanted].extend(given if usable else [None] * count)
            last = path
        return parts


def _inexact(arrays: list[jax.Array]) -> bool:
    return all(
        jax.numpy.issubdtype(jax.numpy.result_type(array), jax.numpy.inexact)
        for array in arrays
    )
