"""What an expression is: names, attributes, items, tuples, lists, comprehensions."""

from __future__ import annotations

import ast
from dataclasses import replace

from .. import events, kinds, masks, releases
from ..joining import element, joined, together
from ..modules import module_path, through_nnx_compat
from ..program import Unit
from ..syntax import unstarred
from ..values import (
    NOTHING,
    Bound,
    ClassInfo,
    Container,
    Dotted,
    Function,
    Instance,
    Keys,
    Local,
    Several,
    Transformed,
    Value,
    known,
)
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
def _constant(reading: Reading, node: ast.Constant) -> Value:
    return NOTHING if node.value is None else None


@expression(ast.Name)
def _name(reading: Reading, node: ast.Name) -> Value:
    value = reading.scope.lookup(node.id)
    used(reading, node, value)
    if isinstance(value, Dotted) and value.star:
        reading.show(events.Name(node, value.path, by_name=True, compat=value.compat))
        return replace(value, star=False)
    return value


@expression(ast.NamedExpr)
def _named(reading: Reading, node: ast.NamedExpr) -> Value:
    value = reading.value(node.value)
    assign(reading, node.target, value, node.value)
    return value


# -- attributes and items -----------------------------------------------------------


@expression(ast.Attribute)
def _attribute(reading: Reading, node: ast.Attribute) -> Value:
    return attribute_of(reading, node, reading.value(node.value))


def attribute_of(reading: Reading, node: ast.Attribute, owner: Value) -> Value:
    """What an attribute is of something that has been read."""
    if isinstance(owner, Dotted):
        return _attribute_of_path(reading, node, owner)
    if isinstance(owner, Instance):
        return _attribute_of_instance(reading, node, owner)
    if isinstance(owner, Local):
        return exported(reading, owner.unit, node.attr)
    if isinstance(owner, ClassInfo):
        return owner.attribute(node.attr)[1]
    if isinstance(owner, Transformed):
        reading.show(events.OfTransformed(node, owner, compat=owner.compat))
    elif owner is None:
        _lose(reading, node)
    return None


def exported(reading: Reading, unit: Unit, name: str) -> Value:
    """What a name of another file of the program stands for."""
    reading.program.turn.note(unit.users)
    if name in unit.exports:
        return unit.exports[name]
    inside = reading.program.submodule(unit, ".", name) if unit.is_package else None
    return None if inside is None else Local(inside)


#: Members that NNX has and little else: what they are read from is likely of NNX.
_TELLING = frozenset(
    ("value", "raw_value", "get_value", "set_value", "get_metadata", "set_metadata",
     "flat_state", "to_pure_dict", "replace_by_pure_dict", "update", "fork",
     "iter_modules", "is_initializing", "copy_from", "copy_from_state")
)  # fmt: skip


def _lose(reading: Reading, node: ast.Attribute) -> None:
    """Note a member that may be one of NNX's, of something that is not known."""
    if node.attr not in _TELLING:
        return
    call = reading.calls.get(id(node))
    if node.attr == "update" and not (call and _is_update(call)):
        return
    reading.lose(node, f"what `.{node.attr}` is read from is not known")


def _is_update(call: ast.Call) -> bool:
    """Whether ``x.update(...)`` can be that of an Optimizer: no dict's and no set's."""
    plain = (ast.Dict, ast.DictComp, ast.Set, ast.SetComp, ast.List, ast.Constant)
    return (
        len(call.args) in (1, 2)
        and not call.keywords
        and not isinstance(call.args[0], (*plain, ast.GeneratorExp, ast.Starred))
    )


def _attribute_of_path(reading: Reading, node: ast.Attribute, owner: Dotted) -> Dotted:
    path = f"{owner.path}.{node.attr}"
    if owner.compat:
        if owner.path == "nnx" or masks.inside(path) is not None:
            reading.show(events.Name(node, path, compat=True))
        return through_nnx_compat(path)
    module = module_path(path)
    if module is not None:
        if reading.program.is_installed:
            return Dotted("nnx", compat=True)
        reading.show(events.Import(node, module))
        return Dotted("nnx")
    public = owner.path == "nnx" and not node.attr.startswith("_")
    named = masks.name(path) is not None or masks.inside(path) is not None
    if public or (owner.path.startswith("nnx.") and named):
        reading.show(events.Name(node, path))
    elif owner.path.partition(".")[0] == "flax":
        reading.show(events.Outside(node, path))
    return Dotted(path)


def _attribute_of_instance(
    reading: Reading, node: ast.Attribute, owner: Instance
) -> Value:
    if isinstance(owner.kind, ClassInfo):
        has, value = owner.kind.attribute(node.attr)
        if has:
            return _of_own_class(reading, node, owner, value)
        if not owner.kind.complete() and not kinds.is_variable(owner):
            return None  # a base that is not known may have it
    if _may_be_of_an_heir(reading, node.attr, owner):
        reading.lose(node, f"a class of the project may have `.{node.attr}` itself")
        return None
    call = reading.calls.get(id(node))
    sure = not _may_be_set(node.attr, owner)
    if not sure and not _is_on_the_newest(node.attr, owner):
        reading.lose(node, f"`.{node.attr}` may be an attribute that is set by name")
        return None
    reading.show(events.Attribute(node, owner, called=call, sure=sure))
    if owner.kind == "nnx.Rngs" and not kinds.member(owner, node.attr):
        return Instance("nnx.RngStream", compat=owner.compat)
    if node.attr in _PARAMETERS and _is_layer(owner):
        kind = "nnx.BatchStat" if node.attr in ("mean", "var") else "nnx.Param"
        return Instance(kind, attribute=True, compat=owner.compat)
    if owner.kind == "nnx.Optimizer" and node.attr == "step":
        return Instance("nnx.Variable", attribute=True, compat=owner.compat)
    return None


def _may_be_of_an_heir(reading: Reading, name: str, owner: Instance) -> bool:
    """Whether it may be of a class that derives from the one that is known."""
    if kinds.is_variable(owner):
        return False
    program = reading.program
    if isinstance(owner.kind, ClassInfo):
        return any(heir.attribute(name)[0] for heir in owner.kind.heirs)
    of_any = owner.kind in ("nnx.Module", "nnx.Object", "nnx.Pytree")
    if of_any and program.is_own(name):
        return True
    if not kinds.member(owner, name):
        return False
    return (kinds.is_module(owner) and program.is_given(name)) or any(
        kinds.derives(Instance(info), owner) for info in program.having(name)
    )


def _may_be_set(name: str, owner: Instance) -> bool:
    """Whether an attribute whose name is put together may be this one."""
    kind = owner.kind
    if not isinstance(kind, ClassInfo) or kinds.is_variable(owner):
        return False
    return any(
        name.startswith(first) and name.endswith(last)
        for one in (kind, *kind.heirs)
        for base in one.families()
        for first, last in base.named_like
    )


def _is_on_the_newest(name: str, owner: Instance) -> bool:
    newest = releases.listed(releases.ALL)[-1]
    return bool(kinds.has(owner, name, newest))


def _of_own_class(
    reading: Reading, node: ast.Attribute, owner: Instance, value: Value
) -> Value:
    """An attribute that a class of the project defines."""
    if isinstance(value, Function):
        if kinds.is_property(value):
            return value.returns
        return Bound(value, owner)
    return value


def _is_layer(owner: Instance) -> bool:
    path = kinds.of(owner)[0] if kinds.of(owner) else ""
    return path not in ("", "nnx.Module", "nnx.Optimizer") and kinds.is_module(owner)


@expression(ast.Subscript)
def _item(reading: Reading, node: ast.Subscript) -> Value:
    owner = reading.value(node.value)
    reading.value(node.slice)
    if isinstance(owner, Instance) and kinds.is_variable(owner):
        reading.show(events.Item(node, owner, node.slice))
    if isinstance(owner, Dotted) and owner.path.startswith("nnx."):
        reading.show(events.Subscripted(node, owner.path, compat=owner.compat))
    key = node.slice.value if isinstance(node.slice, ast.Constant) else None
    if isinstance(owner, Several):
        if isinstance(node.slice, ast.Slice):
            return Several((), element(owner), owner.container)
        plain = isinstance(key, int) and key >= 0
        return owner.item(key) if plain else element(owner)  # type: ignore[arg-type]
    if isinstance(owner, Keys):
        return owner.get(key) if isinstance(key, str) else any_of(owner)
    if isinstance(owner, Instance) and isinstance(owner.kind, ClassInfo):
        return result_of(reading, owner.kind.method("__getitem__"))
    if kinds.is_array(owner):
        return owner if _leaves_an_axis(node.slice) else None
    return owner if isinstance(owner, (Dotted, ClassInfo)) else None  # Variable[Array]


def _leaves_an_axis(index: ast.expr) -> bool:
    """Whether an item of an array is an array, and no scalar of numpy's."""
    parts = index.elts if isinstance(index, ast.Tuple) else [index]
    return any(
        isinstance(part, ast.Slice)
        or (isinstance(part, ast.Constant) and part.value in (None, Ellipsis))
        for part in parts
    )


def any_of(owner: Keys) -> Value:
    """What is under one of the keys of a dict."""
    found: Value = None
    for value in owner.all():
        found = joined(found, value)
    return known(found)


def result_of(reading: Reading, function: Function | None) -> Value:
    """What a method gives that is called by an operator."""
    return None if function is None else function.returns


# -- several values -----------------------------------------------------------------


@expression(ast.Tuple)
def _tuple(reading: Reading, node: ast.Tuple) -> Value:
    values = tuple(reading.value(unstarred(part)) for part in node.elts)
    if any(isinstance(part, ast.Starred) for part in node.elts):
        return Several((), _starred(node.elts, values), "tuple")
    return Several(values, None, "tuple")


@expression(ast.List, ast.Set)
def _list(reading: Reading, node: ast.List | ast.Set) -> Several:
    values = tuple(reading.value(unstarred(part)) for part in node.elts)
    container: Container = "list" if isinstance(node, ast.List) else "set"
    held = Several(())
    for part, value in zip(node.elts, values, strict=True):
        one = value if isinstance(part, ast.Starred) else None
        one = one if isinstance(one, Several) else Several((), held=(value,))
        held = Several((), held=together(held, one))
    return Several((), _starred(node.elts, values), container, held.held)


def _starred(nodes: list[ast.expr], values: tuple[Value, ...]) -> Value:
    """What is among some values, those with a star being several themselves."""
    found: Value = None
    for node, value in zip(nodes, values, strict=True):
        one = element(value) if isinstance(node, ast.Starred) else value
        found = joined(found, one)
    return known(found)


@expression(ast.Dict)
def _dict(reading: Reading, node: ast.Dict) -> Keys:
    items: dict[str, Value] = {}
    rest: Value = None
    for key, value_node in zip(node.keys, node.values, strict=True):
        value = reading.value(value_node)
        if key is None:
            if isinstance(value, Keys):
                items.update(value.items)
                rest = joined(rest, value.rest)
            continue
        reading.value(key)
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            items[key.value] = value
        else:
            rest = joined(rest, value)
    return Keys(tuple(items.items()), known(rest))


@expression(ast.BinOp)
def _operation(reading: Reading, node: ast.BinOp) -> Value:
    """``[Block()] * n`` and ``[a] + [b]`` are lists, arithmetic on arrays an array."""
    left, right = reading.value(node.left), reading.value(node.right)
    for one, other in ((left, right), (right, left)):
        if isinstance(one, Several) and one.container in ("list", "tuple"):
            if isinstance(node.op, ast.Mult):
                return Several((), element(one), one.container, one.each())
            if isinstance(node.op, ast.Add) and isinstance(other, Several):
                both = joined(element(one), element(other))
                return Several((), known(both), one.container, together(one, other))
        if kinds.is_array(one) or (isinstance(one, Instance) and one.gradient):
            operated(reading, node, other)
            return one
    operated(reading, node, left, right)
    return None


@expression(ast.UnaryOp)
def _unary(reading: Reading, node: ast.UnaryOp) -> Value:
    value = reading.value(node.operand)
    if isinstance(node.op, ast.Not):
        return None
    operated(reading, node, value)
    return value if kinds.is_array(value) else None


def operated(reading: Reading, node: ast.expr, *values: Value) -> None:
    """Show that Variables are used as their arrays."""
    for value in values:
        if isinstance(value, Instance) and kinds.is_variable(value):
            reading.show(events.Operated(node, value, compat=value.compat))


@expression(ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)
def _comprehension(reading: Reading, node: _Comprehension) -> Value:
    outer, before = reading.scope, reading.mask
    reading.scope = Scope(
        outer, owner=outer.owner, self_name=outer.self_name, function=outer.function
    )
    passed = False
    for generator in node.generators:
        over = reading.value(generator.iter)
        passed = passed or (isinstance(over, Several) and over.passed)
        assign(reading, generator.target, element(over))
        for test in generator.ifs:
            reading.value(test)
            reading.mask &= true_on(reading, test)[0]
    container: Container = "list" if isinstance(node, ast.ListComp) else ""
    if isinstance(node, ast.DictComp):
        reading.value(node.key)
        one = reading.value(node.value)
    else:
        one = reading.value(node.elt)
    reading.mask, reading.scope = before, outer
    if isinstance(node, ast.DictComp):
        return Keys((), known(one), passed=passed)
    return Several((), known(one), container, passed=passed)
