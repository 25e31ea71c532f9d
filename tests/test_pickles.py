"""Pickles are read as data: of any release, and nothing of what they name is run."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import nnx_compat as nc
from nnx_compat import checkpoint, errors
from nnx_compat.checkpoint.forms.pickles import _optax

from . import hostile

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from tools import pickled  # noqa: E402

WRITTEN = sorted((HERE / "fixtures" / "pickles").glob("*.zip"))


def read(folder, data):
    file = folder / "file"
    file.write_bytes(data)
    return checkpoint.read(file)


# -- of other releases --------------------------------------------------------------


@pytest.mark.parametrize("file", WRITTEN, ids=lambda file: file.stem)
def test_what_another_release_pickled_is_read_bit_for_bit(file):
    """States, params, split, Modules and optimizers: pickle, cloudpickle and dill."""
    wrong = pickled.judge(file)
    assert len(wrong) >= 8
    assert {form: texts for form, texts in wrong.items() if texts} == {}


def test_bfloat16_works_after_every_pickle():
    """Natively, half of these files break it until the process ends."""
    assert jnp.zeros(3, jnp.bfloat16).dtype == jnp.bfloat16
    assert (jnp.ones(3, jnp.bfloat16) + 1 == 2).all()


# -- of this release ----------------------------------------------------------------


def arrays():
    small = np.arange(6, dtype=jnp.bfloat16)
    return {
        "c": np.arange(6.0).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big endian": np.arange(3, dtype=">i4"),
        "bool": np.array([True, False]),
        "complex": np.array([1 + 2j], "complex64"),
        "half": small,
        "one of half": small[3],
        "scalar": np.float32(2.5),
        "empty": np.zeros((0, 3), "int8"),
        "jax": jnp.arange(4, dtype=jnp.uint8),
    }


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_of_every_protocol_come_back_bit_for_bit(protocol, tmp_path):
    item = read(tmp_path, pickle.dumps(arrays(), protocol))[""]
    for name, array in arrays().items():
        found, wanted = item[name].read(), np.asarray(array)
        assert found.dtype == wanted.dtype.newbyteorder("="), name
        assert found.shape == wanted.shape, name
        assert (found == wanted).all(), name
        assert found.flags.writeable, name


def test_a_part_of_an_array_is_read(tmp_path):
    entry = read(tmp_path, pickle.dumps(arrays()))[""]["c"]
    assert entry.read((slice(1, 2), slice(0, 2))).tolist() == [[3.0, 4.0]]


def test_a_pickled_state_says_its_types_and_metadata(tmp_path, rngs):
    model = nc.nnx.BatchNorm(2, rngs=rngs)
    nc.set_metadata(nc.variables(model)["mean",], note="by hand")
    item = read(tmp_path, pickle.dumps(nc.state(model)))[""]
    assert item["mean"].type == "BatchStat"
    assert item["scale"].type == "Param"
    assert item["mean"].metadata["note"] == "by hand"
    assert (item["scale"].read() == 1).all()


def test_a_dict_of_states_has_an_item_for_each(tmp_path, rngs):
    state = nc.state(nc.nnx.BatchNorm(2, rngs=rngs))
    whole = {"model": state, "best": {"a": np.ones(2)}, "step": 7, "note": "hi"}
    contents = read(tmp_path, pickle.dumps(whole))
    assert list(contents) == ["model", "best"]
    assert contents.metadata == {"step": 7, "note": "hi"}
    assert contents["best"]["a"].read().tolist() == [1, 1]


def test_pickles_behind_one_another_are_all_read(tmp_path, rngs):
    state = nc.state(nc.nnx.BatchNorm(2, rngs=rngs))
    contents = read(tmp_path, pickle.dumps(state) + pickle.dumps({"b": np.zeros(1)}))
    assert list(contents) == ["0", "1"]


def test_what_is_no_data_is_listed_and_never_dropped_in_silence(tmp_path):
    data = hostile.pickled(
        {"w": np.ones(2), "when": hostile.Calls(hostile.Name("datetime", "date"), 1)}
    )
    contents = read(tmp_path, data)
    assert list(contents[""]) == ["w"]
    assert contents.left_out == ("when: a call of datetime.date",)


def test_an_object_of_a_class_that_is_nowhere_gives_its_arrays(tmp_path):
    thing = hostile.Calls(hostile.Name("gone", "TrainState"), state={"w": np.ones(2)})
    contents = read(tmp_path, hostile.pickled(thing))
    assert contents[""]["w"].read().tolist() == [1, 1]


def test_the_fields_of_a_state_of_optax_have_their_names(tmp_path):
    import optax

    state = optax.adam(1e-3).init({"w": jnp.ones(2)})
    item = read(tmp_path, pickle.dumps({"opt_state": state}))[""]
    assert set(item) >= {"opt_state/0/count", "opt_state/0/mu/w", "opt_state/0/nu/w"}


def test_the_names_of_fields_are_those_of_the_installed_optax():
    import optax

    compared = 0
    for name, cls in {**vars(optax), **vars(optax.contrib)}.items():
        if name in _optax.LAYOUTS and hasattr(cls, "_fields"):
            assert cls._fields in _optax.LAYOUTS[name], name
            compared += 1
    assert compared > 20


def test_a_state_of_optax_of_another_layout_has_positions(tmp_path):
    fields = hostile.Calls(hostile.Name("optax", "ScaleByAdamState"), np.ones(1))
    data = hostile.pickled(fields).replace(b"R.", b"\x81.")
    assert list(read(tmp_path, data)[""]) == ["0"]


# -- hostile ------------------------------------------------------------------------

WATCH = """
import json, os, sys, time
events = []
def watch(event, arguments):
    forbidden = ("exec", "compile", "os.system", "subprocess.Popen", "os.exec",
                 "os.posix_spawn", "pickle.find_class", "marshal.loads")
    if watching and (event in forbidden or event == "import" and arguments[0] not in known):
        events.append(f"{event} {arguments[0]!r:.60}")
watching, known = False, {"ml_dtypes"}
sys.addaudithook(watch)
sys.path[:0] = [os.getcwd(), *json.loads(sys.argv[1])]
from nnx_compat import checkpoint
from tests import hostile
from nnx_compat.checkpoint import forms
from nnx_compat.checkpoint.forms import msgpack, npz, orbax, pickles, safetensors
import ml_dtypes, pickle
with open("file", "wb") as file:
    pickle.dump({"warm": ml_dtypes.bfloat16(1)}, file)
assert checkpoint.read("file")[""]["warm"].read() == 1
outcome = {}
for name, data in hostile.HOSTILE.items():
    with open("file", "wb") as file:
        file.write(data)
    started = time.perf_counter()
    events.clear(); watching = True
    try:
        found = f"read: {dict(checkpoint.read('file'))}"
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
    watching = False
    outcome[name] = dict(found=found, events=list(events),
        executed=os.path.exists(hostile.MARK) or "hostile_module" in sys.modules,
        seconds=time.perf_counter() - started)
outcome["loaded"] = [m for m in ("flax", "jax", "cloudpickle", "dill") if m in sys.modules]
print(json.dumps(outcome))
"""


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """What reading each hostile file did, in a process that watches itself."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "hostile_module.py").write_text(hostile.MODULE)
    source = Path(nc.__file__).parent.parent
    ran = subprocess.run(
        [sys.executable, "-c", WATCH, json.dumps([str(HERE.parent), str(source)])],
        cwd=folder, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return json.loads(ran.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", hostile.HOSTILE)
def test_a_hostile_pickle_is_refused_by_name_and_runs_nothing(name, outcome):
    found = outcome[name]
    assert not found["executed"]
    assert found["events"] == []
    assert found["found"].startswith(("UnsafePickleError: ", "CheckpointFormError: "))
    assert "  instead: " in found["found"]
    assert found["seconds"] < 10


def test_reading_pickles_imports_neither_flax_nor_jax(outcome):
    assert outcome["loaded"] == []


def test_metadata_that_unfold_without_end_are_left_out(tmp_path):
    """Each tuple holds the one before 64 times, 40 levels deep."""
    bomb = ("x",)
    for _ in range(40):
        bomb = (bomb,) * 64
    metadata = {"bomb": bomb, "note": "kept", "sharding": ("data", ("a", "b"), None)}
    of = hostile.Name("gone", "Param")
    state = {"raw_value": np.ones(2), "_var_metadata": metadata, "_trace_state": None}
    data = hostile.pickled({"w": hostile.Calls(of, state=state)})
    entry = read(tmp_path, data)[""]["w"]
    assert entry.type == "Param"
    assert entry.metadata == {"note": "kept", "sharding": ("data", ("a", "b"), None)}


@pytest.mark.parametrize("name", ["os.system", "posix.system", "builtins.eval"])
def test_what_a_hostile_pickle_would_call_is_in_the_error(name, tmp_path):
    module, _, function = name.partition(".")
    data = hostile.pickled({"w": np.ones(2), "x": hostile.Calls(
        hostile.Name(module, function), hostile.CODE)})  # fmt: skip
    with pytest.raises(errors.UnsafePickleError, match=f"a call of {name}"):
        read(tmp_path, data)


def test_every_truncation_of_a_pickle_is_refused(tmp_path):
    data = pickle.dumps({"w": np.ones(3), "v": np.arange(4)})
    for length in range(2, len(data), 7):
        with pytest.raises(errors.CheckpointFormError):
            read(tmp_path, data[:length])


def test_pickles_with_a_byte_changed_are_read_or_refused(tmp_path):
    """Never another error, and never a long time: 250 of them."""
    data = pickle.dumps({"w": np.ones(3), "v": jnp.arange(4), "n": {"a": [1, 2.5]}})
    draw = np.random.default_rng(0)
    refused = 0
    for _ in range(250):
        changed = bytearray(data)
        changed[draw.integers(2, len(data))] = draw.integers(256)
        try:
            for entry in read(tmp_path, bytes(changed)).values():
                assert len(entry) >= 0
        except errors.NnxCompatError:
            refused += 1
    assert 0 < refused < 250
