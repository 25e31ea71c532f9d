"""States hold ``VariableState`` copies, so ``split``, ``state`` and ``merge`` detach.

A Variable is a leaf of jax here (except on the last of these releases), and
``isinstance(leaf, nnx.Variable)`` is False for the leaves of a state.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from operator import attrgetter
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..errors import NodeTypeError
from . import shared_variables as newer
from .get_value import Node, Path, fill, stored_metadata

if TYPE_CHECKING:
    from flax.nnx import GraphDef, State, Variable

    from .get_value import Leaf

#: What NNX stores on a Variable for itself; the rest of its attributes are metadata.
STORAGE = frozenset({"value", "raw_value", "_trace_state"})


class Revision(newer.Revision):
    """Spelled with ``VariableState``."""

    name = "variable_state"

    storage = "raw_value"

    def __init__(self, nnx: ModuleType) -> None:
        self.nnx = nnx
        self.variable_types = (nnx.Variable, nnx.VariableState)
        # the last of these releases has them
        self.reference_types = (
            (nnx.MutableArray,) if hasattr(nnx, "MutableArray") else ()
        )
        self.random_types = (nnx.RngState,)
        self._arrays: set[type] = set()
        # asked now and not at each call: install() gives Flax what it lacks
        self._native_iter_graph = getattr(nnx, "iter_graph", None)
        self._with_metadata: Any = tuple(
            kind for kind in self.variable_types if hasattr(kind, "get_metadata")
        )

    @staticmethod
    def matches(nnx: ModuleType) -> bool:
        """A ``VariableState`` that is a class of its own."""
        return (
            hasattr(nnx, "split")
            and not hasattr(nnx.Variable, "get_value")
            and getattr(nnx, "VariableState", nnx.Variable) is not nnx.Variable
        )

    def raw(self, variable: Leaf) -> Any:
        """A VariableState stores its value as it is; a Variable behind its hooks."""
        if isinstance(variable, self.nnx.VariableState):
            return variable.value
        return variable.raw_value

    def detached(self, state: Any) -> Any:
        """Natively: a state holds copies."""
        return state

    def merge(self, graphdef: GraphDef[Node], states: Sequence[State]) -> Node:
        """Natively detached."""
        merged: Node = self.nnx.merge(graphdef, *states)
        return merged

    def adopt(self, graphdef: GraphDef[Node], state: State) -> Node:
        """Natively detached."""
        return self.merge(graphdef, [state])

    def clone(self, node: Node) -> Node:
        """Natively detached."""
        copied: Node = self.nnx.clone(node)
        return copied

    def live_variables(self, node: object) -> dict[Path, Variable[Any]]:
        """A state holds copies, so the live ones come from a walk over the graph."""
        found: dict[
            int, tuple[Path, Variable[Any]]
        ] = {}  # a tied one counts where it is first
        for path, value in self.iter_graph(node):
            if isinstance(value, self.nnx.Variable):
                found.setdefault(id(value), (path, value))
        return dict(found.values())

    def iter_graph(self, node: object) -> Iterator[tuple[Path, Any]]:
        """Natively, but for the first of these releases, which has no such name."""
        if self._native_iter_graph:
            return iter(self._native_iter_graph(node))
        graph = sys.modules[self.nnx.split.__module__]
        if isinstance(node, self.nnx.Module) and not graph.is_node(node):
            raise NodeTypeError(
                f"this thread does not know that {type(node).__name__} is a node: "
                "this release of Flax keeps its registry by thread",
                instead="split models in the thread that defined their classes",
            )
        return walk(graph, (), node, set())

    def annotations(self, like: Sequence[Leaf]) -> Callable[[Sequence[Leaf]], Any]:
        """Slots came in the middle of these releases, with a dict for the metadata."""
        if hasattr(self.nnx.Variable, "_var_metadata"):
            return super().annotations(like)
        return in_dicts(like)

    def leaves_of(self, variables: Sequence[Leaf]) -> list[Leaf] | None:
        """VariableStates."""
        kind = self.nnx.VariableState
        values = self.own_values(list(map(attrgetter("raw_value"), variables)))
        if values is None:
            return None
        made = list(map(object.__new__, repeat(kind, len(variables))))
        if "_var_metadata" in vars(kind):
            kept = map(dict, map(stored_metadata, variables))
            kinds = map(type, variables)
            fill(made, kind, {"type": kinds, "value": values, "_var_metadata": kept})
            return made
        for state, variable, value in zip(made, variables, values, strict=True):
            vars(state).update(type=type(variable), value=value, **_own(variable))
        return made

    def variables_of(self, leaves: Sequence[Leaf]) -> list[Variable[Any]] | None:
        """From VariableStates."""
        values = self.own_values(self.values_of(leaves))
        if values is None:
            return None
        made = list(map(object.__new__, map(attrgetter("type"), leaves)))
        now = self.trace_state()
        if "_var_metadata" in vars(self.nnx.Variable):
            kept = map(dict, map(stored_metadata, leaves))
            slots = {"raw_value": values, "_trace_state": repeat(now)}
            fill(made, self.nnx.Variable, {**slots, "_var_metadata": kept})
            return made
        for variable, leaf, value in zip(made, leaves, values, strict=True):
            vars(variable).update(_own(leaf), raw_value=value, _trace_state=now)
        return made

    def values_of(self, leaves: Sequence[Leaf]) -> list[Any]:
        """VariableStates have another name for it."""
        return list(map(attrgetter("value"), leaves))

    def kinds(self, leaves: Sequence[Leaf]) -> list[type] | None:
        """VariableStates name them."""
        if set(map(type, leaves)) - {self.nnx.VariableState}:
            return None
        return list(map(attrgetter("type"), leaves))

    def own_values(self, values: list[Any]) -> list[Any] | None:
        """As they are, natively."""
        if self.reference_types and super().own_values(values) is None:
            return None
        return values

    def variable_type(self, variable: Leaf) -> type[Variable[Any]]:
        """A VariableState names the class it stands for."""
        if isinstance(variable, self.nnx.VariableState):
            found: type = variable.type
            return found
        return type(variable)

    def metadata(self, variable: Leaf) -> dict[str, Any]:
        """Before ``Variable.get_metadata``: what ``vars`` has besides the storage."""
        if isinstance(variable, self._with_metadata):
            return dict(variable.get_metadata())
        return _kept(variable)


def _own(leaf: Leaf) -> dict[str, Any]:
    """The metadata of one leaf for another."""
    if not hasattr(leaf, "__dict__"):  # a VariableState had slots one release earlier
        return {"_var_metadata": dict(stored_metadata(leaf))}
    kept = {k: v for k, v in vars(leaf).items() if k not in STORAGE and k != "type"}
    if "_var_metadata" in kept:
        kept["_var_metadata"] = dict(kept["_var_metadata"])
    return kept


def _kept(variable: Leaf) -> dict[str, Any]:
    return {k: v for k, v in vars(variable).items() if k not in STORAGE}


def in_dicts(like: Sequence[Leaf]) -> Callable[[Sequence[Leaf]], Any]:
    """``annotations`` of Variables that store their metadata as attributes."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for number, variable in enumerate(like):
        groups.setdefault(tuple(_kept(variable)), []).append(number)
    if any(len(names) < 2 for names in groups):
        return lambda variables: list(map(_kept, variables))
    # no bytecode for each: a fifth of the time
    pairs = [(operator.itemgetter(*n), _pick(members)) for n, members in groups.items()]

    def read(variables: Sequence[Leaf]) -> Any:
        stored = list(map(vars, variables))
        found = [list(map(taken, members(stored))) for taken, members in pairs]
        return list(map(len, stored)), found

    return read


def _pick(numbers: list[int]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    if len(numbers) == 1:
        return lambda items: [items[numbers[0]]]
    picked: Callable[[Sequence[Any]], Sequence[Any]] = operator.itemgetter(*numbers)
    return picked


def walk(
    graph: ModuleType, path: Path, node: object, seen: set[int]
) -> Iterator[tuple[Path, Any]]:
    """All nodes and leaves, children first, by the node registry of NNX itself.

    Args:
        graph: NNX's module with ``is_node`` and ``get_node_impl``.
        path: of ``node`` from the root.
        node: any object; one that is not a node is a leaf.
        seen: the ids of the nodes visited so far.

    Yields:
        ``(path, value)`` pairs.
    """
    if graph.is_node(node):
        if id(node) in seen:
            return
        seen.add(id(node))
        children, _ = graph.get_node_impl(node).flatten(node)
        if not isinstance(node, (list, tuple)):
            children = sorted(children)
        for key, child in children:
            yield from walk(graph, (*path, key), child, seen)
    yield path, node
