"""``fix`` over files: all of them are rewritten in memory before one is written."""

from __future__ import annotations

import difflib
import os
import tokenize
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from .. import sources
from . import Fixed, fix_source

__all__ = ["Rewritten", "rewrite"]


@dataclass
class Rewritten:
    """What was done, or would be.

    Attributes:
        changed: the files that are other than before.
        lines: what was done in each, and what is left.
        diff: the difference, as ``diff -u`` has it.
    """

    changed: list[Path] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    diff: str = ""


def rewrite(
    paths: Iterable[str],
    to: str = "portable",
    *,
    only: Iterable[str] = (),
    unsafe: bool = False,
    write: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Rewritten:
    """Rewrite files and folders; each file is replaced whole, or stays as it is.

    Args:
        paths: Python sources and folders of them; notebooks are left and named.
        to: as in ``fix_source``.
        only: as in ``fix_source``.
        unsafe: as in ``fix_source``.
        write: whether to write; else it is only said what would be.
        progress: told how many files are done, and of how many.

    Raises:
        SourceError: a file cannot be read; then none is written.

    Example:
        >>> from nnx_compat.check.fixing.files import rewrite
        >>> rewrite([]).lines
        []
    """
    wanted = list(sources.files([str(path) for path in paths]))
    result, texts = Rewritten(), []
    codes = tuple(only)
    for done, path in enumerate(wanted):
        if progress is not None:
            progress(done, len(wanted))
        if path.suffix == ".ipynb":
            result.lines.append(f"{path}: notebooks are checked and not rewritten")
            continue
        before, ends = _read(path)
        source = sources.Source(str(path), before)
        fixed = fix_source(source, to, only=codes, unsafe=unsafe)
        result.lines += _said(path, fixed)
        if fixed.text != before:
            result.changed.append(path)
            result.diff += _difference(path, before, fixed.text)
            texts.append((path, fixed.text.replace("\n", ends)))
    if write:
        for path, text in texts:
            _write(path, text)
    return result


def _said(path: Path, fixed: Fixed) -> list[str]:
    lines = []
    if fixed.changes:
        count = sum(fixed.changes.values())
        each = ", ".join(f"{n} {code}" for code, n in sorted(fixed.changes.items()))
        lines.append(f"{path}: {count} change{'s' if count > 1 else ''} ({each})")
    for finding, why in fixed.left:
        reason = f" (left: {why})" if why else ""
        lines.append(f"{finding.where}: {finding.code} {finding.text}{reason}")
        if finding.instead:
            lines.append(f"  instead: {finding.instead}")
    return lines


def _difference(path: Path, before: str, after: str) -> str:
    return "".join(
        difflib.unified_diff(
            before.splitlines(keepends=True), after.splitlines(keepends=True),
            str(path), str(path),
        )
    )  # fmt: skip


def _encoding(path: Path) -> str:
    with path.open("rb") as stream:
        return tokenize.detect_encoding(stream.readline)[0]


def _read(path: Path) -> tuple[str, str]:
    """The text, and how its lines end."""
    try:
        with path.open(encoding=_encoding(path), newline="") as stream:
            text = stream.read()
            return text.replace("\r\n", "\n"), "\r\n" if "\r\n" in text else "\n"
    except (OSError, SyntaxError, ValueError) as error:
        raise sources.SourceError(f"{path}: {error}") from None


def _write(path: Path, text: str) -> None:
    """Put a new file in the place of the old one, at once."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with scratch.open("w", encoding=_encoding(path), newline="") as stream:
            stream.write(text)
        scratch.chmod(path.stat().st_mode)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
