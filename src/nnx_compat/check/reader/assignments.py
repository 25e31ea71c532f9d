"""Assignments: to names, to attributes, to items, and in place."""

from __future__ import annotations

import ast

from .. import events, kinds
from ..held import arrays_in, holds_data
from ..joining import element, joined
from ..syntax import dotted, is_attribute_of, is_empty
from ..values import (
    ClassInfo,
    Dotted,
    Instance,
    Keys,
    Several,
    Value,
    known,
)
from .annotations import annotated, read_annotation
from .reading import Reading, statement
from .states import changed, merged, split_into

__all__ = ["appended", "assign"]


@statement(ast.Assign)
def _assign(reading: Reading, node: ast.Assign) -> None:
    value = reading.value(node.value)
    alone = node if len(node.targets) == 1 else None
    for target in node.targets:
        assign(reading, target, value, node.value, alone)


@statement(ast.AnnAssign)
def _annotated_assign(reading: Reading, node: ast.AnnAssign) -> None:
    read_annotation(reading, node.annotation)
    value = None if node.value is None else known(reading.value(node.value))
    said = annotated(reading, node.annotation)
    if value is None or (isinstance(value, Several) and element(value) is None):
        value = said
    assign(reading, node.target, value, node.value)


@statement(ast.AugAssign)
def _in_place(reading: Reading, node: ast.AugAssign) -> None:
    reading.value(node.value)
    target, operator = node.target, type(node.op).__name__
    if isinstance(target, ast.Subscript):
        owner = reading.value(target.value)
        reading.value(target.slice)
        if isinstance(owner, Instance):
            reading.show(
                events.Item(node, owner, target.slice, True, operator, node.value, node)
            )
            changed(reading, target.value)
        return
    if isinstance(target, ast.Attribute):
        owner = reading.value(target.value)
        if isinstance(owner, Instance) and kinds.is_variable(owner):
            reading.show(events.Attribute(target, owner, True, node))
            changed(reading, target.value)
            return
    owner = reading.value(target)
    if isinstance(owner, Instance) and kinds.is_variable(owner):
        reading.show(events.Item(node, owner, None, True, operator, node.value, node))
        changed(reading, target)
    elif isinstance(target, ast.Attribute):
        changed(reading, target.value)


def assign(
    reading: Reading,
    target: ast.expr,
    value: Value,
    node: ast.expr | None = None,
    statement: ast.Assign | None = None,
) -> None:
    """Bind a name, or show what else is written to.

    Args:
        reading: the file.
        target: what is assigned to.
        value: what is known of what is assigned.
        node: that, as it is written, where it is written.
        statement: the assignment, when it has no other target.
    """
    if isinstance(target, ast.Name):
        reading.bind(target.id, value, node)
        split_into(reading, target, value)
        merged(reading, target, node)
    elif isinstance(target, (ast.Tuple, ast.List)):
        _unpack(reading, target, value, node)
    elif isinstance(target, ast.Starred):
        assign(reading, target.value, None)
    elif isinstance(target, ast.Attribute):
        _assign_attribute(reading, target, value, node, statement)
    elif isinstance(target, ast.Subscript):
        owner = reading.value(target.value)
        reading.value(target.slice)
        if isinstance(owner, Keys):
            _assign_key(reading, target, owner, value)
        if isinstance(owner, Instance):
            reading.show(
                events.Item(
                    target, owner, target.slice, stored=True, value=node,
                    statement=statement,
                )
            )  # fmt: skip
        changed(reading, target.value)


def _unpack(
    reading: Reading,
    target: ast.Tuple | ast.List,
    value: Value,
    node: ast.expr | None,
) -> None:
    many = value if isinstance(value, Several) else Several(())
    if isinstance(value, Instance) and isinstance(value.kind, ClassInfo):
        fields = value.kind.init_fields() if value.kind.made_of_fields else []
        many = Several(tuple(value.kind.attribute(name)[1] for name in fields))
    written = _written(node, target)
    starred = False
    for index, part in enumerate(target.elts):
        starred = starred or isinstance(part, ast.Starred)
        item = None if starred else many.item(index)
        # no statement: what is written there is one part of what it assigns
        there = None
        if written and not isinstance(part, ast.Name):
            there = written[index]
        elif isinstance(part, ast.Attribute) and isinstance(item, Instance):
            there = part if holds_data(item) else None
        assign(reading, part, item, there)


def _written(node: ast.expr | None, target: ast.Tuple | ast.List) -> list[ast.expr]:
    """What is written for each part of a target; nothing where that is not written."""
    if not isinstance(node, (ast.Tuple, ast.List)) or any(
        isinstance(one, ast.Starred) for one in (*node.elts, *target.elts)
    ):
        return []
    return node.elts if len(node.elts) == len(target.elts) else []


def _assign_key(
    reading: Reading, target: ast.Subscript, owner: Keys, value: Value
) -> None:
    """``blocks["a"] = Block()``, of a dict that a name or an attribute stands for."""
    key = target.slice.value if isinstance(target.slice, ast.Constant) else None
    items = dict(owner.items)
    rest = owner.rest
    if isinstance(key, str):
        items[key] = value
    else:
        rest = known(joined(rest, value))
    if isinstance(target.value, ast.Name):
        new = Keys(tuple(items.items()), rest, owner.plain)
        reading.bind(target.value.id, new)
    elif is_attribute_of(target.value, reading.scope.self_name):
        appended(reading, target, target.value.attr, value)


def appended(reading: Reading, node: ast.expr, name: str, added: Value) -> None:
    """Something comes into a container that is an attribute of ``self`` already."""
    scope = reading.scope
    if scope.owner is None or known(added) is None:
        return
    reading.program.turn.note(scope.owner.asking(name))
    now = known(scope.owner.assigned.get(name))
    both: Value = Several((), added, "list")
    if isinstance(now, Keys):
        both = Keys((), added, now.plain)
    reading.learn_attribute(scope.owner, name, both)
    told = any(name in one.told for one in scope.owner.families())
    if name in scope.plain_lists and not told and holds_data(both):
        container = scope.plain_lists.pop(name)  # once is enough
        reading.show(
            events.Stored(
                node, scope.owner, name, container, True, True, both, scope.in_init,
                arrays_in(both),
            )
        )  # fmt: skip


def _assign_attribute(
    reading: Reading,
    target: ast.Attribute,
    value: Value,
    node: ast.expr | None,
    statement: ast.Assign | None,
) -> None:
    owner = reading.value(target.value)
    if isinstance(owner, Instance):
        if isinstance(owner.kind, ClassInfo) and not kinds.is_variable(owner):
            _store(reading, target, owner.kind, value, node)
        else:
            if kinds.is_module(owner):
                reading.program.add_given(target.attr)
            reading.show(events.Attribute(target, owner, True, statement))
    elif isinstance(owner, ClassInfo):
        reading.learn_attribute(owner, target.attr, value)
    changed(reading, target.value)


def _store(
    reading: Reading,
    target: ast.Attribute,
    info: ClassInfo,
    value: Value,
    node: ast.expr | None,
) -> None:
    scope = reading.scope
    reading.learn_attribute(info, target.attr, kinds.read_back(value))
    if node is None:
        return
    in_method = scope.owner is info and dotted(target.value) == scope.self_name
    told = any(target.attr in one.told for one in info.families())
    told |= _is_said(reading, node)
    holds = not told and holds_data(value) and not is_empty(node)
    plain = (isinstance(value, Keys) and value.plain) or (
        isinstance(value, Several) and value.container == "list"
    )
    if in_method and plain and not holds:
        scope.plain_lists[target.attr] = node
    reading.show(
        events.Stored(
            target, info, target.attr, node, holds, False, value,
            (in_method and scope.in_init)
            or any(target.attr in one.made_with for one in info.families()),
            arrays_in(value) if holds else "",
            emptied=in_method and not told and _is_emptied(info, target, scope.in_init),
        )
    )  # fmt: skip


def _is_said(reading: Reading, node: ast.expr) -> bool:
    """Whether it is said with the value that it is data, or that it is none."""
    called = reading.peek(node.func) if isinstance(node, ast.Call) else None
    return isinstance(called, Dotted) and called.path in ("nnx.data", "nnx.static")


def _is_emptied(info: ClassInfo, target: ast.Attribute, in_init: bool) -> bool:
    """Whether an attribute certainly is a constant before something is assigned."""
    line, alone = info.emptied.get(target.attr, (0, False))
    if not line:
        return False
    return target.lineno > line if in_init else alone
