"""The arguments of a call, and how they reach the parameters of a function."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from .. import releases
from ..joining import joined
from ..values import (
    Function,
    Instance,
    Several,
    Value,
    known,
)
from .reading import Reading

__all__ = ["Given", "elsewhere", "hand_over", "split_parameters"]


class Given(NamedTuple):
    """What is known of the arguments of a call.

    Attributes:
        arguments: by position.
        keywords: by name.
        open: whether there may be more, by ``*`` or ``**``.
        written: how those by position are written, where that is a dotted name.
    """

    arguments: tuple[Value, ...] = ()
    keywords: Mapping[str, Value] = {}
    open: bool = False
    written: tuple[str, ...] = ()

    def behind(self, first: Value) -> Given:
        """This one first."""
        arguments = (first, *self.arguments)
        return self._replace(arguments=arguments, written=("", *self.written))


def split_parameters(arguments: ast.arguments) -> list[str]:
    """The names of the parameters that go by position, in order."""
    return [a.arg for a in (*arguments.posonlyargs, *arguments.args)]


def hand_over(
    reading: Reading, function: Function, given: Given, *, bound: bool = False
) -> None:
    """Note what a call gives to the parameters of a function of the project.

    A call that only some releases reach says nothing of the others: it is left out.

    Args:
        reading: the file of the call.
        function: what is called.
        given: the arguments.
        bound: whether its first parameter is the object.
    """
    if reading.mask != releases.ALL or reading.quiet:
        return
    arguments = function.node.args
    names = split_parameters(arguments)[1 if bound else 0 :]
    starred: Value = None
    for index, value in enumerate(given.arguments):
        if index < len(names):
            here = _written_here(value, given, names)
            reading.learn_passed(function, names[index], here)
        else:
            starred = joined(starred, value)
    if arguments.vararg is not None and known(starred) is not None:
        several = Several((), starred, "tuple")
        reading.learn_passed(function, arguments.vararg.arg, several)
    takes = {*names, *(a.arg for a in arguments.kwonlyargs)}
    for name, value in given.keywords.items():
        if name in takes:
            reading.learn_passed(function, name, elsewhere(value))


def _written_here(value: Value, given: Given, names: list[str]) -> Value:
    """An Optimizer as the function sees it, whose model may be a parameter, too."""
    if isinstance(value, Instance) and value.written:
        pairs = zip(names, given.written, strict=False)
        found = (name for name, written in pairs if written == value.written)
        return replace(value, written=next(found, ""))
    return elsewhere(value)


def elsewhere(value: Value) -> Value:
    """A value where the names around it are others: how it is written says nothing."""
    if isinstance(value, Instance) and value.written:
        return replace(value, written="")
    if isinstance(value, Several):
        return replace(
            value, items=tuple(map(elsewhere, value.items)), rest=elsewhere(value.rest)
        )
    return value
