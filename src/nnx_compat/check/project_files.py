"""The files in which a project says which Flax it needs, one reader for each kind."""

from __future__ import annotations

import ast
import configparser
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .ranges import Range, either, of_conda, of_poetry, of_requirements

__all__ = ["FILES"]

_Table = Mapping[str, Any]


def _text(file: Path) -> str:
    """The text: pip and editors of Windows write marks of their encoding ahead."""
    raw = file.read_bytes()
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16")
    return raw.decode("utf-8-sig")


# -- pyproject.toml, pixi.toml ------------------------------------------------------


def _pyproject(file: Path) -> Range | None:
    """The dependencies; without Flax there, all extras and groups, each its own."""
    table = _toml(file)
    project, tool = _table(table, "project"), _table(table, "tool")
    poetry = _table(tool, "poetry")
    main = [
        of_requirements(_strings(project.get("dependencies"))),
        _poetry(_table(poetry, "dependencies")),
        _pixi(_table(tool, "pixi")),
    ]
    found = either(one for one in main if one is not None)
    if found is not None:
        return found
    listed = [
        *_table(project, "optional-dependencies").values(),
        *_table(table, "dependency-groups").values(),
        _table(tool, "uv").get("dev-dependencies"),
    ]
    groups = _table(poetry, "group").values()
    more = [
        *(of_requirements(_strings(lines)) for lines in listed),
        *(_poetry(_table(group, "dependencies")) for group in groups),
        _poetry(_table(poetry, "dev-dependencies")),
    ]
    return either(one for one in more if one is not None)


def _poetry(dependencies: _Table) -> Range | None:
    """``flax = "^0.10"``, ``{version = ...}``, or a list of those for environments."""
    given = dependencies.get("flax")
    found = []
    for one in given if isinstance(given, list) else [given]:
        version = one.get("version") if isinstance(one, Mapping) else one
        if isinstance(version, str):  # from git or a folder there is no version
            found.append(of_poetry(version))
    return either(one for one in found if one is not None)


def _pixi(table: _Table) -> Range | None:
    features = [table, *_table(table, "feature").values()]
    found = []
    for feature in features:
        if isinstance(feature, Mapping):
            for name in ("dependencies", "pypi-dependencies"):
                found.append(_conda_entry(_table(feature, name).get("flax")))
    return either(one for one in found if one is not None)


def _conda_entry(given: object) -> Range | None:
    version = given.get("version") if isinstance(given, Mapping) else given
    if not isinstance(version, str):
        return None
    return of_conda("" if version == "*" else version)


def _toml(file: Path) -> _Table:
    """The file, by tomllib; without it, at least the strings that are requirements.

    Python 3.10 has no tomllib, and few environments there have tomli.
    """
    text = _text(file)
    try:
        import tomllib
    except ModuleNotFoundError:
        listed = re.findall(r"""["'](flax\b\s*[\[<>=!~;][^"']*|flax)["']""", text)
        return {"project": {"dependencies": listed}}
    return tomllib.loads(text)


def _table(table: _Table, name: str) -> _Table:
    found = table.get(name)
    return found if isinstance(found, Mapping) else {}


def _strings(found: object) -> list[str]:
    return [s for s in found if isinstance(s, str)] if isinstance(found, list) else []


def _pixi_toml(file: Path) -> Range | None:
    return _pixi(_toml(file))


def _uv_lock(file: Path) -> Range | None:
    """The version that is locked."""
    found = re.search(
        r'^\[\[package\]\]\s*name = "flax"\s*version = "([^"]+)"', _text(file), re.M
    )
    return of_requirements([f"flax=={found[1]}"]) if found else None


# -- setuptools ---------------------------------------------------------------------


def _setup_cfg(file: Path) -> Range | None:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read_string(_text(file))
    found = of_requirements(
        _lines(parser.get("options", "install_requires", fallback=""))
    )
    if found is not None or not parser.has_section("options.extras_require"):
        return found
    extras = parser["options.extras_require"].values()
    ranges = [of_requirements(_lines(extra)) for extra in extras]
    return either(one for one in ranges if one is not None)


def _lines(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"\n", text) if part.strip()]


def _setup_py(file: Path) -> Range | None:
    """Every string that is a requirement of flax: the list is often a variable."""
    return of_requirements(
        node.value
        for node in ast.walk(ast.parse(_text(file)))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.match(r"flax\b\s*([\[<>=!~;]|$)", node.value)
    )


# -- requirements and environments ----------------------------------------------------


def _requirements(file: Path) -> Range | None:
    return of_requirements(_required(file, set()))


def _required(file: Path, seen: set[Path]) -> Iterator[str]:
    """The requirements in a file, and in those that it names with ``-r`` and ``-c``."""
    path = file.resolve()
    if path in seen or not path.is_file():
        return
    seen.add(path)
    for line in re.sub(r"\\\r?\n", " ", _text(path)).splitlines():
        text = re.sub(r"(^|\s)#.*", "", line).strip()
        other = re.match(r"(?:-r|-c|--requirement|--constraint)[\s=]*(\S+)", text)
        if other:
            yield from _required(path.parent / other[1], seen)
        elif text and not text.startswith("-"):
            yield re.sub(r"\s+--?\w[\w-]*[\s=].*", "", text)


_CONDA = re.compile(r"""^\s*-\s*["']?(?:[\w.-]+::)?flax(?![\w.-])([^"'#\n]*)""", re.M)


def _environment(file: Path) -> Range | None:
    """An environment of conda: its own lines, and those below ``pip:``."""
    found = []
    for line in _CONDA.findall(_text(file)):
        is_pip = re.match(r"\s*(==|~=|>=|<=|!=|<|>|\[|;|$)", line)
        by_pip = of_requirements([f"flax{line.strip()}"]) if is_pip else None
        found.append(by_pip if by_pip is not None else of_conda(line))
    return either(one for one in found if one is not None)


#: Files by name, the most telling first.
FILES: tuple[tuple[str, Callable[[Path], Range | None]], ...] = (
    ("pyproject.toml", _pyproject),
    ("pixi.toml", _pixi_toml),
    ("setup.cfg", _setup_cfg),
    ("setup.py", _setup_py),
    ("environment*.y*ml", _environment),
    ("requirements*.txt", _requirements),
    ("requirements*.in", _requirements),
    ("requirements/*.txt", _requirements),
    ("requirements/*.in", _requirements),
    ("uv.lock", _uv_lock),
)
