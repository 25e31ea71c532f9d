"""Nodes of one structure made anew, as ``merge`` makes them, without a graphdef."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..revisions import bound
from ._pick import pick
from ._walk import INSTANCE_STATE, OBJECT, Unplanned, Walk

#: As vars() has it, but for Modules that look at each name in Python, as once all did.
_attributes = object.__getattribute__


class Building:
    """How a node is put together.

    Args:
        one: a walk over a node that Flax merged.
        other: one over another node, merged of the same.
        variables: the numbers of its Variables, in the order of the leaves.
        bare: the numbers of its other leaves.

    Raises:
        Unplanned: only Flax itself can make such a node.
    """

    def __init__(
        self, one: Walk, other: Walk, variables: Sequence[int], bare: Sequence[int]
    ) -> None:
        if len(one.met) != len(other.met):
            raise Unplanned("a merge that is not the same each time")
        self._statics = [one.met[number].value for number in one.statics]
        for number, value in zip(one.statics, self._statics, strict=True):
            if other.met[number].value is not value:
                raise Unplanned("a static value that a merge makes anew")
        leaves = [*variables, *bare]
        containers = one.containers[1:]
        # where each thing is among the statics, the leaves, the containers and then
        # the states of the objects
        place = {number: at for at, number in enumerate([*one.statics, *leaves])}
        first = len(place)
        place |= {number: first + at for at, number in enumerate(one.inside)}
        place |= {number: place[again] for number, again in one.again}
        states = [
            number
            for number, (container, key) in enumerate(one.where)
            if key in INSTANCE_STATE and isinstance(one.containers[container], OBJECT)
        ]
        last = first + len(containers)
        place |= {number: last + at for at, number in enumerate(states)}
        if len(place) != len(one.met):
            raise Unplanned("something that is no leaf and not static")
        self._states = _kind_of_states([one.met[number].value for number in states])
        self._count = len(states)
        self._made = [_new(container) for container in containers]
        inside: list[list[int]] = [[] for _ in one.containers]
        for number, (container, _) in enumerate(one.where):
            inside[container].append(place[number])
        self._root = inside[0][0]
        self._filled: list[tuple[int, tuple[Any, ...], Any]] = []
        self._tuples: list[tuple[int, Any, Any]] = []
        for at, container in enumerate(containers):
            items = pick(inside[at + 1])
            if isinstance(container, tuple):
                self._tuples.insert(0, (first + at, type(container), items))
            else:
                keys = (
                    tuple(one.contents[at + 1]) if type(container) is not list else ()
                )
                self._filled.append((first + at, keys, items))

    def node(self, variables: Sequence[Any], bare: Sequence[Any]) -> Any:
        """A node around these Variables and other leaves, which it takes over."""
        things = [*self._statics, *variables, *bare]
        things += [new and new(kind) for new, kind in self._made]
        if self._states is not None:
            things += bound.instance_states(self._states, self._count)
        for place, kind, items in self._tuples:  # the inner ones come first
            things[place] = tuple.__new__(kind, items(things))
        for place, keys, items in self._filled:
            made = things[place]
            if type(made) is list:
                made += items(things)
            else:
                content = made if type(made) is dict else _attributes(made, "__dict__")
                content.update(zip(keys, items(things), strict=True))
        return things[self._root]


def _new(container: Any) -> tuple[Any, type]:
    """How a container is made empty: by which function, None for a tuple; its class.

    Raises:
        Unplanned: more than its items is in it.
    """
    kind = type(container)
    if kind in (list, dict):
        return kind.__new__, kind
    if isinstance(container, tuple):
        return None, kind
    if not isinstance(container, OBJECT):
        raise Unplanned(f"a {kind.__name__} inside a node")
    slots = [name for base in kind.__mro__ for name in vars(base).get("__slots__", ())]
    if set(slots) - {"__dict__", "__weakref__"}:
        raise Unplanned(f"{kind.__name__} has slots")
    try:
        object.__new__(kind)
    except TypeError as error:
        raise Unplanned(f"{kind.__name__} is made in a way of its own") from error
    return object.__new__, kind


def _kind_of_states(states: list[Any]) -> type | None:
    """The class of what NNX keeps of objects for itself.

    Raises:
        Unplanned: they are not as new ones are.
    """
    kinds = set(map(type, states))
    if len(kinds) > 1:
        raise Unplanned("objects of more than one kind")
    if not kinds:
        return None
    (kind,) = kinds
    new = kind()
    for state in states:
        for name in ("_initializing", "_is_setup"):
            if getattr(state, name, None) != getattr(new, name, None):
                raise Unplanned("an object that is being set up")
    return kind
