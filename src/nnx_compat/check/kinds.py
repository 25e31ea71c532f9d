"""Which classes of NNX a value is of, and what the facts say of their members."""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import cache

from . import masks, modules, releases
from .values import ClassInfo, Dotted, Instance, Value

__all__ = [
    "ARRAY", "exists", "has", "is_module", "is_variable", "member", "of", "parameters",
    "read_back",
]  # fmt: skip

#: Attributes of a Variable that are those of its array, where they are forwarded. The
#: facts have few of them: forwarding is by ``__getattr__``, which a survey cannot see.
ARRAY = frozenset(
    ("T", "shape", "dtype", "at", "ndim", "size", "nbytes", "astype", "reshape",
     "transpose", "sum", "mean", "min", "max", "std", "var", "all", "any", "ravel",
     "flatten", "squeeze", "item", "tolist", "argmax", "argmin", "dot")
)  # fmt: skip


def of(value: Value) -> tuple[str, ...]:
    """The paths of the classes of NNX that an instance is of, nearest first."""
    if not isinstance(value, Instance):
        return ()
    path = value.kind.native() if isinstance(value.kind, ClassInfo) else value.kind
    if not path:
        return ()
    return (path, "nnx.Variable") if _is_variable_type(path) else (path,)


@cache
def _is_variable_type(path: str) -> bool:
    """Whether it is a Variable class of NNX: those have what a Variable has."""
    # a VariableState has the members, and is what stood for a Variable in states
    return path != "nnx.VariableState" and bool(masks.name(f"{path}.copy_from"))


def is_variable(value: Value) -> bool:
    """Whether it is certainly a Variable."""
    return any(_is_variable_type(kind) for kind in of(value))


def is_module(value: Value) -> bool:
    """Whether it is certainly a Module."""
    return any(masks.name(f"{kind}.set_attributes") for kind in of(value))


def read_back(value: Value) -> Value:
    """What is read from an attribute that a value was assigned to."""
    if isinstance(value, Instance) and is_variable(value):
        return Instance(value.kind, attribute=True, compat=value.compat)
    return value


def member(value: Value, attribute: str) -> str:
    """The path of a member of an instance, ``""`` when no release has it."""
    paths = (f"{kind}.{attribute}" for kind in of(value))
    return next((path for path in paths if masks.name(path)), "")


def has(owner: Value, attribute: str, version: str) -> bool | None:
    """What ``hasattr`` answers on a release; ``None`` when that is not known."""
    if isinstance(owner, Dotted):
        return _namespace_has(owner, attribute, version)
    path = member(owner, attribute)
    if not path:
        return None
    there = masks.on(path)
    # the first releases unwrap it on the way: what is asked there is the array
    if isinstance(owner, Instance) and owner.attribute:
        there &= ~masks.behaviour("attribute-unwraps-the-variable")
    return releases.has(there, version)


def _namespace_has(owner: Dotted, attribute: str, version: str) -> bool | None:
    if owner.compat:
        if owner.path != "nnx" or masks.name(f"nnx.{attribute}") is None:
            return None
        return releases.has(masks.provided(f"nnx.{attribute}"), version)
    if owner.path == "flax":
        path = modules.module_path(f"flax.{attribute}")
        return None if path is None else releases.has(modules.importable(path), version)
    if owner.path == "nnx" or owner.path.startswith("nnx."):
        return releases.has(masks.on(f"{owner.path}.{attribute}"), version)
    return None


def exists(found: Dotted, version: str) -> bool:
    """Whether a release has what a dotted path of NNX names."""
    mask = masks.provided(found.path) if found.compat else masks.on(found.path)
    return releases.has(mask, version)


def parameters(
    node: ast.expr, infer: Callable[[ast.expr], Value], version: str
) -> frozenset[str] | None:
    """The parameters that a callable has on a release, if it is one of NNX."""
    found = infer(node)
    path = found.path if isinstance(found, Dotted) and not found.compat else ""
    if not path and isinstance(node, ast.Attribute):
        path = member(infer(node.value), node.attr)
    row = masks.name(path.removesuffix(".__init__"))
    if row is None or not row.parameters:
        return None
    return frozenset(p for p in row.parameters if row.on(version, p))
