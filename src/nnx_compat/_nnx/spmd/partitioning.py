"""Shardings of Variables by the names of mesh axes, and of arrays in a mesh."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ParamSpec, TypeAlias, TypeVar

import flax.core.meta
import jax
from jax.sharding import PartitionSpec

from ..._release import native
from ...functional import AXES, get_metadata
from ...revisions import bound
from ..variablelib.metadata import hooked, take_hooks

__all__ = [
    "get_named_sharding",
    "get_partition_spec",
    "logical_axis_rules",
    "with_partitioning",
    "with_sharding_constraint",
]

_P = ParamSpec("_P")
_R = TypeVar("_R")
_T = TypeVar("_T")

#: The name of a mesh axis, several or none, for each axis of an array.
Sharding: TypeAlias = "tuple[str | tuple[str, ...] | None, ...] | PartitionSpec"


def with_partitioning(
    initializer: Callable[_P, _R],
    sharding: Sharding,
    mesh: jax.sharding.Mesh | None = None,
    **metadata: Any,
) -> Callable[_P, _R]:
    """An initializer whose Variables say how they are to be sharded.

    Args:
        initializer: ``(key, shape, dtype) -> array``.
        sharding: the name of a mesh axis, or ``None``, for each axis of the array.
        mesh: the mesh; that of the context when not given.
        **metadata: of the Variable; hooks as in ``with_metadata``.

    Example:
        >>> import jax.numpy as jnp
        >>> import nnx_compat as nc
        >>> from nnx_compat import nnx
        >>> init = nnx.with_partitioning(
        ...     nnx.initializers.ones_init(), ("data", None), eager_sharding=False
        ... )
        >>> weight = nnx.Param(init(jax.random.key(0), (2, 2), jnp.float32))
        >>> ("data", None) in nc.get_metadata(weight).values()
        True
    """
    hooks = take_hooks(metadata)
    return hooked(
        native["with_partitioning"](initializer, sharding, mesh, **metadata), hooks
    )


def get_partition_spec(tree: _T) -> _T:
    """A tree of what its Variables say of their shardings, as PartitionSpecs.

    By whichever of its names it was given, and with the logical axis rules of the
    Variable and of the context applied.

    Args:
        tree: a pytree of Variables, such as a State. An array that is none is to be
            replicated.

    Example:
        >>> import jax.numpy as jnp
        >>> import nnx_compat as nc
        >>> from nnx_compat import nnx
        >>> weight = nnx.Param(
        ...     jnp.ones((2, 2)), out_sharding=("data", None), eager_sharding=False
        ... )
        >>> specs = nnx.get_partition_spec(nnx.State({"w": weight}))
        >>> nc.get_value(specs["w"]) == jax.sharding.PartitionSpec("data", None)
        True
    """
    specs: _T = jax.tree_util.tree_map(_spec_of, tree, is_leaf=_is_variable)
    return specs


def get_named_sharding(tree: _T, mesh: jax.sharding.Mesh) -> _T:
    """A tree of what its Variables say of their shardings, in a mesh.

    Args:
        tree: as in ``get_partition_spec``.
        mesh: the mesh.

    Example:
        >>> import jax.numpy as jnp
        >>> import numpy as np
        >>> import nnx_compat as nc
        >>> from nnx_compat import nnx
        >>> mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("data",))
        >>> state = nnx.State({"w": nnx.Param(jnp.ones(2))})
        >>> nc.get_value(nnx.get_named_sharding(state, mesh)["w"]).mesh == mesh
        True
    """

    def sharding_of(leaf: Any) -> Any:
        spec = bound.raw(leaf) if _is_variable(leaf) else leaf
        sharding = jax.sharding.NamedSharding(mesh, spec)
        return bound.with_value(leaf, sharding) if _is_variable(leaf) else sharding

    specs = get_partition_spec(tree)
    shardings: _T = jax.tree_util.tree_map(
        sharding_of,
        specs,
        is_leaf=lambda leaf: _is_variable(leaf) or isinstance(leaf, PartitionSpec),
    )
    return shardings


def _is_variable(leaf: object) -> bool:
    return isinstance(leaf, bound.variable_types)


def _spec_of(leaf: Any) -> Any:
    if not _is_variable(leaf):
        return PartitionSpec() if hasattr(leaf, "shape") else None
    metadata = get_metadata(leaf)
    if annotation := metadata.get(AXES[0]):
        spec = getattr(annotation, "spec", annotation)  # of a NamedSharding
        rules = dict(metadata.get("sharding_rules") or ()) | dict(_context_rules())
        spec = PartitionSpec(*(rules.get(axis, axis) for axis in spec))
    else:
        spec = PartitionSpec()
    return bound.with_value(leaf, spec)


def _context_rules() -> Iterable[tuple[str, Any]]:
    try:
        from flax.core.spmd import get_logical_axis_rules
    except ImportError:  # nothing has rules there
        return ()
    rules: Iterable[tuple[str, Any]] = get_logical_axis_rules()
    return rules


def with_sharding_constraint(
    x: _T, axis_resources: Any, mesh: jax.sharding.Mesh | None = None
) -> _T:
    """Constrain how arrays are sharded; without a mesh, give them back as they are.

    Args:
        x: a pytree of arrays.
        axis_resources: a PartitionSpec, or a pytree of them as ``x`` is one of arrays;
            ``None`` for no constraint.
        mesh: the mesh; that of the context when not given.

    Example:
        >>> import warnings
        >>> import jax.numpy as jnp
        >>> from nnx_compat import nnx
        >>> from jax.sharding import PartitionSpec
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")  # newer releases do not have it
        ...     constrain = nnx.with_sharding_constraint
        >>> constrain(jnp.ones(2), PartitionSpec("data")).shape
        (2,)
    """
    leaves, tree = jax.tree_util.tree_flatten(x)
    if axis_resources is None or isinstance(axis_resources, PartitionSpec):
        specs = [axis_resources] * len(leaves)
    else:
        specs = tree.flatten_up_to(axis_resources)
    if mesh is None and not flax.core.meta.global_mesh_defined():
        return x
    constrained: _T = tree.unflatten(
        _constrained(leaf, spec, mesh) for leaf, spec in zip(leaves, specs, strict=True)
    )
    return constrained


def _constrained(
    leaf: jax.Array, spec: PartitionSpec | None, mesh: jax.sharding.Mesh | None
) -> jax.Array:
    if spec is None:
        return leaf
    at = spec if mesh is None else jax.sharding.NamedSharding(mesh, spec)
    constrained: jax.Array = jax.lax.with_sharding_constraint(leaf, at)
    return constrained


@contextlib.contextmanager
def logical_axis_rules(rules: Iterable[tuple[str, str | None]]) -> Iterator[None]:
    """Inside, names of logical axes in a sharding stand for mesh axes.

    Args:
        rules: pairs of a logical name and the name of a mesh axis.

    Example:
        >>> from nnx_compat import nnx
        >>> if hasattr(nnx, "logical_axis_rules"):
        ...     with nnx.logical_axis_rules((("embed", "model"),)):
        ...         pass
    """
    import flax.core.spmd  # the releases before it have nothing that reads rules

    with flax.core.spmd.logical_axis_rules(rules):
        yield
