"""A function over Modules that runs along an axis, and carries an argument along."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...._release import here
from .._transform import MISSING, Function, axis_transform
from ._steps import Carry, Steps, position_of_carry
from .axes import Axes
from .metadata import axis_name

__all__ = ["scan"]


def _means_the_same(
    in_axes: object = (Carry, 0), out_axes: object = (Carry, 0), **_: object
) -> bool:
    """Whether Flax's own scan does what is meant by these axes.

    The first one with a ``Carry`` returns what is carried first, and ``out_axes`` does
    not speak of it. Code that is written for it is passed on to it.
    """
    if not here.transforms_take_filters:
        return False
    return not here.scan_puts_the_carry_first or (
        position_of_carry("in_axes", in_axes) is not None
        and position_of_carry("out_axes", out_axes) is None
    )


@axis_transform(
    prefixes=("in_axes", "out_axes"), native=_means_the_same, takes_old=True
)
def scan(
    f: Function = MISSING,
    *,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
    _split_transpose: bool = False,
    in_axes: Axes = (Carry, 0),
    out_axes: Axes = (Carry, 0),
    transform_metadata: Mapping[str, Any] | None = None,
    graph: bool | None = None,
    graph_updates: bool | None = None,
) -> Function:
    """A function that runs ``f`` along axes of its arguments and carries one along.

    What it does to its arguments is propagated. Without ``f`` this is a decorator.

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
        **old: what the installed Flax takes besides; with any it is the native one.

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
    options = {"length": length, "reverse": reverse, "unroll": unroll}
    if _split_transpose:  # the oldest jax does not know it
        options["_split_transpose"] = True
    in_axes = tuple(in_axes) if isinstance(in_axes, list) else in_axes
    name = axis_name("scan", transform_metadata)
    return Steps(f, in_axes, out_axes, name, options).call
