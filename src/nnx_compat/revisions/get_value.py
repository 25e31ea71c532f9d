"""The newest revision: the whole contract, spelled for a Variable with ``get_value``.

Here ``split`` and ``state`` hand out the model's own Variables and ``merge`` adopts the
Variables it is given, so all three are detached: fresh Variables around the same
arrays, at the current trace level, with the types and metadata of the old ones.
"""

from __future__ import annotations

import contextlib
import copy
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from operator import attrgetter
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import jax

if TYPE_CHECKING:
    from flax.nnx import GraphDef, State, Variable

    #: A Variable, or the VariableState that stood for one in a state until Variables
    #: did so themselves: what is used of it here, both have.
    Leaf: TypeAlias = Variable[Any]

#: Names of attributes and indices of lists; a dict may have other keys.
Path: TypeAlias = tuple[Any, ...]
Node = TypeVar("Node")
T = TypeVar("T")


def _identity(leaf: T) -> T:
    return leaf


def rebuilt(tree: T) -> T:
    """The same pytree, its nodes made anew: one way to detach, on every release."""
    made: T = jax.tree_util.tree_map(_identity, tree)
    return made


class Revision:
    """How the core operations are spelled; bound once to the installed namespace.

    An older revision subclasses the next newer one and overrides what differs.

    Args:
        nnx: the native namespace, ``flax.nnx`` or ``flax.experimental.nnx``.
    """

    name = "get_value"

    #: The attribute that a Variable stores its value in, hooks not applied.
    storage = "_raw_value"

    #: For a plug-in: a PEP 440 specifier of the releases it serves.
    releases: str | None = None

    def __init__(self, nnx: ModuleType) -> None:
        self.nnx = nnx
        self.variable_types: tuple[type, ...] = (nnx.Variable,)
        #: Variables that hold random keys and how often they were used.
        self.random_types: tuple[type, ...] = (nnx.RngState,)
        #: References to arrays, for jax to mutate, that a Variable may hold.
        self.reference_types: tuple[Any, ...] = (
            (jax.Ref,) if hasattr(jax, "Ref") else ()
        )
        # Of classes met: whether a Variable is no hijax one, a value a leaf of jax.
        self._plain: dict[type, bool] = {}
        self._leaves: dict[type, bool] = {}
        self._arrays: set[type] = set()

    @staticmethod
    def matches(nnx: ModuleType) -> bool:
        """Say whether ``nnx`` behaves like this revision, asked of the code itself."""
        return hasattr(nnx, "split") and hasattr(nnx.Variable, "get_value")

    # -- the graph ------------------------------------------------------------------

    def split(self, node: Node) -> tuple[GraphDef[Node], State]:
        """``(graphdef, state)``, the state detached."""
        graphdef, state = self.live_split(node)
        return graphdef, self.detached(state)

    def live_split(self, node: Node) -> tuple[GraphDef[Node], State]:
        """``(graphdef, state)`` to look at only: its leaves may be the live ones."""
        found: tuple[GraphDef[Node], State] = self.nnx.split(node)
        return found

    def merge(self, graphdef: GraphDef[Node], states: Sequence[State]) -> Node:
        """A new node that shares no Variable with ``states``."""
        return self._merged(graphdef, states, self.detached)

    def adopt(self, graphdef: GraphDef[Node], state: State) -> Node:
        """A new node that may use the Variables of ``state``, which nobody else has."""
        return self._merged(graphdef, [state], _identity)

    def _merged(
        self,
        graphdef: GraphDef[Node],
        states: Sequence[State],
        own: Callable[[Any], Any],
    ) -> Node:
        # The plain mapping inside a State merges a fifth faster than the State, whose
        # items are wrapped anew at each look: that pays for much of detaching it.
        plain = [s.raw_mapping if isinstance(s, self.nnx.State) else s for s in states]
        merged: Node = self.nnx.merge(graphdef, *map(own, plain))
        return merged

    def detached(self, state: Any) -> Any:
        """A state, or the mapping inside one, with Variables of its own."""
        if isinstance(state, self.nnx.State):
            return self.nnx.State(self.detached(state.raw_mapping))
        if type(state) is dict:
            # All at once: a tree_map takes 3.5 us a Variable, one by one 2.2, this 1.
            found: list[Any] = []
            _gather(state, found)
            if all(map(self._is_plain, set(map(type, found)))):
                copies = self.leaves_of(found)
                if copies is not None:
                    return _refilled(state, iter(copies))
        return self.detached_by_one(state)

    def _is_plain(self, kind: type) -> bool:
        """Whether a class is one of Variables: neither of hijax ones nor of others."""
        if kind not in self._plain:
            self._plain[kind] = self.nnx.Variable in kind.__mro__
        return self._plain[kind]

    def detached_by_one(self, state: Any) -> Any:
        """The same where there are references, or other leaves than Variables."""
        kind = type(state)
        if kind is dict:
            return {key: self.detached_by_one(value) for key, value in state.items()}
        # isinstance of a Variable is slow, and true of hijax ones, which are leaves
        if not self._is_plain(kind):
            if isinstance(state, self.nnx.State):
                return self.nnx.State(self.detached_by_one(state.raw_mapping))
            hijax = isinstance(state, self.variable_types)
            return cast("Any", state).copy() if hijax else state
        metadata = state.get_metadata()
        if metadata.get("ref") or metadata.get("has_ref"):
            return state.copy()  # what it refers to is mutable and has to be copied
        value = state.get_raw_value()
        kind = type(value)
        if kind not in self._leaves:
            self._leaves[kind] = jax.tree_util.all_leaves([value])
        if not self._leaves[kind]:
            value = rebuilt(value)  # a dict or list would still be shared
        return state.from_metadata(value, metadata)

    def graphdef(self, node: Node) -> GraphDef[Node]:
        """The static structure of ``node``."""
        found: GraphDef[Node] = self.nnx.graphdef(node)
        return found

    def live_variables(self, node: object) -> dict[Path, Variable[Any]]:
        """The Variables of ``node`` themselves, by path, each once."""
        leaves = self.flatten(self.live_split(node)[1])
        return {p: v for p, v in leaves.items() if isinstance(v, self.variable_types)}

    def update(self, node: object, state: State) -> None:
        """Write a state, known to fit, into ``node`` in place.

        Natively for Variables. Bare arrays are put where they belong here, since inside
        a tuple (an optimizer's state, once) they are natively refused.
        """
        flat = self.flatten(state)
        kinds = self.variable_types
        bare = {p: leaf for p, leaf in flat.items() if not isinstance(leaf, kinds)}
        if not bare:
            self.nnx.update(node, state)
            return
        rest = {p: leaf for p, leaf in flat.items() if p not in bare}
        if rest:
            self.nnx.update(node, self.unflatten(rest))
        # what Module derives from: Object, Pytree or how it is called on this release
        _written(node, nested(bare), self.nnx.Module.__mro__[1])

    def clone(self, node: Node) -> Node:
        """A node of its own with the same arrays."""
        copied: Node = self.nnx.clone(node)
        return copied

    def frozen(self, value: object) -> object:
        """What a static value is compared by, later: it may be mutable."""
        return copy.copy(value) if isinstance(value, (list, dict, set)) else value

    def pop(self, node: object, chosen: Callable[[Path], bool]) -> State:
        """Take the Variables at the chosen paths out of ``node``."""
        taken = self.nnx.pop(node, lambda path, _: chosen(tuple(path)))
        popped: State = self.detached(taken)
        return popped

    def iter_graph(self, node: object) -> Iterator[tuple[Path, Any]]:
        """All nodes and leaves with their paths, children before parents."""
        return iter(self.nnx.iter_graph(node))

    # -- Variables ------------------------------------------------------------------

    def reader(self, kind: type) -> Callable[[Any], Any]:
        """What gives the value of a Variable of this class, its hooks applied."""
        found: Callable[[Any], Any] = kind.get_value  # type: ignore[attr-defined]
        return found

    def raw(self, variable: Leaf) -> Any:
        """The value as it is stored, hooks not applied."""
        return variable.get_raw_value()

    def write(self, variable: Leaf, value: object) -> None:
        """Replace the value: no broadcast, no cast."""
        variable.set_value(value)

    def with_value(self, leaf: Leaf, value: object) -> Leaf:
        """A new leaf of the same type and metadata that holds ``value``."""
        made: Leaf = leaf.copy(value)
        return made

    def variable_type(self, variable: Leaf) -> type[Variable[Any]]:
        """The class of a Variable, or of the Variable that a leaf stands for."""
        return type(variable)

    def metadata(self, variable: Leaf) -> dict[str, Any]:
        """All metadata, Flax's own bookkeeping included."""
        return dict(variable.get_metadata())

    def annotations(self, like: Sequence[Leaf]) -> Callable[[Sequence[Leaf]], Any]:
        """A function that reads the metadata of Variables like these, to compare them.

        What it gives may be what the Variables store: it is not to be changed.
        """
        return _stored_metadata

    def set_metadata(self, variable: Leaf, metadata: Mapping[str, object]) -> None:
        """Add or replace metadata."""
        variable.set_metadata(**metadata)

    # -- many at once, as a plan needs them -----------------------------------------

    def leaves_of(self, variables: Sequence[Leaf]) -> list[Leaf] | None:
        """Fresh leaves of a state around what Variables hold, as ``split`` gives them.

        Returns:
            None where that is not all there is to do: for references to arrays.
        """
        values = self.own_values(list(map(attrgetter(self.storage), variables)))
        if values is None:
            return None
        made: list[Leaf] = list(map(object.__new__, map(type, variables)))
        slots = {
            self.storage: values,
            "_trace_state": repeat(self.trace_state()),
            "_var_metadata": map(dict, map(stored_metadata, variables)),
        }
        fill(made, self.nnx.Variable, slots)
        return made

    def variables_of(self, leaves: Sequence[Leaf]) -> list[Variable[Any]] | None:
        """Fresh Variables around what leaves of a state hold, as ``merge`` makes them.

        Returns:
            None as for ``leaves_of``.
        """
        return self.leaves_of(leaves)

    def values_of(self, leaves: Sequence[Leaf]) -> list[Any]:
        """What leaves of a state hold, as it is stored."""
        return list(map(attrgetter(self.storage), leaves))

    def belong_here(self, variables: Sequence[Variable[Any]]) -> bool:
        """Whether Variables may be written to under the transformations under way."""
        made = list(map(attrgetter("_trace_state"), variables))
        return made == [self.trace_state()] * len(made)

    def kinds(self, leaves: Sequence[Leaf]) -> list[type] | None:
        """The classes of the Variables that leaves of a state stand for.

        Returns:
            None where a leaf is another thing than ``split`` gives.
        """
        return list(map(type, leaves))

    def own_values(self, values: list[Any]) -> list[Any] | None:
        """Values that are detached: only the containers among them are made anew.

        Returns:
            None where there is a reference to an array.
        """
        if self._arrays.issuperset(map(type, values)):
            return values
        if any(isinstance(value, self.reference_types) for value in values):
            return None
        leaves = [jax.tree_util.all_leaves([value]) for value in values]
        tracer = jax.core.Tracer  # whose class does not say whether it is a reference
        self._arrays.update(
            type(value)
            for value, leaf in zip(values, leaves, strict=True)
            if leaf and not isinstance(value, tracer)
        )
        return [
            value if leaf else rebuilt(value)
            for value, leaf in zip(values, leaves, strict=True)
        ]

    def trace_state(self) -> Any:
        """What a Variable made now keeps of the transformations under way."""
        return sys.modules[self.nnx.Variable.__module__].tracers.TraceState()

    def instance_states(self, kind: type, count: int) -> list[Any]:
        """What NNX keeps of so many new objects for itself, one each."""
        # not kind() for each: to ask jax for the trace takes it 0.5 to 16 us
        made = [kind() for _ in range(min(count, 1))]
        made += map(object.__new__, repeat(kind, count - len(made)))
        names: tuple[str, ...] = kind.__slots__  # type: ignore[attr-defined]
        fill(made[1:], kind, {n: repeat(getattr(made[0], n)) for n in names if made})
        return made

    # -- State ----------------------------------------------------------------------

    def flatten(self, state: object) -> dict[Path, Leaf]:
        """The leaves of a state by path, in the order of ``jax.tree.leaves``."""
        if not isinstance(state, self.nnx.State):
            return {(): cast("Leaf", state)}  # a bare Variable is its own state
        flat: dict[Path, Leaf] = {}
        _flatten_into(flat, (), state.raw_mapping, self.nnx.State)
        return flat

    def unflatten(self, flat: Mapping[Path, object]) -> State:
        """The State that holds these leaves at these paths."""
        whole = nested(flat)
        made: State = whole if () in flat else self.nnx.State(whole)
        return made

    # -- random keys ----------------------------------------------------------------

    def stable_keys(self) -> contextlib.AbstractContextManager[None]:
        """A context in which ``Rngs`` derives its keys as the newest releases do."""
        return contextlib.nullcontext()

    def key_derivation(self) -> str:
        """What the key derivation depends on besides jax's own settings."""
        return ""


#: The metadata of a Variable, of one kind or another, where they are a dict of its own.
stored_metadata = attrgetter("_var_metadata")


def _stored_metadata(variables: Sequence[Leaf]) -> Any:
    return list(map(stored_metadata, variables))


def fill(made: list[Any], kind: type, slots: Mapping[str, Iterable[object]]) -> None:
    """Put values into slots that a class has, of new objects, in C."""
    for name, values in slots.items():
        each(map(vars(kind)[name].__set__, made, values))


def each(calls: Iterable[object]) -> None:
    """Run an iterator to its end, in C."""
    deque(calls, maxlen=0)


def nested(flat: Mapping[Path, object]) -> Any:
    """Dicts in dicts, from values by path; a value at the root is all there is."""
    if () in flat:
        return flat[()]
    whole: dict[Any, Any] = {}
    for path, value in flat.items():
        at = whole
        for key in path[:-1]:
            at = at.setdefault(key, {})
        at[path[-1]] = value
    return whole


def _gather(mapping: dict[Any, Any], found: list[Any]) -> None:
    for value in mapping.values():
        if type(value) is dict:
            _gather(value, found)
        else:
            found.append(value)


def _refilled(mapping: dict[Any, Any], leaves: Iterator[Any]) -> dict[Any, Any]:
    return {
        key: _refilled(value, leaves) if type(value) is dict else next(leaves)
        for key, value in mapping.items()
    }


def _flatten_into(
    flat: dict[Path, Leaf], path: Path, mapping: Mapping[Any, Any], state_type: type
) -> None:
    for key in sorted(mapping):
        value = mapping[key]
        # not isinstance: State is an abstract class, which answers in Python
        if state_type in type(value).__mro__:
            value = value.raw_mapping
        if isinstance(value, dict):
            _flatten_into(flat, (*path, key), value, state_type)
        else:
            flat[(*path, key)] = value


def _written(old: Any, new: object, object_type: type) -> Any:
    """``old`` with new arrays inside: itself where it is mutable, else made anew.

    Args:
        old: an NNX object, a list or dict, or another pytree.
        new: what to replace, by key: nested dicts around arrays; or an array.
        object_type: the class of NNX objects, whose attributes can be set.
    """
    if not isinstance(new, dict):
        return new
    if isinstance(old, object_type):
        for key, value in new.items():
            was = vars(old)[key]
            now = _written(was, value, object_type)
            if now is not was:
                setattr(old, key, now)
        return old
    if type(old) in (list, dict):
        for key, value in new.items():
            old[key] = _written(old[key], value, object_type)
        return old
    children, tree = jax.tree_util.tree_flatten_with_path(
        old, is_leaf=lambda value: value is not old
    )
    made, same = [], True
    for (key,), was in children:
        wanted = plain_key(key)
        made.append(_written(was, new[wanted], object_type) if wanted in new else was)
        same = same and made[-1] is was
    return old if same else tree.unflatten(made)


def plain_key(key: object) -> Any:
    """The index, dict key or attribute name in a path entry of jax."""
    for name in ("key", "idx", "name"):
        if hasattr(key, name):
            return getattr(key, name)
    return str(key)
