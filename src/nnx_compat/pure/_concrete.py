"""The leaves of a compiled step: concrete arrays, placed on devices and packed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from ..errors import ArgumentTypeError, ArgumentValueError, kind_of
from ..functional import Donated, Path, is_variable, show
from ..revisions import bound
from ._leaves import Tracer, describe, mismatch
from ._pack import SURE, Layout, can_pack

if TYPE_CHECKING:
    from jax.sharding import NamedSharding

_ARRAYS = (jax.Array, np.ndarray, np.generic, bool, int, float, complex)


def _no_array(path: Path, leaf: object) -> ArgumentTypeError:
    found, instead = kind_of(leaf), "a static attribute for what is none"
    if isinstance(leaf, Tracer):
        found, instead = "a traced value", "compile outside of jit"
    elif isinstance(leaf, Donated):
        instead = "sync() the step that has the node, then compile again"
    elif isinstance(leaf, jax.ShapeDtypeStruct):
        instead = "nodes with values: nnx_compat.update(model, state)"
    elif is_variable(leaf) or isinstance(leaf, bound.reference_types):
        found += ", which jax itself mutates"
        instead = "jax.jit, which needs no leaves for it; or plain Variables"
    return ArgumentTypeError(
        f"compile_step needs arrays, and {show(path)} holds {found}", instead=instead
    )


def concrete(paths: list[Path], leaves: list[Any], donate: bool) -> list[jax.Array]:
    """The leaves as strongly typed arrays, each with a buffer of its own if donated."""
    taken: set[int] = set()
    made: list[jax.Array] = []
    for path, leaf in zip(paths, leaves, strict=True):
        if not isinstance(leaf, _ARRAYS) or isinstance(leaf, Tracer):
            raise _no_array(path, leaf)
        array = jnp.asarray(leaf)
        if is_weak(array):
            array = jax.lax.convert_element_type(array, array.dtype)
        if donate and id(array) in taken:
            array = jnp.array(array, copy=True)
        taken.add(id(array))
        made.append(array)
    return made


def layout_of(leaves: Sequence[jax.Array], pack: bool | str) -> Layout | None:
    if pack not in (True, False, "auto"):
        raise ArgumentValueError(
            f"pack is {pack!r}", instead="pack=True, pack=False or pack='auto'"
        )
    if pack is True and not can_pack():
        raise ArgumentValueError(
            "pack=True needs an XLA that keeps to optimization barriers, and that of "
            f"jax {jax.__version__} does not: the results would differ in their last "
            "bits",
            instead="pack='auto', which packs where it can",
        )
    if not (pack and can_pack()):
        return None
    layout = Layout(leaves)
    if pack == "auto":
        on_cpu = all(d.platform == "cpu" for leaf in leaves for d in leaf.devices())
        return layout if on_cpu and layout.saved >= SURE else None
    return layout if layout.rows else None


def placed(leaves: list[jax.Array]) -> tuple[jax.Array, ...]:
    """Beside leaves on a mesh the others replicated on it, as the step returns them."""
    meshes = [s.mesh for s in map(mesh_sharding, leaves) if s is not None]
    if not meshes:
        return tuple(leaves)
    everywhere = jax.sharding.NamedSharding(meshes[0], jax.sharding.PartitionSpec())
    return tuple(
        leaf if mesh_sharding(leaf) is not None else jax.device_put(leaf, everywhere)
        for leaf in leaves
    )


def like_before(
    paths: list[Path], arrays: list[jax.Array], like: list[jax.ShapeDtypeStruct]
) -> tuple[jax.Array, ...]:
    """Arrays that were written into nodes, placed as those that they replace.

    Raises:
        StateStructureError: one has another shape or dtype.
    """
    problems = [
        f"{show(path)}: was {describe(was)}, is {describe(array)}"
        for path, array, was in zip(paths, arrays, like, strict=True)
        if (array.shape, array.dtype) != (was.shape, was.dtype)
    ]
    if problems:
        raise mismatch(
            "what was written into the nodes does not fit the compiled step",
            problems,
            "values of the shapes and dtypes that the step was made for",
        )
    return tuple(
        array if array.sharding == was.sharding else jax.device_put(array, was.sharding)
        for array, was in zip(arrays, like, strict=True)
    )


def mesh_sharding(leaf: jax.Array) -> NamedSharding | None:
    sharding = leaf.sharding
    return sharding if isinstance(sharding, jax.sharding.NamedSharding) else None


def is_weak(leaf: jax.Array) -> bool:
    return bool(getattr(leaf, "weak_type", False))


def check_options(options: dict[str, object]) -> None:
    for name in ("donate_argnums", "donate_argnames", "in_shardings", "out_shardings"):
        if name in options:
            raise ArgumentTypeError(
                f"compile_step does not take {name}: it donates the leaves and keeps "
                "their shardings itself",
                instead="jax.device_put the nodes and the arguments where they belong",
                otherwise="donate=False",
            )
