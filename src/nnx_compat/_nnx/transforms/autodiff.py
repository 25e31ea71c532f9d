"""Derivatives with respect to a part of a Module: the state that a filter selects.

``grad`` and ``value_and_grad`` split an argument into what is differentiated and the
rest, and bring the argument up to date with what the function did to it (the statistics
of a BatchNorm). ``vjp`` and ``jvp`` are about all of their arguments, so there a Module
stands for its derivatives in the shape of itself.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax

from ...errors import ArgumentTypeError, ArgumentValueError, RemovedNameWarning
from ...functional import Path, is_variable, predicate, stored
from ...revisions import bound, nnx
from . import _checks as asked
from ._checks import LATER
from ._layout import Inside, Layout, Outcome, broadcast, merged, nodes_of, positional
from .prefixes import DiffState as _DiffState

__all__ = ["custom_vjp", "grad", "jvp", "value_and_grad", "vjp"]

DiffState: Any = getattr(nnx, "DiffState", _DiffState)
_NATIVE = asked.native("DiffState")
_NO_WRT: Any = object()
_NOTHING: Any = object()


def grad(
    f: Any = LATER,
    *,
    argnums: Any = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
    graph: bool | None = None,
    graph_updates: bool | None = None,
    wrt: Any = _NO_WRT,
) -> Any:
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
    return _gradient(
        "grad",
        grad,
        f,
        wrt=wrt,
        argnums=argnums,
        has_aux=has_aux,
        holomorphic=holomorphic,
        allow_int=allow_int,
        graph=graph,
        graph_updates=graph_updates,
    )


def value_and_grad(
    f: Any = LATER,
    *,
    argnums: Any = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
    graph: bool | None = None,
    graph_updates: bool | None = None,
    wrt: Any = _NO_WRT,
) -> Any:
    """A function that gives the value of ``f`` and its gradients; see ``grad``.

    Returns:
        A function that returns ``(value, gradients)``, with ``has_aux``
        ``((value, aux), gradients)``.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> @nnx.value_and_grad(argnums=nnx.DiffState(0, nnx.Param))
        ... def loss(model):
        ...     return (0 * model(jnp.ones((1, 2)))).sum()
        >>> float(loss(model)[0])
        0.0
    """
    return _gradient(
        "value_and_grad",
        value_and_grad,
        f,
        wrt=wrt,
        argnums=argnums,
        has_aux=has_aux,
        holomorphic=holomorphic,
        allow_int=allow_int,
        graph=graph,
        graph_updates=graph_updates,
    )


def _gradient(
    name: str, transform: Callable[..., Any], f: Any, *, wrt: Any, **options: Any
) -> Any:
    if wrt is not _NO_WRT:
        options["argnums"] = _from_wrt(name, options["argnums"], wrt)
    if f is LATER:
        return asked.decorator(transform, options)
    f = asked.free_function(name, f)
    asked.plain_prefix(name, "argnums", options["argnums"])
    known = inspect.signature(getattr(nnx, name)).parameters
    modes = {key: options.pop(key) for key in ("graph", "graph_updates")}
    asked.modes(name, **{key: v for key, v in modes.items() if key not in known})
    if _NATIVE:
        options.update({key: v for key, v in modes.items() if key in known})
        return getattr(nnx, name)(f, **options)
    return _differentiated(name, f, **options)


def _from_wrt(name: str, argnums: Any, wrt: Any) -> Any:
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
        stacklevel=4,
    )
    states = tuple(DiffState(position, wrt) for position in positions)
    return states[0] if isinstance(argnums, int) else states


def _filters(name: str, argnums: Any) -> dict[int, Any]:
    """The filter for each position that is differentiated."""
    single = isinstance(argnums, int) or hasattr(argnums, "argnum")
    found: dict[int, Any] = {}
    for one in (argnums,) if single else argnums:
        is_state = hasattr(one, "argnum")
        position = one.argnum if is_state else one
        if not isinstance(position, int):
            raise ArgumentTypeError(
                f"nnx.{name} was given a {type(one).__name__} in argnums",
                instead="a position, or nnx.DiffState(position, filter)",
            )
        if position in found:
            raise ArgumentValueError(
                f"nnx.{name}: argnum {position} is repeated in argnums",
                instead="a DiffState with a tuple of filters",
            )
        found[position] = one.filter if is_state else nnx.Param
    return found


def _differentiated(
    name: str,
    f: Any,
    *,
    argnums: Any,
    has_aux: bool,
    holomorphic: bool,
    allow_int: bool,
) -> Any:
    chosen = _filters(name, argnums)
    single = isinstance(argnums, int) or hasattr(argnums, "argnum")

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        args = positional(f, args, kwargs)
        filters = {i if i >= 0 else len(args) + i: w for i, w in chosen.items()}
        if any(i >= len(args) or i < 0 for i in filters):
            raise ArgumentValueError(
                f"nnx.{name} is to differentiate with respect to arguments "
                f"{sorted(filters)}, and was called with {len(args)}",
                instead="argnums below the number of arguments",
            )
        layout = Layout(args)
        wanted = _wanted(layout, filters)
        nodes, outcomes = layout.nodes, []

        def loss(diff: list[Any], rest: list[Any]) -> Any:
            both = iter(diff), iter(rest)
            inside = Inside(layout, [next(both[0 if w else 1]) for w in wanted])
            out = f(*inside.tree)
            value, aux = out if has_aux else (out, None)
            arrays, outcome = inside.outcome(aux)
            outcomes.append(outcome)
            return value, arrays

        diff = [a for a, w in zip(layout.arrays, wanted, strict=True) if w]
        rest = [a for a, w in zip(layout.arrays, wanted, strict=True) if not w]
        (value, arrays), found = jax.value_and_grad(
            loss, has_aux=True, holomorphic=holomorphic, allow_int=allow_int
        )(diff, rest)
        aux = outcomes[-1].apply(nodes, arrays)
        parts = _gradients(layout, wanted, iter(found))
        grads = parts[argnums_of(argnums, len(args))] if single else tuple(
            parts[i] for i in filters
        )  # fmt: skip
        if name == "grad":
            return (grads, aux) if has_aux else grads
        return ((value, aux) if has_aux else value), grads

    return call


def argnums_of(argnums: Any, count: int) -> int:
    """The one position that is differentiated."""
    position: int = getattr(argnums, "argnum", argnums)
    return position if position >= 0 else count + position


def _wanted(layout: Layout, filters: dict[int, Any]) -> list[bool]:
    """Whether each array is one to differentiate with respect to."""
    of_leaf = broadcast(
        tuple(_Whole(filters.get(i, _NOTHING)) for i in range(_arguments(layout))),
        layout.treedef,
    )
    wanted = []
    for position, path in layout.owners:
        said = of_leaf[position].filter
        if said is _NOTHING or not path:
            wanted.append(said is not _NOTHING)
            continue
        # a filter sees the path inside the Module; a bare Variable has none
        bare = len(path) == 1
        wanted.append(bare or predicate(said)(path[1:], layout.leaves[path]))
    return wanted


@dataclasses.dataclass(frozen=True)
class _Whole:
    """A filter as a leaf of a prefix: jax would look into one that is a list."""

    filter: Any


def _arguments(layout: Layout) -> int:
    return len(layout.treedef.children())


def _gradients(layout: Layout, wanted: list[bool], found: Any) -> list[Any]:
    """For each argument its tree, a State of gradients for each Module."""
    arrays = [next(found) if w else None for w in wanted]
    chosen = {
        path for (_, path), w in zip(layout.owners, wanted, strict=True) if w and path
    }
    states, rest = _states(layout, arrays, chosen.__contains__)
    leaves = [next(rest) if i is None else states[i] for i in layout.at]
    parts: list[Any] = list(layout.treedef.unflatten(leaves))
    return parts


def _states(
    layout: Layout,
    arrays: Sequence[Any],
    keep: Callable[[Path], bool] = lambda path: True,
) -> tuple[list[Any], Iterator[Any]]:
    """A State for each node with these arrays as values, and the other arrays."""
    values, plain = layout.values(arrays)
    flat: list[dict[Path, Any]] = [{} for i in layout.at if i is not None]
    for path, value in values.items():
        if keep(path):
            leaf = layout.leaves[path]
            flat[path[0]][path[1:]] = (
                bound.with_value(leaf, value) if is_variable(leaf) else value
            )
    return [bound.unflatten(part) for part in flat], iter(plain)


# -- all of the arguments -----------------------------------------------------------


def vjp(
    f: Any = LATER,
    *primals: Any,
    has_aux: bool = False,
    reduce_axes: Sequence[Any] = (),
    graph: bool | None = None,
    graph_updates: bool | None = None,
) -> Any:
    """The output of ``f``, and what takes its cotangent to those of the arguments.

    The values of Variables that ``f`` changes are propagated. One of ``graph=False``
    and ``graph_updates=False`` has to be said, as to the newest Flax.

    Args:
        f: a function of Modules, Variables and arrays. Without ``primals`` the result
            is a function of them, without ``f`` a decorator.
        *primals: its arguments.
        has_aux: whether ``f`` returns a pair of its output and auxiliary data.
        reduce_axes: nothing; jax has given it up.
        graph: False to refuse Modules and Variables that are shared.
        graph_updates: False.

    Returns:
        ``(output, vjp_fn)``, with ``has_aux`` ``(output, vjp_fn, aux)``. ``vjp_fn``
        returns a cotangent for each argument; a Module's is a Module.

    Raises:
        ArgumentValueError: ``f`` is a bound method, or neither mode is False.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> loss = lambda model, x: model(x).sum()
        >>> x = jnp.ones((1, 2))
        >>> out, vjp_fn = nnx.vjp(loss, model, x, graph_updates=False)
        >>> d_model, d_x = vjp_fn(jnp.ones_like(out))
        >>> type(d_model).__name__, d_x.shape
        ('Linear', (1, 2))
    """
    options: dict[str, Any] = {
        "has_aux": has_aux,
        "graph": graph,
        "graph_updates": graph_updates,
    }
    asked.values_only("vjp", graph, graph_updates)
    if reduce_axes:
        raise NotImplementedError("reduce_axes of nnx.vjp: jax has given it up")
    if f is LATER:
        return asked.decorator(vjp, options)
    f = asked.free_function("vjp", f)
    if not primals:
        return functools.partial(vjp, f, **options)
    asked.not_shared("vjp", graph, primals)
    layout = Layout(primals)
    call = _Values("vjp", f, layout, has_aux)
    arrays, pull, rest = jax.vjp(call.with_aux, *layout.arrays, has_aux=True)
    call.propagate(rest[1])
    inward, outward, nodes = layout.forget(), call.out, call.out_nodes(arrays)

    def vjp_fn(cotangent: Any) -> Any:
        given = Layout(cotangent)
        if given.treedef != outward.treedef:
            raise ArgumentValueError(
                "a cotangent does not have the structure of the output: "
                f"{given.treedef} for {outward.treedef}",
                instead="jax.tree.map(jnp.ones_like, output)",
            )
        return inward.together(pull(given.arrays))[0]

    result = (nodes, vjp_fn)
    return (*result, call.aux(rest[0])) if has_aux else result


def jvp(
    f: Any = LATER,
    primals: Any = LATER,
    tangents: Any = LATER,
    *,
    has_aux: bool = False,
    graph: bool | None = None,
    graph_updates: bool | None = None,
) -> Any:
    """The output of ``f`` and its derivative in the direction of ``tangents``.

    The values of Variables that ``f`` changes are propagated. One of ``graph=False``
    and ``graph_updates=False`` has to be said, as to the newest Flax.

    Args:
        f: a function of Modules, Variables and arrays. Without ``primals`` the result
            is a function of them and the tangents, without ``f`` a decorator.
        primals: a tuple of its arguments.
        tangents: a tuple of the same structure; a Module's tangent is a Module of the
            same type with the tangents as values.
        has_aux: whether ``f`` returns a pair of its output and auxiliary data.
        graph: False to refuse Modules and Variables that are shared.
        graph_updates: False.

    Returns:
        ``(output, tangent)``, with ``has_aux`` ``(output, tangent, aux)``.

    Raises:
        ArgumentValueError: ``f`` is a bound method, neither mode is False, or the
            tangents do not have the structure of the primals.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> x = jnp.ones((1, 2))
        >>> out, tangent = nnx.jvp(
        ...     lambda model, x: model(x).sum(), (model, x), (model, x),
        ...     graph_updates=False,
        ... )
        >>> tangent.shape
        ()
    """
    options: dict[str, Any] = {
        "has_aux": has_aux,
        "graph": graph,
        "graph_updates": graph_updates,
    }
    asked.values_only("jvp", graph, graph_updates)
    if f is LATER:
        return asked.decorator(jvp, options)
    f = asked.free_function("jvp", f)
    if primals is LATER or tangents is LATER:
        return functools.partial(jvp, f, **options)
    asked.not_shared("jvp", graph, primals)
    layout, directions = Layout(tuple(primals)), Layout(tuple(tangents))
    if not layout.fits(directions):
        raise ArgumentValueError(
            "the tangents of nnx.jvp do not have the structure of the primals",
            instead="Modules of the same types with the same attributes, and arrays",
        )
    call = _Values("jvp", f, layout, has_aux)
    arrays, rates, rest = jax.jvp(
        call.with_aux, tuple(layout.arrays), tuple(directions.arrays), has_aux=True
    )
    call.propagate(rest[1])
    result = (call.out_nodes(arrays), call.out_nodes(rates))
    return (*result, call.aux(rest[0])) if has_aux else result


class _Values:
    """A function over nodes as one over arrays that propagates values."""

    def __init__(self, name: str, f: Any, layout: Layout, has_aux: bool) -> None:
        self.name, self.f, self.layout, self.has_aux = name, f, layout, has_aux
        self.nodes = layout.nodes

    def with_aux(self, *arrays: Any) -> Any:
        """``(arrays of the output, (those of aux, those that changed))``."""
        inside = Inside(self.layout, arrays)
        out = self.f(*inside.tree)
        out, aux = out if self.has_aux else (out, None)
        together, both, self.changed = inside.values(self.name, (out, aux))
        self.out, self.extra = Layout(out), Layout(aux)
        changed = together[both.count :]
        return self.out.arrays, (self.extra.arrays, changed)

    def propagate(self, changed: Sequence[Any]) -> None:
        """Write what the function changed into the caller's Variables."""
        self.changed.apply(self.layout, changed)
        self.out.forget()
        self.extra.forget()

    def out_nodes(self, arrays: Sequence[Any]) -> Any:
        """The output, around these arrays."""
        return self.out.together(arrays)[0]

    def aux(self, arrays: Sequence[Any]) -> Any:
        """The auxiliary data."""
        return self.extra.together(arrays)[0]


# -- derivatives written by hand ----------------------------------------------------


def custom_vjp(
    fun: Any = LATER,
    *,
    nondiff_argnums: Any = (),
    graph: bool | None = None,
    graph_updates: bool | None = None,
) -> Any:
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
        ArgumentValueError: ``fun`` is a bound method.
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
    options = {
        "nondiff_argnums": nondiff_argnums,
        "graph": graph,
        "graph_updates": graph_updates,
    }
    if fun is LATER:
        return asked.decorator(custom_vjp, options)
    fun = asked.free_function("custom_vjp", fun)
    asked.modes("custom_vjp", graph=graph, graph_updates=graph_updates)
    asked.plain_prefix("custom_vjp", "nondiff_argnums", nondiff_argnums)
    if _NATIVE_CUSTOM:
        return nnx.custom_vjp(fun, nondiff_argnums=nondiff_argnums)
    return _CustomVjp(fun, nondiff_argnums)


#: The first one takes only Modules.
_NATIVE_CUSTOM = asked.native("switch")


class _CustomVjp:
    """A function over Modules with a derivative by hand.

    Args:
        fun: the function.
        nondiff_argnums: positions and ``DiffState``.
    """

    def __init__(self, fun: Any, nondiff_argnums: Any) -> None:
        functools.update_wrapper(self, fun, updated=())
        self.fun = fun
        self.fwd: Any = None
        self.bwd: Any = None
        self.symbolic_zeros = False
        single = isinstance(nondiff_argnums, int) or hasattr(nondiff_argnums, "argnum")
        given = (nondiff_argnums,) if single else tuple(nondiff_argnums)
        self.filters = {n.argnum: n.filter for n in given if hasattr(n, "argnum")}
        self.static = sorted(n for n in given if isinstance(n, int))
        if len(given) != len({*self.filters, *self.static}):
            raise ArgumentValueError(
                "an argnum is repeated in nondiff_argnums of nnx.custom_vjp",
                instead="a DiffState with a tuple of filters",
            )

    def defvjp(self, fwd: Any, bwd: Any, symbolic_zeros: bool = False) -> None:
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

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.fwd is None:
            raise ArgumentValueError(
                f"no derivative is defined for {getattr(self.fun, '__name__', 'it')}",
                instead="its defvjp(fwd, bwd) first",
            )
        return _CustomCall(self, positional(self.fun, args, kwargs)).result()


class _CustomCall:
    """One call of a function with a derivative by hand."""

    def __init__(self, owner: _CustomVjp, args: tuple[Any, ...]) -> None:
        self.owner = owner
        self.fixed = {i: args[i] for i in owner.static}
        if any(nodes_of(value) for value in self.fixed.values()):
            raise ArgumentTypeError(
                "nondiff_argnums of nnx.custom_vjp has the position of a Module",
                instead="nnx.DiffState(position, filter), of what has a derivative",
            )
        rest = [i for i in range(len(args)) if i not in self.fixed]
        self.layout = Layout(tuple(args[i] for i in rest))
        filters = {
            at: owner.filters.get(i, lambda path, leaf: True)
            for at, i in enumerate(rest)
        }
        self.wanted = _wanted(self.layout, filters)
        self.outcomes: list[Outcome] = []
        self.kept: list[Layout] = []

    def result(self) -> Any:
        """The output, the arguments brought up to date."""
        function = jax.custom_vjp(self.primal)
        options = {"symbolic_zeros": True} if self.owner.symbolic_zeros else {}
        function.defvjp(self.forward, self.backward, **options)
        pairs = list(zip(self.layout.arrays, self.wanted, strict=True))
        arrays = function([a for a, w in pairs if w], [a for a, w in pairs if not w])
        return self.outcomes[-1].apply(self.layout.nodes, arrays)

    def _inside(self, diff: list[Any], rest: list[Any]) -> tuple[Inside, list[Any]]:
        both = iter(diff), iter(rest)
        arrays = [next(both[0 if wanted else 1]) for wanted in self.wanted]
        inside = Inside(self.layout, arrays)
        return inside, merged(inside.tree, self.fixed)

    def primal(self, diff: list[Any], rest: list[Any]) -> Any:
        """The function itself, over arrays."""
        inside, args = self._inside(diff, rest)
        arrays, outcome = inside.outcome(self.owner.fun(*args))
        self.outcomes.append(outcome)
        return arrays

    def forward(self, diff: list[Any], rest: list[Any]) -> Any:
        """The function, and what it keeps for its derivative."""
        if self.owner.symbolic_zeros:
            diff, rest = ([p.value for p in part] for part in (diff, rest))
        inside, args = self._inside(diff, rest)
        out, kept = self.owner.fwd(*args)
        arrays, outcome = inside.outcome(out)
        self.outcomes.append(outcome)
        self.kept.append(Layout(kept))
        return arrays, self.kept[-1].arrays

    def backward(self, kept: list[Any], cotangents: list[Any]) -> Any:
        """The cotangents of the arrays, by those of what the function leaves."""
        outcome = self.outcomes[-1].layout
        states, plain = _states(outcome, cotangents)
        leaves = [next(plain) if i is None else states[i] for i in outcome.at]
        nodes, out = outcome.treedef.unflatten(leaves)
        mine = iter(nodes)
        inputs = self.layout.treedef.unflatten(
            [None if i is None else next(mine) for i in self.layout.at]
        )
        found = self.owner.bwd(
            *(self.fixed[i] for i in sorted(self.fixed)),
            self.kept[-1].together(kept)[0],
            (inputs, out),
        )
        return self._of_arrays(self.layout.treedef.flatten_up_to(tuple(found)))

    def _of_arrays(self, found: list[Any]) -> Any:
        """``(those differentiated, the rest)``; None is zero."""
        values: dict[Path, Any] = {}
        for leaf, number in zip(found, self.layout.at, strict=True):
            if number is not None and leaf is not None:
                for path, part in bound.flatten(leaf).items():
                    values[(number, *path)] = stored(part)
        parts: tuple[list[Any], list[Any]] = ([], [])
        last: Path | None = None
        for (position, path), wanted in zip(
            self.layout.owners, self.wanted, strict=True
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


def _inexact(arrays: list[Any]) -> bool:
    return all(
        jax.numpy.issubdtype(jax.numpy.result_type(array), jax.numpy.inexact)
        for array in arrays
    )
