"""Survey the public names of NNX: in one environment, or merged over all releases.

    python tools/survey.py look NAMES_JSON FOLDER/0.8.5.json  # beside an installed Flax
    python tools/survey.py merge FOLDER NAMES_JSON            # of such files, no Flax

``nox -s facts`` runs both for every release and compares. Public is what has no leading
underscore. A name that only a module's ``__getattr__`` knows is not listed by ``dir``,
so ``look`` also asks for every name that NAMES_JSON has. The home of a name is the
module below ``flax.nnx`` that defines it, on the newest release that has the name.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import logging
import sys
import types
import typing
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from nnx_compat.facts import Interval


class Seen(TypedDict, total=False):
    """One name on one release: its parameters, and the module that defines it."""

    parameters: list[str]
    home: str


Found = dict[str, Seen]


def look(known: set[str]) -> Found:
    """Every public name of the installed NNX, its classes' members, and parameters."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    nnx = _nnx()
    sources = _sources(nnx)
    found: Found = {}
    for name in sorted({*dir(nnx), *known}):
        if name.startswith("_") or not _has(nnx, name):
            continue
        value = getattr(nnx, name)
        ours = (getattr(value, "__module__", None) or "").startswith("flax")
        found[f"nnx.{name}"] = Seen(parameters=list(_parameters(value)) if ours else [])
        if home := _home(value, nnx) or sources.get(name):
            found[f"nnx.{name}"]["home"] = home
        if ours and isinstance(value, type) and typing.get_origin(value) is None:
            for member in _members(value):
                at = getattr(value, member, None)
                row = Seen(parameters=list(_parameters(at)))
                found[f"nnx.{name}.{member}"] = row
    return found


def _nnx() -> Any:
    import importlib

    import flax

    for path in ("flax.nnx", "flax.experimental.nnx"):
        try:
            return importlib.import_module(path)
        except ModuleNotFoundError as error:
            if not path.startswith(str(error.name)):
                raise
    raise SystemExit(f"flax {flax.__version__} has no NNX")


def _home(value: Any, nnx: types.ModuleType) -> str | None:
    """The module that defines a function or class, if that is one of NNX's own."""
    module = getattr(value, "__module__", None)
    if not isinstance(value, (type, types.FunctionType)) or not isinstance(module, str):
        return None
    return _below(module, nnx)


def _sources(nnx: types.ModuleType) -> dict[str, str]:
    """The module that a name is imported from in the file of ``flax.nnx`` itself.

    That is where a constant lives, or a function of jax that NNX hands on: nothing
    about ``nnx.relu`` says ``nn.activations``. A module has no home: it is one.
    """
    found = {}
    for node in ast.parse(inspect.getsource(nnx)).body:
        if isinstance(node, ast.ImportFrom) and node.level and node.module:
            home = _below(f"{nnx.__name__}.{node.module}", nnx)
            for alias in node.names:
                name = alias.asname or alias.name
                if home and not isinstance(getattr(nnx, name), types.ModuleType):
                    found[name] = home
    return found


def _below(module: str, nnx: types.ModuleType) -> str | None:
    """``"graphlib"`` of ``"flax.nnx.graphlib"``, or of the older ``nnx.nnx``."""
    path = module.removeprefix(f"{nnx.__name__}.").removeprefix("nnx.")
    return None if path in ("nnx", module) else path


def _has(module: Any, name: str) -> bool:
    try:
        getattr(module, name)
    except (AttributeError, ImportError):
        return False
    return True


def _members(cls: type) -> Iterator[str]:
    names = {name for name in dir(cls) if not name.startswith("_")}
    if dataclasses.is_dataclass(cls):
        names |= {f.name for f in dataclasses.fields(cls) if not f.name.startswith("_")}
    return iter(sorted(name for name in names if not _of_a_builtin(cls, name)))


def _of_a_builtin(cls: type, name: str) -> bool:
    """Whether a member is there only because the class extends tuple, dict or str."""
    member = getattr(cls, name, None)
    return any(
        issubclass(cls, base) and getattr(base, name, cls) is member
        for base in (tuple, dict, str)
    )


def _parameters(value: Any) -> Iterator[str]:
    if not callable(value) or isinstance(value, types.ModuleType):
        return
    target = getattr(value, "__init__") if isinstance(value, type) else value  # noqa: B009
    try:
        parameters = list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError):
        return
    for parameter in parameters:
        star: dict[Any, str] = {
            parameter.VAR_POSITIONAL: "*",
            parameter.VAR_KEYWORD: "**",
        }
        if parameter.name not in ("self", "cls", "_"):
            yield star.get(parameter.kind, "") + parameter.name


def merge(surveys: dict[str, Found]) -> dict[str, Any]:
    """The names of all releases with their intervals."""
    from nnx_compat import facts

    releases = [release.version for release in facts.releases()]
    missing = [version for version in releases if version not in surveys]
    if missing:
        raise SystemExit(f"no survey of {', '.join(missing)}")
    names: dict[str, Any] = {}
    for path in sorted({path for survey in surveys.values() for path in survey}):
        having = {v: surveys[v][path] for v in releases if path in surveys[v]}
        names[path] = {"in": noted(facts.spanning(having))}
        if home := list(having.values())[-1].get("home"):
            names[path]["home"] = home
        taking: dict[str, list[str]] = {}
        for version, seen in having.items():
            for parameter in seen["parameters"]:
                taking.setdefault(parameter, []).append(version)
        if taking:
            names[path]["parameters"] = {
                parameter: noted(facts.spanning(versions))
                for parameter, versions in sorted(taking.items())
            }
    return {"releases": f"{releases[0]}-{releases[-1]}", "names": names}


def noted(intervals: tuple[Interval, ...]) -> list[str]:
    """``["0.8.3-0.9.0", "0.12.0-"]``, as the facts read them."""
    return [
        first if first == last else f"{first}-{last or ''}" for first, last in intervals
    ]


def main(arguments: list[str]) -> None:
    """Run one of the two commands."""
    match arguments:
        case ["look", names, out]:
            paths = json.loads(Path(names).read_text())["names"]
            found = look({path.split(".")[1] for path in paths})
            Path(out).write_text(json.dumps(found, indent=0))
        case ["merge", folder, out]:
            surveys = {f.stem: json.loads(f.read_text()) for f in _files(folder)}
            Path(out).write_text(dumps(merge(surveys)) + "\n")
        case _:
            raise SystemExit(__doc__)


def dumps(names: dict[str, Any]) -> str:
    """JSON with one line a name, so that a change of a fact is a change of a line."""
    lines = [
        f"{json.dumps(path)}: {json.dumps(row)}" for path, row in names["names"].items()
    ]
    head = json.dumps(names["releases"])
    return f'{{"releases": {head}, "names": {{\n' + ",\n".join(lines) + "\n}}"


def _files(folder: str) -> list[Path]:
    return sorted(Path(folder).glob("*.json"))


if __name__ == "__main__":
    main(sys.argv[1:])
