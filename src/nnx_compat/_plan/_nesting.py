"""The dicts in dicts of a state, put together and looked into without a walk."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from ..revisions import nnx
from ._pick import Pick, pick
from ._walk import Unplanned


class Nesting:
    """How the leaves of a state are nested.

    Args:
        state: as ``split`` gave it.
        order: for each of its leaves, by path with all keys as text, its number.

    Raises:
        Unplanned: it is no State, or it has other leaves.
    """

    def __init__(self, state: Any, order: dict[tuple[str, ...], int]) -> None:
        if not isinstance(state, nnx.State):
            raise Unplanned("the state of a bare Variable")
        contents: list[Any] = [state._mapping]
        where: list[tuple[str, ...]] = [()]
        depths = [0]
        #: of each container: its keys, and where its items are: the leaves come first
        items: list[tuple[tuple[Any, ...], list[int]]] = []
        leaves: dict[int, tuple[int, Any]] = {}
        ways: dict[int, tuple[list[int], list[Any]]] = {}
        for number, content in enumerate(contents):
            places = []
            for key, value in content.items():
                path = (*where[number], str(key))
                if type(value) is dict:
                    places.append(len(order) + len(contents))
                    parents, keys = ways.setdefault(depths[number], ([], []))
                    parents.append(number)
                    keys.append(key)
                    contents.append(value)
                    where.append(path)
                    depths.append(depths[number] + 1)
                elif path in order:
                    places.append(order[path])
                    leaves[order[path]] = number, key
                else:
                    raise Unplanned("a leaf that Flax finds elsewhere")
            items.append((tuple(content), places))
        if sorted(leaves) != list(range(len(order))):
            raise Unplanned("two leaves at one path")
        self._blank = [None] * len(contents)
        self._made = [
            (len(order) + number, keys, pick(places))
            for number, (keys, places) in reversed([*enumerate(items)])
        ]
        self._ways: list[tuple[Pick, list[Any]]] = [
            (pick(parents), keys) for _, (parents, keys) in sorted(ways.items())
        ]
        self._lengths = list(map(len, contents))
        at = [leaves[number] for number in range(len(order))]
        self._holders = pick([number for number, _ in at])
        self._keys = [key for _, key in at]

    def nest(self, leaves: Sequence[Any]) -> Any:
        """The State that holds these leaves."""
        things = [*leaves, *self._blank]
        for place, keys, items in self._made:
            things[place] = dict(zip(keys, items(things), strict=True))
        return nnx.State(things[len(leaves)])

    def leaves(self, state: Any) -> list[Any] | None:
        """The leaves of a State nested in this way, None for another one."""
        if type(state) is not nnx.State:
            return None
        contents: list[Any] = [state._mapping]
        try:
            for parents, keys in self._ways:
                found = list(map(operator.getitem, parents(contents), keys))
                if set(map(type, found)) - {dict}:
                    found = list(map(_content, found))
                contents += found
            if list(map(len, contents)) != self._lengths:
                return None
            return list(map(operator.getitem, self._holders(contents), self._keys))
        except (AttributeError, KeyError, TypeError):
            return None


def _content(value: Any) -> Any:
    """The dict in the place of which there is a State, or itself.

    Raises:
        TypeError: it is another thing, such as a leaf.
    """
    if type(value) is nnx.State:
        value = value._mapping
    if type(value) is not dict:
        raise TypeError(f"{type(value).__name__} is no part of a state")
    return value


def joined(states: Sequence[Any]) -> Any:
    """One State with the leaves of several; None where two have the same path."""
    if len(states) == 1:
        return states[0]
    if any(type(state) is not nnx.State for state in states):
        return None
    try:
        return nnx.State(_joined([state._mapping for state in states]))
    except TypeError:
        return None


def _joined(mappings: list[Any]) -> dict[Any, Any]:
    whole: dict[Any, Any] = {}
    shared: dict[Any, list[Any]] = {}
    for mapping in mappings:
        for key, value in mapping.items():
            if key not in whole:
                whole[key] = value
            else:
                shared.setdefault(key, [whole[key]]).append(value)
    for key, values in shared.items():
        whole[key] = _joined([*map(_content, values)])
    return whole
