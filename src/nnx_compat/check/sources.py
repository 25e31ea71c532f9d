"""The files that are checked: Python sources and notebooks, read and never imported."""

from __future__ import annotations

import ast
import io
import json
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from .findings import Finding

__all__ = ["Source", "SourceError", "files", "read"]

_SKIPPED = frozenset(
    (".git", ".hg", ".nox", ".tox", ".venv", "venv", ".mypy_cache", ".ruff_cache",
     ".pytest_cache", "__pycache__", "node_modules", "build", "dist", ".eggs",
     ".ipynb_checkpoints", "site-packages")
)  # fmt: skip
_IGNORED = re.compile(r"#\s*nnx-compat:\s*ignore(?:\[([\w\s,]*)\])?")


class SourceError(Exception):
    """A file cannot be read or parsed; the text says which and why."""


@dataclass(frozen=True)
class Source:
    """A file as one module.

    Attributes:
        path: as it was given.
        text: of the module; the code cells of a notebook, one after the other.
        starts: for a notebook, the cell and the first line in ``text`` of each.
    """

    path: str
    text: str
    starts: tuple[tuple[int, int], ...] = field(default=())

    def tree(self) -> ast.Module:
        """The syntax tree.

        Raises:
            SourceError: it is no Python.
        """
        import warnings

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of the code, not of ours
                return ast.parse(self.text)
        except (SyntaxError, ValueError, RecursionError) as error:
            line = getattr(error, "lineno", None) or 0
            found = getattr(error, "msg", None) or str(error)
            here = ".".join(map(str, sys.version_info[:2]))
            raise SourceError(
                f"{self.path}:{line}: {found}\n"
                f"  instead: if it is for a newer Python than {here}, check it on that"
            ) from None

    def speaks_of_nnx(self) -> bool:
        """Whether it can meet NNX at all: most files of a tree do not."""
        return "nnx" in self.text or "flax" in self.text

    def reported(self, findings: Iterable[Finding]) -> list[Finding]:
        """The findings that no comment ignores, each once, sorted, by cell."""
        lines = self.text.splitlines() if "nnx-compat:" in self.text else []
        return [
            self._placed(finding)
            for finding in sorted(set(findings))
            if not (lines and _ignored(lines, finding))
        ]

    def _placed(self, finding: Finding) -> Finding:
        for cell, start in reversed(self.starts):
            if finding.line >= start:
                ahead = start - 1
                return replace(
                    finding, cell=cell, line=finding.line - ahead,
                    end_line=finding.end_line - ahead,
                )  # fmt: skip
        return finding


def _ignored(lines: list[str], finding: Finding) -> bool:
    for line in lines[finding.line - 1 : finding.end_line]:
        found = _IGNORED.search(line)
        if found and (
            found[1] is None or finding.code in re.split(r"[\s,]+", found[1].strip())
        ):
            return True
    return False


def files(paths: list[str]) -> Iterator[Path]:
    """The sources and notebooks in files and folders, sorted, each once.

    Raises:
        SourceError: a path does not exist.
    """
    seen = set()
    for given in paths:
        path = Path(given)
        if not path.exists():
            raise SourceError(f"{given}: there is no such file or folder")
        for found in _inside(path) if path.is_dir() else [path]:
            if found not in seen:
                seen.add(found)
                yield found


def _inside(folder: Path) -> Iterator[Path]:
    for child in sorted(folder.iterdir()):
        if child.is_dir():
            if child.name not in _SKIPPED and not child.name.endswith(".egg-info"):
                yield from _inside(child)
        elif child.suffix in (".py", ".ipynb"):
            yield child


def read(path: Path) -> Source:
    """Read one file, in the encoding that it declares.

    Raises:
        SourceError: it cannot be read.
    """
    try:
        if path.suffix == ".ipynb":
            return _notebook(path)
        with tokenize.open(path) as stream:
            return Source(str(path), stream.read())
    except (OSError, SyntaxError, ValueError, KeyError, TypeError) as error:
        raise SourceError(f"{path}: {error}") from None


def _notebook(path: Path) -> Source:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    text, starts = io.StringIO(), []
    line = 1
    for number, cell in enumerate(notebook["cells"], 1):
        if cell["cell_type"] != "code":
            continue
        source = cell["source"]
        lines = (source if isinstance(source, str) else "".join(source)).splitlines()
        if lines and lines[0].startswith("%%"):
            continue  # another language, or a whole cell handed to a magic
        starts.append((number, line))
        for one in lines:
            text.write(_without_magic(one) + "\n")
        line += len(lines)
    return Source(str(path), text.getvalue(), tuple(starts))


def _without_magic(line: str) -> str:
    stripped = line.lstrip()
    if stripped[:1] in ("%", "!", "?") or stripped.endswith("?"):
        return line[: len(line) - len(stripped)] + "pass"
    return line
