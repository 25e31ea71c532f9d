"""Which releases of Flax a project says it runs on: read, never executed."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from .. import facts
from ..errors import UnknownFactError
from . import releases
from .project_files import FILES
from .ranges import Range, of_specifier
from .sources import SourceError, quoted

__all__ = ["Declared", "Search", "around", "folders", "right", "search", "target"]


@dataclass(frozen=True)
class Declared:
    """A range of Flax releases, and where it is written.

    Attributes:
        where: a file, or the option it was given by.
        specifier: PEP 440, ``""`` for any version; alternatives with ``or`` in between.
        mask: the releases in it, as bits.
    """

    where: str
    specifier: str
    mask: int


@dataclass
class Search:
    """What was found in the files of a project.

    Attributes:
        declared: the range.
        looked: the files without one.
        unread: those that could not be read, and why.
    """

    declared: Declared | None = None
    looked: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)


def target(text: str, where: str = "--target") -> Declared:
    """The range given on the command line, or in the settings.

    Args:
        text: a PEP 440 specifier; a version for that one; ``"newest"`` for the newest
            release of the facts; ``"installed"`` for the Flax of this environment.
        where: it is asked for, for messages.

    Raises:
        SourceError: it is none of these, or no release is in it.

    Example:
        >>> from nnx_compat.check import declared, releases
        >>> releases.listed(declared.target("newest").mask) == releases.listed(
        ...     releases.ALL)[-1:]
        True
    """
    try:
        found = of_specifier(SpecifierSet(_spelled(text.strip())))
    except InvalidSpecifier:
        raise SourceError(
            f"{where} {text!r} is not a version specifier\n"
            "  instead: '>=0.10,<0.13', a version, newest or installed"
        ) from None
    if not found.mask:
        raise SourceError(f"{where} {text!r} has no release of Flax with NNX in it")
    return Declared(where, found.specifier, found.mask)


def _spelled(text: str) -> str:
    """A specifier for what may be a word or a version."""
    if text == "newest":
        return f"=={facts.releases()[-1].version}"
    if text == "installed":
        try:
            return f"=={facts.nearest(importlib.metadata.version('flax'))}"
        except (importlib.metadata.PackageNotFoundError, UnknownFactError):
            raise SourceError(
                "--target installed: no Flax with NNX is installed here\n"
                "  instead: --target newest, or a range"
            ) from None
    return f"=={text}" if text[:1].isdigit() else text


def around(paths: list[str]) -> Declared | None:
    """The range that the project of these paths declares, from the nearest file."""
    return search(paths).declared


def search(paths: list[str]) -> Search:
    """Look for the range in the folder of a path, and then upwards.

    A file that cannot be read is noted, and the search goes on.
    """
    found = Search()
    for folder in folders(paths):
        for pattern, read in FILES:
            for file in sorted(folder.glob(pattern)):
                if not file.is_file():
                    continue
                try:
                    declares: Range | None = read(file)
                except Exception as error:
                    found.unread.append(f"{_shown(file)}: {error}")
                    continue
                if declares is not None:
                    where = _shown(file)
                    found.declared = Declared(where, declares.specifier, declares.mask)
                    return found
                found.looked.append(_shown(file))
    return found


def folders(paths: list[str]) -> Iterator[Path]:
    """The folders of paths and those above, nearest first, up to the repository's."""
    seen = set[Path]()
    for given in paths:
        start = Path(given).resolve()
        for folder in (start, *start.parents):
            if folder in seen:
                break
            seen.add(folder)
            if folder.is_dir():
                yield folder
            if (folder / ".git").exists():
                break


def _shown(file: Path) -> str:
    try:
        return quoted(str(file.relative_to(Path.cwd())))
    except ValueError:
        return quoted(str(file))


def right(runs: int, declared: Declared) -> str:
    """The specifier that would be right: the newest unbroken run of releases.

    Args:
        runs: the releases that the code runs on, as bits.
        declared: what is written now.

    Returns:
        PEP 440, as ``>=0.10,<0.12``; ``""`` when nothing runs it.
    """
    inside = releases.spans(runs & declared.mask) or releases.spans(runs)
    if not inside:
        return ""
    first, last = inside[-1]
    versions = [release.version for release in facts.releases()]
    # where the declared floor holds it is left as it is
    begins, ends = versions.index(first), versions.index(last or versions[-1])
    parts = [f">={first}"] if begins or not runs & 1 else []
    if ends + 1 < len(versions):
        parts.append(f"<{versions[ends + 1]}")
    return ",".join(parts) or f">={versions[0]}"
