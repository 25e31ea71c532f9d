"""A copy of a node."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeVar

import jax
import jax.numpy as jnp

from ... import functional
from ..._release import here, native
from ...errors import ArgumentValueError
from ...functional import Path
from ...revisions import bound
from .._parameters import check
from ._rewiring import rewired
from ._walk import is_node

if TYPE_CHECKING:
    from flax.nnx import Variable

__all__ = ["clone"]

_N = TypeVar("_N")


def clone(
    node: _N,
    variables: bool = True,
    *,
    arrays: bool = False,
    graph: bool | None = None,
) -> _N:
    """A copy of a node.

    Args:
        node: any node.
        variables: whether it gets Variables of its own; False shares them.
        arrays: whether the arrays are copied too, so that they can be donated.
        graph: ``False``, for tree mode, where Flax has that.

    Raises:
        ValueError: ``arrays`` without ``variables``.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> twin = nnx.clone(model, variables=False)
        >>> vars(twin)["kernel"] is vars(model)["kernel"]
        True
    """
    by_tree = graph is False and here.clone_takes_graph
    if not by_tree:
        check("clone", graph=graph)
    if arrays and not variables:
        raise ArgumentValueError(
            "clone was given arrays=True and variables=False, but a shared "
            "Variable has one array",
            instead="clone(node, arrays=True)",
        )
    if by_tree:
        copied: _N = native["clone"](node, variables, graph=False)
        return jax.tree_util.tree_map(jnp.copy, copied) if arrays else copied
    if not variables:
        return rewired(node)
    if not is_node(node):
        return rewired(node, functools.partial(_copied, arrays))
    if not arrays:
        return bound.clone(node)
    graphdef, whole = bound.split(node)
    return bound.adopt(graphdef, jax.tree_util.tree_map(jnp.copy, whole))


def _copied(
    arrays: bool, path: Path, leaf: Variable[Any] | jax.Array
) -> Variable[Any] | jax.Array:
    value = functional.stored(leaf)
    return functional.as_leaf(leaf, jnp.copy(value) if arrays else value)
