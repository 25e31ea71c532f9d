"""Definitions of classes: bases, methods, fields."""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Iterator

from .. import events, kinds
from ..syntax import FunctionNode, first_argument, is_none, unsubscripted
from ..values import ClassInfo, Dotted, Function, Instance, Made, Partial, Value, known
from .annotations import annotated
from .members import (
    find_emptied,
    find_in_body,
    find_in_method,
    find_making,
    find_stored,
)
from .reading import Reading, statement
from .scopes import Scope

__all__: list[str] = []


@statement(ast.ClassDef)
def _class(reading: Reading, node: ast.ClassDef) -> None:
    decorators = [reading.value(decorator) for decorator in node.decorator_list]
    bases = tuple(reading.value(unsubscripted(base)) for base in node.bases)
    for keyword in node.keywords:
        reading.value(keyword.value)
    given = {k.arg: k.value for k in node.keywords if k.arg is not None}
    pytree = given.get("pytree")
    is_new = node not in reading.program.classes
    info = reading.program.class_info(node)
    reading.program.stale |= info.derive(bases)
    for base in info.families():
        if base is not info:
            reading.program.stale |= base.inherit(info)
    info.pytree = not (isinstance(pytree, ast.Constant) and pytree.value is False)
    info.asks_for_pytree = "experimental_pytree" in given
    before = info.said()
    info.made_of_fields = any(map(_makes_fields, (*decorators, *bases)))
    info.is_tree = any(map(_makes_trees, (*decorators, *bases)))
    for decorator in decorators:
        if isinstance(decorator, Function):
            _find_added(decorator, info)
    reading.bind(node.name, info)
    outer = reading.scope
    reading.scope = Scope(outer, is_class=True, owner=info)
    _find_members(reading, node, info, is_new=is_new)
    if before != info.said():
        for name in info.own | info.given:
            reading.program.add_holder(name, info)
        if not is_new:
            reading.program.stale |= info.concerned()
    reading.show(events.Class(node, info, frozenset(given), *_constructor(info)))
    reading.block(node.body)
    _note_fields(reading, node, info)
    reading.scope = outer


def _constructor(info: ClassInfo) -> tuple[bool, frozenset[str], frozenset[str]]:
    """Whether it has an ``__init__`` of its own, and what that assigns, and None."""
    unclear = False, frozenset[str](), frozenset[str]()
    own = info.methods.get("__init__")
    if own is None or "__call__" in info.methods:
        return unclear
    assigned, nones = set[str](), set[str]()
    for node in ast.walk(own.node):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            assigned.add(node.attr)
        elif (
            "setattr" in (getattr(node, "id", ""), getattr(node, "attr", ""))
            or getattr(node, "attr", "") == "__init__"
        ):
            return unclear
        elif isinstance(node, ast.Assign) and is_none(node.value):
            nones |= {t.attr for t in node.targets if isinstance(t, ast.Attribute)}
    return True, frozenset(assigned), frozenset(nones)


def _find_added(decorator: Function, info: ClassInfo) -> None:
    """What a decorator of the project gives to a class, or to its instances."""
    find_stored(decorator, first_argument(decorator.node.args), info)
    if any(isinstance(node, ast.ClassDef) for node in ast.walk(decorator.node)):
        info.named_like.add(("", ""))  # it may give another class


#: What sets attributes that are not written out in the constructor itself.
_ELSEWHERE = frozenset(("setattr", "__init__", "__dict__"))


def _makes_fields(value: Value) -> bool:
    """Whether a decorator, or a base, makes the constructor of the fields."""
    if isinstance(value, Partial):
        value = value.inner
    path = value.path if isinstance(value, (Dotted, Made)) else ""
    if isinstance(value, ClassInfo):
        return value.made_of_fields
    return path in _OF_FIELDS


_OF_FIELDS = (
    "dataclasses.dataclass", "nnx.dataclass", "flax.struct.dataclass",
    "flax.struct.PyTreeNode", "typing.NamedTuple", "chex.dataclass", "attrs.define",
)  # fmt: skip


def _makes_trees(value: Value) -> bool:
    """Whether a decorator, or a base, makes pytrees of jax of the instances."""
    if isinstance(value, ClassInfo):
        return value.is_tree
    if isinstance(value, Partial):
        value = value.inner
    return isinstance(value, (Dotted, Made)) and value.path in _OF_LEAVES


_OF_LEAVES = ("flax.struct.dataclass", "flax.struct.PyTreeNode", "typing.NamedTuple")


def _find_members(
    reading: Reading, node: ast.ClassDef, info: ClassInfo, *, is_new: bool
) -> None:
    """What the body defines, before any of it is read."""
    fields = []
    if is_new:
        find_in_body(node.body, info)
    # of a Variable attributes are its metadata
    is_first = not (info.is_searched or kinds.is_variable(Instance(info)))
    info.is_searched |= is_first
    for one in _statements(node.body):
        if isinstance(one, FunctionNode):
            method = reading.program.function(one, reading.unit)
            if is_first:
                find_in_method(method, info)
            reading.program.add_own(one.name)
            if one.name not in info.methods or one in node.body:
                info.methods[one.name] = method
        elif isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name):
            fields.append(one.target.id)
            if _says_data(reading, one):
                info.told.add(one.target.id)
            if _says_static(one):
                info.static.add(one.target.id)
            value = kinds.read_back(annotated(reading, one.annotation))
            if value is not None:
                reading.learn_attribute(info, one.target.id, value)
    info.fields = fields
    if is_new:
        find_making(info)
        find_emptied(info)


def _says_data(reading: Reading, node: ast.AnnAssign) -> bool:
    """``blocks: nnx.Data[list[Block]]``, ``blocks: list[Block] = nnx.data()``."""
    said: ast.expr = node.annotation
    if isinstance(said, ast.Constant) and isinstance(said.value, str):
        with contextlib.suppress(SyntaxError, ValueError, RecursionError):
            said = ast.parse(said.value, mode="eval").body
    named = reading.peek(unsubscripted(said))
    made = node.value.func if isinstance(node.value, ast.Call) else None
    value = reading.peek(made) if made is not None else None
    paths = {one.path for one in (named, value) if isinstance(one, Dotted)}
    return not paths.isdisjoint(("nnx.Data", "nnx.data"))


def _says_static(node: ast.AnnAssign) -> bool:
    """``size: int = struct.field(pytree_node=False)``: jax does not look into it."""
    keywords = node.value.keywords if isinstance(node.value, ast.Call) else []
    return any(k.arg == "pytree_node" for k in keywords)


def _note_fields(reading: Reading, node: ast.ClassDef, info: ClassInfo) -> None:
    """What the body assigns to its names, once it has been read."""
    for one in node.body:
        targets = one.targets if isinstance(one, ast.Assign) else []
        for target in targets:
            if isinstance(target, ast.Name):
                value = reading.scope.values.get(target.id)
                if known(value) is not None:
                    reading.learn_attribute(info, target.id, value)


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a body, those under conditions too."""
    for one in body:
        yield one
        if isinstance(one, ast.If):
            yield from _statements([*one.body, *one.orelse])
        elif isinstance(one, ast.Try):
            handled = [s for handler in one.handlers for s in handler.body]
            yield from _statements([*one.body, *one.orelse, *handled])
