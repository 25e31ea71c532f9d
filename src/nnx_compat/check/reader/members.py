"""What instances of a class have, as its source says before any of it is read.

An attribute that a class gives its instances is its own, whichever method of NNX once
had that name: ``self.update = update`` is not the ``Module.update`` of old releases.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from ..syntax import FunctionNode, dotted, first_argument, is_attribute_of
from ..values import ClassInfo, Function

__all__ = [
    "find_emptied", "find_in_body", "find_in_method", "find_making", "find_stored",
]  # fmt: skip


def find_in_body(body: Iterable[ast.stmt], info: ClassInfo) -> None:
    """Note every name that statements of a class body bind."""
    for node in _in_this_scope(body):
        if isinstance(node, (FunctionNode, ast.ClassDef)):
            info.own.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            info.own.add(node.id)
        elif isinstance(node, ast.alias):
            info.own.add(node.asname or node.name.partition(".")[0])
        elif isinstance(node, (ast.MatchAs, ast.MatchStar)) and node.name:
            info.own.add(node.name)
    if not info.own.isdisjoint(("__getattr__", "__getattribute__")):
        info.named_like.add(("", ""))


def _in_this_scope(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """All nodes of statements, but those in the bodies of functions and classes."""
    for node in body:
        yield node
        if not isinstance(node, (FunctionNode, ast.Lambda, ast.ClassDef)):
            yield from _in_this_scope(ast.iter_child_nodes(node))


def find_in_method(method: Function, info: ClassInfo) -> None:
    """Note the attributes that a method gives to ``self``."""
    if first := first_argument(method.node.args):
        find_stored(method, first, info)


def find_making(info: ClassInfo) -> None:
    """Note the methods that run while an instance is made, and what they assign."""
    waiting = ["__init__", "__post_init__"]
    while waiting:
        name = waiting.pop()
        method = info.methods.get(name)
        if method is None or name in info.making:
            continue
        info.making.add(name)
        first = first_argument(method.node.args)
        for node in method.parts:
            if is_attribute_of(node, first):
                if isinstance(node.ctx, ast.Store):
                    info.made_with.add(node.attr)
                else:
                    waiting.append(node.attr)


def find_emptied(info: ClassInfo) -> None:
    """Note the attributes that ``__init__`` sets to a constant first, and where.

    By a statement of its own, and none under a condition: so whatever comes after it
    comes in the place of the constant.
    """
    method = info.methods.get("__init__")
    if method is None or isinstance(method.node, ast.Lambda):
        return
    first = first_argument(method.node.args)
    stored: dict[str, list[int]] = {}
    for node in method.parts:
        if is_attribute_of(node, first) and isinstance(node.ctx, ast.Store):
            stored.setdefault(node.attr, []).append(node.lineno)
    for one in method.node.body:
        target: ast.expr | None = None
        if isinstance(one, ast.Assign):
            target = one.targets[0]
        elif isinstance(one, ast.AnnAssign):
            target = one.target
        if target is None or not is_attribute_of(target, first):
            continue
        lines = stored.get(target.attr, [])
        first_of_all = min(lines, default=0) == target.lineno
        if first_of_all and isinstance(getattr(one, "value", None), ast.Constant):
            info.emptied[target.attr] = target.lineno, len(lines) == 1


def find_stored(function: Function, name: str, info: ClassInfo) -> None:
    """Note the attributes that a function gives to the object with this name."""
    for node in function.parts:
        if isinstance(node, ast.Call):
            _note_call(node, name, info)
        elif not isinstance(node, (ast.Attribute, ast.Subscript)) or not isinstance(
            node.ctx, ast.Store
        ):
            continue
        elif isinstance(node, ast.Subscript):
            if _is_dict_of(node.value, name):
                _note_name(node.slice, info)
        elif dotted(node.value) == name:
            info.given.add(node.attr)


def _note_call(node: ast.Call, name: str, info: ClassInfo) -> None:
    """``setattr(self, "a", x)``, ``vars(self).update(a=x)``."""
    function = node.func
    called = function.attr if isinstance(function, ast.Attribute) else dotted(function)
    if called in ("setattr", "__setattr__"):
        # super().__setattr__(name, value) is of this object, too
        if len(node.args) == 2 or (node.args and dotted(node.args[0]) == name):
            _note_name(node.args[len(node.args) - 2], info)
        return
    if not isinstance(function, ast.Attribute) or not _is_dict_of(function.value, name):
        return
    if called == "setdefault" and node.args:
        _note_name(node.args[0], info)
    elif called == "update":
        info.given |= {k.arg for k in node.keywords if k.arg is not None}
        if node.args or any(k.arg is None for k in node.keywords):
            _note_keys(node, info)


def _note_keys(node: ast.Call, info: ClassInfo) -> None:
    given = node.args[0] if len(node.args) == 1 else None
    if isinstance(given, ast.Dict) and not any(k.arg is None for k in node.keywords):
        for key in given.keys:
            _note_name(key, info)
    else:
        info.named_like.add(("", ""))


def _is_dict_of(node: ast.expr, name: str) -> bool:
    """Whether it is ``name.__dict__`` or ``vars(name)``."""
    if isinstance(node, ast.Call) and dotted(node.func) == "vars" and node.args:
        return dotted(node.args[0]) == name
    return dotted(node) == f"{name}.__dict__"


def _note_name(node: ast.expr | None, info: ClassInfo) -> None:
    """Note a name that is given as text, or what it begins and ends with."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        info.given.add(node.value)
    else:
        info.named_like.add(_ends(node))


def _ends(node: ast.expr | None) -> tuple[str, str]:
    """What text certainly begins and ends with: ``f"layer{i}"``, ``"layer" + n``."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value, node.value
    if isinstance(node, ast.JoinedStr) and node.values:
        return _ends(node.values[0])[0], _ends(node.values[-1])[1]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _ends(node.left)[0], _ends(node.right)[1]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        return _ends(node.left)[0].partition("%")[0], ""
    called = node.func if isinstance(node, ast.Call) else None
    if isinstance(called, ast.Attribute) and called.attr == "format":
        return _ends(called.value)[0].partition("{")[0], ""
    return "", ""
