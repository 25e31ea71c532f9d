"""``split`` and ``merge`` are methods, and a ``Rngs`` is static: part of the graphdef.

The methods exist on Module only; the functions beneath them take any node, so tuples,
lists and dicts of Modules split here as they do later. Paths are strings with slashes
inside NNX and tuples outside, list indices included.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import repeat
from types import ModuleType
from typing import TYPE_CHECKING, Any

from . import get_value as newest
from . import variable_state as newer
from .get_value import Node, Path, each

if TYPE_CHECKING:
    from flax.nnx import GraphDef, RngStream, State

    from .get_value import Leaf


class Revision(newer.Revision):
    """Spelled with the functions beneath ``Module.split`` and ``GraphDef.merge``."""

    name = "methods"

    def __init__(self, nnx: ModuleType) -> None:
        self.nnx = nnx
        self.variable_types = (nnx.Variable,)
        self.reference_types = ()
        self.random_types = ()  # a Rngs is static
        self._arrays: set[type] = set()
        self.graph = sys.modules[nnx.GraphDef.__module__]

        class SplitRngs(nnx.Rngs):  # type: ignore[misc,name-defined]
            """A stored copied out of its model and hashable like a graphdef."""

            __eq__ = object.__eq__
            __hash__ = object.__hash__

        self._rngs_type = SplitRngs
        self._rngs_classes: dict[type, bool] = {}

    @staticmethod
    def matches(nnx: ModuleType) -> bool:
        """No function ``split``, and Variables without ``get_value``."""
        return not hasattr(nnx, "split") and not hasattr(nnx.Variable, "get_value")

    def live_split(self, node: Node) -> tuple[GraphDef[Node], State]:
        """Natively detached, but for a ``Rngs``, which is copied into the graphdef."""
        state, graphdef = self.graph.graph_flatten(node)
        return self._with_own_rngs(graphdef), state

    def merge(self, graphdef: GraphDef[Node], states: Sequence[State]) -> Node:
        """Natively detached; a stored ``Rngs`` starts from where split found it."""
        merged: Node = self._with_own_rngs(graphdef).merge(*states)
        return merged

    def graphdef(self, node: Node) -> GraphDef[Node]:
        """The static structure of ``node``, with a copy of each stored ``Rngs``."""
        return self.split(node)[0]

    def update(self, node: object, state: State) -> None:
        """Write a state, known to fit, into ``node`` in place."""
        self.graph.graph_update_dynamic(node, state)

    def clone(self, node: Node) -> Node:
        """A node of its own with the same arrays."""
        graphdef, state = self.split(node)
        copied: Node = graphdef.merge(state)
        return copied

    def frozen(self, value: Any) -> object:
        """A ``Rngs`` is static here and counts: its counts."""
        if not self._is_rngs(type(value)):
            return super().frozen(value)
        return {
            name: f"Rngs stream {name!r} after {_count(stream)} keys"
            for name, stream in value._rngs.items()
        }

    def pop(self, node: object, chosen: Callable[[Path], bool]) -> State:
        """Natively detached."""
        (state,) = self.graph.graph_pop(
            node, (lambda path, _: chosen(_path(path.split("/"))),)
        )
        # graph_pop keys its states by whole path here
        popped: State = self.nnx.State.from_flat_path(dict(state.raw_mapping))
        return popped

    def iter_graph(self, node: object) -> Iterator[tuple[Path, Any]]:
        """By the node registry: there is no such function yet."""
        for path, value in newer.walk(self.graph, (), node, set()):
            yield _path(path), value

    def raw(self, variable: Leaf) -> Any:
        """The value as it is stored, hooks not applied."""
        return variable.raw_value

    def with_value(self, leaf: Leaf, value: object) -> Leaf:
        """By the name of the storage: ``replace(value=...)`` is lost here."""
        made: Leaf = leaf.replace(raw_value=value)
        return made

    def leaves_of(self, variables: Sequence[Leaf]) -> list[Leaf] | None:
        """A state holds Variables, and what they store is all in their ``vars``."""
        made: list[Leaf] = list(map(object.__new__, map(type, variables)))
        stored = list(map(vars, made))
        each(map(dict.update, stored, map(vars, variables)))
        if variables and "_trace_state" in vars(variables[0]):
            now = self.trace_state()
            each(map(dict.__setitem__, stored, repeat("_trace_state"), repeat(now)))
        return made

    # again as where Variables stand for themselves in a state
    variables_of = newest.Revision.variables_of
    values_of = newest.Revision.values_of
    kinds = newest.Revision.kinds
    variable_type = newest.Revision.variable_type

    def instance_states(self, kind: type, count: int) -> list[Any]:
        """A Module is told apart by an id in there."""
        made = super().instance_states(kind, count)
        for state in made[1:]:
            state._id = sys.modules[kind.__module__].ids.uuid()
        return made

    def metadata(self, variable: Leaf) -> dict[str, Any]:
        """What ``vars`` has besides the storage."""
        return {k: v for k, v in vars(variable).items() if k not in newer.STORAGE}

    def flatten(self, state: object) -> dict[Path, Leaf]:
        """List indices are strings inside NNX here and ints in a path, as later."""
        return {_path(p): leaf for p, leaf in super().flatten(state).items()}

    def unflatten(self, flat: Mapping[Path, object]) -> State:
        """Back to string keys."""
        return super().unflatten({tuple(map(str, p)): v for p, v in flat.items()})

    # -- a stored Rngs --------------------------------------------------------------

    def _with_own_rngs(self, graphdef: GraphDef[Node]) -> GraphDef[Node]:
        """The same graphdef with copies of each at the current trace level."""
        if not self._holds_rngs(graphdef):  # the usual case, and a third of the time
            return graphdef
        static = {k: self._copy_rngs(v) for k, v in graphdef.static_fields.items()}
        return type(graphdef)(
            type=graphdef.type,
            index=graphdef.index,
            attributes=graphdef.attributes,
            subgraphs=[
                (k, self._with_own_rngs(v)) for k, v in graphdef.subgraphs.items()
            ],
            static_fields=static.items(),
            variables=graphdef.variables.items(),
            metadata=graphdef.metadata,
        )

    def _holds_rngs(self, graphdef: Any) -> bool:
        if isinstance(graphdef, int):  # a node met before
            return False
        for value in graphdef.static_fields._mapping.values():
            if self._is_rngs(type(value)):
                return True
        return any(map(self._holds_rngs, graphdef.subgraphs._mapping.values()))

    def _is_rngs(self, kind: type) -> bool:
        if kind not in self._rngs_classes:  # Rngs is an ABC: issubclass is slow
            self._rngs_classes[kind] = issubclass(kind, self.nnx.Rngs)
        return self._rngs_classes[kind]

    def _copy_rngs(self, value: Any) -> Any:
        if not self._is_rngs(type(value)):
            return value
        rngs = self._rngs_type()
        rngs._rngs.update({k: _copy_stream(s) for k, s in value._rngs.items()})
        return rngs


def _copy_stream(stream: RngStream) -> RngStream:
    made = copy.copy(stream)
    if hasattr(made, "counts"):
        made.counts = list(made.counts)
    return made


def _count(stream: RngStream) -> int | tuple[int, ...]:
    return tuple(stream.counts) if hasattr(stream, "counts") else stream.count


def _path(keys: Sequence[str]) -> Path:
    return tuple(int(k) if k.isdigit() else k for k in keys)
