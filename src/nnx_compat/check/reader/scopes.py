"""The names of a module, a class body or a function, and what is known of each."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from .. import events, releases
from ..values import ClassInfo, Value

__all__ = ["Scope"]


@dataclass
class Scope:
    """The names of a module, a class body or a function.

    Attributes:
        values: what is known of each.
        definitions: for guards: what was assigned, and on which releases, newest last.
        owner: in a method, or in the body of a class, that class.
        self_name: in a method, its first parameter.
        treated: in a function, what is done with states in it.
        plain_lists: in a method, the attributes of ``self`` that it made plain lists.
    """

    parent: Scope | None = None
    is_class: bool = False
    values: dict[str, Value] = field(default_factory=dict)
    definitions: dict[str, list[tuple[int, ast.expr]]] = field(default_factory=dict)
    owner: ClassInfo | None = None
    self_name: str = ""
    treated: events.Treated | None = None
    plain_lists: dict[str, ast.expr] = field(default_factory=dict)

    def chain(self) -> Iterator[Scope]:
        """This scope and those around it, class bodies left out as Python does."""
        scope: Scope | None = self
        while scope is not None:
            if scope is self or not scope.is_class:
                yield scope
            scope = scope.parent

    def lookup(self, name: str) -> Value:
        """What is known of a name."""
        for scope in self.chain():
            if name in scope.values:
                return scope.values[name]
        return None

    def definition(self, name: str, version: str) -> ast.expr | None:
        """What was last assigned to a name on a release."""
        for scope in self.chain():
            for mask, node in reversed(scope.definitions.get(name, ())):
                if releases.has(mask, version):
                    return node
            if name in scope.values:
                return None
        return None

    def join(self, other: Mapping[str, Value]) -> None:
        """Forget what differs where another branch has come to the same line."""
        mine = self.values
        for name in mine.keys() | other.keys():
            if mine.get(name) != other.get(name):
                mine[name] = None
