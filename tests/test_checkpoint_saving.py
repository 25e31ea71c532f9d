"""The canonical form and orbax's: what is written, whole or not at all, and read again."""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import nnx_compat as nc
from nnx_compat import checkpoint, errors, facts, nnx

STATIC = facts.behaviour("rngs-are-static").holds(nc.flax_version)


class Note(nnx.Variable):
    pass


class Model(nnx.Module):
    def __init__(self, rngs):
        self.lin = nnx.Linear(2, 2, rngs=rngs)
        self.tied = self.lin
        self.layers = nnx.List([nnx.Linear(2, 2, use_bias=False, rngs=rngs)])
        if not STATIC:
            self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.note = Note(jnp.zeros((2, 1)), unit="m", fn=len)
        self.half = nnx.Param(jnp.full(3, 1.5, jnp.bfloat16))


def items(seed):
    model = Model(nnx.Rngs(params=seed, dropout=seed + 1))
    optimizer = nnx.Optimizer(model, optax.adam(0.1), wrt=nnx.Param)
    return {
        "model": model,
        "optimizer": optimizer,
        "ema": nnx.EMA(model, decay=0.5, only=nnx.Param),
    }


def leaves(given):
    """All arrays of some items, keys as their data, as bytes."""
    found = {}
    for name, item in given.items():
        for path, variable in nc.variables(item).items():
            value = nc.get_value(variable)
            if value is not None:
                if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
                    value = jax.random.key_data(value)
                found[(name, *path)] = np.asarray(value).tobytes()
    return found


@pytest.fixture
def library():
    return importlib.import_module("safetensors.numpy")


def test_everything_comes_back_bit_for_bit(tmp_path, library):
    one, two = items(0), items(5)
    assert leaves(one) != leaves(two)
    checkpoint.save(tmp_path / "c", metadata={"epoch": 3}, **one)
    report = checkpoint.load(tmp_path / "c", **two)
    assert leaves(one) == leaves(two)
    assert {row.rule for row in report.rows} == {"path"}
    contents = checkpoint.read(tmp_path / "c")
    assert contents.metadata == {"epoch": 3}
    assert contents.writer["flax"] == nc.flax_version
    note = contents["model"]["note"]
    assert (note.type, note.metadata) == ("Note", {"unit": "m"})
    aliases = {entry.path[0] for entry in contents["model"].entries().values()}
    assert len(aliases & {"lin", "tied"}) == 1


def test_orbax_folders_say_as_much_and_come_back_alike(tmp_path):
    one, two = items(0), items(5)
    checkpoint.save(tmp_path / "o", format="orbax", metadata={"epoch": 3}, **one)
    checkpoint.load(tmp_path / "o", **two)
    assert leaves(one) == leaves(two)
    contents = checkpoint.read(tmp_path / "o")
    assert contents.metadata == {"epoch": 3}
    assert contents["model"]["note"].type == "Note"


def test_a_plain_tree_has_text_for_keys_and_comes_back_as_people_restore_it():
    one, two = items(0), items(5)
    plain = checkpoint.tree(**one)
    assert set(plain) == {"model", "optimizer", "ema"}
    assert list(plain["model"]["layers"]) == ["0"]
    restored = jax.tree_util.tree_map(np.asarray, plain)
    report = checkpoint.load_tree(restored, **two)
    assert leaves(one) == leaves(two) and not report.unused
    del restored["ema"]
    with pytest.raises(errors.CheckpointLookupError, match="'ema'"):
        checkpoint.load_tree(restored, **two)


def test_a_single_item_has_names_that_other_tools_know(tmp_path, library):
    model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    checkpoint.save(tmp_path / "weights", model=model)
    read = library.load_file(tmp_path / "weights")
    assert sorted(read) == ["bias", "kernel"]
    assert (read["kernel"] == np.asarray(nc.get_value(model.kernel))).all()


def test_dtypes_that_the_format_lacks_are_kept(tmp_path, library):
    arrays = {"a": np.arange(4).astype(jnp.int4), "b": np.ones(3).astype(jnp.float8_e4m3b11fnuz),
              "c": np.arange(2, dtype="complex64"), "n": 7, "none": None}  # fmt: skip
    checkpoint.save(tmp_path / "c", x=arrays)
    item = checkpoint.read(tmp_path / "c")["x"]
    assert [item[k].dtype.name for k in "abc"] == [
        "int4",
        "float8_e4m3b11fnuz",
        "complex64",
    ]
    assert item["a"].read().astype(int).tolist() == [0, 1, 2, 3]
    assert (item["n"].kind, item["none"].kind) == ("scalar", "none")
    with pytest.raises(errors.ArgumentTypeError, match="complex128 cannot be saved"):
        checkpoint.save(tmp_path / "d", x={"a": np.ones(2, "complex128")})
    assert not (tmp_path / "d").exists()


def test_shards_are_replaced_by_their_index_at_once(tmp_path, library):
    one, two, read = items(0), items(5), items(9)
    checkpoint.save(tmp_path / "s", max_shard_bytes=100, **one)
    shards = sorted(p.name for p in (tmp_path / "s").glob("*.safetensors"))
    assert shards[0] == f"model-00001-of-{len(shards):05}.safetensors"
    checkpoint.save(tmp_path / "s", max_shard_bytes=100, overwrite=True, **two)
    assert not set(shards) & {p.name for p in (tmp_path / "s").iterdir()}
    checkpoint.load(tmp_path / "s", **read)
    assert leaves(read) == leaves(two)
    with pytest.raises(errors.CheckpointExistsError, match="is a folder"):
        checkpoint.save(tmp_path / "s", overwrite=True, **two)


def test_an_error_while_writing_leaves_the_old_file_and_nothing_else(
    tmp_path, library, monkeypatch
):
    one, two = items(0), items(5)
    checkpoint.save(tmp_path / "c", **one)
    before = (tmp_path / "c").read_bytes()
    with pytest.raises(errors.CheckpointExistsError, match="is there already"):
        checkpoint.save(tmp_path / "c", **two)

    def half_written(arrays, file, metadata):
        Path(file).write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(library, "save_file", half_written)
    with pytest.raises(OSError, match="no space left"):
        checkpoint.save(tmp_path / "c", overwrite=True, **two)
    assert (tmp_path / "c").read_bytes() == before
    assert os.listdir(tmp_path) == ["c"]


def test_what_cannot_be_saved_is_refused_before_anything_is_written(
    tmp_path, monkeypatch
):
    model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    with pytest.raises(errors.ArgumentTypeError, match="no JSON value"):
        checkpoint.save(tmp_path / "c", metadata={"f": len}, model=model)
    with pytest.raises(errors.ArgumentTypeError, match="nothing to save"):
        checkpoint.save(tmp_path / "c")
    with pytest.raises(errors.ArgumentValueError, match="format='npz'"):
        checkpoint.save(tmp_path / "c", format="npz", model=model)
    monkeypatch.setattr(jax, "process_count", lambda: 8)
    with pytest.raises(errors.RefusedArgumentError, match="8 processes") as caught:
        checkpoint.save(tmp_path / "c", model=model)
    assert 'format="orbax"' in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_without_the_library_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(errors.MissingPackageError, match=r"nnx-compat\[checkpoint\]"):
        checkpoint.save(tmp_path / "c", model=nnx.Linear(2, 2, rngs=nnx.Rngs(0)))


def test_the_header_is_plain_json_that_any_tool_can_show(tmp_path, library):
    checkpoint.save(tmp_path / "c", **items(0))
    data = (tmp_path / "c").read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    manifest = json.loads(header["__metadata__"]["nnx_compat"])
    row = manifest["items"]["model"]["model.layers.0.kernel"]
    assert row["path"] in (["layers", 0, "kernel"], ["layers", "0", "kernel"])
    assert manifest["items"]["model"]["model.note"]["left_out"] == ["fn"]


@pytest.mark.skipif(STATIC, reason="a Rngs is static: no streams in a state")
def test_training_goes_on_bit_for_bit_with_dropout_optimizer_and_average():
    def train(given):
        model, optimizer, ema = given.values()

        def loss(model):
            return (
                (model.layers[0](model.drop(model.lin(jnp.ones((2, 2)))))) ** 2
            ).mean()

        optimizer.update(model, nnx.grad(loss)(model))
        ema.update(model)

    one, two = items(0), items(5)
    train(one)
    checkpoint.load_tree(checkpoint.tree(**one), **two)
    for given in (one, two):
        train(given)
        train(given)
    assert leaves(one) == leaves(two)


def test_importing_the_library_imports_no_checkpoint_room():
    import subprocess

    code = (
        "import sys, nnx_compat; print([m for m in sys.modules if 'checkpoint' in m])"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(nc.__file__).parents[1])}
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env=env,
        check=True,
        capture_output=True,
        text=True,
    )
    assert ran.stdout.strip() == "[]"


def test_the_states_of_our_optimizer_and_average_hold_lists_on_every_release():
    for item in items(0).values():
        paths = nc.to_flat_state(nc.state(item))
        assert any("layers" in path for path in paths)
