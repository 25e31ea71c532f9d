"""Small programs as the judge: the results of the newest Flax, on another one.

    python tools/differential.py run --through drop-in --out FILE
    python tools/differential.py compare FILE [FILE ...]
    python tools/differential.py record          # on the newest release

``run`` runs the programs of ``differential.txt`` in the environment of a pair and
writes what each gives: values, paths of states, types, and whether a name in it is
warned of, as one of an older meaning. Ways: ``native`` uses
``flax.nnx``, ``drop-in`` ``nnx_compat.nnx``, ``install`` ``flax.nnx`` after
``nnx_compat.install(meaning="newest")``. ``compare`` counts, against results of the
newest release (``differential.json``, which ``record`` writes there natively), how many
agree, are silently different, differ with a warning, are refused by name, or end in
another error; and names those that do not agree.

A program is a paragraph: its name, statements, and an expression that is its result.
"""

from __future__ import annotations

import argparse
import ast
import json
import sys
import warnings
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PROGRAMS = HERE / "differential.txt"
RESULTS = HERE / "differential.json"
WAYS = ("native", "drop-in", "install")

sys.path[:0] = [str(HERE.parent / "src")]


def programs(text: str) -> dict[str, str]:
    """The source of each program, by name."""
    found = {}
    for paragraph in text.strip().split("\n\n"):
        name, _, source = paragraph.partition("\n")
        found[name.removeprefix("# ")] = source
    return found


def results(way: str) -> dict[str, dict[str, str]]:
    """What each program gives here."""
    import nnx_compat as nc

    if way == "install":
        nc.install(meaning="newest")
    nnx = nc.nnx if way == "drop-in" else _native()
    names = given(nnx, nc)
    return {
        name: result(source, dict(names), nc)
        for name, source in programs(PROGRAMS.read_text()).items()
    }


def _warn_anew(nc: Any) -> None:
    """Have each program warn as if it were the first in its process."""
    from nnx_compat._nnx import _older

    _older.forget()
    drop_in = vars(nc.nnx)
    for name in [name for name in drop_in if _older.of(name, "drop-in")]:
        del drop_in[name]
    if nc.installed_names():
        from nnx_compat._install import first_use

        first_use.wait_again()


def _native() -> Any:
    import importlib

    from nnx_compat.revisions import nnx

    return importlib.import_module(nnx.__name__)


def given(nnx: Any, nc: Any) -> dict[str, Any]:
    """The names that programs use."""
    import jax
    import jax.numpy as jnp
    import optax  # type: ignore[import-not-found]

    jax.config.update("jax_threefry_partitionable", True)

    def val(variable: Any) -> Any:
        return nc.get_value(variable) if nc.is_variable(variable) else variable

    def paths(state: Any) -> list[str]:
        flat = nc.to_flat_state(state)
        return sorted("/".join(map(str, path)) for path in flat)

    return {
        "nnx": nnx, "nc": nc, "jax": jax, "jnp": jnp, "optax": optax, "R": nnx.Rngs,
        "val": val, "paths": paths, "keys": jax.random.key_data, "__name__": "program",
    }  # fmt: skip


def result(source: str, names: dict[str, Any], nc: Any) -> dict[str, str]:
    """What a program gives, why it is refused, or the error that it ends in."""
    tree = ast.parse(source)
    last = tree.body.pop()
    assert isinstance(last, ast.Expr), source
    _warn_anew(nc)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", nc.errors.OlderMeaningWarning)
        try:
            exec(compile(tree, "<program>", "exec"), names)
            value = eval(
                compile(ast.Expression(last.value), "<program>", "eval"), names
            )
            given = {"gives": repr(_plain(value, nc))}
            if caught:
                given["warned"] = "; ".join(
                    str(w.message).split(": ")[0] for w in caught
                )
            return given
        except nc.errors.NnxCompatError as error:
            return {"refused": str(error).splitlines()[0]}
        except Exception as error:
            first = (str(error).splitlines() or [""])[0]
            return {"error": f"{type(error).__name__}: {first}"[:200]}


def _plain(value: Any, nc: Any) -> Any:
    """What can be compared between releases: numbers, texts, paths."""
    import jax
    import numpy as np

    if isinstance(value, (tuple, list)):
        kind = type(value).__name__ if type(value) in (tuple, list) else "tuple"
        return (kind, *(_plain(one, nc) for one in value))
    if isinstance(value, dict):
        return {key: _plain(one, nc) for key, one in sorted(value.items())}
    if nc.is_variable(value):
        return _plain(nc.get_value(value), nc)
    if isinstance(value, (jax.Array, np.ndarray, np.generic)):
        if jax.numpy.issubdtype(value.dtype, jax.dtypes.prng_key):
            value = jax.random.key_data(value)
        array = np.asarray(value)
        if array.dtype.kind == "f":
            array = np.round(array.astype("float64"), 3) + 0.0
        return str(np.asarray(value).dtype), array.tolist()
    if isinstance(value, (str, int, float, bool, type(None))):
        return value
    try:
        flat = nc.to_flat_state(nc.state(value))
    except Exception:
        return type(value).__name__
    return {
        "/".join(map(str, path)): _plain(nc.get_value(leaf), nc)
        for path, leaf in sorted(flat.items(), key=lambda item: str(item[0]))
    }


def compared(found: dict[str, Any], expected: dict[str, Any]) -> dict[str, list[str]]:
    """The names of the programs that agree, differ, are refused, or fail otherwise.

    A program that is an error on the newest release is none to compare with.
    """
    judged: dict[str, list[str]] = {
        "agree": [], "different": [], "warned": [], "refused": [], "error": []
    }  # fmt: skip
    for name, wanted in expected.items():
        if "gives" not in wanted:
            continue
        got = found[name]
        if "gives" in got:
            alike = got["gives"] == wanted["gives"]
            unlike = "warned" if "warned" in got else "different"
            judged["agree" if alike else unlike].append(name)
        else:
            judged["refused" if "refused" in got else "error"].append(name)
    return judged


def main(argv: list[str] | None = None) -> int:
    """Run, compare or record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="write what the programs give here")
    run.add_argument("--through", choices=WAYS, default="drop-in")
    run.add_argument("--out", type=Path, required=True)
    compare = commands.add_parser("compare", help="count, against the newest release")
    compare.add_argument("files", type=Path, nargs="+")
    commands.add_parser("record", help="write what the newest release gives")
    options = parser.parse_args(argv)
    if options.command == "compare":
        for file in options.files:
            _print(file)
        return 0
    way, out = (
        ("native", RESULTS)
        if options.command == "record"
        else (options.through, options.out)
    )
    out.write_text(json.dumps(results(way), indent=0) + "\n")
    return 0


def _print(file: Path) -> None:
    found = json.loads(file.read_text())
    judged = compared(found, json.loads(RESULTS.read_text()))
    print(file.stem, {kind: len(names) for kind, names in judged.items()})
    for kind in ("different", "warned", "refused", "error"):
        for name in judged[kind]:
            print(f"  {kind}: {name}: {next(iter(found[name].values()))[:150]}")


if __name__ == "__main__":
    raise SystemExit(main())
