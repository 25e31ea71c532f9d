"""The files that are checked: Python sources and notebooks, read and never imported."""

from __future__ import annotations

import ast
import io
import json
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from . import notebooks
from .findings import Finding, quoted
from .syntax import lines_of

__all__ = ["Source", "SourceError", "decoded", "files", "quoted", "read"]

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
        magics: for a notebook, the lines that are no Python.
        bad: for a notebook, the cells that are no Python, and why.
    """

    path: str
    text: str
    starts: tuple[tuple[int, int], ...] = ()
    magics: tuple[str, ...] = ()
    bad: tuple[tuple[int, str], ...] = ()

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
                f"{quoted(self.path)}:{line}: {found}\n"
                f"  instead: if it is for a newer Python than {here}, check it on that"
            ) from None

    def changed(self, text: str) -> Source:
        """The same file with other text."""
        starts = notebooks.starts_of(text) if self.starts else ()
        return replace(self, text=text, starts=starts)

    def speaks_of_nnx(self) -> bool:
        """Whether it can meet NNX at all: most files of a tree do not."""
        return "nnx" in self.text or "flax" in self.text

    def reported(self, findings: Iterable[Finding]) -> list[Finding]:
        """The findings that no comment ignores, each once, sorted, by cell."""
        lines = lines_of(self.text) if "nnx-compat:" in self.text else []
        return [
            self._placed(finding)
            for finding in sorted(set(findings))
            if not (lines and _ignored(lines, finding))
        ]

    def place(self, line: int, column: int) -> str:
        """A place as it is said: ``path:line:column``, of a notebook with the cell."""
        finding = Finding(self.path, 0, line, column, "", "", 0, True)
        return self._placed(finding).where

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


def files(paths: list[str], unread: list[str] | None = None) -> Iterator[Path]:
    """The sources and notebooks in files and folders, sorted, each once.

    A folder that is reached by several links is walked once. What is no regular file (a
    pipe, a device) is not opened.

    Args:
        paths: of files and folders.
        unread: where folders that cannot be read are noted.

    Raises:
        SourceError: a path does not exist, or is no file.
    """
    seen = set[object]()
    for given in paths:
        path = Path(given)
        if not path.exists():
            raise SourceError(f"{quoted(given)}: there is no such file or folder")
        if path.is_dir():
            yield from _inside(path, seen, [] if unread is None else unread)
        elif not path.is_file():
            raise SourceError(f"{quoted(given)}: it is no regular file")
        elif _is_new(path, seen):
            yield path


def _is_new(key: object, seen: set[object]) -> bool:
    if key in seen:
        return False
    seen.add(key)
    return True


def _inside(folder: Path, seen: set[object], unread: list[str]) -> Iterator[Path]:
    waiting = [folder]
    while waiting:
        one = waiting.pop()
        try:
            if one.is_dir():
                found = one.stat()
                if _is_new((found.st_dev, found.st_ino), seen):
                    waiting += sorted(filter(_is_walked, one.iterdir()), reverse=True)
            elif (
                one.is_file() and one.suffix in (".py", ".ipynb") and _is_new(one, seen)
            ):
                yield one
        except OSError as error:
            unread.append(f"{quoted(str(one))}: {error.strerror or error}")


def _is_walked(path: Path) -> bool:
    return path.name not in _SKIPPED and not path.name.endswith(".egg-info")


def read(path: Path) -> Source:
    """Read one file, in the encoding that it declares.

    Raises:
        SourceError: it cannot be read.
    """
    try:
        if path.suffix == ".ipynb":
            return _notebook(path)
        return Source(str(path), decoded(path.read_bytes())[0])
    except (
        OSError, SyntaxError, ValueError, TypeError, LookupError, RecursionError
    ) as error:  # fmt: skip
        raise SourceError(f"{quoted(str(path))}: {error}") from None


def decoded(raw: bytes) -> tuple[str, str]:
    """The text of a source with its line ends, and its encoding.

    Raises:
        SyntaxError: the encoding that it declares is none.
        ValueError: it is not in that encoding.
    """
    encoding = tokenize.detect_encoding(io.BytesIO(raw).readline)[0]
    return raw.decode(encoding), encoding


def _notebook(path: Path) -> Source:
    cells = notebooks.read(json.loads(path.read_text(encoding="utf-8")))
    return Source(
        str(path), cells.text, cells.starts, tuple(cells.magics), tuple(cells.bad)
    )
