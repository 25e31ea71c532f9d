"""A walk remembered: what has to be found again, and how the leaves are read."""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, NamedTuple

from .._release import here
from ..revisions import bound, nnx
from ..revisions.get_value import Path
from ._pick import Pick, pick
from ._rebuilt import Rebuilding
from ._walk import Unplanned, Walk, frozen

if TYPE_CHECKING:
    from flax.nnx import Variable


class Leaves(NamedTuple):
    """What nodes that match a plan hold: Variables, other leaves, and statics."""

    variables: tuple[Variable[Any], ...]
    bare: tuple[Any, ...]
    statics: tuple[Any, ...]


class Plan:
    """How nodes of one structure are recognised, and where their leaves are.

    Args:
        nodes: the nodes together, as ``split`` would be given them.
        paths: of the leaves of their state, in order.
        live: their Variables by path.
        walk: over the nodes, where there is one already.

    Attributes:
        fixed: their static values.

    Raises:
        Unplanned: only a walk by Flax itself can judge them.
    """

    def __init__(
        self,
        nodes: tuple[Any, ...],
        paths: Iterable[Path],
        live: Mapping[Path, Variable[Any]],
        walk: Walk | None = None,
    ) -> None:
        try:
            walk = walk or Walk(nodes)
        except RecursionError:
            raise Unplanned("containers that hold themselves") from None
        self._ways, order = _ways(walk)
        keyed = [i for i in order if isinstance(walk.contents[i], dict)]
        listed = [i for i in order if not isinstance(walk.contents[i], dict)]
        found_at = {number: at for at, number in enumerate(order)}
        self._keyed = pick([found_at[i] for i in keyed])
        self._listed = pick([found_at[i] for i in listed])
        self._keys = list(chain.from_iterable(walk.contents[i] for i in keyed))
        self._lengths = [len(walk.contents[i]) for i in listed]
        numbers = _renumbered(walk, [*keyed, *listed])
        values = [walk.met[number].value for number in numbers]
        place = {number: at for at, number in enumerate(numbers)}

        def places(walked: Iterable[int]) -> list[int]:
            return [place[number] for number in walked]

        self._again = [(place[number], place[first]) for number, first in walk.again]
        # what is a container, a Variable or another leaf has to be of the same class
        self._classed = pick(places(walk.inside))
        self._classes = list(map(type, self._classed(values)))
        self._objects = pick(places(walk.objects))
        self._distinct = len(walk.objects) + len(walk.variables)
        self._statics = pick(places(walk.statics))
        self.fixed = tuple(
            seen.value if seen.path[-1] == here.data_names else frozen(seen.value)
            for seen in (walk.met[number] for number in walk.statics)
        )
        self._fixed_classes = list(map(type, self._statics(values)))
        paths = list(paths)
        variables, bare = in_order(walk, paths, live)
        self._order = _mixed(paths, live)
        self._rebuilding = Rebuilding(walk, bare) if bare else None
        self._variables = pick(places(variables))
        self._bare = pick(places(bare))
        found = self._variables(values)
        self._variable_classes = list(map(type, found))
        self._bare_classes = list(map(type, self._bare(values)))
        self._annotations = bound.annotations(found)
        self._annotated = frozen(self._annotations(found))

    def match(self, nodes: tuple[Any, ...]) -> Leaves | None:
        """The leaves of nodes of this structure, None for nodes of another one."""
        try:
            return self._match(nodes)
        except (AttributeError, KeyError, IndexError, TypeError, ValueError):
            return None  # something is of another kind, or cannot be compared

    def values(self, found: Leaves) -> list[Any]:
        """The values of the leaves, in the order of the state."""
        if self._order is None:
            return read(found.variables)
        return list(self._order([*read(found.variables), *found.bare]))

    def put(self, nodes: tuple[Any, ...], bare: Sequence[Any]) -> None:
        """Put other leaves in the place of those that are no Variables."""
        if self._rebuilding is not None:
            self._rebuilding.apply(nodes, bare)

    def _match(self, nodes: tuple[Any, ...]) -> Leaves | None:
        contents: list[Any] = [nodes]
        for parents, keys, attribute in self._ways:
            found = map(operator.getitem, parents(contents), keys)
            contents += found if attribute is None else map(attribute, found)
        keyed, listed = self._keyed(contents), self._listed(contents)
        if (
            list(map(len, listed)) != self._lengths
            or list(chain.from_iterable(keyed)) != self._keys
        ):
            return None
        met = [
            *chain.from_iterable(map(dict.values, keyed)),
            *chain.from_iterable(listed),
        ]
        statics = self._statics(met)
        variables, bare = self._variables(met), self._bare(met)
        if (
            list(map(type, self._classed(met))) != self._classes
            or list(map(type, variables)) != self._variable_classes
            or list(map(type, statics)) != self._fixed_classes
            or statics != self.fixed
            or self._annotations(variables) != self._annotated
        ):
            return None
        if bare and list(map(type, bare)) != self._bare_classes:
            return None
        distinct = set(map(id, variables))
        distinct.update(map(id, self._objects(met)))
        if len(distinct) != self._distinct:
            return None  # something is shared that was not
        for number, first in self._again:
            if met[number] is not met[first]:
                return None
        return Leaves(variables, bare, statics)


class Way(NamedTuple):
    """How containers of one depth and kind are found, all together."""

    parents: Pick
    keys: list[Any]
    attribute: Callable[[Any], Any] | None


def _ways(walk: Walk) -> tuple[list[Way], list[int]]:
    """The ways to all containers, and the order in which they are found."""
    groups: dict[tuple[int, str], list[int]] = {}
    for number, step in enumerate(walk.steps, start=1):
        groups.setdefault((step.depth, step.attribute or ""), []).append(number)
    order, ways = [0], []
    for (_, attribute), members in sorted(groups.items()):
        steps = [walk.steps[number - 1] for number in members]
        place = {number: at for at, number in enumerate(order)}
        ways.append(
            Way(
                pick([place[step.parent] for step in steps]),
                [step.key for step in steps],
                operator.attrgetter(attribute) if attribute else None,
            )
        )
        order += members
    return ways, order


def _renumbered(walk: Walk, order: list[int]) -> list[int]:
    """The numbers of all that was met, by containers in another order."""
    starts, at = [], 0
    for content in walk.contents:
        starts.append(at)
        at += len(content)
    return [
        starts[i] + offset for i in order for offset in range(len(walk.contents[i]))
    ]


def in_order(
    walk: Walk, paths: Sequence[Path], live: Mapping[Path, Variable[Any]]
) -> tuple[list[int], list[int]]:
    """The numbers of the Variables and of the other leaves, in the order of the state.

    Raises:
        Unplanned: Flax sees other leaves than were met.
    """
    numbers = {id(walk.met[number].value): number for number in walk.variables}
    elsewhere = {walk.met[number].path: number for number in walk.bare}
    variables, bare = [], []
    for path in paths:
        if path in live:
            variables.append(numbers.get(id(live[path]), -1))
        else:
            bare.append(elsewhere.get(path, -1))
    found = sorted(variables), sorted(bare)
    if found != (sorted(walk.variables), sorted(walk.bare)):
        raise Unplanned("leaves that Flax finds elsewhere")
    return variables, bare


def _mixed(paths: list[Path], live: Mapping[Path, Variable[Any]]) -> Pick | None:
    """From the Variables and then the others to all in the order of the state."""
    numbers = list(range(len(paths)))
    order = [i for i in numbers if paths[i] in live]
    order += [i for i in numbers if paths[i] not in live]
    if order == numbers and all(path in live for path in paths):
        return None
    place = {number: at for at, number in enumerate(order)}
    return pick([place[i] for i in numbers])


# -- the values of Variables, as they are stored: no hook runs, no trace level is asked

_read = operator.attrgetter(bound.storage)


def read(variables: Sequence[Variable[Any]]) -> list[Any]:
    """The values of Variables."""
    return list(map(_read, variables))


# the slot itself takes half the time, where there are slots
_slot: Any = vars(nnx.Variable)[bound.storage] if here.variables_have_slots else None


def write(variables: Sequence[Variable[Any]], values: Sequence[Any]) -> None:
    """Give Variables new values."""
    if len(variables) != len(values):
        raise ValueError(f"{len(variables)} Variables and {len(values)} values")
    write_each(variables, values)


def write_each(variables: Iterable[Variable[Any]], values: Iterable[Any]) -> None:
    """Give Variables new values, all of them whatever signal comes in between.

    No bytecode runs between the first and the last, so there is no place for a
    KeyboardInterrupt.
    """
    if _slot is not None:
        deque(map(_slot.__set__, variables, values), maxlen=0)
    else:
        names = repeat(bound.storage)
        deque(map(object.__setattr__, variables, names, values), maxlen=0)
