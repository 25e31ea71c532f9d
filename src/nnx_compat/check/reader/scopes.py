"""The names of a module, a class body or a function, and what is known of each."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .. import events, releases
from ..joining import joined
from ..values import (
    NOTHING,
    ClassInfo,
    Dotted,
    Function,
    Value,
    known,
)

if TYPE_CHECKING:
    from ..program import Unit

__all__ = ["Scope"]


@dataclass
class Scope:
    """The names of a module, a class body or a function.

    Attributes:
        values: what is known of each.
        definitions: for guards: what was assigned, and on which releases, newest last.
        owner: in a method, or in the body of a class, that class.
        self_name: in a method, its first parameter.
        function: in a function, what is known of it.
        treated: in a function, what is done with states in it.
        in_init: whether it is ``__init__``, or runs when that runs.
        plain_lists: in a method, the attributes of ``self`` that it made plain lists.
        bound: how often each name was bound.
        splits_keys: whether keys are split in it by ``nnx.split_rngs(rngs, splits=n)``.
        imported: the names that come from other files of the program, and from which.
    """

    parent: Scope | None = None
    is_class: bool = False
    values: dict[str, Value] = field(default_factory=dict)
    definitions: dict[str, list[tuple[int, ast.expr]]] = field(default_factory=dict)
    owner: ClassInfo | None = None
    self_name: str = ""
    in_init: bool = False
    function: Function | None = None
    treated: events.Treated | None = None
    plain_lists: dict[str, ast.expr] = field(default_factory=dict)
    splits_keys: bool = False
    imported: dict[str, tuple[Unit, str]] = field(default_factory=dict)
    bound: dict[str, int] = field(default_factory=dict)
    _trails: list[dict[str, Value]] = field(default_factory=list)

    def chain(self) -> Iterator[Scope]:
        """This scope and those around it, class bodies left out as Python does."""
        scope: Scope | None = self
        while scope is not None:
            if scope is self or not scope.is_class:
                yield scope
            scope = scope.parent

    def lookup(self, name: str) -> Value:
        """What is known of a name."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.values and (scope is self or not scope.is_class):
                return scope.values[name]
            scope = scope.parent
        return None

    def home(self, name: str) -> Scope | None:
        """The scope that a name is of."""
        return next((scope for scope in self.chain() if name in scope.values), None)

    def is_bound_again(self, name: str) -> bool:
        """Whether a name is bound more than once, so that it is not one thing."""
        home = self.home(name)
        return home is not None and home.bound.get(name, 0) > 1

    def method_owner(self) -> ClassInfo | None:
        """The class whose method this is, or is inside of."""
        return next((s.owner for s in self.chain() if s.owner and s.self_name), None)

    def definition(self, name: str, version: str) -> ast.expr | None:
        """What was last assigned to a name on a release."""
        for scope in self.chain():
            for mask, node in reversed(scope.definitions.get(name, ())):
                if releases.has(mask, version):
                    return node
            if name in scope.values or name in scope.imported:
                return None
        return None

    def origin(self, name: str) -> tuple[Unit, str] | None:
        """The file of the program that a name was imported from, and its name there."""
        for scope in self.chain():
            if name in scope.imported:
                return scope.imported[name]
            if name in scope.values:
                return None
        return None

    def same(self, other: Scope, known: set[tuple[int, int]]) -> bool:
        """Whether this scope and those around it are like another and those around.

        Args:
            other: the other one.
            known: those that are known to be like each other; more are added.
        """
        key = id(self), id(other)
        if self is other or key in known:
            return True
        if (self.parent is None) is not (other.parent is None) or (
            self.parent is not None
            and other.parent is not None
            and not self.parent.same(other.parent, known)
        ):
            return False
        like = (
            (self.owner, self.self_name, self.function)
            == (other.owner, other.self_name, other.function)
            and self.values == other.values
            and (self.bound, self.imported) == (other.bound, other.imported)
            and self.definitions == other.definitions
        )
        if like:
            known.add(key)
        return like

    # -- branches -------------------------------------------------------------------

    def set(self, name: str, value: Value) -> None:
        """Note what a name stands for from here on."""
        self.bound[name] = self.bound.get(name, 0) + 1
        if self._trails and name not in self._trails[-1]:
            self._trails[-1][name] = self.values.get(name, _UNBOUND)
        self.values[name] = value

    def begin(self) -> None:
        """Begin a branch: what is bound from here on can be undone."""
        self._trails.append({})

    def end(self) -> dict[str, Value]:
        """End the branch and undo what it bound; that is returned."""
        trail = self._trails.pop()
        bound = {name: self.values[name] for name in trail if name in self.values}
        for name, before in trail.items():
            if before is _UNBOUND:
                self.values.pop(name, None)
            else:
                self.values[name] = before
        return bound

    def take(self, bound: dict[str, Value]) -> None:
        """Go on with what a branch has bound."""
        for name, value in bound.items():
            self.set(name, value)

    def join(self, first: dict[str, Value], second: dict[str, Value]) -> None:
        """Go on where two branches come together: forget what differs."""
        self.take(self.joined(first, second))

    def joined(
        self, first: dict[str, Value], second: dict[str, Value]
    ) -> dict[str, Value]:
        """What two branches have bound, as far as it is the same."""
        found = {}
        for name in first.keys() | second.keys():
            here = self.values.get(name, _UNBOUND)
            found[name] = _of_either(first.get(name, here), second.get(name, here))
        return found


#: Of a name that nothing is bound to.
_UNBOUND: Value = Dotted("")


def _of_either(one: Value, other: Value) -> Value:
    if one is _UNBOUND or one is NOTHING:
        return other
    if other is _UNBOUND or other is NOTHING:
        return one
    return None if one is None or other is None else known(joined(one, other))
