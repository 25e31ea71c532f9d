"""Functions over Modules that run on the shards of their arguments."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeAlias, cast

import jax

from .._lifted import Lifted, lift
from .._mapping import PrefixMapping
from .._prefixes import Groups
from .._transform import MISSING, Function, transform

__all__ = ["StateSharding", "shard_map"]

#: A prefix of arguments or outputs: a sharding, ``StateSharding``, or a tree of them.
Shardings: TypeAlias = (
    "jax.sharding.Sharding | jax.sharding.PartitionSpec | Sequence[Any]"
    " | Mapping[Any, Any] | None"
)


class StateSharding(PrefixMapping):
    """The shardings of the leaves of a Module in ``jit`` and ``shard_map``, by filter.

    Args:
        filter_sharding: a mapping from filters to shardings, or pairs of them. A State
            of shardings gives each path its own.

    Example:
        >>> from nnx_compat import nnx
        >>> spec = jax.sharding.PartitionSpec("data")
        >>> nnx.StateSharding({nnx.Param: spec, ...: None}).shardings[1] is None
        True
    """

    def __init__(self, filter_sharding: Mapping[Any, Any] | Iterable[Any], /) -> None:
        super().__init__(filter_sharding)

    @property
    def shardings(self) -> tuple[Any, ...]:
        """The shardings, in the order of the filters."""
        return self._values


# -- Functions over Modules that run on the shards of their arguments ---------------


@transform(prefixes=("in_specs", "out_specs"))
def shard_map(
    f: Function = MISSING,
    *,
    mesh: jax.sharding.Mesh,
    in_specs: Shardings,
    out_specs: Shardings,
    axis_names: Collection[str] = frozenset(),
    check_vma: bool = True,
    graph: bool | None = None,
    graph_updates: bool | None = None,
    check_rep: bool | None = None,
    auto: Collection[str] | None = None,
) -> Function:
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
        check_rep: the older spelling of ``check_vma``.
        auto: the older spelling of ``axis_names``: the axes that are not.

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
    in_specs = tuple(in_specs) if isinstance(in_specs, list) else in_specs
    if auto:
        axis_names = frozenset(mesh.axis_names) - frozenset(auto)
    check = check_vma if check_rep is None else check_rep
    groups = Groups(in_specs, out_specs)

    def run(lifted: Lifted) -> Sequence[jax.Array]:
        def by_spec(arrays: list[jax.Array]) -> list[list[jax.Array]]:
            return groups.group(lifted(arrays), lifted.outcome.axes)

        over = _shard_map(
            by_spec,
            mesh,
            (lifted.layout.broadcast(in_specs),),
            [_P() if spec is None else spec for spec in groups.values],
            axis_names,
            check,
        )
        return groups.ungroup(over(lifted.arrays), lifted.outcome.axes)

    return lift(f, run, prefixes=(in_specs, out_specs))


_P = jax.sharding.PartitionSpec


def _shard_map(
    f: Function,
    mesh: jax.sharding.Mesh,
    in_specs: object,
    out_specs: object,
    axis_names: Collection[str],
    check: bool,
) -> Function:
    """Jax's own ``shard_map``.

    It began in ``jax.experimental`` with ``check_rep``, and with ``auto`` for the axes
    of the mesh that are not mapped. ``jax.shard_map`` has ``check_vma`` instead, and
    ``axis_names`` for those that are mapped.
    """
    shards: Function
    if hasattr(jax, "shard_map"):
        shards = jax.shard_map
    else:
        from jax.experimental import shard_map as module

        shards = module.shard_map
    options: dict[str, object]
    if "check_vma" in inspect.signature(shards).parameters:
        options = {"check_vma": check}
        if axis_names:
            options["axis_names"] = frozenset(axis_names)
    else:
        options = {"check_rep": check}
        if axis_names:
            options["auto"] = frozenset(mesh.axis_names) - frozenset(axis_names)
    over = shards(f, mesh=mesh, in_specs=in_specs, out_specs=out_specs, **options)
    return cast(Function, over)
