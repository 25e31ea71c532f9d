"""What can be wrong with the leaves of a state."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from .. import facts
from ..functional import AXES, get_metadata, is_variable, show, stored, variable_type
from ..revisions import bound, nnx
from ._finding import Finding, Path

if TYPE_CHECKING:
    from ..revisions.get_value import Leaf
    from ._finding import Leaves

#: What optimizers count, by the names that nnx.Optimizer and optax give it.
_COUNTS = frozenset(
    {
        "count",
        "gradient_step",
        "inner_count",
        "mini_step",
        "notfinite_count",
        "step",
        "total_notfinite",
    }
)


def bare_leaves(leaves: Leaves) -> Iterator[Finding]:
    """A state none of whose leaves is a Variable."""
    if not leaves or any(map(is_variable, leaves.values())):
        return
    yield Finding(
        "bare-arrays", "wrong", (),
        f"none of the {len(leaves)} leaves is a Variable, as copy.deepcopy of a state "
        "leaves them: their types and metadata are gone, and filters select nothing",
        facts.behaviour("state-deepcopy-loses-variables").remedy,
    )  # fmt: skip


def counters(leaves: Leaves) -> Iterator[Finding]:
    """Counts of random streams and steps of optimizers that are floats."""
    for path, leaf in leaves.items():
        dtype = getattr(stored(leaf), "dtype", None)
        if dtype is None or not jnp.issubdtype(dtype, jnp.inexact):
            continue
        if _counts(path, leaf):
            yield Finding(
                "fractional-count", "wrong", path,
                f"{show(path)} is {dtype} and was an integer: a map over all leaves of "
                "a state changed it",
                "map what is to change only: nnx_compat.split(model, nnx.Param, ...)",
            )  # fmt: skip


def _counts(path: Path, leaf: Leaf) -> bool:
    if not is_variable(leaf):
        # once the state of optax was no Variables
        return "opt_state" in path[:-1] and path[-1] in _COUNTS
    kind = variable_type(leaf)
    if issubclass(kind, bound.random_types):
        return True  # a count, or a key of the old kind, which is integers as well
    names = {ancestor.__name__ for ancestor in kind.__mro__}
    return "OptState" in names and bool(path) and path[-1] in _COUNTS


def shardings(leaves: Leaves) -> Iterator[Finding]:
    """Variables that could not be built again here as they are annotated."""
    found: dict[str, list[tuple[Path, Leaf]]] = {"wrong": [], "note": []}
    for path, leaf in leaves.items():
        if _needs_a_mesh(leaf):
            # one that is placed was made inside a mesh, and may be used there only
            found["note" if _is_placed(leaf) else "wrong"].append((path, leaf))
    for severity, some in found.items():
        if some:
            yield _outside_a_mesh(severity, some)


def _outside_a_mesh(severity: str, some: list[tuple[Path, Leaf]]) -> Finding:
    path, leaf = some[0]
    more = f" and {len(some) - 1} more" if len(some) > 1 else ""
    return Finding(
        "sharding-without-mesh", severity, path,
        f"{show(path)}{more}, annotated with the axes {annotation(leaf)}, cannot be "
        "made again without a mesh, as nnx.Optimizer does: a ValueError",
        "run it where a mesh is set, or make the Variable with eager_sharding=False",
    )  # fmt: skip


def annotation(leaf: Leaf) -> object:
    """The axes that a Variable is annotated with, or ``None``."""
    return get_metadata(leaf, AXES[0]) if is_variable(leaf) else None


def is_eager(leaf: Leaf) -> bool:
    """Whether a Variable is to be placed as it is annotated when it is made."""
    return bound.metadata(leaf).get("eager_sharding") is not False


def _needs_a_mesh(leaf: Leaf) -> bool:
    """Asked of the release itself: a small one like it is made here and now."""
    if annotation(leaf) is None:
        return False
    metadata = bound.metadata(leaf)
    like = {k: metadata[k] for k in (*AXES, "mesh", "eager_sharding") if k in metadata}
    small = jnp.zeros((1,) * len(getattr(stored(leaf), "shape", ())))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            nnx.Variable(small, **like)
    except ValueError as error:
        return "mesh context" in str(error)
    return False


def _is_placed(leaf: Leaf) -> bool:
    sharding = getattr(stored(leaf), "sharding", None)
    return isinstance(sharding, jax.sharding.NamedSharding)
