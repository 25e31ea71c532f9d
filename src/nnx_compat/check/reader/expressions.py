"""What an expression is: names, attributes, items, tuples, lists, comprehensions."""

from __future__ import annotations

import ast

from .. import events, kinds, masks
from ..modules import module_path, through_nnx_compat
from ..syntax import unstarred
from ..values import ClassInfo, Dotted, Instance, Several, Value, element
from .assignments import assign
from .guards import true_on
from .reading import Reading, expression
from .scopes import Scope
from .states import used

#: Attributes of NNX's own layers that are Variables. Read from the Module, the first
#: releases give the array (attribute-unwraps-the-variable).
_PARAMETERS = ("kernel", "bias", "scale", "embedding", "mean", "var")
_Comprehension = ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp


@expression(ast.Constant)
def _constant(reading: Reading, node: ast.Constant) -> None:
    return None


@expression(ast.Name)
def _name(reading: Reading, node: ast.Name) -> Value:
    value = reading.scope.lookup(node.id)
    used(reading, node, value)
    return value


@expression(ast.NamedExpr)
def _named(reading: Reading, node: ast.NamedExpr) -> Value:
    value = reading.value(node.value)
    assign(reading, node.target, value, node.value)
    return value


# -- attributes and items -----------------------------------------------------------


@expression(ast.Attribute)
def _attribute(reading: Reading, node: ast.Attribute) -> Value:
    owner = reading.value(node.value)
    if isinstance(owner, Dotted):
        return _attribute_of_path(reading, node, owner)
    if isinstance(owner, Instance):
        return _attribute_of_instance(reading, node, owner)
    return None


def _attribute_of_path(reading: Reading, node: ast.Attribute, owner: Dotted) -> Dotted:
    path = f"{owner.path}.{node.attr}"
    if owner.compat:
        if owner.path == "nnx":
            reading.show(events.Name(node, path, compat=True))
        return through_nnx_compat(path)
    module = module_path(path)
    if module is not None:
        reading.show(events.Import(node, module))
        return Dotted("nnx")
    public = owner.path == "nnx" and not node.attr.startswith("_")
    if public or (owner.path.startswith("nnx.") and masks.name(path)):
        reading.show(events.Name(node, path))
    return Dotted(path)


def _attribute_of_instance(
    reading: Reading, node: ast.Attribute, owner: Instance
) -> Value:
    if isinstance(owner.kind, ClassInfo):
        has, value = owner.kind.attribute(node.attr)
        if has:
            return value
    call = reading.calls.get(id(node))
    reading.show(events.Attribute(node, owner, called=call))
    is_layer = isinstance(owner.kind, str) and owner.kind != "nnx.Module"
    if is_layer and node.attr in _PARAMETERS and kinds.is_module(owner):
        return Instance("nnx.Param", attribute=True)
    return None


@expression(ast.Subscript)
def _item(reading: Reading, node: ast.Subscript) -> Value:
    owner = reading.value(node.value)
    reading.value(node.slice)
    if isinstance(owner, Instance) and kinds.is_variable(owner):
        reading.show(events.Item(node, owner, node.slice))
    if isinstance(owner, Several) and isinstance(node.slice, ast.Constant):
        index = node.slice.value
        return owner.item(index) if isinstance(index, int) and index >= 0 else None
    return owner if isinstance(owner, Dotted) else None  # Variable[Array]


# -- several values -----------------------------------------------------------------


@expression(ast.Tuple)
def _tuple(reading: Reading, node: ast.Tuple) -> Value:
    values = tuple(reading.value(unstarred(part)) for part in node.elts)
    starred = any(isinstance(part, ast.Starred) for part in node.elts)
    return None if starred else Several(values)


@expression(ast.List)
def _list(reading: Reading, node: ast.List) -> Several:
    values = [reading.value(unstarred(part)) for part in node.elts]
    same = bool(values) and all(v == values[0] for v in values)
    return Several((), values[0] if same else None)


@expression(ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)
def _comprehension(reading: Reading, node: _Comprehension) -> Several:
    outer, before = reading.scope, reading.mask
    reading.scope = Scope(outer, owner=outer.owner, self_name=outer.self_name)
    for generator in node.generators:
        assign(reading, generator.target, element(reading.value(generator.iter)))
        for test in generator.ifs:
            reading.value(test)
            reading.mask &= true_on(reading, test)[0]
    if isinstance(node, ast.DictComp):
        reading.value(node.key)
        reading.value(node.value)
        one = None
    else:
        one = reading.value(node.elt)
    reading.mask, reading.scope = before, outer
    return Several((), one)
