"""What is known of something that comes from several places, or is one of several."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import cast

from . import kinds
from .values import (
    NOTHING,
    UNCLEAR,
    ClassInfo,
    Dotted,
    Function,
    Instance,
    Keys,
    Several,
    Value,
    known,
)

__all__ = ["element", "joined", "together"]

_MANY = 16  # kinds in one list: more say nothing new
_DEPTH = 4  # of containers in containers: what is deeper is not told apart


def joined(one: Value, other: Value, depth: int = 0) -> Value:
    """What is known of something that is the one or the other.

    Nothing known stands for anything: what one place of the program does is done,
    whatever the others do.
    """
    if one is other or other is None:
        return one
    if one is None or one is NOTHING:
        return other
    if other is NOTHING:
        return one
    if one == other:
        return one
    if depth > _DEPTH:
        return UNCLEAR
    if isinstance(one, Instance) and isinstance(other, Instance):
        return _of_both(one, other, depth)
    if isinstance(one, Several) and isinstance(other, Several):
        return _several_of_both(one, other, depth)
    if isinstance(one, Keys) and isinstance(other, Keys):
        mine, theirs = dict(one.items), dict(other.items)
        items = tuple(
            (key, joined(mine.get(key), theirs.get(key), depth + 1))
            for key in sorted(mine.keys() | theirs.keys())
        )
        rest = joined(one.rest, other.rest, depth + 1)
        return Keys(items, rest, one.plain and other.plain, one.passed or other.passed)
    if isinstance(one, ClassInfo) and isinstance(other, ClassInfo):
        return _one_of(one, other)
    return UNCLEAR


def _one_of(one: ClassInfo, other: ClassInfo) -> Value:
    """A class that is the one or the other: of it is known what is of both."""
    among = frozenset((*(one.one_of or (one,)), *(other.one_of or (other,))))
    common = _common(one, other)
    native = common.native() if isinstance(common, ClassInfo) else common
    if not native or len(among) > _MANY:
        return UNCLEAR
    if among not in one.turn.several:
        # what more it has, and how it is called, is not said
        one.turn.several[among] = ClassInfo(
            "", (Dotted(native), UNCLEAR), one_of=tuple(among), named_like={("", "")},
            methods={"__init__": Function(_ANY_ARGUMENTS)}, turn=one.turn,
        )  # fmt: skip
    return one.turn.several[among]


_ANY_ARGUMENTS = cast(ast.Lambda, ast.parse("lambda *_, **__: 0", mode="eval").body)


def _of_both(one: Instance, other: Instance, depth: int) -> Value:
    kind = _common(one.kind, other.kind)
    if kind is None or one.compat != other.compat:
        return UNCLEAR
    return replace(
        one,
        kind=kind,
        attribute=one.attribute and other.attribute,
        origin=known(joined(one.origin, other.origin, depth + 1)),
        written=one.written if one.written == other.written else "",
        filtered=one.filtered or other.filtered,
        gradient=one.gradient and other.gradient,
        streams=one.streams if one.streams == other.streams else None,
        arrays=one.arrays if one.arrays == other.arrays else "",
    )


def _common(one: str | ClassInfo, other: str | ClassInfo) -> str | ClassInfo | None:
    """The class that both derive from, if there is one that says something."""
    if one == other:
        return one
    mine = [a for a in _line(one) if a is not UNCLEAR]
    theirs = _line(other)
    found = next((a for a in mine if a in theirs), None)
    if isinstance(found, ClassInfo):
        return found
    return found.path if isinstance(found, Dotted) else None


def _line(kind: str | ClassInfo) -> list[Value]:
    if isinstance(kind, ClassInfo):
        own = list(kind.families())
        native = kind.native()
    else:
        own, native = [], kind
    rest = [Dotted(native)] if native else []
    line: list[Value] = [*own, *rest]
    line += [Dotted(base) for base in kinds.bases(native)]
    return line


def _several_of_both(one: Several, other: Several, depth: int) -> Several:
    container = one.container if one.container == other.container else ""
    if len(one.items) == len(other.items):
        pairs = zip(one.items, other.items, strict=True)
        items = tuple(joined(a, b, depth + 1) for a, b in pairs)
        rest = joined(one.rest, other.rest, depth + 1)
        held = together(one, other) if one.held or other.held else ()
        return Several(items, rest, container, held, one.passed or other.passed)
    rest = None
    for value in (*one.all(), *other.all()):
        rest = joined(rest, value, depth + 1)
    return Several(
        (), rest, container, together(one, other), one.passed or other.passed
    )


def together(one: Several, other: Several) -> tuple[Value, ...]:
    """What is in two lists, each kind once."""
    found: list[Value] = []
    for value in (*one.each(), *other.each()):
        if value not in found:
            found.append(value)
    return tuple(found[:_MANY])


def element(value: Value) -> Value:
    """What a loop over a value yields, when that is one kind throughout."""
    if not isinstance(value, Several):
        return None
    found: Value = None
    for item in value.all():
        found = joined(found, item)
    return known(found)
