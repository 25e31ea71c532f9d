"""What the checker says about a package, beside which its lines were executed.

A finding says that a line is an error on some releases. Where the line was executed
there and nothing came of it, that is a proved false alarm, provided that executing the
line executes the code that is meant: what is inside a lambda, or after an ``and``, need
not have run.
"""

from __future__ import annotations

import ast
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nnx_compat.check import Finding, check, releases, sources
from nnx_compat.check.program import Program
from nnx_compat.matrix import source

from . import measure, pins


def renew(
    package: pins.Package, plain: Path, record: dict[str, Any], *, again: bool = False
) -> None:
    """Put what the checker says into a record, unless this checker said it."""
    of = {"pin": package.digest, "src": source.digest("src")}
    if not again and record.get("check", {}).get("source") == of:
        return
    files = imported(measure.of_package(package, plain), plain)
    start = time.monotonic()
    report = check(map(str, files))
    record["declared"] = _declared(plain)
    record["check"] = {
        "source": of,
        "runs": " ".join(_among(report.runs)),
        "findings": [
            _row(finding, plain)
            for finding in sorted(report.findings)
            if _among(finding.excluded)
        ],
        "unread": len(report.unread),
        "seconds": round(time.monotonic() - start),
    }


def imported(files: Iterable[Path], plain: Path) -> list[Path]:
    """Some files of a package, and those that they import of it, however far.

    What an import brings in runs with it, and fails with it.
    """
    found = set(files)
    units = Program(map(sources.read, sorted(plain.rglob("*.py")))).units
    imports = {Path(u.source.path): u.imports for u in units}
    waiting = list(found)
    while waiting:
        file = waiting.pop()
        inside = (folder / "__init__.py" for folder in file.parents)
        brought = {Path(unit.source.path) for unit in imports.get(file, ())}
        brought |= {init for init in inside if init in imports}
        waiting += brought - found
        found |= brought
    return sorted(found)


def _among(mask: int) -> list[str]:
    """Those of a set of releases that the corpus is run on."""
    return [flax for flax in pins.releases() if releases.has(mask, flax)]


def _declared(plain: Path) -> str:
    """The range of Flax in the metadata of a wheel, ``""`` where there is none."""
    from email.parser import Parser

    from packaging.requirements import Requirement

    (metadata,) = plain.glob("*.dist-info/METADATA")
    lines = Parser().parsestr(metadata.read_text("utf-8")).get_all("Requires-Dist", [])
    for requirement in map(Requirement, lines):
        if requirement.name == "flax" and requirement.marker is None:
            return f"flax{requirement.specifier}"
    return ""


def _row(finding: Finding, plain: Path) -> dict[str, Any]:
    file = Path(finding.path)
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {
        "at": f"{file.relative_to(plain).as_posix()}:{finding.line}",
        "about": _about(finding),
        "code": finding.code,
        "certain": finding.certain,
        "excluded": " ".join(_among(finding.excluded)),
        "runs_with_line": _runs_with_line(tree, finding.line, finding.column - 1),
    }


def _about(finding: Finding) -> str:
    """The attribute that a finding is about, where it names one of ``self``."""
    named = re.match(r"`self\.(\w+)`", finding.text)
    return named[1] if named else ""


def _runs_with_line(tree: ast.Module, line: int, column: int) -> bool:
    """Whether to execute the line is to execute the code at this place."""
    for node in ast.walk(tree):
        for part in _may_not_run(node):
            if _holds(part, line, column):
                return False
    return True


def _may_not_run(node: ast.AST) -> list[ast.AST]:
    match node:
        case ast.Lambda(body=body):
            return [body]
        case ast.IfExp(body=body, orelse=other):
            return [body, other]
        case ast.BoolOp(values=[_, *rest]):
            return list(rest)
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            return [node]
        case ast.FunctionDef(body=[first, *_]) if first.lineno == node.lineno:
            return list(node.body)
        case ast.AnnAssign(annotation=annotation) | ast.arg(annotation=annotation):
            return [annotation] if annotation is not None else []
        case ast.FunctionDef(returns=returns) if returns is not None:
            return [returns]
    return []


def _holds(node: ast.AST, line: int, column: int) -> bool:
    start = (node.lineno, node.col_offset)  # type: ignore[attr-defined]
    end = (node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]
    found: bool = start <= (line, column) < end
    return found
