"""The steps of a scan: some arrays are carried, some sliced, some always the same."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from ...._release import native
from ....errors import ArgumentValueError, StateStructureError, kind_of
from .._layout import Layout, flattened, is_node
from .._lifted import Lifted, positional
from .._prefixes import Groups, by_filter, is_prefix_leaf, leaf_values
from .._transform import Function
from . import axes as _axes
from .metadata import renaming

#: Flax's own where there is one: it is compared by identity.
Carry: type = native.get("Carry", _axes.Carry)
_KINDS = Groups(Carry, None, 0)


class Steps:
    """A scan over arrays.

    Args:
        f: the function of one step.
        in_axes: a prefix of its arguments.
        out_axes: a prefix of its output.
        name: of the axis in the metadata of Variables.
        options: what ``jax.lax.scan`` takes besides.
    """

    def __init__(
        self,
        f: Function,
        in_axes: Any,
        out_axes: Any,
        name: object,
        options: Mapping[str, Any],
    ) -> None:
        self.f, self.in_axes, self.out_axes = f, in_axes, out_axes
        self.options = options
        self.carry_in = position_of_carry("in_axes", in_axes)
        self.carry_out = position_of_carry("out_axes", out_axes)
        if (self.carry_in is None) != (self.carry_out is None):
            raise ArgumentValueError(
                "If one of in_axes or out_axes has Carry, the other must also have "
                f"Carry. Found in_axes={in_axes!r} and out_axes={out_axes!r}",
                instead="nnx.Carry in both, or in neither",
            )
        _check_out_axes(out_axes)
        self.prefixes = in_axes, (Carry, self._rest_axes())
        self.step = renaming(self._step, *self.prefixes, name)

        @functools.wraps(f)
        def call(*args: object, **kwargs: object) -> object:
            return self.run(positional(f, args, kwargs))

        self.call = call

    def run(self, args: tuple[Any, ...]) -> object:
        """All steps."""
        if self.carry_in == "all" and len(args) != 1:
            raise ArgumentValueError(
                "When in_axes=Carry, the function must take exactly one argument, and "
                f"it was called with {len(args)}",
                instead="a tuple of axes",
            )
        layout = Layout(args)
        axes = layout.broadcast(self.in_axes)
        lifted = Lifted(self.step, layout, self.prefixes)

        def step(
            carry: list[jax.Array], sliced: list[jax.Array]
        ) -> tuple[list[jax.Array], list[jax.Array]]:
            found = lifted(_KINDS.ungroup([carry, same, sliced], _kinds(axes)))
            kinds = _kinds(lifted.outcome.axes)
            new, _, along = _KINDS.group(found, kinds)
            if len(new) != len(carry):
                raise StateStructureError(
                    f"nnx.scan carries {len(carry)} arrays into a step, and {len(new)} "
                    "out of it",
                    instead="a carry with the same structure in all steps",
                )
            return _as_arrays(new), along

        moved = [
            _to_front(array, axis) if isinstance(axis, int) else array
            for array, axis in zip(layout.arrays, axes, strict=True)
        ]
        carry, same, sliced = _KINDS.group(moved, _kinds(axes))
        carry, along = jax.lax.scan(step, _as_arrays(carry), sliced, **self.options)
        axes_out = lifted.outcome.axes
        arrays = _KINDS.ungroup([carry, same, along], _kinds(axes_out))
        carried, rest = lifted.apply(
            [
                jax.numpy.moveaxis(array, 0, axis)
                if isinstance(axis, int) and axis != 0
                else array
                for array, axis in zip(arrays, axes_out, strict=True)
            ]
        )
        if self.carry_out is None:
            return rest
        if self.carry_out == "all":
            return carried
        return type(rest)((*rest[: self.carry_out], carried, *rest[self.carry_out :]))

    def _step(self, *args: object) -> tuple[object, object]:
        """One call of the function: what is carried, and the rest of the output."""
        carried, rest = self._parted(self.f(*args))
        self._check_carry(args, carried)
        return carried, rest

    def _parted(self, out: Any) -> tuple[object, object]:
        if self.carry_out is None:
            return None, out
        if self.carry_out == "all":
            return out, None
        if not isinstance(out, tuple):
            raise ArgumentValueError(
                f"out_axes={self.out_axes!r} is about a tuple, and the function of "
                f"nnx.scan returns {kind_of(out)}",
                instead="return carry, output",
            )
        at: int = self.carry_out
        return out[at], (*out[:at], *out[at + 1 :])

    def _rest_axes(self) -> object:
        """The part of ``out_axes`` that is about the rest of the output."""
        if self.carry_out == "all":
            return None
        if self.carry_out is None:
            return self.out_axes
        at: int = self.carry_out
        return (*self.out_axes[:at], *self.out_axes[at + 1 :])

    def _check_carry(self, args: tuple[object, ...], carried: object) -> None:
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


def _kinds(axes: Sequence[object]) -> list[object]:
    """``Carry``, None for what is the same in all steps, or 0 for what is sliced."""
    return [0 if isinstance(axis, int) else axis for axis in axes]


def _as_arrays(values: Sequence[jax.Array]) -> list[jax.Array]:
    return [jax.numpy.asarray(value) for value in values]


def _to_front(array: jax.Array, axis: int) -> jax.Array:
    if not hasattr(array, "ndim"):
        raise ArgumentValueError(
            f"nnx.scan is to go along {kind_of(array)}: expected an array",
            instead="an array, or None as its axis",
        )
    return array if axis == 0 else jax.numpy.moveaxis(array, axis, 0)


def position_of_carry(name: str, axes: object) -> Any:
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


def _check_out_axes(axes: object) -> None:
    for leaf in jax.tree_util.tree_leaves(axes, is_leaf=is_prefix_leaf):
        values = leaf_values(leaf)
        if any(value is None for value in values):
            raise ArgumentValueError(
                f"Cannot broadcast output state. Found None in out_axes={axes!r}",
                instead="an axis",
            )
        if by_filter(leaf) and any(value is Carry for value in values):
            raise ArgumentValueError(
                f"Cannot carry output state. Found {leaf!r} in out_axes",
                instead="nnx.Carry at the top",
            )
