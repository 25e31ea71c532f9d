"""Survey how NNX is used: members of instances, calls, and flax outside of NNX.

    python tools/survey_uses.py look FOLDER/0.8.5.json  # beside an installed Flax
    python tools/survey_uses.py merge FOLDER USES_JSON  # of such files, no Flax

``tools/survey.py`` sees what classes have. Here objects are made: what ``__init__``
sets is a member too (``Dropout.rate``). Of callables it is asked how many arguments go
by position and which have to be given; of layers, which attributes their ``__call__``
reads; of flax outside of NNX, and of the modules inside it, which names are there; of
the classes that are derived from, whether that goes together with ``abc.ABC``. What is
written down is for ``nnx_compat.check`` alone.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import json
import logging
import pkgutil
import sys
import textwrap
import types
import warnings
from abc import ABC
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parent)]

from survey import _nnx, noted  # type: ignore[import-not-found]  # noqa: E402

#: Modules of flax whose names are asked for, beside NNX.
_ROOTS = ("flax", "flax.core", "flax.linen", "flax.training", "flax.metrics")


def look() -> dict[str, Any]:
    """What the installed Flax has: members, calls and names."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    nnx = _nnx()
    return {
        "members": sorted(_members(nnx)),
        "calls": dict(_calls(nnx)),
        "reads": dict(_reads(nnx)),
        "flax": sorted(_flax()),
        "inside": sorted(_inside(nnx)),
        "bases": sorted(_bases(nnx)),
    }


# -- members of instances -----------------------------------------------------------


def _makers(nnx: Any) -> dict[str, Callable[[], Any]]:
    """One object of each class that can be made without data."""
    import jax.numpy as jnp
    import optax  # type: ignore[import-not-found]

    def rngs() -> Any:
        return nnx.Rngs(0)

    def linear() -> Any:
        return nnx.Linear(2, 3, rngs=rngs())

    def rnn() -> Any:
        return nnx.RNN(nnx.LSTMCell(2, 3, rngs=rngs()), rngs=rngs())

    def optimizer(name: str = "Optimizer") -> Any:
        return getattr(nnx, name)(linear(), optax.sgd(0.1), wrt=nnx.Param)

    sizes = {
        "BatchNorm": (3,), "Conv": (2, 3, (3,)), "ConvTranspose": (2, 3, (3,)),
        "Dropout": (0.5,), "Einsum": ("ab,bc->ac", (2, 3), (3,)), "Embed": (3, 4),
        "GRUCell": (2, 3), "InstanceNorm": (3,), "LSTMCell": (2, 3), "LayerNorm": (3,),
        "Linear": (2, 3), "LinearGeneral": (2, 3), "LoRA": (2, 2, 3),
        "MultiHeadAttention": (2, 4), "OptimizedLSTMCell": (2, 3), "RMSNorm": (3,),
        "SimpleCell": (2, 3),
    }  # fmt: skip
    makers: dict[str, Callable[[], Any]] = {
        name: functools.partial(_layer, nnx, name, given)
        for name, given in sizes.items()
    }
    return makers | {
        "Bidirectional": lambda: nnx.Bidirectional(rnn(), rnn(), rngs=rngs()),
        "Dict": lambda: nnx.Dict(a=linear()),
        "GraphDef": lambda: nnx.split(linear())[0],
        "GroupNorm": lambda: nnx.GroupNorm(4, num_groups=2, rngs=rngs()),
        "List": lambda: nnx.List([linear()]),
        "LoRALinear": lambda: nnx.LoRALinear(2, 3, lora_rank=2, rngs=rngs()),
        "ModelAndOptimizer": lambda: optimizer("ModelAndOptimizer"),
        "Module": lambda: type("Model", (nnx.Module,), {})(),
        "MultiMetric": lambda: nnx.MultiMetric(a=nnx.metrics.Average()),
        "Optimizer": optimizer,
        "PReLU": lambda: nnx.PReLU(),
        "Param": lambda: nnx.Param(jnp.ones(2)),
        "RNN": rnn,
        "RngStream": lambda: rngs().default,
        "Rngs": rngs,
        "Sequential": lambda: nnx.Sequential(linear()),
        "SpectralNorm": lambda: nnx.SpectralNorm(linear(), rngs=rngs()),
        "State": lambda: nnx.state(linear()),
        "Variable": lambda: nnx.Variable(jnp.ones(2)),
        "WeightNorm": lambda: nnx.WeightNorm(linear(), rngs=rngs()),
        "metrics.Accuracy": lambda: nnx.metrics.Accuracy(),
        "metrics.Average": lambda: nnx.metrics.Average("values"),
        "metrics.Welford": lambda: nnx.metrics.Welford(),
    }


def _layer(nnx: Any, name: str, given: tuple[Any, ...]) -> Any:
    return getattr(nnx, name)(*given, rngs=nnx.Rngs(0))


def _members(nnx: Any) -> Iterator[str]:
    """The members of instances; ``NAME.`` alone says that one could be made."""
    for name, make in _makers(nnx).items():
        try:
            made = make()
        except (AttributeError, TypeError, ValueError, KeyError):
            continue  # this release has no such class, or it needs more
        yield f"nnx.{name}."
        # an object that forwards unknown names to an array, or takes any name, says
        # nothing by hasattr: what it lists is what it has
        has = set(map(str, object.__dir__(made)))  # an nnx.List has ints, too
        for kind in type(made).__mro__:
            if _is_of_flax(kind):  # and what a method gives it, as init_cache does
                for method in filter(inspect.isfunction, vars(kind).values()):
                    has |= _attributes(method, ast.Store)
        for member in sorted(has):
            if not member.startswith("_"):
                yield f"nnx.{name}.{member}"


# -- calls --------------------------------------------------------------------------


def _calls(nnx: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in dir(nnx):
        value = getattr(nnx, name)
        if name.startswith("_") or not _is_of_flax(value):
            continue
        yield from _call(f"nnx.{name}", value)
        if isinstance(value, type):
            for member, function in inspect.getmembers(value, callable):
                if member == "__call__" or not member.startswith("_"):
                    yield from _call(f"nnx.{name}.{member}", function)
    for name in dir(nnx.metrics) if hasattr(nnx, "metrics") else ():
        value = getattr(nnx.metrics, name)
        if isinstance(value, type) and _is_of_flax(value):
            yield from _call(f"nnx.metrics.{name}", value)
            for member in ("update", "compute", "reset"):
                if hasattr(value, member):
                    function = getattr(value, member)
                    yield from _call(f"nnx.metrics.{name}.{member}", function)


def _is_of_flax(value: Any) -> bool:
    return (getattr(value, "__module__", None) or "").startswith("flax")


def _call(path: str, value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """How many arguments go by position, which are needed, which are named."""
    is_class = isinstance(value, type)
    target = _constructor(value) if is_class else value
    try:
        parameters = list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError):
        return
    unbound = is_class or (path.count(".") > 1 and parameters[:1] != [])
    if unbound and parameters and parameters[0].name in ("self", "cls"):
        parameters = parameters[1:]
    open_ended = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    by_position = [
        p for p in parameters
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]  # fmt: skip
    stars = [p for p in parameters if p.kind is p.VAR_POSITIONAL]
    needed = [
        p.name for p in parameters
        if p.default is p.empty and p.kind not in open_ended
    ]  # fmt: skip
    yield path, {
        "most": None if stars else len(by_position),
        "order": [p.name for p in by_position],
        "needed": needed,
        "named": [p.name for p in parameters if p.kind not in open_ended],
        "any": any(p.kind is p.VAR_KEYWORD for p in parameters),
    }  # fmt: skip


def _constructor(value: Any) -> Any:
    """What takes the arguments of a class: ``__call__`` of its own class, if it says.

    The transforms of classes of the first releases, ``nnx.Scan(Block, ...)``, do so.
    """
    call = type(value).__call__
    if call is not type.__call__:
        _, *parameters = inspect.signature(call).parameters.values()
        if any(p.kind is not p.VAR_POSITIONAL for p in parameters[:1]):
            return call
    return value.__init__


# -- layers -------------------------------------------------------------------------


def _reads(nnx: Any) -> Iterator[tuple[str, list[str]]]:
    """What ``__call__`` of a layer reads, and only its ``__init__`` sets."""
    for name in dir(nnx):
        value = getattr(nnx, name)
        if not isinstance(value, type) or not _is_of_flax(value):
            continue
        if not issubclass(value, nnx.Module) or "__call__" not in vars(value):
            continue
        read = _attributes(vars(value)["__call__"], ast.Load)
        assigned = _attributes(vars(value).get("__init__"), ast.Store)
        found = sorted(n for n in read & assigned if not hasattr(value, n))
        if found:
            yield f"nnx.{name}", found


def _attributes(function: Any, context: type[ast.expr_context]) -> set[str]:
    """The attributes of ``self`` that a method reads in any case, or ever assigns."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))
    except (OSError, TypeError, SyntaxError):
        return set()
    nodes = ast.walk(tree) if context is ast.Store else _always(tree.body[0])
    return {
        node.attr for node in nodes
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, context)
        and isinstance(node.value, ast.Name) and node.value.id == "self"
    }  # fmt: skip


def _always(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function that are reached whenever it runs."""
    yield node
    parts: list[ast.AST] = list(ast.iter_child_nodes(node))
    if isinstance(node, (ast.If, ast.IfExp, ast.While)):
        parts = [node.test]
    elif isinstance(node, ast.BoolOp):
        parts = [node.values[0]]
    elif isinstance(node, (ast.For, ast.Try, ast.Lambda, ast.ListComp)):
        parts = []
    for part in parts:
        yield from _always(part)
        if isinstance(part, ast.If) and isinstance(part.body[-1], ast.Return):
            break


# -- flax outside of NNX ------------------------------------------------------------


def _flax() -> Iterator[str]:
    for root in _ROOTS:
        try:
            module = importlib.import_module(root)
        except ImportError:
            continue
        yield from _names_of(root, module)
        for info in pkgutil.iter_modules(module.__path__):
            path = f"{root}.{info.name}"
            if info.name.startswith("_") or path in (
                *_ROOTS,
                "flax.nnx",
                "flax.experimental",
            ):
                continue
            try:
                yield from _names_of(path, importlib.import_module(path))
            except Exception:
                continue


def _names_of(path: str, module: Any) -> Iterator[str]:
    yield path
    names = dir(module)
    if path == "flax.configurations":
        yield from (f"flax.config.{n}" for n in vars(module.config).get("_values", ()))
    for name in names:
        value = getattr(module, name, None)
        # what a module of flax only imports is no name of its own
        if not name.startswith("_") and not inspect.ismodule(value):
            yield f"{path}.{name}"


# -- modules inside NNX ---------------------------------------------------------------


def _inside(nnx: Any) -> Iterator[str]:
    """Modules by which path, and what is in them: ``nnx.object.ObjectState``.

    A module that is reached as an attribute may be another one than its path says:
    ``nnx.object`` stayed when the file was renamed.
    """
    found = {name: value for name, value in vars(nnx).items() if _is_inside(value)}
    for info in pkgutil.walk_packages(nnx.__path__, f"{nnx.__name__}."):
        if "test" in info.name or "._" in info.name:
            continue
        try:
            module = importlib.import_module(info.name)
        except Exception:  # it needs something else to be installed
            continue
        yield f"import {info.name.removeprefix(nnx.__name__)[1:]}"
        found[info.name.removeprefix(nnx.__name__)[1:]] = module
    for path, module in found.items():
        yield f"in {path}"
        for name, value in vars(module).items():
            if not name.startswith("_") and not inspect.ismodule(value):
                yield f"name {path}.{name}"
                # an alias of types is of typing on some releases
                if _is_of_flax(value):
                    yield f"own {path}.{name}"


def _is_inside(value: Any) -> bool:
    return inspect.ismodule(value) and ".nnx." in f"{value.__name__}."


# -- bases ---------------------------------------------------------------------------


def _bases(nnx: Any) -> Iterator[str]:
    """Which classes can be derived from with an abstract one: ``C(ABC, Module)``."""
    for name in ("Module", "Variable", "Object", "Pytree"):
        base = getattr(nnx, name, None)
        for bases in ((ABC, base), (base, ABC)) if isinstance(base, type) else ():
            path = ", ".join(f"nnx.{name}" if b is base else "abc.ABC" for b in bases)
            try:
                types.new_class("Both", bases)
            except TypeError:
                yield f"not {path}"
            else:
                yield path


# -- all releases -------------------------------------------------------------------


def merge(surveys: dict[str, Any]) -> dict[str, Any]:
    """What differs between the releases."""
    from nnx_compat import facts

    served = [release.version for release in facts.releases()]
    missing = [version for version in served if version not in surveys]
    if missing:
        raise SystemExit(f"no survey of {', '.join(missing)}")

    def where(holds: Callable[[Any], bool]) -> list[str]:
        listed: list[str] = noted(
            facts.spanning([v for v in served if holds(surveys[v])])
        )
        return listed

    return {
        "members": _merged_members(surveys, served),
        "calls": _merged_calls(surveys, served),
        "reads": _merged_reads(surveys, where),
        "flax": _merged_flax(surveys, where),
        "modules": _merged_modules(surveys, where),
        "inside": _merged_inside(surveys, where),
        "bases": _merged_bases(surveys, where),
    }


def _merged_members(surveys: dict[str, Any], served: list[str]) -> dict[str, list[str]]:
    """Where instances have what their class does not show, as names.json has it."""
    from nnx_compat import facts

    seen = {v: set(surveys[v]["members"]) for v in served}
    known = set(facts.names())
    found = {}
    for path in sorted(set[str]().union(*seen.values())):
        if path.endswith("."):
            continue
        row = facts.name(path).intervals if path in known else ()
        owner = path.rpartition(".")[0]
        there = facts.name(owner).intervals if owner in known else ()
        having = [v for v in served if path in seen[v]]
        if any(not facts.within(v, row) for v in having):
            # where no object could be made, nothing is said against it
            unmade = [
                v for v in served
                if f"{owner}." not in seen[v] and facts.within(v, there)
            ]  # fmt: skip
            found[path] = noted(facts.spanning([*having, *unmade]))
    return found


def _merged_reads(
    surveys: dict[str, Any], where: Callable[..., list[str]]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in sorted({p for survey in surveys.values() for p in survey["reads"]}):
        names = {n for s in surveys.values() for n in s["reads"].get(path, ())}
        found[path] = {
            name: where(
                lambda s, path=path, name=name: name in s["reads"].get(path, ())
            )
            for name in sorted(names)
        }
    return found


def _merged_flax(
    surveys: dict[str, Any], where: Callable[..., list[str]]
) -> dict[str, list[str]]:
    names = [set(survey["flax"]) for survey in surveys.values()]
    varying = sorted(set[str]().union(*names) - set.intersection(*names))
    return {
        name: where(lambda survey, name=name: name in survey["flax"])
        for name in varying
    }


_Where = Callable[[Callable[[Any], bool]], list[str]]


def _merged_modules(surveys: dict[str, Any], where: _Where) -> dict[str, list[str]]:
    """Where a module inside NNX can be imported by its path."""
    rows = {row for survey in surveys.values() for row in survey["inside"]}
    return {
        f"nnx.{row.removeprefix('import ')}": where(lambda s, r=row: r in s["inside"])  # type: ignore[misc]
        for row in sorted(rows)
        if row.startswith("import ")
    }


def _merged_inside(surveys: dict[str, Any], where: _Where) -> dict[str, list[str]]:
    """Where a module inside NNX has a name, if it is not wherever the module is."""
    seen = [set(survey["inside"]) for survey in surveys.values()]
    found = {}
    for own in sorted(set[str]().union(*seen)):
        kind, _, path = own.partition(" ")
        row, module = f"name {path}", f"in {path.rpartition('.')[0]}"
        if kind == "own" and any(module in one and row not in one for one in seen):
            found[f"nnx.{path}"] = where(lambda s, r=row: r in s["inside"])  # type: ignore[misc]
    return found


def _merged_bases(surveys: dict[str, Any], where: _Where) -> dict[str, list[str]]:
    """Where a class can be derived from these two, if not wherever they are."""
    rows = {row for survey in surveys.values() for row in survey["bases"]}
    return {
        row: where(lambda s, r=row: f"not {r}" not in s["bases"])  # type: ignore[misc]
        for row in sorted(rows)
        if f"not {row}" in rows
    }


def _merged_calls(surveys: dict[str, Any], served: list[str]) -> dict[str, Any]:
    from nnx_compat import facts

    found = {}
    for path in sorted({p for survey in surveys.values() for p in survey["calls"]}):
        rows = {
            v: surveys[v]["calls"][path] for v in served if path in surveys[v]["calls"]
        }
        entry: dict[str, Any] = {}
        most = {str(row["most"]) for row in rows.values()} - {"None"}
        entry["most"] = {
            count: noted(
                facts.spanning([v for v in rows if str(rows[v]["most"]) == count])
            )
            for count in sorted(most)
        }
        entry["needed"] = {
            name: noted(facts.spanning([v for v in rows if name in rows[v]["needed"]]))
            for name in sorted({n for row in rows.values() for n in row["needed"]})
        }
        if path.endswith(".__call__") or path.startswith("nnx.metrics."):
            names = sorted({n for row in rows.values() for n in row["named"]})
            entry["named"] = {
                name: noted(
                    facts.spanning([v for v in rows if name in rows[v]["named"]])
                )
                for name in names
            }
            entry["any"] = noted(facts.spanning([v for v in rows if rows[v]["any"]]))
        entry["order"] = rows[max(rows, key=served.index)]["order"]
        entry["in"] = noted(facts.spanning(list(rows)))
        found[path] = entry
    return found


def main(arguments: list[str]) -> None:
    """Run one of the two commands."""
    match arguments:
        case ["look", out]:
            Path(out).write_text(json.dumps(look(), indent=0))
        case ["merge", folder, out]:
            files = sorted(Path(folder).glob("*.json"))
            merged = merge({f.stem: json.loads(f.read_text()) for f in files})
            Path(out).write_text(dumps(merged) + "\n")
        case _:
            raise SystemExit(__doc__)


def dumps(merged: dict[str, Any]) -> str:
    """JSON with one line a name, so that a change of a fact is a change of a line."""
    parts = []
    for kind, rows in merged.items():
        lines = [f"{json.dumps(path)}: {json.dumps(row)}" for path, row in rows.items()]
        parts.append(f'"{kind}": {{\n' + ",\n".join(lines) + "\n}")
    return "{" + ",\n".join(parts) + "}"


if __name__ == "__main__":
    main(sys.argv[1:])
