"""A State or another pytree as an attribute of a node, on every release.

On the first releases a State is no node, of Python's containers only lists, tuples and
dicts are, and their keys have to be strings. There a tree is stored as nested dicts of
its Variables, and what is built here shows it as it was given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import jax

from .._release import here
from ..functional import Path, is_variable
from ..revisions import bound, nnx
from ..revisions.get_value import nested, plain_key

if TYPE_CHECKING:
    from flax.nnx import Pytree, State


def as_attribute(leaves: Mapping[Path, Any]) -> State | dict[str, Any]:
    """A State of these leaves for a node to have; on the first releases nested dicts.

    There a State can neither be a node nor hold bare arrays, and only a dict with text
    for keys is a node: indices of lists are text there, too.
    """
    if not here.split_is_a_method:
        return bound.unflatten(leaves)
    by_text: dict[str, Any] = nested({tuple(map(str, p)): leaves[p] for p in leaves})
    return by_text


def leaves_of(tree: State | dict[str, Any]) -> dict[Path, Any]:
    """The leaves of what ``as_attribute`` made, or of another State, by path."""
    if isinstance(tree, dict):
        tree = nnx.State(tree)
    return bound.flatten(tree)


class _Form(NamedTuple):
    """What a pytree is rebuilt from besides its leaves."""

    tree: jax.tree_util.PyTreeDef
    paths: tuple[Path, ...]


class _PytreeAttribute:
    """Shows a pytree that is stored as nested dicts of Variables, which are nodes."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, node: Pytree | None, owner: type) -> Any:
        if node is None:
            return self
        form, nodes = vars(node)[f"_{self._name}_form"], vars(node)[self._name]
        return form.tree.unflatten(_at(nodes, path) for path in form.paths)

    def __set__(self, node: Pytree, tree: object) -> None:
        set_pytree(node, self._name, tree)


def _at(nodes: Mapping[str, Any], path: Path) -> Any:
    for key in path:
        nodes = nodes[key]
    return nodes


def pytree_attribute() -> _PytreeAttribute | None:
    """A class attribute for a pytree of Variables, to be set with ``set_pytree``.

    A NamedTuple of optax's is what needs it, where none is a node.
    """
    return _PytreeAttribute() if here.named_tuples_are_no_nodes else None


def set_pytree(node: Pytree, name: str, tree: object) -> None:
    """Set an attribute to a pytree of Variables, which ``split`` finds there."""
    if not here.named_tuples_are_no_nodes:
        setattr(node, name, tree)
        return
    # keys as text: only a dict with strings for keys is a node there
    pairs, form = jax.tree_util.tree_flatten_with_path(tree, is_leaf=is_variable)
    flat = {tuple(str(plain_key(k)) for k in path): leaf for path, leaf in pairs}
    vars(node)[name] = nested(flat)
    vars(node)[f"_{name}_form"] = _Form(form, tuple(flat))
