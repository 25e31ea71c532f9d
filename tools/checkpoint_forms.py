"""The forms in which people save natively, for tools/checkpoint_cells.py.

``write`` leaves one file or folder a form in a folder, by Flax, orbax, numpy and the
safetensors library alone; ``read`` reads each as a table, without a model, and compares
every array with the truth beside it. Pickles of Modules, States and optimizers are in
tools/pickled.py.
"""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Table = dict[str, Any]
#: What each form has: its items by name, of which one without a name is the only one.
FORMS: dict[str, dict[str, str]] = {
    "standard-params": {"": "params"},
    "standard": {"": "model"},
    "standard-key-data": {"": "model"},
    "pytree-key-data": {"": "model"},
    "zarr-a-folder-an-array": {"": "model"},
    "zarr3": {"": "model"},
    "standard-of-dicts": {"": "model"},
    "optimizer": {"": "opt"},
    "optimizer-key-data": {"": "opt"},
    "manager-of-items": {"model": "model", "ema": "ema", "opt": "opt"},
    "manager-of-one": {"": "model"},
    "manager-of-all-sorts": {"": "mixed"},
    "v1": {"": "model"},
    "v1-items": {"model": "model", "ema": "ema"},
    "legacy": {"": "model"},
    "legacy-msgpack": {"": "model"},
    "msgpack": {"": "model"},
    "npz": {"": "model"},
    "safetensors": {"": "model"},
    "pickle-of-jax-arrays": {"": "model"},
}


# -- writing -------------------------------------------------------------------------


def write(folder: Path, native: Any, items: Mapping[str, Any]) -> dict[str, str]:
    """Save in every form that the release can; what came of each.

    Args:
        folder: where to; made anew.
        native: tools/checkpoint_model.py.
        items: States: ``model``, ``params``, ``ema`` and, where there is one, ``opt``.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    writers = _Writers(native, items)
    outcome = {}
    for form, holds in FORMS.items():
        missing = [name for name in holds.values() if name not in items]
        if missing == ["opt"] and len(holds) == 1:
            outcome[form] = "no Optimizer"
            continue
        try:
            getattr(writers, form.replace("-", "_"))(folder / form)
        except Exception as error:  # what a release cannot save is an outcome
            outcome[form] = f"{type(error).__name__}: {error}"[:200]
            shutil.rmtree(folder / form, ignore_errors=True)
            (folder / form).unlink(missing_ok=True)
        else:
            outcome[form] = "written"
    return outcome


class _Writers:
    """One method a form, called with where to write."""

    def __init__(self, native: Any, items: Mapping[str, Any]) -> None:
        import orbax.checkpoint as ocp

        self._ocp, self._native, self._items = ocp, native, items
        self._state = items["model"]
        self._data = native.with_key_data(self._state)
        self._dicts = _nested(native, self._state)
        self._arrays = jax.tree_util.tree_map(np.asarray, self._dicts)

    def _standard(self, at: Path, tree: Any) -> None:
        _finished(self._ocp.StandardCheckpointer(), at, tree)

    def standard_params(self, at: Path) -> None:
        self._standard(at, self._items["params"])

    def standard(self, at: Path) -> None:
        self._standard(at, self._state)

    def standard_key_data(self, at: Path) -> None:
        self._standard(at, self._data)

    def pytree_key_data(self, at: Path) -> None:
        _finished(self._ocp.PyTreeCheckpointer(), at, self._data)

    def _handled(self, at: Path, **options: Any) -> None:
        handler = self._ocp.PyTreeCheckpointHandler(**options)
        _finished(self._ocp.Checkpointer(handler), at, self._data)

    def zarr_a_folder_an_array(self, at: Path) -> None:
        self._handled(at, use_ocdbt=False)

    def zarr3(self, at: Path) -> None:
        self._handled(at, use_ocdbt=True, use_zarr3=True)

    def standard_of_dicts(self, at: Path) -> None:
        self._standard(at, self._dicts)

    def optimizer(self, at: Path) -> None:
        self._standard(at, self._items["opt"])

    def optimizer_key_data(self, at: Path) -> None:
        self._standard(at, self._native.with_key_data(self._items["opt"]))

    def _managed(self, at: Path, args: Any, names: tuple[str, ...] = ()) -> None:
        named = {"item_names": names} if names else {}
        options = self._ocp.CheckpointManagerOptions(max_to_keep=2)
        manager = self._ocp.CheckpointManager(at, options=options, **named)
        manager.save(7, args=args)
        if hasattr(manager, "wait_until_finished"):
            manager.wait_until_finished()
        manager.close()

    def manager_of_items(self, at: Path) -> None:
        args = self._ocp.args
        of_data = self._native.with_key_data
        held = {
            name: args.StandardSave(of_data(self._items[name]))
            for name in FORMS["manager-of-items"]
            if name in self._items
        }
        held["about"] = args.JsonSave({"lr": 0.1})
        self._managed(at, args.Composite(**held), tuple(held))

    def manager_of_one(self, at: Path) -> None:
        self._managed(at, self._ocp.args.StandardSave(self._data))

    def manager_of_all_sorts(self, at: Path) -> None:
        tree = {"params": self._items["params"], "note": "by hand", "none": None}
        tree |= {"empty": {}, "step": 12, "seq": [np.arange(3), (np.float32(2.5), 3.5)]}
        self._managed(at, self._ocp.args.PyTreeSave(tree))

    def v1(self, at: Path) -> None:
        from orbax.checkpoint.experimental import v1

        save = getattr(v1, "save_pytree", None) or v1.save
        save(at, self._data)

    def v1_items(self, at: Path) -> None:
        from orbax.checkpoint.experimental import v1

        v1.save_checkpointables(at, {"model": self._data, "ema": self._items["ema"]})

    def _by_flax(self, at: Path, orbax: bool) -> None:
        import flax
        from flax.training import checkpoints

        before = flax.config.flax_use_orbax_checkpointing
        flax.config.update("flax_use_orbax_checkpointing", orbax)
        try:
            checkpoints.save_checkpoint(str(at), self._arrays, step=5, overwrite=True)
        finally:
            flax.config.update("flax_use_orbax_checkpointing", before)

    def legacy(self, at: Path) -> None:
        self._by_flax(at, orbax=True)

    def legacy_msgpack(self, at: Path) -> None:
        self._by_flax(at, orbax=False)

    def msgpack(self, at: Path) -> None:
        from flax import serialization

        at.write_bytes(serialization.to_bytes(self._dicts))

    def npz(self, at: Path) -> None:
        with at.open("wb") as file:
            np.savez(file, **_flat(self._arrays, "/"))

    def safetensors(self, at: Path) -> None:
        from safetensors.flax import save_file

        arrays = _flat(self._dicts, ".")
        save_file({name: jnp.asarray(a) for name, a in arrays.items()}, str(at))

    def pickle_of_jax_arrays(self, at: Path) -> None:
        at.write_bytes(pickle.dumps(self._dicts))


def _finished(checkpointer: Any, at: Path, tree: Any) -> None:
    checkpointer.save(at, tree)
    if hasattr(checkpointer, "wait_until_finished"):
        checkpointer.wait_until_finished()
    if hasattr(checkpointer, "close"):
        checkpointer.close()


def _nested(native: Any, state: Any) -> Table:
    """Nested dicts of arrays with text for keys, as people make them of a State."""
    found: Table = {}
    for path, leaf in native.leaves(state):
        array = native.value(leaf)
        if array is not None:
            at = found
            for name in path[:-1]:
                at = at.setdefault(name, {})
            keys = native.is_key(array)
            at[path[-1]] = jax.random.key_data(array) if keys else array
    return found


def _flat(nested: Table, separator: str, above: str = "") -> Table:
    found: Table = {}
    for name, value in nested.items():
        if isinstance(value, dict):
            found |= _flat(value, separator, f"{above}{name}{separator}")
        else:
            found[f"{above}{name}"] = value
    return found


# -- reading and judging -------------------------------------------------------------


def read(
    folder: Path, written: Mapping[str, str], truth: Callable[[str], Table]
) -> dict[str, Any]:
    """What is wrong with the forms that were written, and how many were read.

    Args:
        folder: what was written.
        written: what came of each form there.
        truth: the arrays of an item by path.
    """
    problems: list[str] = []
    forms = [form for form, outcome in written.items() if outcome == "written"]
    for form in forms:
        try:
            wrong = list(_wrong(folder / form, form, truth))
        except Exception as error:
            wrong = [f"{type(error).__name__}: {error}"[:300]]
        problems += [f"{form}: {text}" for text in wrong[:3]]
    return {"problems": problems[:10], "forms": len(forms)}


def _wrong(at: Path, form: str, truth: Callable[[str], Table]) -> Iterator[str]:
    from nnx_compat import checkpoint

    contents = checkpoint.read(at)
    holds = {name: t for name, of in FORMS[form].items() if (t := _truth(of, truth))}
    alone = next(iter(contents)) if len(contents) == 1 else ""
    if len(holds) > 1 and set(contents) != set(holds):
        yield f"its items are {sorted(contents)}, not {sorted(holds)}"
        return
    for name, wanted in holds.items():
        yield from _compared(contents[name or alone], wanted)


def _truth(of: str, truth: Callable[[str], Table]) -> Table:
    if of != "mixed":
        return truth(of)
    params = {f"params/{path}": array for path, array in truth("params").items()}
    numbers = {"seq/0": np.arange(3), "seq/1/0": np.float32(2.5), "seq/1/1": 3.5}
    return {**params, **numbers, "step": 12}


def _compared(item: Any, wanted: Table) -> Iterator[str]:
    left = dict(wanted)
    for path, entry in item.items():
        if entry.kind in ("none", "text"):
            continue
        name = path if path in wanted else path.rpartition("/")[0]
        if name not in left:
            yield f"{path} is of nowhere"
            continue
        got, want = entry.read(), left.pop(name)
        got = got.view(np.uint16) if got.dtype == jnp.bfloat16 else got
        if not isinstance(want, np.ndarray):  # a number has no dtype of its own
            same = got.shape == () and got == want
        else:
            same = (got.shape, got.dtype) == (want.shape, want.dtype)
            same = same and got.tobytes() == want.tobytes()
        if not same:
            yield f"{path} is {got}, not {want}"
    yield from (f"{name} is missing" for name in left)
