"""Which releases of Flax a project says it runs on: read, never executed."""

from __future__ import annotations

import ast
import configparser
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from .. import facts
from . import releases
from .sources import SourceError

__all__ = ["Declared", "around", "right", "target"]


@dataclass(frozen=True)
class Declared:
    """A range of Flax releases, and where it is written.

    Attributes:
        where: a file, or the option it was given by.
        specifier: PEP 440, ``""`` for any version.
        mask: the releases in it, as bits.
    """

    where: str
    specifier: str
    mask: int


def _declared(where: str, specifier: SpecifierSet) -> Declared:
    mask = releases.which(lambda v: specifier.contains(v, prereleases=True))
    return Declared(where, str(specifier), mask)


def target(text: str) -> Declared:
    """The range given on the command line.

    Raises:
        SourceError: it is no version specifier, or no release is in it.
    """
    try:
        found = _declared("--target", SpecifierSet(text))
    except InvalidSpecifier:
        raise SourceError(
            f"--target {text!r} is not a version specifier\n"
            "  instead: --target '>=0.10,<0.13'"
        ) from None
    if not found.mask:
        raise SourceError(f"--target {text!r} has no release of Flax with NNX in it")
    return found


def around(paths: list[str]) -> Declared | None:
    """The range that the project of these paths declares, from the nearest file.

    Looked for, in the folder of a path and then upwards: ``pyproject.toml``,
    ``setup.cfg``, ``setup.py`` (where the list is written out), ``requirements*.txt``.

    Raises:
        SourceError: such a file cannot be read.
    """
    for given in paths:
        start = Path(given).resolve()
        for folder in (start, *start.parents):
            if folder.is_dir():
                found = _in_folder(folder)
                if found is not None:
                    return found
            if (folder / ".git").exists():
                break
    return None


def _in_folder(folder: Path) -> Declared | None:
    readers = [
        ("pyproject.toml", _pyproject), ("setup.cfg", _setup_cfg),
        ("setup.py", _setup_py), ("requirements*.txt", _requirements),
    ]  # fmt: skip
    for pattern, reader in readers:
        for file in sorted(folder.glob(pattern)):
            try:
                listed = reader(file)
            except (OSError, ValueError, SyntaxError, configparser.Error) as error:
                raise SourceError(f"{file}: {error}") from None
            specifier = _of_flax(listed)
            if specifier is not None:
                return _declared(_shown(file), specifier)
    return None


def _shown(file: Path) -> str:
    try:
        return str(file.relative_to(Path.cwd()))
    except ValueError:
        return str(file)


def _of_flax(listed: list[str]) -> SpecifierSet | None:
    found: SpecifierSet | None = None
    for line in listed:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        if requirement.name.lower() == "flax":
            found = requirement.specifier & (found or SpecifierSet())
    return found


def _pyproject(file: Path) -> list[str]:
    project = _toml(file)
    listed = list(project.get("project", {}).get("dependencies", ()))
    for extra in project.get("project", {}).get("optional-dependencies", {}).values():
        listed += extra if _of_flax(listed) is None else ()
    poetry = project.get("tool", {}).get("poetry", {}).get("dependencies", {})
    if "flax" in poetry:
        given = poetry["flax"]
        listed.append(_poetry(given if isinstance(given, str) else given["version"]))
    return listed


def _poetry(version: str) -> str:
    """Poetry's ``^`` and ``~`` in PEP 440."""
    if version[:1] in "^~":
        parts = (version[1:] + ".0.0").split(".")[:3]
        return f"flax>={version[1:]},=={parts[0]}.{parts[1]}.*"
    return f"flax{'==' if version[:1].isdigit() else ''}{version.replace('*', '')}"


def _toml(file: Path) -> dict[str, Any]:
    """The file, by tomllib; without it, at least the strings that are requirements.

    Python 3.10 has no tomllib, and few environments there have tomli.
    """
    text = file.read_text(encoding="utf-8")
    try:
        import tomllib
    except ModuleNotFoundError:
        listed = re.findall(r"""["'](flax\b\s*[\[<>=!~;][^"']*|flax)["']""", text)
        return {"project": {"dependencies": listed}}
    found: dict[str, Any] = tomllib.loads(text)
    return found


def _setup_cfg(file: Path) -> list[str]:
    parser = configparser.ConfigParser()
    parser.read_string(file.read_text(encoding="utf-8"))
    text = parser.get("options", "install_requires", fallback="")
    return [line.strip() for line in text.splitlines()]


def _setup_py(file: Path) -> list[str]:
    """Every string that is a requirement of flax: the list is often a variable."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.match(r"flax\b\s*([\[<>=!~;]|$)", node.value)
    ]


def _requirements(file: Path) -> list[str]:
    lines = file.read_text(encoding="utf-8").splitlines()
    return [line.split("#")[0].strip() for line in lines]


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
