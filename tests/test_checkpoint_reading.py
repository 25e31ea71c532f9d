"""Checkpoints of every form as one table, by content alone, and damaged ones refused."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from flax import serialization

from nnx_compat import checkpoint, errors
from nnx_compat.checkpoint import Contents, Entry, Item

KERNEL = np.arange(6, dtype="float32").reshape(2, 3)
SOURCE = Path(checkpoint.__file__).parents[2]


def safetensors(arrays, metadata=None, offsets=None, tail=b""):
    """A file of the format, by its specification: no library of that name is used."""
    names = {"float32": "F32", "uint16": "U16", "uint32": "U32", "bfloat16": "BF16"}
    header, data = {}, b""
    for name, array in arrays.items():
        begin = len(data)
        data += array.tobytes()
        header[name] = {
            "dtype": names[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [begin, len(data)],
        }
    for name, pair in (offsets or {}).items():
        header[name]["data_offsets"] = pair
    if metadata:
        header["__metadata__"] = metadata
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data + tail


def orbax_folder(folder, arrays, metadata=None):
    """A tree as orbax lays it out: one folder per array, zarr, structure beside it."""
    import tensorstore

    folder.mkdir(parents=True)
    tree = {}
    for path, array in arrays.items():
        name = ".".join(path)
        store = {"driver": "file", "path": f"{folder}/{name}/"}
        spec = {"driver": "zarr", "kvstore": store}
        spec["metadata"] = {"shape": list(array.shape), "dtype": array.dtype.str}
        made = tensorstore.open(spec, create=True, open=True).result()
        made[...].write(array).result()
        tree[str(path)] = {
            "key_metadata": [{"key": key, "key_type": 2} for key in path],
            "value_metadata": {"value_type": "jax.Array", "skip_deserialize": False},
        }
    whole = {"tree_metadata": tree, "use_zarr3": False, **(metadata or {})}
    (folder / "_METADATA").write_text(json.dumps(whole))


def test_a_form_is_recognised_by_its_content_whatever_the_file_is_called(tmp_path):
    files = {
        "npz": tmp_path / "one.pkl",
        "safetensors": tmp_path / "two.npz",
        "msgpack": tmp_path / "three",
    }
    with files["npz"].open("wb") as stream:
        np.savez(stream, **{"lin/kernel": KERNEL})
    files["safetensors"].write_bytes(safetensors({"lin.kernel": KERNEL}))
    files["msgpack"].write_bytes(serialization.to_bytes({"lin": {"kernel": KERNEL}}))
    for form, file in files.items():
        contents = checkpoint.read(file)
        assert contents.form == form
        assert (contents[""]["lin/kernel"].read() == KERNEL).all()


def test_what_is_of_no_form_is_refused_with_what_it_begins_with(tmp_path):
    file = tmp_path / "notes"
    file.write_text("not a checkpoint")
    with pytest.raises(errors.CheckpointFormError, match="begins b'not a check"):
        checkpoint.read(file)
    with pytest.raises(errors.CheckpointNotFoundError, match="nothing at"):
        checkpoint.read(tmp_path / "note")
    with pytest.raises(FileNotFoundError, match="notes"):
        checkpoint.read(tmp_path / "note")


def test_a_part_is_read_and_no_more_than_that_part(tmp_path):
    file = tmp_path / "weights"
    rows = np.arange(24, dtype="float32").reshape(4, 3, 2)
    file.write_bytes(safetensors({"a": KERNEL, "rows": rows}))
    entry = checkpoint.read(file)[""]["rows"]
    assert (entry.read((slice(1, 3),)) == rows[1:3]).all()
    assert (
        entry.read((slice(None), slice(0, 2), slice(1, 2))) == rows[:, :2, 1:]
    ).all()
    assert (entry.read((slice(2, 2),)) == rows[2:2]).all()
    assert entry.read().ctypes.data % 64 == 0
    assert entry.read().base is not rows


def test_a_scalar_of_any_form_is_an_array_without_dimensions(tmp_path):
    count = np.asarray(7, "uint32")
    (tmp_path / "s").write_bytes(safetensors({"count": count}))
    (tmp_path / "m").write_bytes(serialization.to_bytes({"count": count}))
    np.savez(tmp_path / "z.npz", count=count)
    orbax_folder(tmp_path / "o", {("count",): count})
    for name in ("s", "m", "z.npz", "o"):
        read = checkpoint.read(tmp_path / name)[""]["count"].read()
        assert (read.shape, read.dtype.name, int(read)) == ((), "uint32", 7)


@pytest.mark.parametrize(
    ("why", "data"),
    [
        ("a header of", safetensors({"a": KERNEL})[:20]),
        ("arrays of 24 bytes", safetensors({"a": KERNEL})[:-4]),
        ("arrays of 24 bytes", safetensors({"a": KERNEL}, tail=b"more")),
        ("needs 24 bytes and has 20", safetensors({"a": KERNEL}, offsets={"a": [0, 20]})),
        ("overlaps", safetensors({"a": KERNEL, "b": KERNEL}, offsets={"b": [0, 24]})),
        ("gap", safetensors({"a": KERNEL}, offsets={"a": [4, 28]}, tail=b"more")),
        ("negative", safetensors({"a": KERNEL}, offsets={"a": [-24, 0]})),
        ("manifest", safetensors({"a": KERNEL}, {"nnx_compat": '{"format": 1}'})),
        ("has format 99", safetensors({"a": KERNEL}, {"nnx_compat": '{"format": 99}'})),
    ],
)  # fmt: skip
def test_a_damaged_file_is_refused_before_anything_is_read(tmp_path, why, data):
    (tmp_path / "weights").write_bytes(data)
    with pytest.raises(errors.CheckpointFormError, match=why):
        checkpoint.read(tmp_path / "weights")


def test_a_file_that_changed_since_its_header_was_read_is_refused(tmp_path):
    file = tmp_path / "weights"
    file.write_bytes(safetensors({"a": KERNEL}))
    entry = checkpoint.read(file)[""]["a"]
    file.write_bytes(safetensors({"a": KERNEL, "b": KERNEL}))
    for index in (..., (slice(None), slice(0, 1))):
        with pytest.raises(errors.CheckpointFormError, match="was changed"):
            entry.read(index)


def test_shards_are_one_table_and_a_missing_one_is_named(tmp_path):
    (tmp_path / "one.safetensors").write_bytes(safetensors({"a": KERNEL}))
    (tmp_path / "two.safetensors").write_bytes(safetensors({"b.c": KERNEL}))
    index = {"weight_map": {"a": "one.safetensors", "b.c": "two.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    for place in (tmp_path, tmp_path / "model.safetensors.index.json"):
        contents = checkpoint.read(place)
        assert list(contents[""]) == ["a", "b/c"]
        assert contents.form == "safetensors, 2 shards"
    (tmp_path / "two.safetensors").unlink()
    with pytest.raises(errors.CheckpointFormError, match="two.safetensors is missing"):
        checkpoint.read(tmp_path)


def test_steps_and_items_of_orbax_are_found_and_unfinished_ones_left_out(tmp_path):
    for step in (1, 20, 3):
        for item in ("model", "ema"):
            arrays = {("kernel", "value"): KERNEL + step}
            orbax_folder(tmp_path / str(step) / item, arrays)
    (tmp_path / "20" / "about").mkdir()
    (tmp_path / "20" / "about" / "metadata").write_text('{"lr": 0.1}')
    unfinished = tmp_path / "30.orbax-checkpoint-tmp-17"
    orbax_folder(unfinished / "model", {("kernel", "value"): KERNEL})
    contents = checkpoint.read(tmp_path)
    assert (contents.step, contents.steps) == (20, (1, 3, 20))
    assert sorted(contents) == ["ema", "model"]
    assert contents.metadata == {"about": {"lr": 0.1}}
    assert (contents["model"]["kernel/value"].read() == KERNEL + 20).all()
    assert checkpoint.read(tmp_path, step=3).step == 3
    with pytest.raises(errors.CheckpointNotFoundError, match="no finished step 30"):
        checkpoint.read(tmp_path, step=30)
    with pytest.raises(errors.CheckpointFormError, match="never finished"):
        checkpoint.read(unfinished)
    with pytest.raises(errors.CheckpointFormError, match="never finished"):
        checkpoint.read(unfinished / "model")


def test_a_folder_with_nothing_but_unfinished_saves_is_refused(tmp_path):
    orbax_folder(tmp_path / "5.orbax-checkpoint-tmp-1", {("kernel",): KERNEL})
    with pytest.raises(errors.CheckpointFormError, match="never finished"):
        checkpoint.read(tmp_path)


def test_an_array_that_the_structure_has_and_the_store_lacks_is_named(tmp_path):
    orbax_folder(tmp_path / "o", {("kernel",): KERNEL, ("bias",): KERNEL})
    (tmp_path / "o" / "bias" / ".zarray").unlink()
    with pytest.raises(errors.CheckpointFormError, match="bias"):
        checkpoint.read(tmp_path / "o")


def test_what_the_installed_orbax_writes_is_read_without_it(tmp_path):
    import jax.numpy as jnp
    import orbax.checkpoint as ocp

    tree = {"a": {"value": jnp.arange(3, dtype=jnp.bfloat16)}, "n": None, "s": [1, 2.5]}
    ocp.PyTreeCheckpointer().save(tmp_path / "o", tree)
    item = checkpoint.read(tmp_path / "o")[""]
    assert item["a/value"].read().astype("float32").tolist() == [0.0, 1.0, 2.0]
    assert item["a/value"].dtype.name == "bfloat16"
    assert item["n"].kind == "none"
    assert [item[f"s/{n}"].read().tolist() for n in range(2)] == [1, 2.5]


def test_legacy_msgpack_by_step_is_read(tmp_path):
    for step in (2, 11):
        data = serialization.to_bytes({"lin": {"kernel": KERNEL * step}, "epoch": step})
        (tmp_path / f"checkpoint_{step}").write_bytes(data)
    contents = checkpoint.read(tmp_path)
    assert contents.steps == (2, 11)
    assert contents[""]["epoch"].kind == "scalar"
    assert (contents[""]["lin/kernel"].read() == KERNEL * 11).all()


def test_arrays_of_objects_are_refused_by_name(tmp_path):
    np.savez(tmp_path / "w.npz", fine=KERNEL, evil=np.array([print], object))
    with pytest.raises(errors.CheckpointFormError, match="evil is an array of objects"):
        checkpoint.read(tmp_path / "w.npz")


def test_reading_imports_neither_flax_nor_jax_nor_orbax(tmp_path):
    (tmp_path / "s").write_bytes(safetensors({"a": KERNEL}))
    orbax_folder(tmp_path / "o", {("a",): KERNEL})
    code = (
        "import sys; from nnx_compat import checkpoint as c; "
        f"[c.read({str(tmp_path)!r} + '/' + n)['']['a'].read() for n in 'so']; "
        "print([m for m in ('flax', 'jax', 'orbax', 'safetensors') if m in sys.modules])"
    )
    env = {**os.environ, "PYTHONPATH": str(SOURCE)}
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env=env,
        check=True,
        capture_output=True,
        text=True,
    )
    assert ran.stdout.strip() == "[]"


def test_names_that_are_not_there_come_with_those_that_resemble_them():
    entries = [Entry((f"layer{n}", "kernel")) for n in range(600)]
    item = Item(entries)
    with pytest.raises(errors.CheckpointLookupError, match="layer17/kernel"):
        item["layer17/kernal"]
    assert item.get("layer17/kernal") is None
    with pytest.raises(errors.CheckpointLookupError, match="two arrays have the path"):
        Item([Entry(("a", 0)), Entry(("a", "0"))])
    with pytest.raises(errors.CheckpointLookupError, match="no item 'modle'"):
        Contents("here", "npz", {"model": item})["modle"]
