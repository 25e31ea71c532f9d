"""What a checkpoint is loaded into and saved from: the arrays of one item, by path.

An item is a node (a Module, an Optimizer, an EMA, a metric, or a container of them), a
State, or nested dicts and lists of arrays. ``Slots`` is the same table for all three.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax

from ..errors import ArgumentTypeError, kind_of
from ..functional import as_leaf, check_node, is_variable, stored, variable_type
from ..revisions import bound, nnx
from ._paths import Paths
from ._table import TAILS, Path

if TYPE_CHECKING:
    from collections.abc import Hashable

    from jax.tree_util import PyTreeDef

    from ..revisions.get_value import Leaf


@dataclass(frozen=True)
class Slot:
    """One array of an item.

    Attributes:
        path: its path in the item's state, list indices as ints.
        name: the same as text, as the newest release has it.
        value: the array (or its ShapeDtypeStruct), a Python number, or None.
        owner: the Variable, or VariableState, that holds it; None for a bare array.
        variable: the live Variable, where the item is a node.
        others: names of the other paths to the Variable.
    """

    path: Path
    name: tuple[str, ...]
    value: Any
    owner: Leaf | None = None
    variable: object = None
    others: tuple[tuple[str, ...], ...] = ()


class Slots:
    """The arrays of one item.

    Args:
        item: a node, a State, or nested dicts and lists of arrays.
        argument: what the item was called in the call, for errors.

    Raises:
        ArgumentTypeError: it is none of these.
    """

    def __init__(self, item: object, argument: str) -> None:
        self.item = item
        self._leaves: dict[Path, Leaf] = {}
        self._trees: dict[Path, tuple[PyTreeDef, list[Path]]] = {}
        self._write: Callable[[Mapping[Path, Any]], None]
        if isinstance(item, nnx.State):
            self._leaves, self._write = bound.flatten(item), self._into_state
        elif _is_plain(item):
            self._leaves, self._write = dict(_flat((), item)), self._into_containers
        elif isinstance(item, (jax.Array, str, bytes, int, float, type(None))):
            raise ArgumentTypeError(
                f"{argument} is {kind_of(item)}, which cannot be written in place",
                instead=f"{argument}={{'name': value}}, or a Module or State",
            )
        else:
            check_node(item)
            self._leaves, self._write = _of_node(item), self._into_node
        self.slots: tuple[Slot, ...] = tuple(self._slots())

    def _slots(self) -> Iterator[Slot]:
        is_node = self._write == self._into_node
        paths = Paths(self.item) if is_node else None
        for path, leaf in self._leaves.items():
            owner = leaf if is_variable(leaf) else None
            name = tuple(map(str, path))
            variable = leaf if paths is None else paths.at(name)
            if not isinstance(variable, nnx.Variable):
                variable = None
            others: list[tuple[str, ...]] = []
            if paths is not None and variable is not None:
                others = [p for p in paths.to(variable) if p != name]
            if owner is None and path[-1:] and path[-1] in TAILS and len(path) > 1:
                # Optimizers of old releases hold Variables where Flax expects arrays,
                # and so a state has the array inside one by itself.
                inside = _at(self.item, path[:-1])
                name = name[:-1] if is_variable(inside) else name
            for inner, value in self._values(path, leaf):
                more = tuple(map(str, inner[len(path) :]))
                yield Slot(
                    inner, (*name, *more), value, owner, variable,
                    tuple((*other, *more) for other in others),
                )  # fmt: skip

    def _values(self, path: Path, leaf: Leaf) -> list[tuple[Path, Any]]:
        """The value of a leaf; of one that is itself a pytree, each array in it."""
        value = _held(leaf)
        if value is None or hasattr(value, "dtype") or not is_variable(leaf):
            return [(path, value)]
        from ..pure._leaves import inside_value

        inside, tree = inside_value(path, value)
        if list(inside) == [path]:
            return [(path, value)]
        self._trees[path] = tree, list(inside)
        return list(inside.items())

    def write(self, values: Mapping[Path, Any]) -> Callable[[], None]:
        """Write new values, by path of a slot; all of them or, on an error, none.

        Returns:
            What writes the old ones back.
        """
        whole = self._whole(values)
        old = {path: _held(self._leaves[path]) for path in whole}

        def back() -> None:
            self._write(old)

        try:
            self._write(whole)
        except BaseException:
            back()
            raise
        return back

    def _whole(self, values: Mapping[Path, Any]) -> dict[Path, Any]:
        """Values by the path of a leaf, from those by the path of a slot."""
        found = {path: value for path, value in values.items() if path in self._leaves}
        for path, (tree, inner) in self._trees.items():
            if any(one in values for one in inner):
                now = dict(self._values(path, self._leaves[path]))
                found[path] = tree.unflatten([values.get(p, now[p]) for p in inner])
        return found

    def _into_node(self, values: Mapping[Path, Any]) -> None:
        leaves = {}
        for path, value in values.items():
            reference = stored(self._leaves[path])
            if isinstance(reference, bound.reference_types):
                reference[...] = value
            else:
                leaves[path] = as_leaf(self._leaves[path], value)
        if leaves:
            bound.update(self.item, bound.unflatten(leaves))

    def _into_state(self, values: Mapping[Path, Any]) -> None:
        for path, value in values.items():
            leaf = self._leaves[path]
            if is_variable(leaf):
                bound.write(leaf, value)
            else:
                inside: Any = self.item
                inside = inside.raw_mapping
                for key in path[:-1]:
                    inside = inside[key]
                inside[path[-1]] = value

    def _into_containers(self, values: Mapping[Path, Any]) -> None:
        for path, value in values.items():
            inside: Any = self.item
            for key in path[:-1]:
                inside = inside[key]
            inside[path[-1]] = value


def _held(leaf: Leaf) -> Any:
    """The value of a leaf; of one that refers to an array, what is there now."""
    value = stored(leaf)
    return value[...] if isinstance(value, bound.reference_types) else value


def type_name(slot: Slot) -> str | None:
    """The name of the Variable's class, or None for a bare array."""
    return None if slot.owner is None else variable_type(slot.owner).__name__


def _of_node(node: object) -> dict[Path, Leaf]:
    return bound.flatten(bound.live_split(node)[1])


def _is_plain(item: object) -> bool:
    """Whether these are containers of arrays alone, without an object of NNX's."""
    if isinstance(item, dict):
        return all(map(_is_plain_value, item.values()))
    return isinstance(item, list) and all(map(_is_plain_value, item))


def _is_plain_value(value: object) -> bool:
    if isinstance(value, (dict, list)):
        return _is_plain(value)
    return value is None or hasattr(value, "dtype") or isinstance(value, (int, float))


def _flat(path: Path, value: Any) -> Iterator[tuple[Path, Any]]:
    pairs: Any = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in pairs:
        if isinstance(child, (dict, list)):
            yield from _flat((*path, key), child)
        else:
            yield (*path, key), child


def _at(root: object, path: Path) -> object:
    """What is at a path of a node's state, or None."""
    at: Any = root
    for key in path:
        at = _step(at, key)
    return at


def _step(at: Any, key: Hashable) -> object:
    if isinstance(at, nnx.State):
        return at.raw_mapping.get(key)
    if isinstance(at, dict):
        return at.get(key)
    if isinstance(at, tuple) and isinstance(key, str):
        return getattr(at, key, None)
    if isinstance(at, (list, tuple)):
        return dict(enumerate(at)).get(key)  # type: ignore[call-overload]
    return getattr(at, "__dict__", {}).get(str(key))
