"""Checkpoints written with one release and read with others, for tools/checkpoints.py.

    python tools/checkpoint_cells.py write FOLDER
    python tools/checkpoint_cells.py read FOLDER OUT.json WRITER...

runs in the environment of a pair. ``write`` leaves in FOLDER a composite of Flax's own
(CheckpointManager of the orbax of that day), the canonical file, every other form that
people save natively (tools/checkpoint_forms.py), and ``truth_*.npz``, plain arrays by
path, which is all that the judgement compares with: it shares no code with the reader.
``read`` loads the first two, judges every array and stream, and takes one more step of
Adam; the others it reads as tables.
"""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax  # type: ignore[import-not-found]

sys.path.insert(0, str(Path(__file__).parent))
import checkpoint_forms as forms  # type: ignore[import-not-found]
import checkpoint_model as native  # type: ignore[import-not-found]

import nnx_compat as nc
from nnx_compat.checkpoint._layout import layout

Table = dict[str, Any]
#: How far one step of Adam may be from the writer's own, in units in the last place.
_ULP = 2


# -- writing -------------------------------------------------------------------------


def write(folder: Path) -> None:
    """Both forms, and the truth about them."""
    model = native.model(0, 0)
    optimizer = native.native_optimizer(model)
    params = native.state(model, native.nnx.Param)
    items = {"model": native.state(model), "ema": native.halved(params)}
    if optimizer is not None:
        items["opt"] = native.state(optimizer)
    _truth(folder, "native", {**items, "params": params})
    keys = _composite(folder, items)
    written = forms.write(folder / "forms", native, {**items, "params": params})

    model, optimizer, ema = _canonical_items(0, 0)
    for _ in range(2):
        optimizer.update(model, _gradients(model, 0.5))
        ema.update(model)
    items = {"model": model, "optimizer": optimizer, "ema": ema}
    nc.checkpoint.save(folder / "canonical", overwrite=True, **items)
    _truth(folder, "canonical", items)
    optimizer.update(model, _gradients(model, 0.25))
    _truth(folder, "next", {"model": model})
    about = {"keys": keys, "layout": _layout(native.table(model)), "forms": written}
    (folder / "about.json").write_text(json.dumps(about))


def _composite(folder: Path, items: dict[str, Any]) -> str:
    """Save as people do: typed keys where that works natively, else their data."""
    import orbax.checkpoint as ocp

    for attempt, keys in enumerate(("typed", "data")):
        options = ocp.CheckpointManagerOptions(max_to_keep=2)
        manager = ocp.CheckpointManager(
            folder / f"native{attempt}", options=options, item_names=tuple(items)
        )
        trees = items
        if keys == "data":
            trees = {name: native.with_key_data(tree) for name, tree in items.items()}
        try:
            manager.save(
                7,
                args=ocp.args.Composite(
                    **{
                        name: ocp.args.StandardSave(tree)
                        for name, tree in trees.items()
                    }
                ),
            )
            if hasattr(manager, "wait_until_finished"):
                manager.wait_until_finished()
            manager.close()
        except Exception:
            if keys == "data":
                raise
            continue
        (folder / f"native{attempt}").rename(folder / "native")
        return keys
    raise AssertionError("not reached")


def _canonical_items(seed: int, offset: float) -> tuple[Any, Any, Any]:
    model = native.model(seed, offset)
    optimizer = nc.nnx.Optimizer(model, optax.adam(1e-3), wrt=nc.nnx.Param)
    return model, optimizer, nc.nnx.EMA(model, decay=0.5, only=nc.nnx.Param)


def _gradients(model: Any, size: float) -> Any:
    return nc.map_state(
        lambda path, leaf: jnp.ones_like(nc.get_value(leaf)) * size,
        _present(nc.state(model, nc.nnx.Param)),
    )


def _present(state: Any) -> Any:
    """Without the Params that hold None, as an absent bias does on some releases."""
    flat = nc.to_flat_state(state)
    return nc.from_flat_state(
        {path: leaf for path, leaf in flat.items() if nc.get_value(leaf) is not None}
    )


def _truth(folder: Path, form: str, items: dict[str, Any]) -> None:
    for name, item in items.items():
        np.savez(
            folder / f"truth_{form}_{name}.npz",
            **{key.replace("/", "|"): a for key, a in native.table(item).items()},
        )


def _true(folder: Path, form: str, name: str) -> Table:
    file = folder / f"truth_{form}_{name}.npz"
    if not file.exists():
        return {}
    with np.load(file) as archive:
        return {key.replace("|", "/"): archive[key] for key in archive.files}


# -- reading and judging -------------------------------------------------------------


def read(folder: Path, out: Path, writers: list[str]) -> None:
    """One row per writer: what was wrong with each form, and counts of the reports."""
    rows: dict[str, Any] = {}
    for writer in writers:
        rows[writer] = {
            "native": _tried(_native, folder / writer),
            "canonical": _tried(_canonical, folder / writer),
            "forms": _tried(_forms, folder / writer),
        }
    foreign = [name for name in ("orbax", "safetensors") if name in sys.modules]
    out.write_text(json.dumps({"rows": rows, "imported": foreign}))


def _tried(judge: Any, folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = judge(folder)
    except Exception as error:
        traceback.print_exc()
        return {"problems": [f"{type(error).__name__}: {error}"[:300]]}
    return found


def _native(folder: Path) -> dict[str, Any]:
    model = native.model(5, 3)
    optimizer = native.native_optimizer(model)
    if optimizer is None:
        optimizer = nc.nnx.Optimizer(model, optax.adam(1e-3), wrt=nc.nnx.Param)
    ema = nc.nnx.EMA(model, decay=0.5, only=nc.nnx.Param)
    items = {"model": model, "ema": ema}
    if (folder / "truth_native_opt.npz").exists():
        items["opt"] = optimizer
    found = _judged(folder, "native", items)
    named = layout(nc.checkpoint.read(folder / "native")).releases
    if folder.name not in named:
        found["problems"].append(f"its layout was taken for that of {named}")
    return found


def _canonical(folder: Path) -> dict[str, Any]:
    model, optimizer, ema = _canonical_items(5, 3)
    items = {"model": model, "optimizer": optimizer, "ema": ema}
    found = _judged(folder, "canonical", items)
    optimizer.update(model, _gradients(model, 0.25))
    mine, theirs = native.table(model), _true(folder, "next", "model")
    shared = [name for name in mine if name in theirs and not _is_random(name)]
    steps = [_ulps(mine[name], theirs[name]) for name in shared]
    found["step_ulp"] = max(steps)
    if found["step_ulp"] > _ULP:
        found["problems"].append(f"one more step differs by {max(steps)} ulp")
    return found


def _forms(folder: Path) -> dict[str, Any]:
    written = json.loads((folder / "about.json").read_text())["forms"]
    found: dict[str, Any] = forms.read(
        folder / "forms", written, lambda name: _true(folder, "native", name)
    )
    return found


def _judged(folder: Path, form: str, items: dict[str, Any]) -> dict[str, Any]:
    before = {name: native.table(item) for name, item in items.items()}
    report = nc.checkpoint.load(folder / form, strict=False, **items)
    after = {name: native.table(item) for name, item in items.items()}
    told_kept = {row.target for row in report.rows if not row.source}
    told_left = [row.source for row in report.rows if not row.target]
    problems: list[str] = []
    equal = 0
    for name in items:
        truth = _true(folder, form, name)
        if name == "ema" and form == "native":  # a State was saved, an EMA is loaded
            truth = {f"params/{path}": array for path, array in truth.items()}
        for path, array in after[name].items():
            if _is_random(path):
                continue
            if path.startswith("model/"):  # an optimizer that holds the model
                if not _same(array, after["model"].get(path.removeprefix("model/"))):
                    problems.append(f"{name}/{path} is not the model's")
            elif path in truth:
                equal += 1
                if not _same(array, truth[path]):
                    problems.append(f"{name}/{path} is not what was saved")
            elif not _same(array, before[name][path]):
                problems.append(f"{name}/{path} changed, and is not on file")
            elif f"{name}/{path}" not in told_kept:
                problems.append(f"{name}/{path} was kept without a word")
        for path in truth:
            if path in after[name] or path.startswith("model/") or _is_random(path):
                continue
            bare = path.removeprefix("params/")
            if not any(_ends(source, bare) for source in told_left):
                problems.append(f"{name}/{path} was lost without a word")
    layout = json.loads((folder / "about.json").read_text())["layout"]
    truth = _true(folder, form, "model")
    problems += _streams(layout, truth, before["model"], after["model"])
    return {
        "problems": problems[:5], "equal": equal, "kept": len(report.kept),
        "unused": len(report.unused), "derived": len(report.derived),
    }  # fmt: skip


def _is_random(path: str) -> bool:
    return "rngs" in path.split("/")


def _layout(table: Table) -> str:
    """How the streams of a release are kept."""
    random = [path for path in table if _is_random(path)]
    if not random:
        return "static"
    forked = any(path.split("/")[-2] == "rngs" for path in random)
    return "forked" if forked else "shared"


def _streams(layout: str, truth: Table, before: Table, after: Table) -> list[str]:
    """What is wrong with the streams, by the rules of CHECKPOINTS.md, section 8."""
    mine = _layout(after)
    if mine == "static":
        return []
    wanted = {path: array for path, array in before.items() if _is_random(path)}
    if layout == mine == "forked":
        wanted.update({path: truth[path] for path in wanted if path in truth})
    elif layout != "static":
        wanted.update(_by_name(truth, wanted))
    problems = [
        f"model/{path} is {after[path]}, not {array}"
        for path, array in wanted.items()
        if not _same(after[path], array)
    ]
    keys = [after[path].tobytes() for path in wanted if path.endswith("/key")]
    if len(set(keys)) != len(keys):
        problems.append("two streams have one key")
    return problems


def _by_name(truth: Table, wanted: Table) -> Table:
    """The streams of a model from the shared ones of a file."""
    shared = {}
    for path, array in truth.items():
        *_, above, name, part = ["", *path.split("/")]
        if _is_random(path) and above == "rngs":
            shared[name, part] = array
    found: Table = {}
    forks: list[str] = []
    for path in sorted(wanted):
        holder, part = path.rsplit("/", 1)
        name = holder.rsplit("/", 1)[-1]
        if name == "rngs":
            forks += [holder] if part == "key" else []
        else:
            found[path] = shared[name, part]
    key = jax.random.wrap_key_data(jnp.asarray(shared["dropout", "key"]))
    count = int(shared["dropout", "count"])
    for number, holder in enumerate(forks):
        drawn = jax.random.fold_in(key, count + number)
        found[f"{holder}/key"] = np.asarray(jax.random.key_data(drawn))
        found[f"{holder}/count"] = np.zeros((), np.uint32)
    for path in found:
        if path.endswith("dropout/count"):
            found[path] = np.asarray(count + len(forks), np.uint32)
    return found


def _same(one: Any, other: Any) -> bool:
    return (
        other is not None
        and one.shape == other.shape
        and one.dtype == other.dtype
        and one.tobytes() == other.tobytes()
    )


def _ends(source: str, path: str) -> bool:
    return any(
        source.endswith(f"/{path}{tail}") for tail in ("", "/value", "/raw_value")
    )


def _ulps(one: Any, other: Any) -> int:
    """The largest distance in units in the last place."""
    if one.dtype.kind != "f":  # the bits of bfloat16, counts
        return int(np.abs(one.astype(np.int64) - other.astype(np.int64)).max())
    bits = [np.atleast_1d(a).view(f"i{a.dtype.itemsize}") for a in (one, other)]
    return int(np.abs(bits[0].astype(np.int64) - bits[1].astype(np.int64)).max())


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["write", folder]:
            write(Path(folder))
        case ["read", folder, out, *writers]:
            read(Path(folder), Path(out), writers)
        case _:
            sys.exit(__doc__)
