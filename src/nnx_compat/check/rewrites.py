"""What can be written instead, as templates: the rules propose, ``fixing`` applies.

``{nc}`` stands for ``nnx_compat`` and ``{nnx}`` for the namespace, as the file calls
them; every other field is a part of the code that stays as it is written.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field

from .syntax import Located

__all__ = ["OPERATORS", "Rewrite", "operand", "positional"]

OPERATORS = {
    "Add": "+", "Sub": "-", "Mult": "*", "Div": "/", "FloorDiv": "//", "Mod": "%",
    "Pow": "**", "MatMult": "@", "LShift": "<<", "RShift": ">>", "BitAnd": "&",
    "BitOr": "|", "BitXor": "^",
}  # fmt: skip


def operand(node: ast.expr, field: str = "x") -> str:
    """The field of a template, in parentheses where an operator would cut it up."""
    whole = (ast.Name, ast.Constant, ast.Call, ast.Attribute, ast.Subscript)
    return f"{{{field}}}" if isinstance(node, whole) else f"({{{field}}})"


def positional(call: ast.Call, **first: Located) -> tuple[str, dict[str, Located]]:
    """The fields that pass a call's positional arguments on, and what they stand for.

    Args:
        call: the call.
        **first: what goes ahead of them.
    """
    parts = first | {f"a{i}": argument for i, argument in enumerate(call.args)}
    return ", ".join(f"{{{field}}}" for field in parts), parts


@dataclass(frozen=True)
class Rewrite:
    """One change of the source.

    Attributes:
        whole: what is replaced.
        portable: the form that runs on every release, ``""`` when there is none.
        native: the form of the newest release, ``""`` when there is none.
        parts: fields of the templates, and the code they stand for.
        since: the releases on which the native form runs, as bits.
        unsafe: whether it can mean something else, for some values.
    """

    whole: Located
    portable: str = ""
    native: str = ""
    parts: Mapping[str, Located] = field(default_factory=dict)
    since: int = 0
    unsafe: bool = False
