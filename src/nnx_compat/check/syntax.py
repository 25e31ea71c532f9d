"""Questions about syntax trees that need no facts and know no values."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from typing import TypeGuard

__all__ = [
    "FunctionNode", "Located", "all_arguments", "all_statements", "dotted", "ends",
    "first_argument", "has_lazy_annotations", "is_attribute_of", "is_call_of",
    "is_empty", "is_none", "is_static", "lines_of", "raises_again", "unstarred",
    "unsubscripted",
]  # fmt: skip

#: Nodes that have a place in the source.
Located = ast.expr | ast.stmt | ast.alias | ast.keyword
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


def lines_of(text: str) -> list[str]:
    r"""The lines of a source with their ends, as ``ast`` and ``tokenize`` count them.

    ``str.splitlines`` ends a line at a form feed and at U+2028, too, and they do not.

    Example:
        >>> from nnx_compat.check.syntax import lines_of
        >>> lines_of("a\x0cb\rc\r\nd")
        ['a\x0cb\r', 'c\r\n', 'd']
    """
    return _LINE.findall(text)


_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


def dotted(node: ast.AST | None) -> str:
    """A dotted name as it is written, ``""`` for other expressions.

    Example:
        >>> from nnx_compat.check.syntax import dotted
        >>> dotted(ast.parse("self.w", mode="eval").body)
        'self.w'
        >>> dotted(ast.parse("f().w", mode="eval").body)
        ''
    """
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (owner := dotted(node.value)):
        return f"{owner}.{node.attr}"
    return ""


def root_of(node: ast.expr) -> str:
    """The name that an expression begins with: ``a`` of ``a.b["c"].d``, else ``""``."""
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def is_attribute_of(node: ast.AST, name: str) -> TypeGuard[ast.Attribute]:
    """Whether it is ``name.attribute``."""
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == name
    )


def is_call_of(node: ast.expr, name: str, arguments: int) -> TypeGuard[ast.Call]:
    """Whether it is ``name(...)`` with so many arguments by position, and no others."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == name
        and len(node.args) == arguments
        and not node.keywords
    )


def is_empty(node: ast.expr) -> bool:
    """Whether it is a container with nothing in it: ``[]``, ``dict()``."""
    if isinstance(node, ast.Dict):
        return not node.keys
    if isinstance(node, (ast.List, ast.Tuple)):
        return not node.elts
    kinds = ("list", "dict", "tuple", "set")
    return isinstance(node, ast.Call) and any(is_call_of(node, k, 0) for k in kinds)


def is_none(node: ast.expr) -> bool:
    """Whether it is ``None``."""
    return isinstance(node, ast.Constant) and node.value is None


def unsubscripted(node: ast.expr) -> ast.expr:
    """``Variable`` of ``Variable[Array]``, other expressions as they are."""
    return node.value if isinstance(node, ast.Subscript) else node


def unstarred(node: ast.expr) -> ast.expr:
    """``x`` of ``*x``, other expressions as they are."""
    return node.value if isinstance(node, ast.Starred) else node


def all_statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a block and of all blocks in it; no expression is looked at."""
    waiting = list(body)
    while waiting:
        one = waiting.pop()
        yield one
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            for part in getattr(one, name, ()):
                if isinstance(part, ast.stmt):
                    waiting.append(part)
                else:  # a handler of exceptions, or a case
                    waiting += part.body


# -- blocks -------------------------------------------------------------------------


def ends(body: Sequence[ast.stmt]) -> bool:
    """Whether what follows a block is not reached after it."""
    if not body:
        return False
    last = body[-1]
    if isinstance(last, ast.Expr) and isinstance(last.value, ast.Call):
        return dotted(last.value.func) in ("sys.exit", "exit", "pytest.skip")
    return isinstance(last, (ast.Return, ast.Raise, ast.Continue, ast.Break))


def raises_again(body: Sequence[ast.stmt]) -> bool:
    """Whether the handler of an exception ends with another one."""
    return bool(body) and isinstance(body[-1], ast.Raise)


def has_lazy_annotations(tree: ast.Module) -> bool:
    """Whether nobody evaluates the annotations of a module."""
    return any(
        isinstance(statement, ast.ImportFrom)
        and statement.module == "__future__"
        and any(alias.name == "annotations" for alias in statement.names)
        for statement in tree.body
    )


# -- functions ----------------------------------------------------------------------


def is_static(node: FunctionNode) -> bool:
    """Whether the first parameter of a method is not the object."""
    names = {dotted(decorator) for decorator in node.decorator_list}
    return not names.isdisjoint(("staticmethod", "classmethod"))


def first_argument(arguments: ast.arguments) -> str:
    """The name of the first positional parameter, ``""`` when there is none."""
    positional = [*arguments.posonlyargs, *arguments.args]
    return positional[0].arg if positional else ""


def all_arguments(arguments: ast.arguments) -> list[ast.arg]:
    """Every parameter, ``*args`` and ``**kwargs`` included."""
    listed = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    more = (arguments.vararg, arguments.kwarg)
    return [*listed, *(a for a in more if a is not None)]
