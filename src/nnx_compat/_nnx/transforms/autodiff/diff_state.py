"""With respect to what part of an argument a function is differentiated."""

from __future__ import annotations

import dataclasses
from typing import TypeGuard

from ....functional import Filter

__all__ = ["DiffState"]


@dataclasses.dataclass(frozen=True)
class DiffState:
    """Says with respect to what part of an argument ``nnx.grad`` differentiates.

    Args:
        argnum: the position of the argument.
        filter: selects leaves of its state.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> only_bias = nnx.DiffState(0, lambda path, leaf: "bias" in path)
        >>> loss = lambda model: model(jnp.ones((1, 2))).sum()
        >>> grads = nnx.grad(loss, argnums=only_bias)(model)
        >>> [g.tolist() for g in jax.tree_util.tree_leaves(grads)]
        [[1.0, 1.0, 1.0]]
    """

    argnum: int
    filter: Filter


def is_diff_state(value: object) -> TypeGuard[DiffState]:
    """Whether this is a ``DiffState``, Flax's own or ours."""
    return hasattr(value, "argnum")
