"""The files that are checked: Python sources and notebooks, read and never imported."""

from __future__ import annotations

import ast
import io
import json
import os
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from . import notebooks
from .findings import Finding, quoted
from .syntax import lines_of

__all__ = [
    "Source", "SourceError", "decoded", "files", "from_bytes", "quoted", "read",
    "write_whole",
]  # fmt: skip

_SKIPPED = frozenset(
    (".git", ".hg", ".nox", ".tox", ".venv", "venv", ".mypy_cache", ".ruff_cache",
     ".pytest_cache", "__pycache__", "node_modules", "build", "dist", ".eggs",
     ".ipynb_checkpoints", "site-packages")
)  # fmt: skip
#: Ours, of all codes or some; and the comment that other linters know, of some of ours.
_IGNORED = re.compile(
    r"#\s*nnx-compat:\s*ignore(?:\[([\w\s,]*)\])?|"
    r"#\s*noqa:\s*((?:[A-Z]+[0-9]+[,\s]*)*NC[0-9]+(?:[,\s]+[A-Z]+[0-9]+)*)",
    re.IGNORECASE,
)


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
        ignores = self._ignores
        return [
            self._placed(finding)
            for finding in sorted(set(findings))
            if not any(
                line in ignores and _covers(ignores[line], finding)
                for line in range(finding.line, finding.end_line + 1)
            )
        ]

    def unused(self, findings: Iterable[Finding]) -> list[tuple[str, str]]:
        """The comments that ignore what is not found there, and what they name."""
        ignores = self._ignores
        if not ignores:
            return []
        of_line: dict[int, set[str]] = {}
        for finding in findings:
            for line in range(finding.line, finding.end_line + 1):
                of_line.setdefault(line, set()).add(finding.code)
        unused = []
        for line in sorted(set(ignores) & self._comments()):
            named, there = ignores[line], of_line.get(line, set())
            if named is None:
                idle = [] if there else ["nnx-compat: ignore"]
            else:
                idle = sorted(named - there)
            if idle:
                unused.append((self.place(line, 1), ", ".join(idle)))
        return unused

    @cached_property
    def _ignores(self) -> dict[int, frozenset[str] | None]:
        """By line, the codes that a comment there ignores; None for all of them."""
        if "nnx-compat:" not in self.text and "noqa" not in self.text:
            return {}
        found: dict[int, frozenset[str] | None] = {}
        for number, line in enumerate(lines_of(self.text), 1):
            match = _IGNORED.search(line) if "#" in line else None
            if match:
                named = match[1] if match[1] is not None else match[2]
                words = re.split(r"[\s,]+", (named or "").upper().strip())
                ours = frozenset(word for word in words if word.startswith("NC"))
                found[number] = None if named is None else ours
        return found

    def _comments(self) -> set[int]:
        """The lines with a comment; what looks like one in a string is none."""
        try:
            tokens = list(tokenize.generate_tokens(io.StringIO(self.text).readline))
        except (SyntaxError, tokenize.TokenError):
            return set()
        return {t.start[0] for t in tokens if t.type == tokenize.COMMENT}

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


def _covers(named: frozenset[str] | None, finding: Finding) -> bool:
    return named is None or finding.code in named


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


def from_bytes(raw: bytes, name: str) -> str:
    """The text of a source that is no file.

    Raises:
        SourceError: it is in no encoding that it declares.
    """
    try:
        return decoded(raw)[0]
    except (SyntaxError, ValueError, LookupError) as error:
        raise SourceError(f"{quoted(name)}: {error}") from None


def write_whole(file: Path, text: str) -> None:
    """Write what a command leaves beside the sources, whole or not at all.

    Raises:
        SourceError: it cannot be written; what was there is there.
    """
    scratch = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        scratch.write_text(text, encoding="utf-8")
        scratch.replace(file)
    except OSError as error:
        raise SourceError(f"{quoted(str(file))}: {error.strerror or error}") from None
    finally:
        scratch.unlink(missing_ok=True)


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
