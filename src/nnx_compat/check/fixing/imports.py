"""Imports of NNX, which come from nnx_compat in the portable form."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .. import masks, releases
from ..modules import ROOTS
from .draft import Draft
from .edits import Edit, escaped

__all__ = ["added_import", "portable_imports"]

_Import = ast.Import | ast.ImportFrom


def portable_imports(draft: Draft) -> Iterator[Edit]:
    """Take NNX from nnx_compat, by whichever statement or path it is reached."""
    shims = {id(s) for node in ast.walk(draft.tree) for s in _shim(node)}
    for node in ast.walk(draft.tree):
        if id(node) in shims:
            continue
        text = ""
        if isinstance(node, ast.Try) and (inside := _shim(node)):
            text = _portable(inside[0])
        elif isinstance(node, _Import):
            text = _portable(node)
        elif isinstance(node, ast.Attribute) and _is_flax_nnx(node, draft):
            text = draft.named("{nnx}")
        if not text or not isinstance(node, (ast.stmt, ast.expr)):
            continue
        start, end = draft.range(node)
        if not draft.has_comment(start, end):
            text = text.replace("\n", draft.newline + draft.indent(node))
            yield Edit(start, end, escaped(text), "NC104")


def _portable(node: _Import) -> str:
    """The statement with NNX taken from nnx_compat, ``""`` when it stays."""
    if isinstance(node, ast.Import):
        alias = node.names[0].asname
        if len(node.names) != 1 or not alias or node.names[0].name not in ROOTS:
            return ""
        return "from nnx_compat import nnx" + f" as {alias}" * (alias != "nnx")
    if node.level:
        return ""
    if node.module in ("flax", "flax.experimental"):
        ours = [alias for alias in node.names if alias.name == "nnx"]
        rest = [alias for alias in node.names if alias.name != "nnx"]
        if not ours:
            return ""
        parts = [ast.ImportFrom(node.module, rest, 0)] if rest else []
        parts.append(ast.ImportFrom("nnx_compat", ours, 0))
        return "\n".join(map(ast.unparse, parts))
    if node.module in ROOTS and all(
        masks.provided(f"nnx.{alias.name}") == releases.ALL for alias in node.names
    ):
        return ast.unparse(ast.ImportFrom("nnx_compat.nnx", node.names, 0))
    return ""


def _shim(node: ast.AST) -> list[_Import]:
    """The imports of a ``try`` that only finds NNX, by one path or another."""
    if not isinstance(node, ast.Try) or node.orelse or node.finalbody:
        return []
    blocks = [node.body, *(handler.body for handler in node.handlers)]
    found: list[_Import] = []
    for block in blocks:
        if len(block) == 1 and isinstance(block[0], _Import) and _portable(block[0]):
            found.append(block[0])
    texts = {_portable(statement) for statement in found}
    return found if len(found) == len(blocks) and len(texts) == 1 else []


def _is_flax_nnx(node: ast.Attribute, draft: Draft) -> bool:
    return (
        node.attr == "nnx"
        and isinstance(node.value, ast.Name)
        and draft.names.of("flax") == node.value.id
    )


# -- what has to be added -----------------------------------------------------------


def added_import(draft: Draft) -> Edit:
    """Import what the other edits need."""
    nc = draft.names.free("nc")
    lines = {
        "nnx_compat": "import nnx_compat" + f" as {nc}" * (nc != "nnx_compat"),
        "nnx_compat.nnx": "from nnx_compat import nnx",
    }
    wanted = "".join(lines[one] + draft.newline for one in sorted(draft.needs))
    at = _place(draft)
    return Edit(at, at, escaped(wanted), "import")


def _place(draft: Draft) -> int:
    """Before the first statement that imports NNX or needs it; else the first one."""
    body = draft.tree.body
    edited = min(edit.start for edit in draft.edits)
    first = next((s for s in body if _meets_nnx(s) or draft.range(s)[1] > edited), None)
    if first is not None:
        decorators: list[ast.expr] = getattr(first, "decorator_list", [])
        line = min([first.lineno, *(node.lineno for node in decorators)])
        return draft.starts[line - 1]
    if draft.source.starts:  # the first line of a notebook's first cell
        return draft.starts[1]
    ahead = [s.end_lineno or 0 for s in body if _is_docstring(s) or _is_future(s)]
    return draft.starts[max(ahead, default=0)]


def _meets_nnx(statement: ast.stmt) -> bool:
    inside = ast.walk(statement) if isinstance(statement, ast.Try) else [statement]
    if any(isinstance(n, _Import) and "nnx" in ast.unparse(n) for n in inside):
        return True
    return isinstance(statement, ast.Import) and any(
        alias.name == "flax" for alias in statement.names
    )


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _is_future(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.ImportFrom) and statement.module == "__future__"
