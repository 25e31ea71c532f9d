"""A new node, with other objects in the places of some that the old one holds.

Every function here that copies a node and does not copy all of its Variables does it
so: views and clones that share them, ``map``, models with other random streams, an EMA
in the place of the parameters, and what comes back from a transform.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import jax

from ... import functional
from ...functional import Path
from ._walk import OBJECT, children, is_graph_node, is_node, put

if TYPE_CHECKING:
    from flax.nnx import Variable

Change = Callable[[Path, "Variable[Any] | jax.Array"], object]

_N = TypeVar("_N")


def same(path: Path, leaf: _N) -> _N:
    """The change that changes nothing: the new node shares all Variables."""
    return leaf


def rewired(
    node: _N, change: Change = same, standing: dict[int, Any] | None = None
) -> _N:
    """A node of the same structure with other leaves, or with other objects inside.

    What can be changed, an NNX object, a list or a dict, is a new one; a tuple or
    another pytree only where something inside it is another one. What is shared stays
    shared, and static attributes are those of ``node``.

    Args:
        node: any node, or a bare leaf; it is not changed.
        change: called once for each Variable, with the first path to it, and for each
            bare array; what it returns takes the place of that leaf, everywhere.
        standing: what stands for an object, by the id of the object. What is new here
            is added to it, so that several nodes can be rewired together.

    Example:
        >>> from nnx_compat import nnx
        >>> layer, other = (nnx.Linear(2, 3, rngs=nnx.Rngs(i)) for i in range(2))
        >>> new = rewired({"a": layer}, standing={id(layer): other})
        >>> new["a"] is other
        True
    """
    # By hand: a clone and its Variables exchanged takes twice as long, 50 layers 12 ms
    # where this takes 5, as it splits and merges.
    standing = {} if standing is None else standing
    new: _N = _Rewiring(change, standing).of(node, ())
    return new


class _Rewiring:
    def __init__(self, change: Change, standing: dict[int, Any]) -> None:
        self.change = change
        self.standing = standing

    def of(self, value: Any, path: Path) -> Any:
        """What stands for a value that was found at a path."""
        if id(value) in self.standing:
            return self.standing[id(value)]
        if is_node(value):
            return self._node(value, path)
        if functional.is_variable(value) or isinstance(value, jax.Array):
            self.standing[id(value)] = self.change(path, value)
            return self.standing[id(value)]
        return value  # static, as a Rngs is on the first releases: to be shared

    def _node(self, node: Any, path: Path) -> Any:
        if is_graph_node(node) or isinstance(node, (list, dict)):
            shell = _shell(node)
            if is_graph_node(node):
                self.standing[id(node)] = shell  # before its children: there are cycles
            for key, child in children(node):
                now = self.of(child, (*path, key))
                if now is not child:
                    _store(shell, key, now)
            return shell
        found = children(node)
        values = [self.of(child, (*path, key)) for key, child in found]
        if all(now is was for now, (_, was) in zip(values, found, strict=True)):
            return node
        return _remade(node, values)


def _shell(node: Any) -> Any:
    """A list, dict or object like this one, whose children are still the same."""
    if not isinstance(node, OBJECT):
        return copy.copy(node)  # a list or dict, or what somebody made a node
    shell = object.__new__(type(node))
    vars(shell).update(vars(node))
    # at which level of tracing an object may be changed is its own
    state = next(name for name in vars(node) if name.endswith("__state"))
    vars(shell)[state] = type(vars(node)[state])()
    return shell


def _store(node: Any, key: Any, value: Any) -> None:
    """Past ``__setattr__``, which unwraps on some releases and checks on others."""
    if isinstance(node, OBJECT) and str(key) in vars(node):  # an int in a List
        vars(node)[str(key)] = value
    else:
        put(node, key, value)


def _remade(node: Any, values: list[Any]) -> Any:
    if isinstance(node, tuple):
        kind: Any = type(node)
        return kind(*values) if hasattr(kind, "_fields") else kind(values)
    tree = jax.tree_util.tree_structure(node, is_leaf=lambda value: value is not node)
    return tree.unflatten(values)
