"""Import statements: which module, which names, and what is bound by them."""

from __future__ import annotations

import ast
from dataclasses import replace

from ... import facts
from .. import events, masks
from ..modules import ROOTS, imported, module_path
from ..program import Unit
from ..values import Dotted, Local
from .reading import Reading, statement

__all__ = ["of_flax"]


@statement(ast.Import)
def _import(reading: Reading, node: ast.Import) -> None:
    for alias in node.names:
        module = module_path(alias.name)
        if module is not None and not reading.program.is_installed:
            reading.show(events.Import(node, module, by_import=True))
        # without ``as``, the first part of a dotted path is bound
        bound = alias.name if alias.asname else alias.name.split(".")[0]
        unit = reading.program.module(reading.unit, bound)
        value = of_flax(reading, imported(bound)) if unit is None else Local(unit)
        reading.bind(alias.asname or bound, value)


@statement(ast.ImportFrom)
def _import_from(reading: Reading, node: ast.ImportFrom) -> None:
    base = "." * node.level + (node.module or "")
    unit = reading.program.module(reading.unit, base)
    if unit is not None or node.level or _is_in_project(reading, node):
        _import_local(reading, node, base, unit)
        return
    source = node.module or ""
    module = module_path(source)
    installed = reading.program.is_installed
    if module is not None and not installed:
        reading.show(events.Import(node, module, by_import=True))
    for alias in node.names:
        if alias.name == "*":
            _import_all(reading, node, source)
            continue
        dotted = f"{source}.{alias.name}"
        own = module_path(dotted)
        if module is None and own is not None and not installed:
            reading.show(events.Import(node, own, by_import=True))
        value = of_flax(reading, imported(dotted))
        if module in ROOTS and not value.compat and _is_file(value.path):
            reading.show(events.Import(node, dotted, by_import=True))
        elif module in ROOTS or masks.inside(value.path) is not None:
            reading.show(
                events.Name(alias, value.path, by_import=True, compat=value.compat)
            )
        if source == "nnx_compat.nnx":
            reading.show(events.Name(alias, value.path, by_import=True, compat=True))
        if own is None and source.partition(".")[0] == "flax":
            reading.show(events.Outside(alias, dotted, by_import=True))
        reading.bind(alias.asname or alias.name, value)


def _is_file(path: str) -> bool:
    """Whether a path is of a file inside NNX that the namespace never names."""
    return masks.name(path) is None and facts.module(path) is not None


def of_flax(reading: Reading, value: Dotted) -> Dotted:
    """What is imported of Flax, where ``nnx_compat.install()`` has put our own in."""
    is_nnx = value.path == "nnx" or value.path.startswith("nnx.")
    if is_nnx and reading.program.is_installed:
        return replace(value, compat=True)
    return value


def _is_in_project(reading: Reading, node: ast.ImportFrom) -> bool:
    """Whether some of the names are files of a folder without ``__init__``."""
    names = (alias.name for alias in node.names)
    base = node.module or ""
    return any(reading.program.submodule(reading.unit, base, name) for name in names)


def _import_local(
    reading: Reading, node: ast.ImportFrom, base: str, unit: Unit | None
) -> None:
    """Bind names of another file of the program."""
    if unit is not None:
        reading.program.turn.note(unit.users)
    for alias in node.names:
        name = alias.asname or alias.name
        if unit is not None and alias.name == "*":
            for one, value in list(unit.exports.items()):
                if not one.startswith("_"):
                    reading.bind(one, value)
                    reading.scope.imported[one] = unit, one
            continue
        inside = reading.program.submodule(reading.unit, base, alias.name)
        if unit is not None and alias.name in unit.exports:
            reading.bind(name, unit.exports[alias.name])
            reading.scope.imported[name] = unit, alias.name
        else:
            reading.bind(name, None if inside is None else Local(inside))


def _import_all(reading: Reading, node: ast.ImportFrom, source: str) -> None:
    """``from flax.nnx import *``: each name that is used later is one of NNX."""
    compat = source == "nnx_compat.nnx"
    if not compat and module_path(source) not in ROOTS:
        return
    for path in facts.names():
        name = path.removeprefix("nnx.")
        if "." not in name:
            reading.bind(name, Dotted(path, compat, star=True))
