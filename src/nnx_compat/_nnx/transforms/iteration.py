"""Branches and loops over Modules: what they do to their operands is propagated.

The structure of what a loop carries stays the same from step to step, and all branches
leave their operands with the same structure: jax computes each of them once, for all
outcomes.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from ...errors import ArgumentValueError, StateStructureError
from ...revisions import nnx
from . import _checks as asked
from ._checks import LATER
from ._layout import (
    Inside,
    Layout,
    Outcome,
    flattened,
    is_node,
    is_prefix_leaf,
    of_nodes,
    pairs,
    positional,
)
from .mapping import axis_name, natively, with_axis, without_axis
from .prefixes import Carry as _Carry

__all__ = ["cond", "fori_loop", "scan", "switch", "while_loop"]

Carry: Any = getattr(nnx, "Carry", _Carry)
_HAS_CARRY = asked.native("Carry")
#: The first scan with a Carry has none in the output, where it is always the first.
_NATIVE_SCAN = _HAS_CARRY and not isinstance(
    inspect.signature(nnx.scan).parameters["out_axes"].default, int
)


def cond(
    pred: Any,
    true_fun: Callable[..., Any],
    false_fun: Callable[..., Any],
    *operands: Any,
    graph: bool | None = None,
    graph_updates: bool | None = None,
) -> Any:
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
    asked.modes("cond", graph=graph, graph_updates=graph_updates)
    return _branched(
        "cond",
        lambda pure, arrays: jax.lax.cond(pred, pure[0], pure[1], arrays),
        (true_fun, false_fun),
        operands,
    )


def switch(
    index: Any,
    branches: Sequence[Callable[..., Any]],
    *operands: Any,
    graph: bool | None = None,
    graph_updates: bool | None = None,
) -> Any:
    """The output of one of several functions; see ``cond``.

    Args:
        index: an integer scalar, possibly traced; it is clamped into range.
        branches: the functions. All leave Modules with the same structure.
        *operands: Modules and arrays.
        graph: True, as there is no tree mode.
        graph_updates: True, as updates are always propagated.

    Raises:
        StateStructureError: the branches leave operands of different structure.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> branches = [nnx.Linear.__call__, lambda model, x: jnp.zeros((1, 3))]
        >>> nnx.switch(1, branches, model, jnp.ones((1, 2))).tolist()
        [[0.0, 0.0, 0.0]]
    """
    asked.modes("switch", graph=graph, graph_updates=graph_updates)
    return _branched(
        "switch",
        lambda pure, arrays: jax.lax.switch(index, pure, arrays),
        tuple(branches),
        operands,
    )


def _branched(
    name: str,
    choose: Callable[[Any, Any], Any],
    branches: Sequence[Callable[..., Any]],
    operands: tuple[Any, ...],
) -> Any:
    layout = Layout(operands)
    outcomes: dict[int, Outcome] = {}

    def pure_of(number: int, branch: Callable[..., Any]) -> Callable[..., Any]:
        def pure(arrays: list[Any]) -> Any:
            inside = Inside(layout, arrays)
            found, outcome = inside.outcome(branch(*inside.tree))
            first = next(iter(outcomes.values()), outcome)
            if (
                not first.layout.fits(outcome.layout)
                or first.origins != outcome.origins
            ):
                raise StateStructureError(
                    f"the branches of nnx.{name} leave their operands, or return, "
                    f"different structures: number {number} is unlike the first",
                    instead="the same attributes and types in each branch",
                )
            outcomes[number] = outcome
            return found

        return pure

    pure = [pure_of(number, branch) for number, branch in enumerate(branches)]
    arrays = choose(pure, layout.arrays)
    return next(iter(outcomes.values())).apply(layout.nodes, arrays)


# -- loops --------------------------------------------------------------------------


def while_loop(
    cond_fun: Callable[[Any], Any],
    body_fun: Callable[[Any], Any],
    init_val: Any,
    *,
    graph: bool | None = None,
    graph_updates: bool | None = None,
) -> Any:
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
    asked.modes("while_loop", graph=graph, graph_updates=graph_updates)
    layout = Layout(init_val)
    body = _Body("while_loop", layout, body_fun)

    def goes_on(arrays: list[Any]) -> Any:
        return cond_fun(layout.together(arrays)[0])

    arrays = jax.lax.while_loop(goes_on, body, layout.arrays)
    return body.finish(layout, arrays)


def fori_loop(
    lower: Any,
    upper: Any,
    body_fun: Callable[[Any, Any], Any],
    init_val: Any,
    *,
    unroll: int | bool | None = None,
    graph: bool | None = None,
    graph_updates: bool | None = None,
) -> Any:
    """Call ``body_fun`` with each index and its own output.

    Args:
        lower: the first index.
        upper: the first that is not used any more.
        body_fun: from an index and a value to the next value, of the same structure.
        init_val: the first value, a tree of Modules and arrays. The Modules in it are
            brought up to date.
        unroll: how many steps to put into one of the compiled loop.
        graph: True, as there is no tree mode.
        graph_updates: True, as updates are always propagated.

    Returns:
        The last value.

    Raises:
        StateStructureError: ``body_fun`` changes the structure of the value.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
        >>> step = lambda i, value: (value[0], value[0](value[1]))
        >>> model, x = nnx.fori_loop(0, 3, step, (model, jnp.ones((1, 2))))
        >>> x.shape
        (1, 2)
    """
    asked.modes("fori_loop", graph=graph, graph_updates=graph_updates)
    layout = Layout(init_val)
    body = _Body("fori_loop", layout, body_fun)
    arrays = jax.lax.fori_loop(lower, upper, body, layout.arrays, unroll=unroll)
    return body.finish(layout, arrays)


class _Body:
    """The body of a loop over arrays.

    Args:
        name: of the loop.
        layout: of the value that goes round.
        f: takes what jax gives besides (an index), and the value.
    """

    def __init__(self, name: str, layout: Layout, f: Callable[..., Any]) -> None:
        self.name, self.layout, self.f = name, layout, f

    def __call__(self, *args: Any) -> Any:
        *before, arrays = args
        inside = Inside(self.layout, arrays)
        out = self.f(*before, inside.tree)
        after = Layout(out)
        same = list(map(id, after.nodes)) == list(map(id, inside.nodes))
        if not self.layout.fits(after) or not same:
            raise StateStructureError(
                f"the body of nnx.{self.name} returns a value of another structure "
                f"than it was given: {after.treedef} for {self.layout.treedef}"
                + (", with other Modules or Variables in it" if not same else ""),
                instead="the Modules it was given, with the same attributes",
            )
        return [jax.numpy.asarray(array) for array in after.arrays]

    def finish(self, layout: Layout, arrays: Sequence[Any]) -> Any:
        """The last value: the caller's nodes, brought up to date."""
        inside = Inside(layout, arrays)
        found, outcome = inside.outcome(inside.tree)
        return outcome.apply(layout.nodes, found)


# -- scan ---------------------------------------------------------------------------


def scan(
    f: Any = LATER,
    *,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
    _split_transpose: bool = False,
    in_axes: Any = (Carry, 0),
    out_axes: Any = (Carry, 0),
    transform_metadata: Mapping[str, Any] | None = None,
    graph: bool | None = None,
    graph_updates: bool | None = None,
    **old: Any,
) -> Any:
    """A function that runs ``f`` along axes of its arguments and carries one along.

    What ``f`` does to its arguments is propagated. Without ``f`` it is a decorator.

    Args:
        f: takes Modules and arrays, by position.
        length: the number of steps, where no argument has it.
        reverse: whether to go from the end to the start.
        unroll: how many steps to put into one of the compiled loop.
        in_axes: a prefix of the arguments: an int, None for what is the same in all
            steps, ``nnx.Carry`` for the one argument that goes from step to step, or
            ``nnx.StateAxes`` for a Module.
        out_axes: likewise of the output; what is carried is its ``nnx.Carry``.
        transform_metadata: what the axis adds to the metadata of Variables.
        graph: True, as there is no tree mode.
        graph_updates: True, as updates are always propagated.
        **old: what the installed Flax takes besides; with any of these it is the native
            function with its own meaning of the rest.

    Raises:
        ArgumentValueError: ``f`` is a bound method, or the axes make no sense.
        RefusedArgumentError: the release cannot do what an argument asks for.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
        >>> @nnx.scan(in_axes=(None, nnx.Carry), out_axes=nnx.Carry, length=3)
        ... def thrice(model, x):
        ...     return model(x)
        >>> thrice(model, jnp.ones((1, 2))).shape
        (1, 2)
    """
    options = {
        "length": length,
        "reverse": reverse,
        "unroll": unroll,
        "_split_transpose": _split_transpose,
        "in_axes": in_axes,
        "out_axes": out_axes,
        "transform_metadata": transform_metadata or {},
    }
    if f is LATER:
        both = {"graph": graph, "graph_updates": graph_updates}
        return asked.decorator(scan, {**options, **old, **both})
    f = asked.free_function("scan", f)
    asked.modes("scan", graph=graph, graph_updates=graph_updates)
    for name, prefix in (("in_axes", in_axes), ("out_axes", out_axes)):
        asked.plain_prefix("scan", name, prefix)
    if _NATIVE_SCAN or old or _of_the_first(in_axes, out_axes):
        return natively("scan", scan, f, options, old)
    partition = axis_name("scan", options.pop("transform_metadata"))
    if not options["_split_transpose"]:  # the oldest jax does not know it
        del options["_split_transpose"]
    del options["in_axes"], options["out_axes"]
    in_axes = tuple(in_axes) if isinstance(in_axes, list) else in_axes
    return _Scan(f, in_axes, out_axes, partition, options).call


def _of_the_first(in_axes: Any, out_axes: Any) -> bool:
    """Whether the axes are spelled as for the first scan that had a Carry."""
    return (
        _HAS_CARRY
        and _carry_at("in_axes", in_axes) is not None
        and _carry_at("out_axes", out_axes) is None
    )


class _Scan:
    """A scan over arrays: those that go round, those that are sliced, and the rest.

    Args:
        f: the function of one step.
        in_axes: a prefix of its arguments.
        out_axes: a prefix of its output.
        partition: the name of the axis in the metadata of Variables, or None.
        options: what ``jax.lax.scan`` takes besides.
    """

    def __init__(
        self, f: Any, in_axes: Any, out_axes: Any, partition: Any, options: Any
    ) -> None:
        self.partition = partition
        self.f, self.in_axes, self.out_axes, self.options = (
            f,
            in_axes,
            out_axes,
            options,
        )
        self.carry_in = _carry_at("in_axes", in_axes)
        self.carry_out = _carry_at("out_axes", out_axes)
        if (self.carry_in is None) != (self.carry_out is None):
            raise ArgumentValueError(
                "If one of in_axes or out_axes has Carry, the other must also have "
                f"Carry. Found in_axes={in_axes!r} and out_axes={out_axes!r}",
                instead="nnx.Carry in both, or in neither",
            )
        _check_out_axes(out_axes)

        @functools.wraps(f)
        def call(*args: Any, **kwargs: Any) -> Any:
            return self.run(positional(f, args, kwargs))

        self.call = call

    def run(self, args: tuple[Any, ...]) -> Any:
        """All steps."""
        if self.carry_in == "all" and len(args) != 1:
            raise ArgumentValueError(
                "When in_axes=Carry, the function must take exactly one argument, and "
                f"it was called with {len(args)}",
                instead="a tuple of axes",
            )
        layout = Layout(args)
        said = layout.spread(self.in_axes)
        steps: list[Outcome] = []

        def step(carry: list[Any], sliced: list[Any]) -> Any:
            parts = {Carry: iter(carry), None: iter(same), 0: iter(sliced)}
            arrays = [next(parts[_kind(axis)]) for axis in said]
            inside = Inside(layout, arrays)
            with without_axis(inside.tree, self.in_axes, self.partition):
                carried, rest = self._parted(self.f(*inside.tree))
            with_axis(rest, self._rest_axes(), self.partition)
            self._check_references(inside.tree, carried)
            prefix = (of_nodes(layout, self.in_axes), (Carry, self._rest_axes()))
            both, outcome = inside.outcome((carried, rest), prefix)
            steps.append(outcome)
            new = [a for a, s in zip(both, outcome.said, strict=True) if s is Carry]
            if len(new) != len(carry):
                raise StateStructureError(
                    f"nnx.scan carries {len(carry)} arrays into a step, and {len(new)} "
                    "out of it",
                    instead="a carry with the same structure in all steps",
                )
            along = [
                a for a, s in zip(both, outcome.said, strict=True) if _kind(s) == 0
            ]
            return [jax.numpy.asarray(array) for array in new], along

        groups: dict[Any, list[Any]] = {Carry: [], None: [], 0: []}
        for array, axis in zip(layout.arrays, said, strict=True):
            moved = _to_front(array, axis) if _kind(axis) == 0 else array
            groups[_kind(axis)].append(moved)
        same = groups[None]
        carry = [jax.numpy.asarray(array) for array in groups[Carry]]
        carry, along = jax.lax.scan(step, carry, groups[0], **self.options)
        return self._finish(layout, steps[-1], carry, along, same)

    def _finish(
        self, layout: Layout, outcome: Outcome, carry: Any, along: Any, same: Any
    ) -> Any:
        parts = {Carry: iter(carry), None: iter(same), 0: iter(along)}
        arrays = []
        for axis in outcome.said:
            array = next(parts[_kind(axis)])
            back = _kind(axis) == 0 and axis != 0
            arrays.append(jax.numpy.moveaxis(array, 0, axis) if back else array)
        carried, rest = outcome.apply(layout.nodes, arrays)
        if self.carry_out is None:
            return rest
        if self.carry_out == "all":
            return carried
        return type(rest)((*rest[: self.carry_out], carried, *rest[self.carry_out :]))

    def _parted(self, out: Any) -> tuple[Any, Any]:
        """What is carried, and the rest of the output."""
        if self.carry_out is None:
            return None, out
        if self.carry_out == "all":
            return out, None
        if not isinstance(out, tuple):
            raise ArgumentValueError(
                f"out_axes={self.out_axes!r} is about a tuple, and the function of "
                f"nnx.scan returns a {type(out).__name__}",
                instead="return carry, output",
            )
        at: int = self.carry_out
        return out[at], (*out[:at], *out[at + 1 :])

    def _rest_axes(self) -> Any:
        if self.carry_out == "all":
            return None
        if self.carry_out is None:
            return self.out_axes
        at: int = self.carry_out
        return (*self.out_axes[:at], *self.out_axes[at + 1 :])

    def _check_references(self, args: Any, carried: Any) -> None:
        if self.carry_in is None:
            return
        given = args[0 if self.carry_in == "all" else self.carry_in]
        (old, was), (new, now) = flattened(given), flattened(carried)
        if was != now:
            raise StateStructureError(
                f"nnx.scan carries {now} out of a step, and {was} into it",
                instead="a carry with the same structure in all steps",
            )
        for mine, its in zip(old, new, strict=True):
            if is_node(mine) and mine is not its:
                raise ArgumentValueError(
                    "Carry references must be the same between iterations: a step got "
                    f"one {type(mine).__name__} and returns another",
                    instead="update the one that it got",
                )


def _kind(axis: Any) -> Any:
    """``Carry``, None for what is the same in all steps, or 0 for what is sliced."""
    return 0 if isinstance(axis, int) else axis


def _to_front(array: Any, axis: int) -> Any:
    if not hasattr(array, "ndim"):
        raise ArgumentValueError(
            f"nnx.scan is to go along a {type(array).__name__}: expected an array",
            instead="an array, or None as its axis",
        )
    return array if axis == 0 else jax.numpy.moveaxis(array, axis, 0)


def _carry_at(name: str, axes: Any) -> Any:
    """The position of ``Carry``; "all" where it is all there is; None without one."""
    if axes is Carry:
        return "all"
    at: int | None = None
    if not isinstance(axes, (tuple, list)):
        return None
    for position, axis in enumerate(axes):
        inner = jax.tree_util.tree_leaves(axis, is_leaf=is_prefix_leaf)
        if axis is not Carry and any(leaf is Carry for leaf in inner):
            raise ArgumentValueError(
                f"Carry must be at the top-level, it cannot be nested: {name}={axes!r}",
                instead="carry the whole argument",
            )
        if axis is Carry and at is not None:
            raise ArgumentValueError(
                f"Found multiple Carry definitions at {name}[{at}] and "
                f"{name}[{position}]",
                instead="one carry, a tuple of both",
            )
        at = position if axis is Carry else at
    return at


def _check_out_axes(axes: Any) -> None:
    for leaf in jax.tree_util.tree_leaves(axes, is_leaf=is_prefix_leaf):
        said = [v for _, v in pairs(leaf)] if hasattr(leaf, "filters") else [leaf]
        if any(value is None for value in said):
            raise ArgumentValueError(
                f"Cannot broadcast output state. Found None in out_axes={axes!r}",
                instead="an axis",
            )
        if hasattr(leaf, "filters") and any(value is Carry for value in said):
            raise ArgumentValueError(
                f"Cannot carry output state. Found {leaf!r} in out_axes",
                instead="nnx.Carry at the top",
            )
