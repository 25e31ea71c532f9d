"""Calls: what is called, with what, and what it does to a model."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import NamedTuple

from .. import events, kinds
from ..joining import element, joined, together
from ..syntax import dotted, is_attribute_of
from ..values import (
    Bound,
    ClassInfo,
    Dotted,
    Instance,
    Keys,
    Several,
    Value,
    known,
)
from .arguments import Given
from .assignments import appended
from .captured import note_captured
from .effects import changes_argument, changes_when_run
from .expressions import attribute_of
from .reading import Reading, expression
from .results import result
from .states import changed, follows_a_state

__all__: list[str] = []


@expression(ast.Call)
def _call(reading: Reading, node: ast.Call) -> Value:
    owner: Value = None
    if isinstance(node.func, ast.Attribute):
        owner = reading.value(node.func.value)
        reading.calls[id(node.func)] = node
        called = attribute_of(reading, node.func, owner)
    else:
        called = reading.value(node.func)
    given = _given(reading, node)
    target = _target(reading, node, called, owner)
    if target.path:
        compat = _is_ours(called, target.owner)
        reading.show(
            events.Call(
                node, target.path, given.arguments, frozenset(given.keywords),
                given.open, target.owner, given.keywords,
                reading.program.is_meshless, compat=compat,
            )
        )  # fmt: skip
    elif called is None:
        _show_handed_on(reading, node, owner, given)
        _note_unknown(reading, node, owner, given)
    _note_changes(reading, node, called, owner, given)
    note_captured(reading, node, called, given)
    _note_added(reading, node, owner, given)
    return result(reading, node, called, given, owner)


def _given(reading: Reading, node: ast.Call) -> Given:
    """What is known of the arguments of a call."""
    arguments: list[Value] = []
    keywords: dict[str, Value] = {}
    is_open = False
    for argument in node.args:
        if not isinstance(argument, ast.Starred):
            arguments.append(reading.value(argument))
            continue
        value = reading.value(argument.value)
        if isinstance(value, Several) and value.items and value.rest is None:
            arguments += value.items
        else:
            is_open = True
            arguments.append(element(value))
    for keyword in node.keywords:
        value = reading.value(keyword.value)
        if keyword.arg is not None:
            keywords[keyword.arg] = value
        elif isinstance(value, Keys) and value.rest is None:
            keywords |= dict(value.items)
        else:
            is_open = True
    written = () if is_open else tuple(map(dotted, node.args))
    return Given(tuple(arguments), keywords, is_open, written)


def _is_ours(called: Value, owner: Value) -> bool:
    """Whether what is called was reached through nnx_compat."""
    if isinstance(called, (Dotted, Instance)):
        return called.compat
    return isinstance(owner, Instance) and owner.compat and not kinds.is_variable(owner)


class _Target(NamedTuple):
    """What of NNX is called, ``""`` for everything else, and the object."""

    path: str = ""
    owner: Value = None


def _target(reading: Reading, node: ast.Call, called: Value, owner: Value) -> _Target:
    if isinstance(called, Dotted):
        return _Target(called.path)
    if isinstance(called, ClassInfo):
        own = called.method("__init__") or called.made_of_fields
        return _Target("" if own else called.native())
    if isinstance(called, Instance):
        return _called_instance(called)
    if isinstance(called, Bound):
        return _Target()
    if isinstance(node.func, ast.Attribute) and isinstance(owner, Instance):
        name = node.func.attr
        if owner.compat and not kinds.is_variable(owner) and name not in _LIMITED:
            return _Target()
        if isinstance(owner.kind, ClassInfo):
            clear = owner.kind.complete() or name == "__init__"
            if owner.kind.attribute(name)[0] or not clear:
                return _Target()
        plain = isinstance(owner.kind, str)
        named = name in ("update", "__init__")
        if not plain and not named and reading.program.is_own(name):
            return _Target()
        return _Target(kinds.method(owner, name), named_here(reading, node.func, owner))
    return _Target()


#: Methods of our own objects that are refused on some releases, too.
_LIMITED = ("update", "initialize_carry")


def named_here(reading: Reading, node: ast.Attribute, owner: Instance) -> Instance:
    """An object with how its model is written, if that is the same thing here."""
    if not owner.written:
        return owner
    scope = reading.scope
    root = owner.written.partition(".")[0]
    mine = dotted(node.value).partition(".")[0]
    if root == scope.self_name and mine == root:
        return owner
    home = scope.home(root)
    same = home is None or home is scope.home(mine)
    return (
        owner if same and not scope.is_bound_again(root) else replace(owner, written="")
    )


def _called_instance(called: Instance) -> _Target:
    if called.compat:
        return _Target()
    if isinstance(called.kind, ClassInfo) and called.kind.method("__call__"):
        return _Target()
    return _Target(kinds.method(called, "__call__"), called)


def _show_handed_on(
    reading: Reading, node: ast.Call, owner: Value, given: Given
) -> None:
    """``super().__init_subclass__(pytree=False)``: arguments of every subclass."""
    function = node.func
    if not isinstance(function, ast.Attribute) or function.attr != "__init_subclass__":
        return
    if isinstance(owner, Instance) and isinstance(owner.kind, ClassInfo):
        keywords = frozenset(given.keywords)
        reading.show(events.Class(node, owner.kind, keywords, handed_on=True))


# -- what is not known ----------------------------------------------------------------


def _note_unknown(reading: Reading, node: ast.Call, owner: Value, given: Given) -> None:
    """Something unknown is called: with gradients, or with an object of NNX."""
    function = node.func
    gradients = [
        index for index, value in enumerate(given.arguments)
        if isinstance(value, Instance) and value.gradient and not value.compat
    ]  # fmt: skip
    if isinstance(function, ast.Attribute):
        if gradients and owner is None and function.attr == "update" and not given.open:
            reading.show(events.Unknown(node, function.attr, gradients[0]))
        return
    handed = [*given.arguments, *given.keywords.values()]
    telling = ("nnx.State", "nnx.Optimizer", "nnx.GraphDef")
    if any(
        isinstance(v, Instance) and v.kind in telling and not v.compat for v in handed
    ):
        reading.lose(node, "it is not known what is called with an object of NNX")


# -- what it does -------------------------------------------------------------------


def _note_changes(
    reading: Reading, node: ast.Call, called: Value, owner: Value, given: Given
) -> None:
    if not follows_a_state(reading):  # what code changes is much to ask of every call
        return
    if isinstance(called, Dotted) and called.path == "nnx.update" and node.args:
        changed(reading, node.args[0])
    if isinstance(called, Instance) and changes_when_run(called):
        changed(reading, node.func, ran=True)
    if isinstance(called, Bound) and isinstance(node.func, ast.Attribute):
        name = getattr(called.function.node, "name", "")
        if changes_when_run(called.owner, name):
            changed(reading, node.func.value, ran=True)
    for index, (argument, value) in enumerate(
        zip(node.args, given.arguments, strict=False)
    ):
        if changes_argument(called, index, value):
            changed(reading, argument, ran=True)
    if isinstance(node.func, ast.Attribute) and isinstance(owner, Instance):
        # an Optimizer that holds its model takes the gradients alone, and which model
        # that changes is not written there
        optimizer = "nnx.Optimizer" in kinds.of(owner)
        if optimizer and node.func.attr == "update" and len(node.args) > 1:
            changed(reading, node.args[0])
        if kinds.is_variable(owner) and node.func.attr == "set_value":
            changed(reading, node.func.value)


_ADDING = {"append": 0, "add": 0, "insert": 1, "extend": 0}


def _note_added(reading: Reading, node: ast.Call, owner: Value, given: Given) -> None:
    """``layers.append(Block())``, onto what is a plain list."""
    function = node.func
    if not isinstance(function, ast.Attribute) or function.attr not in _ADDING:
        return
    place = _ADDING[function.attr]
    if len(given.arguments) != place + 1 or not isinstance(
        owner, (Several, type(None))
    ):
        return
    value = given.arguments[place]
    added = element(value) if function.attr == "extend" else value
    target = function.value
    if isinstance(target, ast.Name) and isinstance(owner, Several):
        both = known(joined(element(owner), added))
        new = value if isinstance(value, Several) else Several((), value)
        new = new if function.attr == "extend" else Several((), held=(value,))
        held = together(owner, new)
        reading.bind(target.id, Several((), both, owner.container, held))
    elif is_attribute_of(target, reading.scope.self_name):
        appended(reading, node, target.attr, added)
