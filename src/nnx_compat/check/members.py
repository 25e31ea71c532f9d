"""What the facts say of names, members and parameters, asked by the checker."""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import cache

from .. import facts
from . import releases
from .values import ClassInfo, Dotted, Instance, Value

__all__ = ["behaviour", "exists", "has", "member", "name", "parameters"]

#: Attributes of a Variable that are those of its array, where they are forwarded.
ARRAY = frozenset(
    ("T", "shape", "dtype", "at", "ndim", "size", "nbytes", "astype", "reshape",
     "transpose", "sum", "mean", "min", "max", "std", "var", "all", "any", "ravel",
     "flatten", "squeeze", "item", "tolist", "argmax", "argmin", "dot")
)  # fmt: skip


@cache
def name(path: str) -> facts.Name | None:
    """The row of a name or a member, if any release has it."""
    return facts.name(path) if path in _known() else None


@cache
def _known() -> frozenset[str]:
    return frozenset(facts.names())


@cache
def behaviour(id: str) -> int:
    """The releases on which a change of meaning holds."""
    return releases.of(facts.behaviour(id).intervals)


@cache
def on(path: str) -> int:
    """The releases that have a name or a member."""
    row = name(path)
    return 0 if row is None else releases.of(row.intervals)


@cache
def provided(path: str) -> int:
    """The releases on which nnx_compat's namespace has a name."""
    mask = on(path)
    if path.removeprefix("nnx.") in facts.backports():
        mask = releases.ALL
    for row in facts.treatments().get(path, ()):
        if row.treatment == "refused":
            mask &= ~releases.of(row.intervals)
    return mask


@cache
def native(path: str) -> int:
    """The releases on which nnx_compat's namespace has Flax's own object for a name."""
    mask = on(path)
    for row in facts.treatments().get(path, ()):
        if row.treatment == "replaced":
            mask &= ~releases.of(row.intervals)
    return mask


@cache
def names(path: str, parameter: str) -> int:
    """The releases where a callable has a parameter of this very name."""
    row = name(path)
    return 0 if row is None else releases.of(row.parameters.get(parameter, ()))


@cache
def takes(path: str, parameter: str) -> int:
    """The releases where a callable has a parameter, or takes any by keyword."""
    row = name(path)
    if row is None:
        return 0
    mask = names(path, parameter)
    for key, intervals in row.parameters.items():
        if key.startswith("**"):
            mask |= releases.of(intervals)
    return mask


def kinds(value: Value) -> tuple[str, ...]:
    """The paths of the classes of NNX that an instance is of, nearest first."""
    if not isinstance(value, Instance):
        return ()
    path = value.kind.native() if isinstance(value.kind, ClassInfo) else value.kind
    if not path:
        return ()
    return (path, "nnx.Variable") if is_variable_type(path) else (path,)


@cache
def is_variable_type(path: str) -> bool:
    """Whether it is a Variable class of NNX: those have what a Variable has."""
    return path != "nnx.VariableState" and name(f"{path}.copy_from") is not None


def is_variable(value: Value) -> bool:
    """Whether it is certainly a Variable."""
    return any(is_variable_type(kind) for kind in kinds(value))


def is_module(value: Value) -> bool:
    """Whether it is certainly a Module."""
    return any(name(f"{kind}.set_attributes") for kind in kinds(value))


@cache
def member(kind: str, attribute: str) -> str:
    """The path of a member of a class of NNX, ``""`` when no release has it."""
    path = f"{kind}.{attribute}"
    return path if name(path) else ""


def has(owner: Value, attribute: str, version: str) -> bool | None:
    """What ``hasattr`` answers on a release; ``None`` when that is not known."""
    if isinstance(owner, Dotted):
        if owner.compat:
            through = owner.path == "nnx" and name(f"nnx.{attribute}") is not None
            return (
                releases.has(provided(f"nnx.{attribute}"), version) if through else None
            )
        if owner.path == "flax":
            path = module_path(f"flax.{attribute}")
            return None if path is None else module_on(path, version)
        if owner.path == "nnx" or owner.path.startswith("nnx."):
            return releases.has(on(f"{owner.path}.{attribute}"), version)
        return None
    for kind in kinds(owner):
        path = member(kind, attribute)
        if path:
            there = on(path)
            if isinstance(owner, Instance) and owner.attribute:
                there &= ~behaviour("attribute-unwraps-the-variable")
            return releases.has(there, version)
    return None


def exists(found: Dotted, version: str) -> bool:
    """Whether a release has what a dotted path of NNX names."""
    mask = provided(found.path) if found.compat else on(found.path)
    return releases.has(mask, version)


def parameters(
    node: ast.expr, infer: Callable[[ast.expr], Value], version: str
) -> frozenset[str] | None:
    """The parameters that a callable has on a release, if it is one of NNX."""
    found = infer(node)
    path = found.path if isinstance(found, Dotted) and not found.compat else ""
    if not path and isinstance(node, ast.Attribute):
        path = next(
            (m for k in kinds(infer(node.value)) if (m := member(k, node.attr))), ""
        )
    row = name(path.removesuffix(".__init__"))
    if row is None or not row.parameters:
        return None
    return frozenset(p for p in row.parameters if row.on(version, p))


# -- modules ------------------------------------------------------------------------


#: Where NNX is imported from.
ROOTS = ("flax.nnx", "flax.experimental.nnx")


def module_path(dotted: str) -> str | None:
    """The path itself when it is of a module of NNX, ``None`` for others."""
    inside = any(dotted == root or dotted.startswith(f"{root}.") for root in ROOTS)
    return dotted if inside else None


def within(module: str) -> str:
    """The rest of a path behind its root: ``""``, or ``.graph``."""
    root = next(root for root in ROOTS if module.startswith(root))
    return module.removeprefix(root)


def modules(path: str) -> int:
    """The releases on which a module path of NNX can be imported."""
    mask = releases.ALL
    if path.startswith(ROOTS[0]):
        mask &= ~behaviour("nnx-is-experimental")
    inside = within(path).strip(".").split(".")[0]
    if inside and name(f"nnx.{inside}"):
        mask &= on(f"nnx.{inside}")
    return mask


def module_on(path: str, version: str) -> bool:
    """Whether a module path of NNX can be imported on a release."""
    return releases.has(modules(path), version)
