"""Structures that were met, remembered with the nodes and graphdefs that have them.

The first time that a node is taken apart, Flax does it, and that it did is noted; the
second time a plan is made besides, which takes the place of Flax from then on. So what
is split once costs no more than natively. Nothing is remembered of a node longer than
it lives, and of a graphdef not much longer than somebody has it.
"""

from __future__ import annotations

import functools
import gc
import operator
import sys
import weakref
from collections.abc import Callable, Iterable, Sequence
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

from .._release import here
from ..revisions import bound, nnx
from ..revisions.get_value import Path
from ._building import Building
from ._live import live
from ._nesting import Nesting, joined
from ._pick import Pick, pick
from ._plan import Leaves, Plan, in_order, read, write_each
from ._walk import ATOMS, OBJECT, Unplanned, Walk, is_live

#: How many structures are remembered at most for one node, those used last first.
OF_ONE_NODE = 4
#: How many graphdefs are known how to build from, the oldest go first.
GRAPHDEFS = 128

#: Their values are what they are: an equal one is as good as the same.
_PLAIN = (bool, int, str, bytes, type(None))

#: A revision of somebody else's may take nodes apart in another way.
_ours = type(bound).__module__.startswith(f"{__package__.partition('.')[0]}.revisions.")


class Structure:
    """A graphdef, and how nodes that have it are recognised, taken apart and built.

    Args:
        graphdef: of the nodes.
    """

    def __init__(self, graphdef: Any) -> None:
        self.graphdef = graphdef
        #: each with the static values that have to be the same, not equal ones
        self._plans: list[tuple[Plan, Pick, tuple[Any, ...]]] = []
        self._nesting: Nesting | None = None
        self._building: Building | None = None
        self.is_built_by_flax = False

    def learn_to_split(self, node: object, state: Any) -> None:
        """Make a plan, of a node and the state that Flax gave for it.

        Raises:
            Unplanned: there can be none.
        """
        walk = Walk((node,))
        live = _live(walk, node)
        paths = [(0, *path) for path in bound.flatten(state)]
        self._plan(node, walk, paths, live)
        self._nesting = self._nested(paths, live, state)

    def learn_to_merge(self, states: Sequence[Any], node: object) -> None:
        """Find out how nodes are built, of one that Flax built from states.

        Raises:
            Unplanned: only Flax can build them.
        """
        state = joined(states)
        paths = [(0, *path) for path in bound.flatten(state)]
        walk = Walk((node,))
        live = _live(walk, node)
        variables, bare = in_order(walk, paths, live)
        nesting = self._nested(paths, live, state)
        leaves = nesting.leaves(state)
        self._kinds = [type(walk.met[number].value) for number in variables]
        self._bare_kinds = [type(walk.met[number].value) for number in bare]
        if leaves is None or bound.kinds(leaves[: len(variables)]) != self._kinds:
            raise Unplanned("leaves that are no Variables though the node has some")
        other = Walk((bound.merge(self.graphdef, states),))
        building = Building(walk, other, variables, bare)
        if self.match(node) is None:  # its attributes may come in another order
            self._plan(node, walk, paths, live)
        self._nesting = self._nesting or nesting
        self._building = building

    @property
    def can_build(self) -> bool:
        """Whether it is known how nodes are built."""
        return self._building is not None

    def match(self, node: object) -> Leaves | None:
        """The leaves of a node of this structure, None for another one."""
        for plan, held, same in self._plans:
            found = plan.match((node,))
            if found and all(map(operator.is_, held(found.statics), same)):
                return found
        return None

    def state(self, found: Leaves) -> Any:
        """The detached state of a node; None where Flax has to be asked."""
        assert self._nesting is not None
        leaves = bound.leaves_of(found.variables)
        return None if leaves is None else self._nesting.nest([*leaves, *found.bare])

    def leaves(self, state: Any) -> list[Any] | None:
        """The leaves of a whole state, Variables first; None for another one."""
        return None if self._nesting is None else self._nesting.leaves(state)

    def merged(self, states: Sequence[Any]) -> Any:
        """A new node from states; None where Flax has to be asked."""
        assert self._building is not None
        leaves = self.leaves(joined(states))
        if leaves is None:
            return None
        count = len(self._kinds)
        of_variables, bare = leaves[:count], leaves[count:]
        if (
            bound.kinds(of_variables) != self._kinds
            or list(map(type, bare)) != self._bare_kinds
        ):
            return None
        variables = bound.variables_of(of_variables)
        return None if variables is None else self._building.node(variables, bare)

    def cloned(self, found: Leaves) -> Any:
        """A copy of a node; None where Flax has to be asked."""
        assert self._building is not None
        leaves = bound.leaves_of(found.variables)
        variables = None if leaves is None else bound.variables_of(leaves)
        if variables is None:
            return None
        return self._building.node(variables, found.bare)

    def update(self, found: Leaves, state: Any) -> bool:
        """Give Variables the values of a whole state that differs in nothing else.

        Returns:
            False where nothing was done.
        """
        leaves = self.leaves(state)
        if leaves is None or found.bare:
            return False
        return _written(found.variables, leaves)

    def _plan(self, node: object, walk: Walk, paths: list[Path], live: Any) -> None:
        statics = [walk.met[number] for number in walk.statics]
        # what names the data of an object is Flax's own, and there is one for each
        _check_free(s.value for s in statics if s.path[-1] != here.data_names)
        values = [seen.value for seen in statics]
        plan = Plan((node,), paths, live, walk)
        found = plan.match((node,))
        if found is None:
            raise Unplanned("not even itself")
        held = pick([i for i, v in enumerate(values) if type(v) not in _PLAIN])
        self._plans.append((plan, held, held(found.statics)))

    def _nested(self, paths: list[Path], live: Any, state: Any) -> Nesting:
        order = [path for path in paths if path in live]
        order += [path for path in paths if path not in live]
        named = {tuple(map(str, path[1:])): i for i, path in enumerate(order)}
        return Nesting(state, named)


def _written(variables: Sequence[Any], leaves: Sequence[Any]) -> bool:
    """Give Variables the values of leaves that differ in nothing else.

    Returns:
        False where nothing was done.
    """
    if not bound.belong_here(variables):
        return False
    new = bound.own_values(bound.values_of(leaves))
    old = bound.own_values(read(variables))
    if new is None or old is None:
        return False
    try:
        annotations = bound.annotations(variables)
        if (
            bound.kinds(leaves) != list(map(type, variables))
            or list(map(_shape, new)) != list(map(_shape, old))
            or annotations(leaves) != annotations(variables)
        ):
            return False
    except (AttributeError, TypeError, ValueError):
        return False  # a value without a shape, metadata that cannot be compared
    write_each(variables, new)
    return True


_shape = operator.attrgetter("shape")


class _Known:
    """What is remembered of one node."""

    def __init__(self, node: object) -> None:
        self.node = weakref.ref(node, functools.partial(_gone, id(node)))
        self.misses = 0
        self.structures: tuple[Structure, ...] = ()


_of_nodes: dict[int, _Known] = {}
_of_graphdefs: dict[int, Structure] = {}
_merges: dict[int, int] = {}


def met(node: object) -> tuple[Structure, Leaves] | None:
    """The structure of a node and its leaves, if there is a plan that it fits."""
    anchor = _anchor(node)
    known = _of_nodes.get(id(anchor))
    if known is None or known.node() is not anchor:
        return None
    for structure in known.structures:
        found = structure.match(node)
        if found is not None:
            _put_first(known, structure)
            known.misses = min(known.misses, 1)
            return structure, found
    return None


def note_split(node: object, graphdef: Any, state: Any) -> None:
    """Remember that Flax took a node apart, and make a plan if it did before."""
    _merges.pop(id(graphdef), None)  # what is counted there is of one that is gone
    known = _known(node)
    if known is None:
        return
    known.misses += 1
    if not _due(known.misses):
        return
    structure = _learned(graphdef, lambda it: it.learn_to_split(node, state))
    if structure is not None:
        _put_first(known, structure)


def _learned(graphdef: Any, learn: Callable[[Structure], None]) -> Structure | None:
    """The structure of a graphdef once it has learned something; None if it cannot."""
    structure = _of_graphdefs.get(id(graphdef)) or Structure(graphdef)
    try:
        learn(structure)
    except (Unplanned, RecursionError):
        return None
    _keep(structure)
    return structure


def mergeable(graphdef: Any) -> Structure | None:
    """The structure of a graphdef if it is known how nodes are built."""
    structure = _of_graphdefs.get(id(graphdef))
    if structure is None or structure.graphdef is not graphdef:
        return None
    return structure if structure.can_build else None


def updated(node: object, state: Any) -> bool:
    """Give the Variables of a node that has no plan the values of a state.

    Returns:
        False where Flax has to do it, and nothing was done.
    """
    found = live(node) if _ours and isinstance(state, nnx.State) else None
    if found is None:
        return False
    leaves = bound.flatten(state)
    try:
        variables = [found[path] for path in leaves]
        if not _written(variables, list(leaves.values())):
            return False
    except (AttributeError, KeyError):
        return False  # a leaf of another kind, or that is no Variable
    note_use(node)
    return True


def note_use(node: object) -> None:
    """Remember that a node was met and not split, and make a plan if it was before."""
    known = _known(node)
    if known is not None and _due(known.misses + 1):
        note_split(node, *bound.split(node))
    elif known is not None:
        known.misses += 1


def copied(structure: Structure, found: Leaves) -> Any:
    """A copy of a node with these leaves; None where Flax has to make it."""
    if not structure.can_build:
        state = structure.state(found)
        if structure.is_built_by_flax or state is None:
            return None
        try:
            structure.learn_to_merge(
                (state,), bound.merge(structure.graphdef, (state,))
            )
        except (Unplanned, RecursionError):
            structure.is_built_by_flax = True
            return None
    node = structure.cloned(found)
    if node is not None:
        note_built(structure, node)
    return node


def note_merge(graphdef: Any, states: Sequence[Any], node: object) -> None:
    """Remember that Flax built a node, and find out how if it did before."""
    if not _ours or _anchor(node) is None:
        return
    # by its id alone, which note_split frees of what an earlier one left there
    _merges[id(graphdef)] = count = _merges.get(id(graphdef), 0) + 1
    if not _due(count):
        return
    _learned(graphdef, lambda it: it.learn_to_merge(states, node))


def note_built(structure: Structure, node: object) -> None:
    """Remember that a new node has a structure."""
    known = _known(node)
    if known is not None:
        _put_first(known, structure)


def _gone(key: int, _: object) -> None:
    """A node is dead; its graphdef is left to those who have it."""
    known = _of_nodes.pop(key, None) if _of_nodes is not None else None
    if known is not None:  # the globals are None at the end of the interpreter
        keys = [id(structure.graphdef) for structure in known.structures]
        del known
        _forget(keys)


def _put_first(known: _Known, structure: Structure) -> None:
    """A new tuple each time: other threads may look at the old one."""
    if not known.structures or known.structures[0] is not structure:
        others = [other for other in known.structures if other is not structure]
        known.structures = (structure, *others[: OF_ONE_NODE - 1])


def _due(misses: int) -> bool:
    """The second time, and ever more seldom where it came to nothing."""
    return misses > 1 and misses & (misses - 1) == 0


def _known(node: object) -> _Known | None:
    anchor = _anchor(node)
    if anchor is None or not _ours:
        return None
    known = _of_nodes.get(id(anchor))
    if known is None or known.node() is not anchor:
        try:
            known = _of_nodes[id(anchor)] = _Known(anchor)
        except TypeError:
            return None  # an object without weak references
    return known


def _anchor(node: Any) -> object | None:
    """The object whose life is that of the node: itself, or the first one inside."""
    if isinstance(node, OBJECT):
        return node
    inside: Iterable[Any] = ()
    if type(node) in (list, tuple):
        inside = node
    elif type(node) is dict:
        inside = node.values()
    return next((value for value in inside if isinstance(value, OBJECT)), None)


def _keep(structure: Structure) -> None:
    """Find it by its graphdef from now on."""
    _forget(list(_of_graphdefs))
    while len(_of_graphdefs) >= GRAPHDEFS:
        _of_graphdefs.pop(next(iter(_of_graphdefs)), None)
    _of_graphdefs[id(structure.graphdef)] = structure
    _merges.clear()


def _forget(keys: Iterable[int]) -> None:
    """Let go of those graphdefs that nobody else has.

    Not by weak references: most releases of Flax make graphdefs that can have none.
    """
    for key in keys:
        structure = _of_graphdefs.get(key)
        # it is held by the dict, by this name and as the argument of the question
        if (
            structure is not None
            and sys.getrefcount(structure) <= 3
            and sys.getrefcount(structure.graphdef) <= 2
        ):
            _of_graphdefs.pop(key, None)


def _live(walk: Walk, node: object) -> dict[Path, Any]:
    """The Variables by path; one that is met twice counts where Flax meets it first."""
    if walk.again:
        found = bound.live_variables(node)
        return {(0, *path): variable for path, variable in found.items()}
    return dict(walk.met[number] for number in walk.variables)


#: How many objects behind static values are looked at, at most: in all, or for each.
_BEHIND, _BEHIND_EACH = 10_000, 10
_FUNCTIONS = (FunctionType, BuiltinFunctionType, MethodType)
_ENDS = tuple(kind for kind in ATOMS if kind not in _FUNCTIONS)


def _check_free(values: Iterable[Any]) -> None:
    """Check that static values keep no node alive, as far as can be seen.

    Raises:
        Unplanned: to remember them would give it a longer life.
    """
    seen: set[int] = set()
    stack = list(values)
    most = max(_BEHIND, _BEHIND_EACH * len(stack))
    while stack:
        value = stack.pop()
        if id(value) in seen or isinstance(value, _ENDS):
            continue
        seen.add(id(value))
        if isinstance(value, OBJECT) or is_live(type(value)) or len(seen) > most:
            raise Unplanned("a static value that holds a node")
        if isinstance(value, FunctionType):  # all but the module that it is in
            stack += [value.__closure__, value.__defaults__, value.__kwdefaults__]
            stack.append(vars(value))
        elif not _is_of_a_module(value):
            stack += gc.get_referents(value)


def _is_of_a_module(value: Any) -> bool:
    """Whether a module has it by its name, and so it lives anyway."""
    module = sys.modules.get(getattr(value, "__module__", None) or "")
    name = getattr(value, "__qualname__", None)
    return isinstance(name, str) and getattr(module, name, None) is value
