"""The Variables that an optimizer keeps its state in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax

from ...._release import native_in
from ....functional import is_variable, own_metadata, stored
from ....revisions import nnx

if TYPE_CHECKING:
    import optax  # type: ignore[import-not-found]
    from flax.nnx import Variable
    from jax.typing import ArrayLike

__all__ = ["OptArray", "OptState", "OptVariable"]


def _variable_type(name: str, base: type, doc: str) -> type:
    """Flax's own class where there is one.

    OptState was in the module nnx.optimizer alone before it was a name of nnx.
    """
    ours = type(name, (base,), {"__doc__": doc, "__module__": __name__})
    found: type = native_in("optimizer", name, ours)
    return found


OptState: Any = _variable_type(
    "OptState", nnx.Variable, "A Variable of an optimizer: its step, or what tx keeps."
)
OptArray: Any = _variable_type(
    "OptArray", OptState, "What tx keeps once for the model, such as adam's count."
)
OptVariable: Any = _variable_type(
    "OptVariable", OptState, "What tx keeps for one Variable, such as its momentum."
)


def to_opt_state(tree: optax.OptState) -> optax.OptState:
    """A pytree with an ``OptVariable`` for each Variable, an ``OptArray`` for the rest.

    An ``OptVariable`` keeps the metadata of its Variable, so it is sharded alike;
    ``optimizer_sharding`` among them overrides the sharding.
    """
    return jax.tree_util.tree_map(_as_opt_state, tree, is_leaf=is_variable)


def _as_opt_state(leaf: Variable[jax.Array] | ArrayLike) -> Variable[jax.Array]:
    kind, metadata = OptArray, {}
    if is_variable(leaf):
        kind, metadata = OptVariable, own_metadata(leaf)
        if "optimizer_sharding" in metadata:
            metadata["sharding"] = metadata.pop("optimizer_sharding")
    variable: Variable[jax.Array] = kind(stored(leaf), **metadata)
    return variable
