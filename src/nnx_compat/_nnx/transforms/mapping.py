"""Functions over Modules, mapped over an axis of their arrays: vmap, pmap, shard_map.

Axes are a prefix of the arguments; ``nnx.StateAxes`` gives the leaves of one Module
different ones. What the function does to its arguments comes out along the axes on
which it went in.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax

from ...errors import ArgumentValueError
from ...revisions import bound, nnx
from . import _checks as asked
from ._checks import LATER
from ._layout import (
    Inside,
    Layout,
    Outcome,
    broadcast,
    flattened,
    grouped,
    groups_in,
    is_node,
    of_nodes,
    positional,
    said_by,
    ungrouped,
)

__all__ = ["pmap", "shard_map", "transform_metadata", "vmap"]

_NATIVE = asked.native("StateAxes")


def vmap(
    f: Any = LATER,
    *,
    in_axes: Any = 0,
    out_axes: Any = 0,
    axis_name: Any = None,
    axis_size: int | None = None,
    spmd_axis_name: Any = None,
    transform_metadata: Mapping[str, Any] | None = None,
    graph: bool | None = None,
    graph_updates: bool | None = None,
    **old: Any,
) -> Any:
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
        **old: what the installed Flax takes besides; with any of these it is the native
            function with its own meaning of the rest.

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
    options = {
        "in_axes": in_axes,
        "out_axes": out_axes,
        "axis_name": axis_name,
        "axis_size": axis_size,
        "spmd_axis_name": spmd_axis_name,
        "transform_metadata": transform_metadata or {},
    }
    return _mapped("vmap", vmap, f, options, old, graph, graph_updates)


def pmap(
    f: Any = LATER,
    *,
    axis_name: Any = None,
    in_axes: Any = 0,
    out_axes: Any = 0,
    static_broadcasted_argnums: Any = (),
    devices: Any = None,
    backend: str | None = None,
    axis_size: int | None = None,
    donate_argnums: Any = (),
    transform_metadata: Mapping[str, Any] | None = None,
    graph: bool | None = None,
    graph_updates: bool | None = None,
    **old: Any,
) -> Any:
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
        ArgumentValueError: ``f`` is a bound method, or a Module is among the axes.
        RefusedArgumentError: the release cannot do what an argument asks for.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> call = nnx.pmap(lambda model, x: model(x), in_axes=(None, 0))
        >>> call(model, jnp.ones((1, 5, 2))).shape  # on one device
        (1, 5, 3)
    """
    options = {
        "axis_name": axis_name,
        "in_axes": in_axes,
        "out_axes": out_axes,
        "static_broadcasted_argnums": static_broadcasted_argnums,
        "devices": devices,
        "backend": backend,
        "axis_size": axis_size,
        "donate_argnums": donate_argnums,
        "transform_metadata": transform_metadata or {},
    }
    return _mapped("pmap", pmap, f, options, old, graph, graph_updates)


def _mapped(
    name: str,
    transform: Callable[..., Any],
    f: Any,
    options: dict[str, Any],
    old: dict[str, Any],
    graph: bool | None,
    graph_updates: bool | None,
) -> Any:
    if f is LATER:
        both = {"graph": graph, "graph_updates": graph_updates}
        return asked.decorator(transform, {**options, **old, **both})
    f = asked.free_function(name, f)
    asked.modes(name, graph=graph, graph_updates=graph_updates)
    for prefix in ("in_axes", "out_axes"):
        asked.plain_prefix(name, prefix, options[prefix])
    if _NATIVE or old:
        return natively(name, transform, f, options, old)
    partition = axis_name(name, options.pop("transform_metadata"))
    return _over_axes(name, f, options, partition)


def natively(
    name: str,
    transform: Callable[..., Any],
    f: Any,
    options: dict[str, Any],
    old: dict[str, Any],
) -> Any:
    """The native transform; what was left at its default, with the native default."""
    native = getattr(nnx, name) if asked.native(name) else None
    known = inspect.signature(native).parameters if native else {}
    unknown = [key for key in old if key not in known]
    if native is None or unknown:
        raise TypeError(
            f"{name}() got an unexpected keyword argument {(unknown or list(old))[0]!r}"
        )
    defaults = inspect.signature(transform).parameters
    given = {
        key: value
        for key, value in options.items()
        if key in known and (not old or value != defaults[key].default)
    }
    return native(f, **given, **old)


def _over_axes(name: str, f: Any, options: dict[str, Any], partition: Any) -> Any:
    in_axes, out_axes = options.pop("in_axes"), options.pop("out_axes")
    in_axes = tuple(in_axes) if isinstance(in_axes, list) else in_axes
    groups = groups_in(in_axes, out_axes)
    static = options.pop("static_broadcasted_argnums", ())
    if static or options.pop("donate_argnums", ()):
        raise asked.unsupported(
            name, "static or donated arguments", "they came with the axes of a state"
        )
    mapper = {"vmap": jax.vmap, "pmap": jax.pmap}[name]
    options = {key: value for key, value in options.items() if value is not None}

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        args = positional(f, args, kwargs)
        layout = Layout(args)
        outcomes: list[Outcome] = []

        def pure(arrays: list[Any]) -> Any:
            inside = Inside(layout, arrays)
            with without_axis(inside.tree, in_axes, partition):
                out = f(*inside.tree)
            with_axis(out, out_axes, partition)
            both, outcome = inside.outcome(out, (of_nodes(layout, in_axes), out_axes))
            outcomes.append(outcome)
            return grouped(both, outcome.said, groups)

        over = mapper(
            pure, in_axes=(layout.spread(in_axes),), out_axes=list(groups), **options
        )
        lists = over(layout.arrays)
        arrays = ungrouped(lists, outcomes[-1].said, groups)
        return outcomes[-1].apply(layout.nodes, arrays)

    return call


# -- shards -------------------------------------------------------------------------


def shard_map(
    f: Any = LATER,
    *,
    mesh: Any,
    in_specs: Any,
    out_specs: Any,
    axis_names: Any = frozenset(),
    check_vma: bool = True,
    graph: bool | None = None,
    graph_updates: bool | None = None,
    **old: Any,
) -> Any:
    """A function that runs ``f`` on the shards of its arguments, each on its device.

    What ``f`` does to its arguments is propagated. Without ``f`` it is a decorator.

    Args:
        f: takes Modules and arrays, by position.
        mesh: a ``jax.sharding.Mesh``.
        in_specs: a prefix of the arguments: a ``PartitionSpec``, or
            ``nnx.StateSharding`` of such for a Module.
        out_specs: likewise of the output.
        axis_names: the axes of the mesh that are mapped by hand; all without it.
        check_vma: whether jax is to check that ``out_specs`` can be true.
        graph: True, as there is no tree mode.
        graph_updates: True, as updates are always propagated.
        **old: ``check_rep`` and ``auto``, the spellings before these two.

    Raises:
        ArgumentValueError: ``f`` is a bound method, or what arguments share has two
            specs.
        RefusedArgumentError: ``graph`` or ``graph_updates`` is False.

    Example:
        >>> from nnx_compat import nnx
        >>> spec = jax.sharding.PartitionSpec
        >>> mesh = jax.sharding.Mesh(jax.devices()[:1], ("data",))
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> @nnx.shard_map(mesh=mesh, in_specs=(spec(), spec("data")),
        ...                out_specs=spec("data"))
        ... def call(model, x):
        ...     return model(x)
        >>> call(model, jnp.ones((4, 2))).shape
        (4, 3)
    """
    if unknown := set(old) - {"check_rep", "auto"}:
        raise TypeError(
            f"shard_map() got an unexpected keyword argument {min(unknown)!r}"
        )
    if f is LATER:
        options = dict(
            mesh=mesh,
            in_specs=in_specs,
            out_specs=out_specs,
            axis_names=axis_names,
            check_vma=check_vma,
            graph=graph,
            graph_updates=graph_updates,
            **old,
        )
        return asked.decorator(shard_map, options)
    f = asked.free_function("shard_map", f)
    asked.modes("shard_map", graph=graph, graph_updates=graph_updates)
    for name, prefix in (("in_specs", in_specs), ("out_specs", out_specs)):
        asked.plain_prefix("shard_map", name, prefix)
    in_specs = tuple(in_specs) if isinstance(in_specs, list) else in_specs
    if old.get("auto"):
        axis_names = frozenset(mesh.axis_names) - old["auto"]
    shards = _sharder(mesh, axis_names, old.get("check_rep", check_vma))
    groups = groups_in(in_specs, out_specs)

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        args = positional(f, args, kwargs)
        layout = Layout(args)
        outcomes: list[Outcome] = []

        def pure(arrays: list[Any]) -> Any:
            inside = Inside(layout, arrays)
            out = f(*inside.tree)
            prefix = (of_nodes(layout, in_specs), out_specs)
            both, outcome = inside.outcome(out, prefix)
            outcomes.append(outcome)
            return grouped(both, outcome.said, groups)

        specs = layout.spread(in_specs)
        lists = shards(pure, (specs,), [_spec(g) for g in groups])(layout.arrays)
        arrays = ungrouped(lists, outcomes[-1].said, groups)
        return outcomes[-1].apply(layout.nodes, arrays)

    return call


def _spec(value: Any) -> Any:
    return jax.sharding.PartitionSpec() if value is None else value


def _sharder(mesh: Any, axis_names: Any, check: bool) -> Callable[..., Any]:
    """Jax's own ``shard_map``, whose place and spelling have changed."""
    transform: Any = getattr(jax, "shard_map", None)
    if transform is None:
        from jax.experimental import shard_map as module

        transform = module.shard_map
    known = inspect.signature(transform).parameters
    options: dict[str, Any] = {
        "check_vma" if "check_vma" in known else "check_rep": check
    }
    if axis_names and "axis_names" in known:
        options["axis_names"] = axis_names
    elif axis_names:
        options["auto"] = frozenset(mesh.axis_names) - frozenset(axis_names)

    def shards(f: Any, in_specs: Any, out_specs: Any) -> Any:
        return transform(
            f, mesh=mesh, in_specs=in_specs, out_specs=out_specs, **options
        )

    return shards


# -- metadata -----------------------------------------------------------------------


def transform_metadata(
    f: Any = LATER,
    *,
    in_axes: Any = 0,
    out_axes: Any = 0,
    partition: str | None,
    graph: bool | None = None,
) -> Any:
    """A function that does with sharding metadata what ``vmap`` does with arrays.

    Under a ``vmap`` the Variables that ``f`` is given have one axis less, so the name
    of that axis is taken out of their metadata; the Variables it returns have one more
    outside, so the name is put in.

    Args:
        f: takes Modules and arrays; without it the result is a decorator.
        in_axes: a prefix of the arguments, as in ``vmap``.
        out_axes: likewise of the output.
        partition: the name of the axis, as in the metadata.
        graph: True or False; with False nothing may be shared.

    Raises:
        ArgumentValueError: a Module is among the axes.

    Example:
        >>> from nnx_compat import nnx
        >>> @nnx.transform_metadata(in_axes=0, out_axes=0, partition="layers")
        ... def same(x):
        ...     return x
        >>> same(3)
        3
    """
    options = {
        "in_axes": in_axes,
        "out_axes": out_axes,
        "partition": partition,
        "graph": graph,
    }
    if f is LATER:
        return asked.decorator(transform_metadata, options)
    for name, prefix in (("in_axes", in_axes), ("out_axes", out_axes)):
        asked.plain_prefix("transform_metadata", name, prefix)

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        args = positional(f, args, kwargs)
        asked.not_shared("transform_metadata", graph, args)
        layout = Layout(args)
        inside = Inside(layout, layout.arrays)
        with without_axis(inside.tree, in_axes, partition):
            out = f(*inside.tree)
        with_axis(out, out_axes, partition)
        arrays, outcome = inside.outcome(out)
        return outcome.apply(layout.nodes, arrays)

    return call


#: Stands for the name of an axis where there is none to add; None is a name.
UNNAMED: Any = object()


def axis_name(asked_for: str, metadata: Mapping[str, Any]) -> Any:
    """The name of the axis in ``transform_metadata``.

    Raises:
        RefusedArgumentError: it has more than this.
    """
    key = getattr(nnx, "PARTITION_NAME", "partition_name")
    if set(metadata) - {key}:
        raise asked.unsupported(
            asked_for,
            f"transform_metadata={dict(metadata)!r}",
            "of metadata other than the name of the axis it knows nothing",
        )
    return metadata.get(key, UNNAMED)


@contextlib.contextmanager
def without_axis(tree: Any, axes: Any, name: Any) -> Iterator[None]:
    """Inside, the Variables with the mapped axis do not have its name."""
    _edited(tree, axes, name, _without, "remove_axis")
    yield
    _edited(tree, axes, name, _with, "add_axis")


def with_axis(tree: Any, axes: Any, name: Any) -> None:
    """Give the Variables of an output the name of the mapped axis."""
    _edited(tree, axes, name, _with, "add_axis")


def _edited(
    tree: Any, axes: Any, name: Any, edit: Callable[..., Any], hook: str
) -> None:
    if name is UNNAMED:
        return
    leaves, treedef = flattened(tree)
    done: set[int] = set()
    for leaf, said in zip(leaves, broadcast(axes, treedef), strict=True):
        if not is_node(leaf):
            continue
        for path, variable in bound.live_variables((leaf,)).items():
            axis = (
                said_by(said, path[1:], variable) if hasattr(said, "filters") else said
            )
            if not isinstance(axis, int) or id(variable) in done:
                continue
            done.add(id(variable))
            metadata = bound.metadata(variable)
            for key in _AXIS_NAMES:
                if metadata.get(key):
                    names = edit(metadata[key], axis, name)
                    bound.set_metadata(variable, {key: names})
            if hasattr(type(variable), hook):
                getattr(variable, hook)(axis, name)


#: What the metadata with the names of a Variable's axes is called, newest first.
_AXIS_NAMES = ("out_sharding", "sharding_names", "sharding")


def _with(names: Any, axis: int, name: str | None) -> tuple[Any, ...]:
    padded = list(names) + [None] * (axis - len(names))
    padded.insert(axis, name)
    return tuple(padded)


def _without(names: Any, axis: int, name: str | None) -> tuple[Any, ...]:
    found = list(names)
    if axis >= len(found) or found[axis] != name:
        raise ArgumentValueError(
            f"the axes {tuple(names)} of a Variable do not have {name!r} at {axis}",
            instead="in_axes and partition as they were when the axis was added",
        )
    del found[axis]
    return tuple(found)
