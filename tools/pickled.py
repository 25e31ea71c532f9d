"""Pickles of every release, read on other releases, by a check of its own.

    python tools/pickled.py write FOLDER           with the Flax of this interpreter
    python tools/pickled.py judge FOLDER ...       with the nnx_compat of this one
    python tools/pickled.py pack FOLDER FILE       for tests/fixtures/pickles
    python tools/pickled.py pairs [--readers 0.8.0,0.12.12]

``write`` pickles one small model natively in the forms that people use, and beside
them what a reader has to find, from Flax itself: nothing of nnx_compat is imported.
``judge`` compares bit for bit. ``pairs`` writes with all releases and judges with some,
in the environments of the matrix, and leaves a record; ``nox -s pickles`` calls it.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pickle
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
EXPECTED = "expected.json"
#: What pairs leave: for each reader, files read and what was wrong with them.
RECORD = ROOT / "benchmarks" / "pickles" / "pairs.json"
PICKLERS = ("cloudpickle", "dill")
#: form: what it holds of the model.
FORMS = {
    "state.pkl": "state",
    "flat.pkl": "state",
    "params.pkl": "params",
    "optimizer.pkl": "optimizer",
    "arrays.pkl": "arrays",
    "arrays_0.pkl": "arrays",
    "split.cloudpickle": "state",
    "module.cloudpickle": "state",
    "module.dill": "state",
    "optimizer.cloudpickle": "optimizer",
}


# -- write: with the Flax of a release, and no nnx_compat ---------------------------


def write(folder: Path) -> dict[str, str]:
    """Pickle the model in every form that this release can; what came of each."""
    import flax

    try:
        nnx = importlib.import_module("flax.nnx")
    except ImportError:  # before it left flax.experimental
        nnx = importlib.import_module("flax.experimental.nnx")
    folder.mkdir(parents=True, exist_ok=True)
    model, optimizer = _model(nnx), None
    if hasattr(nnx, "Optimizer"):
        optimizer = _optimizer(nnx, model)
    outcome = {"flax": flax.__version__}
    for name, make in _forms(nnx, model, optimizer).items():
        try:
            data = make()
        except Exception as error:  # what the release cannot pickle is an outcome
            outcome[name] = f"{type(error).__name__}: {error}"[:200]
            continue
        (folder / name).write_bytes(data)
        outcome[name] = "written"
    state = _state(nnx, model)
    expected = {
        "outcome": outcome,
        "state": dict(_rows(state)),
        "params": {p: r for p, r in _rows(state) if r["type"] == "Param"},
        "arrays": {p: r for p, r in _rows(state) if r["type"] != "RngKey"},
        "optimizer": dict(_rows(_state(nnx, optimizer))) if optimizer else {},
    }
    (folder / EXPECTED).write_text(json.dumps(expected, indent=0))
    return outcome


def _model(nnx: Any) -> Any:
    import jax.numpy as jnp

    class Codebook(nnx.Variable):  # type: ignore[misc]
        """A Variable of a class that only the file has."""

    class Model(nnx.Module):  # type: ignore[misc]
        """Ties, a list, a custom Variable, bfloat16, and names that are traps."""

        def __init__(self, rngs: Any) -> None:
            self.lin = nnx.Linear(2, 3, rngs=rngs)
            self.bn = nnx.BatchNorm(3, use_running_average=False, rngs=rngs)
            self.tied = self.lin
            layers = [nnx.Linear(3, 3, use_bias=False, rngs=rngs) for _ in range(2)]
            self.layers = nnx.List(layers) if hasattr(nnx, "List") else layers
            self.half = nnx.Param(jnp.array([1.5, -2.0], jnp.bfloat16))
            self.value = nnx.Param(jnp.arange(2.0))
            self.code = Codebook(jnp.arange(6, dtype=jnp.int8), note="by hand")
            if hasattr(nnx, "state"):  # before it, a stream was no state
                self.drop = nnx.Dropout(0.5, rngs=rngs)

    for cls in (Codebook, Model):  # pickle finds a class of __main__ by this name
        cls.__qualname__ = cls.__name__
        globals()[cls.__name__] = cls
    return Model(nnx.Rngs(params=0, dropout=1))


def _optimizer(nnx: Any, model: Any) -> Any:
    import jax
    import jax.numpy as jnp

    optax = importlib.import_module("optax")

    try:
        optimizer = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)
    except TypeError:
        optimizer = nnx.Optimizer(model, optax.adam(1e-3))
    gradients = jax.tree_util.tree_map(jnp.ones_like, nnx.state(model, nnx.Param))
    try:
        optimizer.update(model, gradients)
    except TypeError:
        optimizer.update(gradients)
    return optimizer


def _forms(nnx: Any, model: Any, optimizer: Any) -> dict[str, Callable[[], bytes]]:
    cloudpickle, dill = map(importlib.import_module, ("cloudpickle", "dill"))

    state, params = _state(nnx, model), _state(nnx, model, nnx.Param)
    forms: dict[str, Callable[[], bytes]] = {
        "state.pkl": lambda: pickle.dumps(state),
        "flat.pkl": lambda: pickle.dumps(_flat(nnx, state)),
        "params.pkl": lambda: pickle.dumps(params),
        "arrays.pkl": lambda: pickle.dumps(_arrays(state)),
        "arrays_0.pkl": lambda: pickle.dumps(_arrays(state), 0),
        "split.cloudpickle": lambda: cloudpickle.dumps(_split(nnx, model)),
        "module.cloudpickle": lambda: cloudpickle.dumps(model),
        "module.dill": lambda: dill.dumps(model),
    }
    if optimizer is not None:
        forms["optimizer.pkl"] = lambda: pickle.dumps(_state(nnx, optimizer))
        forms["optimizer.cloudpickle"] = lambda: cloudpickle.dumps(optimizer)
    return forms


def _state(nnx: Any, node: Any, *filters: Any) -> Any:
    if hasattr(nnx, "state"):
        return nnx.state(node, *filters)
    return node.extract(*filters) if filters else node.get_state()


def _split(nnx: Any, model: Any) -> Any:
    return nnx.split(model) if hasattr(nnx, "split") else model.split()


def _flat(nnx: Any, state: Any) -> Any:
    if hasattr(nnx, "to_flat_state"):
        return nnx.to_flat_state(state)
    return state.flat_state()


def _leaves(state: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, Any]]:
    inner = vars(state)["_mapping"] if "_mapping" in _attributes(state) else state
    for key, value in inner.items():
        if isinstance(value, dict) or "_mapping" in _attributes(value):
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value


def _attributes(value: Any) -> dict[str, Any]:
    return getattr(value, "__dict__", {})


def _value(leaf: Any) -> Any:
    for name in ("_raw_value", "raw_value", "value"):
        if name in _attributes(leaf):
            return _attributes(leaf)[name]
        for cls in type(leaf).__mro__:
            slot: Any = cls.__dict__.get(name)
            if type(slot).__name__ == "member_descriptor":
                return slot.__get__(leaf)
    return leaf


def _rows(state: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """What a reader has to find: path -> type, dtype, shape and bytes."""
    import jax
    import numpy as np

    for path, leaf in _leaves(state):
        value = _value(leaf)
        if value is None:
            continue
        of = getattr(leaf, "type", None)
        kind = of if isinstance(of, type) else type(leaf)
        key = jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key)
        array = np.asarray(jax.random.key_data(value) if key else value)
        yield (
            "/".join(map(str, path)),
            {
                "type": None if leaf is value else kind.__name__,
                "kind": "key" if key else "array",
                "dtype": str(array.dtype),
                "shape": list(array.shape),
                "bytes": array.tobytes().hex(),
            },
        )


def _arrays(state: Any) -> dict[Any, Any]:
    import numpy as np

    nested: dict[Any, Any] = {}
    for path, leaf in _leaves(state):
        value = _value(leaf)
        if value is not None and not str(value.dtype).startswith("key"):
            at = nested
            for name in path[:-1]:
                at = at.setdefault(name, {})
            at[path[-1]] = np.asarray(value)
    return nested


def pack(folder: Path, file: Path) -> None:
    """One zip file of what ``write`` wrote, without the paths of this machine.

    Functions are pickled with the file that they are from; another text of the same
    length is as good.
    """
    ours = {sys.prefix, sys.base_prefix, str(ROOT), str(Path.home())}
    with zipfile.ZipFile(file, "w") as archive:
        for one in sorted(folder.iterdir()):
            data = one.read_bytes()
            for path in sorted(ours, key=len, reverse=True):
                data = data.replace(path.encode(), b"/" + b"x" * (len(path) - 1))
            archive.writestr(zipfile.ZipInfo(one.name), data, zipfile.ZIP_DEFLATED, 9)


# -- judge: with the nnx_compat of a release ----------------------------------------


def judge(folder: Path) -> dict[str, list[str]]:
    """What is wrong with each form that was written: an empty list is right."""
    wrong = {}
    with tempfile.TemporaryDirectory() as scratch:
        if folder.suffix == ".zip":
            with zipfile.ZipFile(folder) as archive:
                archive.extractall(scratch)
            folder = Path(scratch)
        expected = json.loads((folder / EXPECTED).read_text())
        for form, part in FORMS.items():
            if expected["outcome"].get(form) == "written":
                bare = part == "arrays"
                wrong[form] = list(_differences(folder / form, expected[part], bare))
    return wrong


def _differences(file: Path, rows: dict[str, Any], bare: bool) -> Iterator[str]:
    from nnx_compat import checkpoint

    entries = [e for e in checkpoint.read(file)[""].values() if e.kind != "none"]
    found = {
        "/".join(map(str, path)): entry
        for entry in entries
        for path in (entry.path, *entry.aliases)
    }
    if file.name == "optimizer.cloudpickle":
        # the state of such an optimizer reaches into its Variables, the object does not
        rows = {_without_tail(path, found): row for path, row in rows.items()}
        bare = True
    for path, row in rows.items():
        if path not in found:
            yield f"{path} is missing"
            continue
        entry, array = found[path], found[path].read()
        got = {
            "type": None if bare else entry.type,
            "kind": entry.kind,
            "dtype": str(array.dtype),
            "shape": list(array.shape),
            "bytes": array.tobytes().hex(),
        }
        want = {**row, "type": None} if bare else row
        if got != want:
            yield f"{path} is {got}, not {want}"
    used = {id(found[path]) for path in rows if path in found}
    for path, entry in found.items():
        if id(entry) not in used:
            yield f"{path} is of nowhere"


def _without_tail(path: str, found: dict[str, Any]) -> str:
    head, _, tail = path.rpartition("/")
    stripped = path not in found and tail in ("value", "raw_value")
    return head if stripped else path


# -- pairs: the environments of the matrix ------------------------------------------


def pairs(readers: list[str], at: Path) -> dict[str, dict[str, dict[str, list[str]]]]:
    """Write with every release and judge with some: reader -> writer -> what is wrong.

    Args:
        readers: releases; all of them by default.
        at: where the environments of the matrix are or are to be made.
    """
    from nnx_compat import facts, matrix
    from tools import environments
    from tools.band import progress

    def python(version: str) -> str:
        pair = matrix.dated(version)
        made = at / pair.id / "bin" / "python"
        if made.exists():
            return str(made)
        return str(environments.ensure(at / pair.id, pair, environments.TOOLS))

    def ran(version: str, *command: str, path: str) -> str:
        return subprocess.run(
            [python(version), __file__, *command],
            check=True,
            text=True,
            stdout=subprocess.PIPE,
            env=environments.source_on_path() | {"PYTHONPATH": path},
        ).stdout

    with tempfile.TemporaryDirectory() as scratch:
        packages = f"{scratch}/packages"
        uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
        install = [uv, "pip", "install", "-q", "--target", packages, *PICKLERS]
        subprocess.run(install, check=True, env=environments.certificates())
        versions = [release.version for release in facts.releases()]
        folders = [f"{scratch}/{version}" for version in versions]
        chosen = readers or versions
        advance = progress(len(versions) + len(chosen))

        def write(version: str) -> None:
            ran(version, "write", f"{scratch}/{version}", path=packages)
            advance(f"{version} has written")

        def judge(reader: str) -> Any:
            told = ran(reader, "judge", *folders, path=str(ROOT / "src"))
            advance(f"{reader} has read")
            return json.loads(told)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(write, versions))
            return dict(zip(chosen, pool.map(judge, chosen), strict=True))


def _afterwards() -> None:
    """What a native unpickling of bfloat16 breaks for the rest of the process."""
    import jax.numpy as jnp

    assert jnp.zeros(3, jnp.bfloat16).dtype == jnp.bfloat16


def main() -> int:
    """0 when every form of every writer is read bit for bit, 1 when one is not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("write").add_argument("folder", type=Path)
    packing = commands.add_parser("pack")
    packing.add_argument("folder", type=Path)
    packing.add_argument("file", type=Path)
    commands.add_parser("judge").add_argument("folders", type=Path, nargs="+")
    every = commands.add_parser("pairs")
    every.add_argument("--readers", default="", help="all of them by default")
    every.add_argument("--environments", type=Path, default=ROOT / ".nox" / "pairs")
    options = parser.parse_args()
    if options.command == "write":
        print(json.dumps(write(options.folder)))
        return 0
    if options.command == "pack":
        pack(options.folder, options.file)
        return 0
    if options.command == "judge":
        judged = {folder.name: judge(folder) for folder in options.folders}
        _afterwards()
        print(json.dumps(judged))
        return 0
    readers = [version for version in options.readers.split(",") if version]
    return _recorded(readers, options.environments)


def _recorded(readers: list[str], at: Path) -> int:
    sys.path[:0] = [str(ROOT), str(ROOT / "src")]
    from nnx_compat.matrix import source
    from tools import records

    with records.measuring(RECORD, source.LIBRARY):
        found = pairs(readers, at)
        rows: dict[str, dict[str, Any]] = {
            reader: {
                "writers": len(writers),
                "files": sum(map(len, writers.values())),
                "wrong": [
                    f"{writer}: {form}: {text}"
                    for writer, forms in writers.items()
                    for form, texts in forms.items()
                    for text in texts
                ],
            }
            for reader, writers in found.items()
        }
        RECORD.parent.mkdir(exist_ok=True)
        RECORD.write_text(json.dumps({"readers": rows}))
    for reader, row in rows.items():
        print(f"{reader} read {row['files']} files of {row['writers']} releases")
        for text in row["wrong"]:
            print(f"  {text}")
    return 1 if any(row["wrong"] for row in rows.values()) else 0


if __name__ == "__main__":
    raise SystemExit(main())
