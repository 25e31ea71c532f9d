"""All paths by which a Variable can be reached, not only the one that a state has.

A tied Variable is once in a state, at the path that the installed release meets first;
another release, or a model whose attributes were set in another order, met another one.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import TypeAlias

from ..auditing._walk import attributes, elements, is_object
from ..revisions import nnx

_State = nnx.State
#: Where an object is: what holds it, by id, and under which name, key or index.
_Edge: TypeAlias = tuple[int, str]
#: A model with layers tied in a chain has as many paths as there are subsets of it.
_LIMIT = 64


class Paths:
    """The object graph of a node, turned round: from a Variable up to the root.

    Args:
        root: a node.
    """

    def __init__(self, root: object) -> None:
        self._root = id(root)
        self._edges: dict[int, list[_Edge]] = {}
        # Also what keeps each of them alive, and so its id its own.
        self._inside: dict[int, dict[str, object]] = {}
        self._start = root
        pending = [root]
        while pending:
            parent = pending.pop()
            if id(parent) in self._inside:
                continue
            inside = {str(key): child for key, child in _children(parent)}
            self._inside[id(parent)] = inside
            for key, child in inside.items():
                self._edges.setdefault(id(child), []).append((id(parent), key))
            pending += inside.values()

    def at(self, path: tuple[str, ...]) -> object:
        """What is at a path, or None."""
        found = self._start
        for key in path:
            found = self._inside.get(id(found), {}).get(key)
        return found

    def to(self, value: object) -> list[tuple[str, ...]]:
        """The paths from the root to an object, as text."""
        found: list[tuple[str, ...]] = []
        pending: list[tuple[int, tuple[str, ...], tuple[int, ...]]] = [
            (id(value), (), ())
        ]
        while pending and len(found) < _LIMIT:
            at, path, passed = pending.pop()
            if at == self._root:
                found.append(path)
                continue
            for parent, key in self._edges.get(at, ()):
                if parent not in passed:
                    pending.append((parent, (key, *path), (*passed, at)))
        return found


def _children(value: object) -> Iterator[tuple[Hashable, object]]:
    if isinstance(value, nnx.Variable):
        return
    if isinstance(value, _State):
        yield from value.raw_mapping.items()
    elif is_object(value):
        yield from attributes(value)
    else:
        yield from elements(value) or ()
