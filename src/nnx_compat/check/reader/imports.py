"""Import statements: which module, which names, and what is bound by them."""

from __future__ import annotations

import ast

from .. import events
from ..modules import ROOTS, imported, module_path
from .reading import Reading, statement


@statement(ast.Import)
def _import(reading: Reading, node: ast.Import) -> None:
    for alias in node.names:
        module = module_path(alias.name)
        if module is not None:
            reading.show(events.Import(node, module, by_import=True))
        # without ``as``, the first part of a dotted path is bound
        bound = alias.name if alias.asname else alias.name.split(".")[0]
        reading.bind(alias.asname or bound, imported(bound))


@statement(ast.ImportFrom)
def _import_from(reading: Reading, node: ast.ImportFrom) -> None:
    source = node.module or ""
    if node.level:
        for alias in node.names:
            reading.bind(alias.asname or alias.name, None)
        return
    module = module_path(source)
    if module is not None:
        reading.show(events.Import(node, module, by_import=True))
    for alias in node.names:
        dotted = f"{source}.{alias.name}"
        own = module_path(dotted)
        if module is None and own is not None:
            reading.show(events.Import(node, own, by_import=True))
        value = imported(dotted)
        if module in ROOTS and alias.name != "*":
            reading.show(events.Name(alias, value.path, by_import=True))
        if source == "nnx_compat.nnx":
            reading.show(events.Name(alias, value.path, by_import=True, compat=True))
        reading.bind(alias.asname or alias.name, value)
