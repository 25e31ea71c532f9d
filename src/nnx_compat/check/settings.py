"""``[tool.nnx-compat]`` of a pyproject.toml: what to check, and what to leave aside.

    [tool.nnx-compat]
    target = ">=0.10"
    ignore = ["NC3"]
    exclude = ["examples/old/*"]
    baseline = "nnx-compat-baseline.json"
    per-file-ignores = { "tests/*" = ["NC4"] }

What is given on the command line replaces the key of the same name. Codes may be cut
short: ``NC3`` is every code that begins so.
"""

from __future__ import annotations

import contextlib
import difflib
import fnmatch
import importlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from .declared import folders
from .findings import Finding, quoted
from .rules import RULES
from .sources import SourceError

__all__ = ["Settings", "codes", "found"]


@dataclass(frozen=True)
class Settings:
    """What to check, and what to leave aside.

    Attributes:
        target: a specifier of Flax; ``""`` for what the project declares.
        select: codes, or their beginnings; all of them when there is none.
        ignore: likewise, those that are left aside.
        exclude: patterns of files that are not read: of a whole path, or of one name
            in it.
        baseline: the file with the findings that are known; ``""`` for none.
        per_file_ignores: codes that are left aside in the files of a pattern.
        folder: what patterns and the baseline are relative to.
    """

    target: str = ""
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    baseline: str = ""
    per_file_ignores: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    folder: Path = field(default_factory=Path)

    def with_options(self, **given: Any) -> Settings:
        """The same, with what was given on the command line in its place."""
        return replace(self, **{key: value for key, value in given.items() if value})

    def reads(self, path: Path) -> bool:
        """Whether a file is read."""
        return not any(self._matches(path, pattern) for pattern in self.exclude)

    def keeps(self, finding: Finding) -> bool:
        """Whether a finding counts."""
        code = finding.code
        if self.select and not code.startswith(self.select):
            return False
        aside = self.ignore + tuple(
            one
            for pattern, some in self.per_file_ignores.items()
            if self._matches(Path(finding.path), pattern)
            for one in some
        )
        return not (aside and code.startswith(aside))

    @property
    def baseline_file(self) -> Path | None:
        """Where the baseline is."""
        return self.folder / self.baseline if self.baseline else None

    def _matches(self, path: Path, pattern: str) -> bool:
        # those of a pyproject.toml are relative to it, those of an option to here
        for start in (self.folder, Path()):
            shown = Path(os.path.relpath(path, start))
            if any(
                fnmatch.fnmatch(one, pattern)
                for one in (shown.as_posix(), *shown.parts)
            ):
                return True
        return False


def codes(given: str | Iterable[str], where: str) -> tuple[str, ...]:
    """Codes or their beginnings, from a list or from text with commas.

    Raises:
        SourceError: no rule has a code that begins so.
    """
    listed = given.split(",") if isinstance(given, str) else given
    found = tuple(one.strip().upper() for one in listed if one.strip())
    for one in found:
        if not any(rule.code.startswith(one) for rule in RULES):
            known = [rule.code for rule in RULES]
            alike = difflib.get_close_matches(one, known, n=3) or known[:3]
            raise SourceError(
                f"{where}: no rule has a code that begins with {one!r}\n"
                f"  instead: {', '.join(alike)}; nnx-compat explain lists all"
            )
    return found


def found(paths: Iterable[str]) -> Settings:
    """The settings of the project of these paths, from the nearest pyproject.toml.

    Raises:
        SourceError: a key is unknown or of another kind, or no TOML can be read here.
    """
    for folder in folders([str(path) for path in paths]):
        file = folder / "pyproject.toml"
        if file.is_file():
            table = _table(file)
            if table is not None:
                return _settings(table, file)
    return Settings()


def _table(file: Path) -> Mapping[str, Any] | None:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, ValueError):
        return None  # the search for the declared range says so
    if "nnx-compat" not in text:
        return None
    tomllib = _parser()
    if tomllib is None:
        if "[tool.nnx-compat]" not in text:
            return None
        raise SourceError(
            f"{quoted(str(file))}: this Python reads no TOML\n"
            "  instead: pip install tomli, or a newer Python"
        )
    try:
        tool = tomllib.loads(text).get("tool", {})
    except ValueError:
        return None  # likewise
    found = tool.get("nnx-compat") if isinstance(tool, Mapping) else None
    return found if isinstance(found, Mapping) else None


def _parser() -> ModuleType | None:
    """The parser of TOML that CPython has since 3.11, or the package it came from."""
    for name in ("tomllib", "tomli"):
        with contextlib.suppress(ModuleNotFoundError):
            return importlib.import_module(name)
    return None


_LISTS = ("select", "ignore", "exclude")
_TEXTS = ("target", "baseline")
_KEYS = (*_TEXTS, *_LISTS, "per-file-ignores")


def _settings(table: Mapping[str, Any], file: Path) -> Settings:
    where = f"{quoted(str(file))}: [tool.nnx-compat]"
    for key, value in table.items():
        if key not in _KEYS:
            alike = difflib.get_close_matches(key, _KEYS, n=1) or _KEYS
            raise SourceError(
                f"{where}: unknown key {key!r}\n  instead: {', '.join(alike)}"
            )
        _check(key, value, f"{where}: {key}")
    aside = table.get("per-file-ignores", {})
    return Settings(
        target=table.get("target", ""),
        select=codes(table.get("select", ()), f"{where}: select"),
        ignore=codes(table.get("ignore", ()), f"{where}: ignore"),
        exclude=tuple(table.get("exclude", ())),
        baseline=table.get("baseline", ""),
        per_file_ignores={
            pattern: codes(some, f"{where}: per-file-ignores")
            for pattern, some in aside.items()
        },
        folder=file.parent,
    )


def _check(key: str, value: object, where: str) -> None:
    if key in _TEXTS:
        if not isinstance(value, str):
            raise SourceError(f'{where} is {value!r}\n  instead: {key} = "..."')
    elif key in _LISTS:
        if not _is_list_of_text(value):
            raise SourceError(f'{where} is {value!r}\n  instead: {key} = ["..."]')
    elif not isinstance(value, Mapping) or not all(
        map(_is_list_of_text, value.values())
    ):
        raise SourceError(
            f'{where} is {value!r}\n  instead: {key} = {{ "tests/*" = ["NC4"] }}'
        )


def _is_list_of_text(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)
