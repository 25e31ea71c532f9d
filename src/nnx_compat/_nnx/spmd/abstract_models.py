"""Models that are not built: shapes and shardings in the place of arrays."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import jax

from ... import functional
from ...errors import RefusedArgumentError
from ...functional import Path
from ...revisions import bound, nnx
from .. import newest
from .._parameters import check
from ..graphlib._rewiring import rewired

if TYPE_CHECKING:
    from flax.nnx import GraphDef, State, Variable

__all__ = ["abstract_with_sharding", "as_abstract", "get_abstract_model"]

_N = TypeVar("_N")


def get_abstract_model(
    init_fn: Callable[[], _N], mesh: jax.sharding.Mesh, *, graph: bool | None = None
) -> tuple[GraphDef[_N], State]:
    """The graphdef and the abstract state of a model that is not built.

    Args:
        init_fn: makes the model.
        mesh: the devices that the annotations of its Variables are about.
        graph: only graph mode is known here.

    Returns:
        ``(graphdef, state)``; the leaves hold ``jax.ShapeDtypeStruct`` with a sharding.

    Example:
        >>> from nnx_compat import nnx
        >>> mesh = jax.sharding.Mesh(jax.devices()[:1], ("data",))
        >>> make = lambda: nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> graphdef, state = nnx.get_abstract_model(make, mesh)
        >>> [leaf.shape for leaf in jax.tree_util.tree_leaves(state)]
        [(3,), (2, 3)]
    """
    check("get_abstract_model", graph=graph)
    with mesh:
        graphdef, abstract = newest("split")(newest("eval_shape")(init_fn))
        with warnings.catch_warnings():  # Flax uses a name of jax that had to go
            warnings.simplefilter("ignore", DeprecationWarning)
            shardings = nnx.get_named_sharding(abstract, mesh)
    sharded = jax.tree_util.tree_map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(
            leaf.shape, leaf.dtype, sharding=sharding
        ),
        abstract,
        shardings,
    )
    return graphdef, sharded


def as_abstract(tree: _N, graph: bool | None = None) -> _N:
    """Give the abstract Variables of a model the shardings that their metadata names.

    Args:
        tree: a model from ``eval_shape``.
        graph: only graph mode is known here.

    Returns:
        A new model; Variables with a sharding, or without an annotation, stay theirs.

    Raises:
        RefusedArgumentError: a Variable is annotated, and neither its metadata nor jax
            say for which mesh.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.as_abstract(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
        >>> model.out_features
        3
    """
    check("as_abstract", graph=graph)
    return rewired(tree, _with_sharding)


def _with_sharding(
    path: Path, leaf: Variable[Any] | jax.Array
) -> Variable[Any] | jax.Array:
    if not functional.is_variable(leaf):
        return leaf
    value, metadata = bound.raw(leaf), functional.get_metadata(leaf)
    annotated = metadata.get(functional.AXES[0])
    if not annotated or getattr(value, "sharding", None) is not None:
        return leaf
    if not (hasattr(value, "shape") and hasattr(value, "dtype")):
        return leaf
    specs = nnx.get_partition_spec(nnx.State({"leaf": leaf}))
    spec = bound.raw(specs.raw_mapping["leaf"])
    mesh = metadata.get("mesh") or _current_mesh(path)
    sharding = jax.sharding.NamedSharding(mesh, spec)
    return bound.with_value(
        leaf, jax.ShapeDtypeStruct(value.shape, value.dtype, sharding=sharding)
    )


def _current_mesh(path: Path) -> jax.sharding.AbstractMesh:
    current = getattr(jax.sharding, "get_abstract_mesh", None)
    if current is None:
        raise RefusedArgumentError(
            f"{functional.show(path)} is annotated with a sharding, and jax "
            f"{jax.__version__} does not say which mesh is current",
            instead="nnx.get_abstract_model(init_fn, mesh)",
        )
    return current()


abstract_with_sharding = as_abstract
