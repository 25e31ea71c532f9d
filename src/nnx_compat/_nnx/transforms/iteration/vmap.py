"""Functions over Modules, mapped over an axis of their arrays.

``nnx.StateAxes`` gives the leaves of one Module different axes. What the function does
to its arguments comes out along the axes on which it went in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax

from ...._release import here
from .._checks import unsupported
from .._lifted import Lifted, lift
from .._prefixes import Groups
from .._transform import MISSING, Function, axis_transform
from .axes import Axes
from .metadata import axis_name as name_of_axis
from .metadata import renaming

__all__ = ["pmap", "vmap"]

_OF_AXES = ("in_axes", "out_axes")


@axis_transform(prefixes=_OF_AXES, native=here.transforms_take_filters, takes_old=True)
def vmap(
    f: Function = MISSING,
    *,
    in_axes: Axes = 0,
    out_axes: Axes = 0,
    axis_name: str | None = None,
    axis_size: int | None = None,
    spmd_axis_name: str | tuple[str, ...] | None = None,
    transform_metadata: Mapping[str, Any] | None = None,
    graph: bool | None = None,
    graph_updates: bool | None = None,
) -> Function:
    """A function that maps ``f`` over axes of its arguments, Modules among them.

    What ``f`` does to its arguments is propagated. Without ``f`` it is a decorator.

    Args:
        f: takes Modules and arrays, by position.
        in_axes: a prefix of the arguments: an int, None for what is the same for all,
            or ``nnx.StateAxes`` for a Module.
        out_axes: likewise of the output.
        axis_name: a name for the axis, for collective operations.
        axis_size: its size, where no argument has it.
        spmd_axis_name: a name of a mesh axis for the mapped one.
        transform_metadata: what the axis adds to the metadata of Variables.
        graph: True, as there is no tree mode.
        graph_updates: True, as updates are always propagated.
        **old: what the installed Flax takes besides; with any it is the native one.

    Raises:
        ArgumentValueError: ``f`` is a bound method, or a Module is among the axes.
        RefusedArgumentError: the release cannot do what an argument asks for.

    Example:
        >>> from nnx_compat import nnx
        >>> @nnx.vmap(in_axes=0, out_axes=0)
        ... def ensemble(key):
        ...     return nnx.Linear(2, 3, rngs=nnx.Rngs(key))
        >>> models = ensemble(jax.random.split(jax.random.PRNGKey(0), 4))
        >>> [leaf.shape for leaf in jax.tree_util.tree_leaves(nnx.split(models)[1])]
        [(4, 3), (4, 2, 3)]
    """
    name = name_of_axis("vmap", transform_metadata)
    options = {
        "axis_name": axis_name,
        "axis_size": axis_size,
        "spmd_axis_name": spmd_axis_name,
    }
    return _mapped(jax.vmap, f, in_axes, out_axes, name, options)


@axis_transform(
    prefixes=_OF_AXES,
    native=here.transforms_take_filters and not here.pmap_raises,
    takes_old=True,
)
def pmap(
    f: Function = MISSING,
    *,
    axis_name: str | None = None,
    in_axes: Axes = 0,
    out_axes: Axes = 0,
    static_broadcasted_argnums: int | Iterable[int] = (),
    devices: Sequence[jax.Device] | None = None,
    backend: str | None = None,
    axis_size: int | None = None,
    donate_argnums: int | Iterable[int] = (),
    transform_metadata: Mapping[str, Any] | None = None,
    graph: bool | None = None,
    graph_updates: bool | None = None,
) -> Function:
    """A function that maps ``f`` over devices, one for each index; see ``vmap``.

    Args:
        f: takes Modules and arrays, by position.
        axis_name: a name for the axis, for collective operations.
        in_axes: as in ``vmap``.
        out_axes: as in ``vmap``.
        static_broadcasted_argnums: positions of arguments that are static.
        devices: the devices to use.
        backend: the platform to use.
        axis_size: the size of the axis, where no argument has it.
        donate_argnums: positions of arguments whose memory may be used up.
        transform_metadata: what the axis adds to the metadata of Variables.
        graph: True, as there is no tree mode.
        graph_updates: True, as updates are always propagated.
        **old: what the installed Flax takes besides.

    Raises:
        ArgumentValueError: as in ``nnx.vmap``.
        RefusedArgumentError: an argument is static or donated, or a mode is False.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> call = nnx.pmap(lambda model, x: model(x), in_axes=(None, 0))
        >>> call(model, jnp.ones((1, 5, 2))).shape  # on one device
        (1, 5, 3)
    """
    name = name_of_axis("pmap", transform_metadata)
    if static_broadcasted_argnums or donate_argnums:
        why = (
            "what it passes to jax is refused (pmap-passes-global-arg-shapes)"
            if here.pmap_raises
            else "they came with the axes of a state"
        )
        raise unsupported("pmap", "static or donated arguments", why)
    options = {
        "axis_name": axis_name,
        "axis_size": axis_size,
        "devices": devices,
        "backend": backend,
    }
    return _mapped(jax.pmap, f, in_axes, out_axes, name, options)


def _mapped(
    mapper: Function,
    f: Function,
    in_axes: Axes,
    out_axes: Axes,
    name: object,
    options: Mapping[str, object],
) -> Function:
    in_axes = tuple(in_axes) if isinstance(in_axes, list) else in_axes
    groups = Groups(in_axes, out_axes)
    given = {key: value for key, value in options.items() if value is not None}

    def run(lifted: Lifted) -> Sequence[jax.Array]:
        def by_axis(arrays: list[jax.Array]) -> list[list[jax.Array]]:
            return groups.group(lifted(arrays), lifted.outcome.axes)

        over = mapper(
            by_axis,
            in_axes=(lifted.layout.broadcast(in_axes),),
            out_axes=list(groups.values),
            **given,
        )
        return groups.ungroup(over(lifted.arrays), lifted.outcome.axes)

    step = renaming(f, in_axes, out_axes, name)
    return lift(f, run, step=step, prefixes=(in_axes, out_axes))
