"""A file that was cut, changed or lost in part: refused by name, and nothing changed."""

from __future__ import annotations

import pickle
import random
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import serialization

import nnx_compat as nc
from nnx_compat import checkpoint, errors, nnx


class Net(nnx.Module):
    def __init__(self, seed):
        rngs = nnx.Rngs(seed)
        self.a = nnx.Linear(8, 8, rngs=rngs)
        self.b = nnx.Linear(8, 8, rngs=rngs)
        self.c = nnx.Param(jnp.arange(100.0) + seed)


def bits(model):
    flat = nc.variables(model).items()
    return {path: np.asarray(nc.get_value(v)).tobytes() for path, v in flat}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """One model in every form, by what people save with."""
    import orbax.checkpoint as ocp

    folder, model = tmp_path_factory.mktemp("saved"), Net(0)
    nested = nc.to_pure_dict(nc.state(model))
    checkpoint.save(folder / "safetensors", model=model)
    flat = {
        "/".join(map(str, p)): nc.get_value(v) for p, v in nc.variables(model).items()
    }
    with (folder / "npz").open("wb") as file:
        np.savez(file, **{name: np.asarray(a) for name, a in flat.items()})
    (folder / "msgpack").write_bytes(serialization.to_bytes(nested))
    arrays = jax.tree_util.tree_map(np.asarray, nested)
    (folder / "pickle").write_bytes(pickle.dumps(arrays))
    for name, options in ORBAX.items():
        handler = ocp.PyTreeCheckpointHandler(**options)
        ocp.Checkpointer(handler).save(folder / name, nested)
    return folder


ORBAX = {
    "orbax": {"use_ocdbt": True},
    "orbax-folders": {"use_ocdbt": False},
    "orbax-zarr3": {"use_ocdbt": True, "use_zarr3": True},
}
FORMS = ["safetensors", "npz", "msgpack", "pickle", *ORBAX]


def copied(saved, form, place):
    if (saved / form).is_dir():
        shutil.copytree(saved / form, place)
        return sorted(file for file in place.rglob("*") if file.is_file())
    shutil.copy(saved / form, place)
    return [place]


@pytest.mark.parametrize("form", FORMS)
def test_a_damaged_file_is_refused_or_all_of_it_is_read(saved, tmp_path, form):
    chance, refused = random.Random(form), 0
    truth = bits(Net(0))
    for number in range(12):
        place = tmp_path / str(number)
        file = chance.choice(copied(saved, form, place))
        data = bytearray(file.read_bytes())
        how = chance.choice(["cut", "flip", "more"])
        if how == "cut":
            del data[chance.randrange(len(data) + 1) :]
        elif how == "flip":
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        else:
            data += b"more"
        file.write_bytes(bytes(data))
        target = Net(1)
        before = bits(target)
        try:
            checkpoint.load(place, model=target)
        except errors.NnxCompatError as error:
            refused += 1
            assert bits(target) == before
            assert str(error)
        else:  # a bit of a number is as good as another, where nothing counts them
            assert how == "flip" or bits(target) == truth
    assert refused


def test_a_chunk_that_is_not_there_is_not_read_as_zeros(saved, tmp_path):
    copied(saved, "orbax-folders", tmp_path / "o")
    (tmp_path / "o" / "a.kernel" / "0.0").unlink()
    target = Net(1)
    before = bits(target)
    with pytest.raises(errors.CheckpointFormError, match="a.kernel chunks are missing"):
        checkpoint.load(tmp_path / "o", model=target)
    assert bits(target) == before
    bias = checkpoint.read(tmp_path / "o")[""]["a/bias"].read()
    assert (bias == 0).all()  # whose chunk of zeros is there
    with pytest.raises(errors.CheckpointFormError, match="instead: a copy"):
        checkpoint.load(tmp_path / "o", model=target)


def test_a_part_of_a_chunk_by_chunk_array_is_read(tmp_path):
    import tensorstore

    values = np.arange(35, dtype="float32").reshape(5, 7)
    folder = tmp_path / "x"
    folder.mkdir()
    spec = {
        "driver": "zarr",
        "kvstore": {"driver": "file", "path": f"{folder}/w/"},
        "metadata": {"shape": [5, 7], "dtype": "<f4", "chunks": [2, 3]},
    }
    tensorstore.open(spec, create=True, open=True).result()[...].write(values).result()
    (folder / "_METADATA").write_text(
        '{"tree_metadata": {"x": {"key_metadata": [{"key": "w", "key_type": 2}], '
        '"value_metadata": {"value_type": "jax.Array"}}}, "use_zarr3": false}'
    )
    read = checkpoint.read(folder)[""]["w"].read
    assert (read() == values).all()
    assert (read((slice(1, 4), slice(2, 6))) == values[1:4, 2:6]).all()
    (folder / "w" / "2.2").unlink()
    with pytest.raises(errors.CheckpointFormError, match="chunks are missing"):
        read()
