"""Whether running something changes Variables of the object that is run.

What a function of the project does to its object is read off its source: it writes to
a Variable of it, or runs something that it holds and that changes when it is run.
"""

from __future__ import annotations

import ast

from .. import kinds
from ..syntax import first_argument
from ..values import ClassInfo, Function, Instance, Keys, Several, Transformed, Value

__all__ = ["changes_argument", "changes_when_run"]

#: Layers that change when they are run, if they are not told otherwise.
_CHANGING = ("nnx.BatchNorm", "nnx.Dropout", "nnx.SpectralNorm")
_Seen = set[tuple[int, str]]


def changes_when_run(
    value: Value, method: str = "__call__", seen: _Seen | None = None
) -> bool:
    """Whether a method of an object, or a call of it, changes a Variable in it."""
    seen = set() if seen is None else seen
    if isinstance(value, (Keys, Several)):
        return any(changes_when_run(v, method, seen) for v in value.all())
    if not isinstance(value, Instance):
        return False
    if value.kind == "nnx.Dropout" and value.arrays == "none":
        return False  # it is given the stream that it draws from when it is called
    if method == "__call__" and any(kind in _CHANGING for kind in kinds.of(value)):
        return True
    info = value.kind
    if not isinstance(info, ClassInfo) or (id(info), method) in seen:
        return False
    function = info.method(method)
    if function is None or isinstance(function.node, ast.Lambda):
        return False
    name = first_argument(function.node.args)
    seen.add((id(info), method))
    return _changes(function, name, value, seen)


def changes_argument(called: Value, index: int, value: Value) -> bool:
    """Whether a function of the project changes an object that it is given."""
    while isinstance(called, Transformed):
        called = called.inner
    if not isinstance(called, Function) or isinstance(called.node, ast.Lambda):
        return False
    arguments = [*called.node.args.posonlyargs, *called.node.args.args]
    if index >= len(arguments) or not kinds.is_module(value):
        return False
    return _changes(called, arguments[index].arg, value, set())


def _changes(function: Function, name: str, value: Value, seen: _Seen) -> bool:
    """Whether the body of a function changes the object that has this name in it."""
    does = function.touches(name)
    return (
        does.writes
        or any(_is_variable(attribute, value) for attribute in does.added)
        or (does.calls and changes_when_run(value, "__call__", seen))
        or any(_runs(attribute, value, seen) for attribute in does.names)
    )


def _is_variable(attribute: str, value: Value) -> bool:
    """Whether an attribute of this object holds a Variable."""
    info = value.kind if isinstance(value, Instance) else None
    return isinstance(info, ClassInfo) and kinds.is_variable(
        info.attribute(attribute)[1]
    )


def _runs(attribute: str, value: Value, seen: _Seen) -> bool:
    """Whether what is read from an object may change by being run."""
    info = value.kind if isinstance(value, Instance) else None
    if not isinstance(info, ClassInfo):
        return False
    if info.method(attribute) is not None:
        return changes_when_run(value, attribute, seen)
    return changes_when_run(info.attribute(attribute)[1], "__call__", seen)
