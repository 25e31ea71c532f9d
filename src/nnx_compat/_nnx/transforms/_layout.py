"""Where the arrays of a tree of Modules belong: everything about it that is static.

As jax flattens a pytree into leaves and a treedef, a tree of arguments is flattened
here into arrays and a ``Layout``. What two arguments share stays shared: all nodes of
the tree are split as one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

import jax

from ... import functional
from ..._release import here
from ...errors import ArgumentValueError
from ...functional import Path
from ...revisions import bound, nnx
from ._prefixes import broadcast, by_filter, value_at

if TYPE_CHECKING:
    from flax.nnx import Module, State, Variable

    from ...revisions.get_value import Leaf

    Node: TypeAlias = Module | Variable[Any]

#: The class of objects that have Variables of their own, a Rngs among them.
NODE_TYPE: type = nnx.Module if here.only_modules_are_nodes else nnx.Module.__mro__[1]
#: Objects that an update of Variables does not reach, but that change in a call: where
#: a Rngs is a static attribute, it counts the keys that it has given.
STATIC_RNGS: tuple[type, ...] = (nnx.Rngs,) if here.rngs_are_static else ()
_CHANGEABLE: tuple[type, ...] = (nnx.Variable, NODE_TYPE, *STATIC_RNGS)


def is_node(value: object) -> TypeGuard[Node]:
    """Whether a leaf of a tree of arguments has Variables, or is one."""
    return isinstance(value, (nnx.Variable, NODE_TYPE))


def flattened(tree: object) -> tuple[list[Any], jax.tree_util.PyTreeDef]:
    """The leaves of a tree, its nodes among them, and its structure."""
    leaves, treedef = jax.tree_util.tree_flatten(tree, is_leaf=is_node)
    return leaves, treedef


def nodes_of(tree: object) -> tuple[Node, ...]:
    """The nodes of a tree, in order; one that is there twice, twice."""
    return tuple(leaf for leaf in flattened(tree)[0] if is_node(leaf))


def objects(nodes: tuple[Node, ...]) -> Iterator[tuple[Path, Any]]:
    """All that can be changed in place in some nodes, each once: Modules, Variables."""
    if not nodes:
        return
    seen: set[int] = set()
    for path, value in bound.iter_graph(nodes):
        if isinstance(value, _CHANGEABLE) and id(value) not in seen:
            seen.add(id(value))
            yield path, value


class Layout:
    """Where the arrays of a tree belong.

    Attributes:
        treedef: of the tree, with a leaf for each node and each array.
        at: for each leaf the number of the node, or None for an array.
        graphdef: of all nodes together, a tuple.
        leaves: of their state by path, with the values they had: types and metadata.
        structures: of the value of each of these leaves, which may be a pytree.
        owners: for each array the leaf of the tree that it belongs to, by number, and
            its path in the state, empty for an array that is a leaf of the tree.
    """

    def __init__(self, tree: object) -> None:
        found, self.treedef = flattened(tree)
        self.nodes = tuple(leaf for leaf in found if is_node(leaf))
        count = iter(range(len(self.nodes)))
        self.at = [next(count) if is_node(leaf) else None for leaf in found]
        self.graphdef: Any = None
        self.leaves: dict[Path, Any] = {}
        if self.nodes:
            self.graphdef, state = bound.split(self.nodes)
            self.leaves = bound.flatten(state)
        self.arrays: list[jax.Array] = []
        self.structures: list[jax.tree_util.PyTreeDef] = []
        self.owners: list[tuple[int, Path]] = []
        for path, leaf in self.leaves.items():
            values, structure = jax.tree_util.tree_flatten(functional.stored(leaf))
            self.arrays += values
            self.structures.append(structure)
            self.owners += [(self.at.index(path[0]), path)] * len(values)
        for position, leaf in enumerate(found):
            if self.at[position] is None:
                self.arrays.append(leaf)
                self.owners.append((position, ()))
        self.count = len(self.arrays)

    def forget(self) -> Layout:
        """Without the arrays and nodes it was made of, to be kept for longer."""
        self.arrays, self.nodes = [], ()
        return self

    def empty(self) -> None:
        """Without any array, to be kept for good: a cache is no place for a model."""
        self.forget()
        self.leaves = {
            path: with_value(leaf, None) for path, leaf in self.leaves.items()
        }

    def values(
        self, arrays: Sequence[jax.Array]
    ) -> tuple[dict[Path, Any], list[jax.Array]]:
        """The values of the nodes' leaves by path, and the arrays that are leaves."""
        at = 0
        found: dict[Path, Any] = {}
        for path, structure in zip(self.leaves, self.structures, strict=True):
            end = at + structure.num_leaves
            found[path] = structure.unflatten(arrays[at:end])
            at = end
        return found, list(arrays[at:])

    def states(
        self,
        arrays: Sequence[jax.Array],
        keep: Callable[[Path], bool] = lambda path: True,
    ) -> Any:
        """The tree with a State of these values in place of each node.

        Args:
            arrays: one for each leaf, of the same structure.
            keep: selects leaves of the nodes by path; the others are left out.
        """
        values, plain = self.values(arrays)
        flat: list[dict[Path, Any]] = [{} for i in self.at if i is not None]
        for path, value in values.items():
            if keep(path):
                flat[path[0]][path[1:]] = with_value(self.leaves[path], value)
        return self.tree([bound.unflatten(part) for part in flat], plain)

    def state(self, arrays: Sequence[jax.Array], count: int) -> State:
        """A state of the first ``count`` nodes together, with these values."""
        return bound.unflatten(
            {
                path: with_value(self.leaves[path], value)
                for path, value in self.values(arrays)[0].items()
                if path[0] < count
            }
        )

    def merge(self, arrays: Sequence[jax.Array]) -> tuple[Any, tuple[Node, ...]]:
        """The tree with new nodes around these arrays, and the nodes."""
        values, plain = self.values(arrays)
        nodes: tuple[Node, ...] = ()
        if self.graphdef is not None:
            flat = {p: with_value(self.leaves[p], v) for p, v in values.items()}
            nodes = tuple(bound.merge(self.graphdef, (bound.unflatten(flat),)))
        return self.tree(nodes, plain), nodes

    def tree(self, nodes: Sequence[object], arrays: Iterable[object]) -> Any:
        """The tree with other things in place of its nodes and of its arrays."""
        rest = iter(arrays)
        return self.treedef.unflatten(
            [next(rest) if i is None else nodes[i] for i in self.at]
        )

    def broadcast(self, prefix: object) -> list[Any]:
        """The value of a prefix of the tree for each array.

        Raises:
            ArgumentValueError: it has two for a Variable that is shared.
        """
        values = broadcast(prefix, self.treedef)
        self._check_shared(values)
        return [self._value_at(values[i], path) for i, path in self.owners]

    def of_nodes(self, prefix: object) -> tuple[Any, ...]:
        """The value of a prefix of the tree for each node."""
        values = broadcast(prefix, self.treedef)
        return tuple(v for v, i in zip(values, self.at, strict=True) if i is not None)

    def _value_at(self, prefix: Any, path: Path) -> Any:
        if not by_filter(prefix):
            return prefix
        if path not in self.leaves:
            raise ArgumentValueError(
                f"{prefix!r} is given for an array, which has no leaves to filter",
                instead="the axis itself",
            )
        return value_at(prefix, path[1:], self.leaves[path])

    def _check_shared(self, values: list[Any]) -> None:
        if len(self.nodes) < 2 or len(set(map(id, values))) < 2:
            return
        known: dict[int, Any] = {}
        for value, number in zip(values, self.at, strict=True):
            if number is None:
                continue
            for path, variable in objects((self.nodes[number],)):
                if not isinstance(variable, nnx.Variable):
                    continue
                one = value
                if by_filter(value):
                    one = value_at(value, path[1:], variable)
                other = known.setdefault(id(variable), one)
                if other != one:
                    raise ArgumentValueError(
                        "Inconsistent aliasing: a shared "
                        f"{type(variable).__name__} at {functional.show(path[1:])} is "
                        f"given {one!r} in one argument and {other!r} in another",
                        instead="the same axis for all that shares it",
                    )

    def static(self) -> tuple[Any, ...]:
        """All but the metadata, as something that can be compared and hashed."""
        kinds = tuple(
            (path, type(leaf), functional.variable_type(leaf), leaf.__class__)
            if functional.is_variable(leaf)
            else (path, type(leaf))
            for path, leaf in self.leaves.items()
        )
        return self.treedef, self.graphdef, kinds, tuple(self.structures)

    def fits(self, other: Layout) -> bool:
        """Whether arrays of one can be arrays of the other, as in a loop."""
        return self.static() == other.static()


class LayoutKey(Layout):
    """A layout that equals another of the same structure, types and metadata."""

    def __init__(self, layout: Layout) -> None:
        vars(self).update(vars(layout))
        self.empty()

    def __hash__(self) -> int:
        return hash(self.static())

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, LayoutKey)
            and self.fits(other)
            and all(map(same_metadata, self.leaves.values(), other.leaves.values()))
        )


def same_metadata(one: Leaf, other: Leaf) -> bool:
    """Whether two leaves of a state, if they are Variables, are annotated alike."""
    if not functional.is_variable(one):
        return True
    mine, its = bound.metadata(one), bound.metadata(other)
    return mine.keys() == its.keys() and all(
        _equal(value, its[key]) for key, value in mine.items()
    )


def _equal(one: object, other: object) -> bool:
    try:
        return one is other or bool(one == other)
    except (TypeError, ValueError):  # arrays, say
        return False


def with_value(leaf: Any, value: object) -> Any:
    """A leaf of a state like this one, around another value."""
    return bound.with_value(leaf, value) if functional.is_variable(leaf) else value
