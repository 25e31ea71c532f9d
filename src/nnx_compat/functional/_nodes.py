"""What is inside a node, by path; and what is a node at all."""

from __future__ import annotations

from collections.abc import Iterator
from types import FunctionType
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from .._release import here
from ..errors import NodeTypeError, kind_of
from ..revisions import bound, flax_version, nnx
from ..revisions.get_value import Path
from ._filters import Filter, predicate
from ._variables import is_variable

if TYPE_CHECKING:
    from flax.nnx import Module, Variable

#: What most static values are, and a Variable is not.
_PLAIN = frozenset([bool, int, float, str, tuple, type(None), type, FunctionType])
#: Attributes that NNX keeps on a Module for itself, by how their names begin.
INTERNAL = ("_object__", "_pytree__", "_module__", "_graph_node__")


def iter_graph(node: object, /) -> Iterator[tuple[Path, Any]]:
    """All nodes, Variables and static values of a node, each node and Variable once.

    Children come before their parents, attributes sorted by name; the last pair is
    ``((), node)``. What NNX stores on a Module for itself is left out.

    Yields:
        ``(path, value)`` pairs.

    Example:
        >>> import nnx_compat as nc
        >>> model = nc.nnx.Linear(2, 3, rngs=nc.nnx.Rngs(0))
        >>> [p for p, v in nc.iter_graph(model) if nc.is_variable(v)]
        [('bias',), ('kernel',)]
    """
    check_node(node)
    seen: set[int] = set()
    for path, value in bound.iter_graph(node):
        key = path[-1] if path else ""
        # most keys and values are dismissed here, in a third of the time
        if type(key) is str and key[:1] == "_" and key.startswith(INTERNAL):
            continue
        if type(value) not in _PLAIN and is_variable(value):
            if id(value) in seen:
                continue
            seen.add(id(value))
        yield path, value


def iter_modules(node: object, /) -> Iterator[tuple[Path, Module]]:
    """The Modules of a node, children before parents.

    Yields:
        ``(path, module)`` pairs.

    Example:
        >>> import nnx_compat as nc
        >>> class Block(nc.nnx.Module):
        ...     def __init__(self, rngs):
        ...         self.a = nc.nnx.Linear(2, 2, rngs=rngs)
        >>> [(p, type(m).__name__) for p, m in nc.iter_modules(Block(nc.nnx.Rngs(0)))]
        [(('a',), 'Linear'), ((), 'Block')]
    """
    return (
        (p, value) for p, value in iter_graph(node) if isinstance(value, nnx.Module)
    )


def variables(node: object, /, *filters: Filter) -> dict[Path, Variable[Any]]:
    """The Variables of a node themselves, by path; writing to one changes the node.

    Also where reading an attribute unwraps it (``model.kernel`` is the array on the
    first releases). A Variable that is tied is there once.

    Args:
        node: as in ``split``.
        *filters: what to include; everything when there is none.

    Returns:
        A dict from path to Variable, in the order of ``jax.tree.leaves(state)``.

    Example:
        >>> import nnx_compat as nc
        >>> model = nc.nnx.Linear(2, 3, rngs=nc.nnx.Rngs(0))
        >>> list(nc.variables(model, nc.nnx.Param))
        [('bias',), ('kernel',)]
    """
    check_node(node)
    live = bound.live_variables(node)
    if not filters:
        return live
    chosen = predicate(filters)
    return {path: variable for path, variable in live.items() if chosen(path, variable)}


def check_node(node: object) -> None:
    """Refuse what has no Variables of its own, by name."""
    if is_variable(node) and not here.splits_variables:
        raise NodeTypeError(
            f"flax {flax_version} cannot split a bare {type(node).__name__}",
            instead="put it in a tuple, split((variable,)), or in a Module",
        )
    if isinstance(node, type):
        # Natively "this is a bug", and since Variables are shared a graphdef with the
        # class itself as its one leaf.
        raise NodeTypeError(
            f"{node.__name__} is a class, and a node is an instance of one",
            instead=f"{node.__name__}(..., rngs=nnx.Rngs(0))",
        )
    if isinstance(node, (jax.Array, np.ndarray, str, bytes, int, float, nnx.State)):
        raise NodeTypeError(
            f"{kind_of(node)} is not a node: it has no Variables of its own",
            instead="a Module, or a tuple, list or dict of Modules",
        )
