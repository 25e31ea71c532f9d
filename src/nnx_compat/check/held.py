"""What containers hold, and whether there is an array in it.

Every release that refuses a plain container of Modules or Variables refuses it for what
is in it: the first of them look for arrays, the later ones for Modules and Variables.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable

from . import kinds
from .syntax import dotted
from .values import (
    NOTHING,
    Arrays,
    ClassInfo,
    Dotted,
    Function,
    Instance,
    Keys,
    Several,
    Value,
)

__all__ = ["arrays_in", "arrays_made", "holds_data", "leaves"]

_DEPTH = 4  # of containers in containers


def holds_data(value: Value, depth: int = 0) -> bool:
    """Whether it is a plain container with a Module, a Variable or an array in it.

    To Flax a state, and a dataclass that is a pytree of jax, is one too.
    """
    if depth > _DEPTH:
        return False
    if isinstance(value, Instance):
        return value.kind == "nnx.State" or any(
            kinds.is_data(v) or holds_data(v, depth + 1) for v in leaves(value)
        )
    if isinstance(value, Keys):
        plain = value.plain
    else:
        plain = isinstance(value, Several) and value.container in ("list", "tuple")
    if plain and isinstance(value, (Keys, Several)):
        return any(kinds.is_data(v) or holds_data(v, depth + 1) for v in _each(value))
    return False


def leaves(value: Value) -> list[Value]:
    """The fields of a dataclass that is a pytree of jax, as far as they are known."""
    info = value.kind if isinstance(value, Instance) else None
    if not isinstance(info, ClassInfo) or not info.is_tree:
        return []
    static = set[str]().union(*(one.static for one in info.families()))
    fields = [name for name in info.init_fields() if name not in static]
    return [info.attribute(name)[1] for name in fields]


def _each(value: Keys | Several) -> tuple[Value, ...]:
    if isinstance(value, Several):
        return value.each()
    rest = () if value.rest is None else (value.rest,)
    return (*(one for _, one in value.items), *rest)


def arrays_in(value: Value, depth: int = 0) -> Arrays:
    """Whether there is an array in something: ``""`` where that is not known."""
    if depth > _DEPTH:
        return ""
    if isinstance(value, (Keys, Several)):
        return _of_all(arrays_in(v, depth + 1) for v in _each(value))
    if isinstance(value, (Dotted, Function, ClassInfo)) or value is NOTHING:
        return "none"
    if not isinstance(value, Instance):
        return ""
    if value.arrays or kinds.is_array(value):
        return value.arrays or "some"
    if value.kind == "nnx.State":
        return "" if value.filtered else arrays_in(value.origin, depth + 1)
    if isinstance(value.kind, ClassInfo):
        return _in_class(value.kind, depth)
    return "some" if value.kind in _WITH_ARRAYS else ""


def _of_all(found: Iterable[Arrays]) -> Arrays:
    listed = list(found)
    if "some" in listed:
        return "some"
    return "" if "" in listed else "none"


def _in_class(info: ClassInfo, depth: int) -> Arrays:
    """Whether instances of a class of the project hold arrays."""
    if not info.pytree:
        return ""
    if info.one_of:
        among = {_in_class(one, depth + 1) for one in info.one_of}
        return among.pop() if len(among) == 1 else ""
    if info.native() in _WITH_ARRAYS:
        return "some"
    families = list(info.families())
    held = [v for one in families for v in one.attributes.values()]
    found = _of_all(arrays_in(v, depth + 1) for v in held)
    unclear = any(
        one.named_like or one.fields or one.given - one.attributes.keys()
        for one in families
    )
    return "" if found == "none" and (unclear or not info.complete()) else found


#: Layers that hold arrays, whatever they are made with.
_WITH_ARRAYS = frozenset(
    f"nnx.{name}"
    for name in (
        "Linear", "LinearGeneral", "Conv", "ConvTranspose", "Embed", "Einsum",
        "BatchNorm", "LayerNorm", "RMSNorm", "GroupNorm", "MultiHeadAttention",
        "LSTMCell", "OptimizedLSTMCell", "GRUCell", "SimpleCell", "LoRA", "LoRALinear",
        "PReLU", "Rngs", "RngStream", "Optimizer",
    )
)  # fmt: skip


def arrays_made(
    new: Instance, node: ast.expr, arguments: tuple[Value, ...], rngs: Value
) -> Arrays:
    """Whether what a call makes holds arrays, for what it is made with.

    Args:
        new: what it makes.
        node: the call.
        arguments: what is known of those by position.
        rngs: what is known of the argument of this name.
    """
    if not isinstance(node, ast.Call) or any(
        isinstance(argument, ast.Starred) for argument in node.args
    ):
        return ""
    if kinds.is_variable(new):
        if not node.args:
            return ""
        known = arrays_in(arguments[0]) if arguments else ""
        return known or _of_expression(node.args[0])
    if new.kind == "nnx.Sequential":
        return "some" if "some" in map(arrays_in, arguments) else ""
    if new.kind == "nnx.Dropout":
        given = {keyword.arg for keyword in node.keywords}
        if not given & {"rngs", None}:
            return "none"
        return "some" if "nnx.Rngs" in kinds.of(rngs) else ""
    return ""


def _of_expression(node: ast.expr) -> Arrays:
    """Whether an expression that nothing else is known of gives an array."""
    if isinstance(node, ast.UnaryOp):
        return _of_expression(node.operand)
    if isinstance(node, ast.BinOp):
        return _of_all((_of_expression(node.left), _of_expression(node.right)))
    if isinstance(node, ast.Constant):
        return "none"
    if not isinstance(node, ast.Call):
        return ""
    name = dotted(node.func)
    if name in ("float", "int", "str", "bool", "len", "range"):
        return "none"
    # an initializer: nnx.initializers.ones_init()(key, shape), self.kernel_init(...)
    if isinstance(node.func, ast.Call):
        name = dotted(node.func.func)
    return "some" if "init" in name else ""
