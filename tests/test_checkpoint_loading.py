"""Files of every layout, loaded into models of the installed release by rule.

The layouts are written here by hand, as the releases lay them out, so that each release
reads those of all: names of values inside Variables, streams shared or forked,
optimizers that hold their model.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import nnx_compat as nc
from nnx_compat import checkpoint, errors, facts, nnx
from nnx_compat.revisions import nnx as native

STATIC = facts.behaviour("rngs-are-static").holds(nc.flax_version)
FORKED = facts.behaviour("dropout-forks-its-rngs").holds(nc.flax_version)
KEY = np.array([3, 4], "uint32")
stateful = pytest.mark.skipif(STATIC, reason="a Rngs is static: no streams in a state")


class Head(nnx.Module):
    def __init__(self, rngs):
        self.value = nnx.Param(jnp.zeros(2))


class Model(nnx.Module):
    """Names that are also those of values inside Variables, a tied layer, a list."""

    def __init__(self, rngs):
        self.z = nnx.Linear(2, 2, rngs=rngs)
        self.layers = nnx.List([nnx.Linear(2, 2, use_bias=False, rngs=rngs)])
        self.head = Head(rngs)
        self.again = self.z


NAMES = ("z/kernel", "z/bias", "layers/0/kernel", "head/value")


def model():
    return Model(nnx.Rngs(0))


def arrays(tail="", first=1.0):
    shapes = {"z/bias": 2, "head/value": 2}
    return {
        name + tail: np.full(shapes.get(name, (2, 2)), first + n, "float32")
        for n, name in enumerate(NAMES)
    }


def saved(tmp_path, found):
    np.savez(tmp_path / "saved.npz", **found)
    return tmp_path / "saved.npz"


def values(node):
    """The first number of each array by name; a tied layer by one of its names."""
    found = {}
    for path, variable in nc.variables(node).items():
        if nc.get_value(variable) is not None:
            name = "/".join(map(str, path)).replace("again/", "z/")
            found[name] = float(nc.get_value(variable).ravel()[0])
    return found


WANTED = dict(zip(NAMES, (1.0, 2.0, 3.0, 4.0), strict=True))


@pytest.mark.parametrize("tail", ["", "/value", "/raw_value"])
def test_names_of_values_inside_variables_are_stripped_and_real_ones_are_not(
    tmp_path, tail
):
    target = model()
    report = checkpoint.load(saved(tmp_path, arrays(tail)), model=target)
    assert values(target) == WANTED
    assert len(report.rows) == 4 and not report.kept and not report.unused


def test_a_tied_layer_is_found_by_any_of_its_names(tmp_path):
    for name in ("z", "again"):
        found = {k.replace("z/", f"{name}/"): a for k, a in arrays("/value").items()}
        target = model()
        checkpoint.load(saved(tmp_path, found), model=target)
        assert values(target) == WANTED
        assert target.again is target.z


def test_variables_keep_their_identity_and_their_kind_of_array(tmp_path):
    target = model()
    before = nc.variables(target)
    checkpoint.load(saved(tmp_path, arrays()), model=target)
    after = nc.variables(target)
    assert all(after[path] is before[path] for path in before)
    assert isinstance(nc.get_value(after["head", "value"]), jax.Array)


def test_an_array_that_is_not_in_the_file_is_an_error_that_names_the_nearest(tmp_path):
    found = arrays("/value")
    found["z/kernal/value"] = found.pop("z/kernel/value")
    target, file = model(), saved(tmp_path, found)
    before = values(target)
    with pytest.raises(
        errors.CheckpointStructureError, match="z/kernal/value"
    ) as caught:
        checkpoint.load(file, model=target)
    assert "kernel: not in the file" in str(caught.value)
    assert values(target) == before
    report = checkpoint.load(file, strict=False, model=target)
    assert [row.rule for row in report.kept] == ["missing"]
    assert [row.source for row in report.unused] == ["z/kernal/value"]
    assert {k: v for k, v in values(target).items() if k != "z/kernel"} == {
        k: v for k, v in WANTED.items() if k != "z/kernel"
    }


@pytest.mark.parametrize(
    ("name", "array", "why"),
    [
        ("z/bias", np.zeros(3, "float32"), r"shape \[3\] in the file, \[2\] wanted"),
        ("z/bias", np.zeros(2, "float64"), "float64 in the file, float32 wanted"),
        ("z/bias", KEY, "uint32 in the file, float32 wanted"),
    ],
)
def test_what_does_not_fit_changes_nothing_in_any_item(tmp_path, name, array, why):
    one, two = model(), model()
    found = {f"one/{k}": a for k, a in arrays().items()}
    found |= {f"two/{k}": a for k, a in (arrays() | {name: array}).items()}
    before = values(one)
    with pytest.raises(errors.CheckpointStructureError, match=why):
        checkpoint.load(saved(tmp_path, found), one=one, two=two)
    assert values(one) == values(two) == before


def test_an_error_while_writing_undoes_what_was_written(tmp_path, monkeypatch):
    from nnx_compat.checkpoint import _slots

    one, two = model(), {"a": np.zeros(2, "float32")}
    found = {f"one/{k}": a for k, a in arrays().items()} | {
        "two/a": np.ones(2, "float32")
    }
    before = values(one)

    def fail(self, new):
        raise KeyboardInterrupt

    monkeypatch.setattr(_slots.Slots, "_into_containers", fail)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.load(saved(tmp_path, found), one=one, two=two)
    assert values(one) == before


def test_a_cast_is_made_where_nothing_is_lost_or_where_it_was_asked_for(tmp_path):
    halves = {k: a.astype("float16") for k, a in arrays().items()}
    target = model()
    report = checkpoint.load(saved(tmp_path, halves), model=target)
    assert values(target) == WANTED
    assert [row.note for row in report.cast] == ["float16 to float32"] * 4
    assert nc.get_value(target.z.kernel).dtype == jnp.float32
    doubles = {k: a.astype("float64") for k, a in arrays(first=5.0).items()}
    checkpoint.load(saved(tmp_path, doubles), cast=True, model=target)
    assert values(target)["z/kernel"] == 5.0


def test_only_what_a_glob_or_a_filter_selects_is_loaded(tmp_path):
    target, file = model(), saved(tmp_path, arrays())
    before = values(target)
    report = checkpoint.load(file, only="head/*", model=target)
    assert len(report.rows) == 1
    assert values(target) == before | {"head/value": 4.0}
    report = checkpoint.load(
        file, only=lambda path, leaf: path[-1] == "bias", model=target
    )
    assert values(target) == before | {"head/value": 4.0, "z/bias": 2.0}
    checkpoint.load(file, only=["model/layers/*", "*/kernel"], model=target)
    assert values(target) == WANTED


def test_an_abstract_model_becomes_a_concrete_one(tmp_path):
    abstract = nnx.eval_shape(model)
    checkpoint.load(saved(tmp_path, arrays("/value")), model=abstract)
    assert values(abstract) == WANTED


def test_states_and_dicts_are_loaded_in_place(tmp_path):
    state = nc.state(nnx.Linear(2, 2, rngs=nnx.Rngs(0)))
    plain = {"z": {"bias": np.zeros(2, "float32")}, "n": [1]}
    file = saved(
        tmp_path,
        {"s/bias": np.full(2, 4, "float32"), "s/kernel": np.ones((2, 2), "float32"),
         "d/z/bias": np.ones(2, "float32"), "d/n/0": np.asarray(9)},
    )  # fmt: skip
    checkpoint.load(file, s=state, d=plain)
    assert nc.to_pure_dict(state)["bias"].tolist() == [4.0, 4.0]
    assert plain["z"]["bias"].tolist() == [1.0, 1.0] and plain["n"] == [9]


def test_items_that_are_not_there_are_named_with_those_that_are(tmp_path):
    file = saved(tmp_path, {f"net/{k}": a for k, a in arrays().items()})
    with pytest.raises(errors.CheckpointLookupError, match="no item 'other'"):
        checkpoint.load(file, other=model(), more=model())
    target = model()
    report = checkpoint.load(file, net=target)  # below the only item's first names
    assert values(target) == WANTED and not report.unused


# -- optimizers ----------------------------------------------------------------------


def trained():
    target = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    return target, nnx.Optimizer(target, optax.adam(0.1), wrt=nnx.Param)


def optimizer_arrays(tail, scalar, held):
    """As an optimizer of one release or another is laid out."""
    found = {"step" + tail: np.asarray(2, "uint32")}
    found["opt_state/0/count" + scalar] = np.asarray(2, "int32")
    for n, moment in enumerate(("mu", "nu"), 1):
        found[f"opt_state/0/{moment}/kernel{tail}"] = np.full((2, 2), n, "float32")
        found[f"opt_state/0/{moment}/bias{tail}"] = np.full(2, n, "float32")
    if held:
        found["model/kernel" + tail] = np.full((2, 2), 7, "float32")
        found["model/bias" + tail] = np.full(2, 8, "float32")
    return found


@pytest.mark.parametrize(
    ("tail", "scalar", "held"),
    [("/raw_value", "", True), ("/value", "", True), ("/value", "/value", True),
     ("/value", "/value", False), ("", "", False)],
)  # fmt: skip
def test_an_optimizer_of_any_layout_is_loaded(tmp_path, tail, scalar, held):
    target, optimizer = trained()
    found = optimizer_arrays(tail, scalar, held)
    report = checkpoint.load(saved(tmp_path, found), optimizer=optimizer)
    loaded = values(optimizer)
    assert loaded["step"] == loaded["opt_state/0/count"] == 2.0
    assert (
        loaded["opt_state/0/mu/kernel"] == 1.0 and loaded["opt_state/0/nu/bias"] == 2.0
    )
    left = [row for row in report.unused if row.rule == "model of the optimizer"]
    assert len(left) == len(report.unused) == 2 * held


def test_a_model_is_found_inside_the_optimizer_that_held_it(tmp_path):
    target, optimizer = trained()
    found = optimizer_arrays("/value", "/value", True)
    checkpoint.load(saved(tmp_path, found), model=target)
    assert values(target) == {"kernel": 7.0, "bias": 8.0}


def test_a_model_that_an_optimizer_holds_and_the_file_has_otherwise_is_an_error(
    tmp_path,
):
    target, optimizer = trained()
    found = {f"o/{k}": a for k, a in optimizer_arrays("/value", "", True).items()}
    found["m/kernel/value"] = np.full((2, 2), 7, "float32")
    found["m/bias/value"] = np.full(2, 9, "float32")
    with pytest.raises(errors.CheckpointStructureError, match="not what m/bias"):
        checkpoint.load(saved(tmp_path, found), m=target, o=optimizer)
    report = checkpoint.load(
        saved(tmp_path, found), strict=False, m=target, o=optimizer
    )
    notes = sorted(row.note.split()[0] for row in report.unused)
    assert notes == ["equal", "not"] and values(target)["bias"] == 9.0


def test_the_averages_of_an_ema_are_found_with_and_without_their_prefix(tmp_path):
    for prefix in ("", "params/"):
        target = model()
        ema = nnx.EMA(target, decay=0.5)
        found = {f"model/{k}": a for k, a in arrays("/value", first=9.0).items()}
        found |= {f"ema/{prefix}{k}": a for k, a in arrays("/value").items()}
        checkpoint.load(saved(tmp_path, found), model=target, ema=ema)
        assert {k.removeprefix("params/"): v for k, v in values(ema).items()} == WANTED


# -- PRNG streams --------------------------------------------------------------------


class Dropping(nnx.Module):
    def __init__(self, rngs):
        self.a = native.Dropout(0.5, rngs=rngs)
        self.b = native.Dropout(0.5, rngs=rngs)
        self.rngs = rngs


def streams(node):
    found = {}
    for path, variable in nc.variables(node).items():
        value = nc.get_value(variable)
        if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
            value = jax.random.key_data(value)
        found["/".join(map(str, path))] = np.asarray(value).tolist()
    return found


SHARED = {"a/rngs/dropout/key/value": KEY, "a/rngs/dropout/count/value": np.uint32(5)}
FORKS = {
    "a/rngs/key/value": KEY, "a/rngs/count/value": np.uint32(5),
    "b/rngs/key/value": KEY + 2, "b/rngs/count/value": np.uint32(6),
    "rngs/dropout/key/value": KEY + 4, "rngs/dropout/count/value": np.uint32(7),
}  # fmt: skip


def drawn(count):
    key = jax.random.fold_in(jax.random.wrap_key_data(jnp.asarray(KEY)), count)
    return np.asarray(jax.random.key_data(key)).tolist()


@stateful
@pytest.mark.parametrize("name", ["dropout", "default"])
def test_shared_streams_become_forks_with_the_keys_of_the_constructor(tmp_path, name):
    found = {k.replace("dropout", name): a for k, a in SHARED.items()}
    target = Dropping(nnx.Rngs(dropout=1))
    report = checkpoint.load(saved(tmp_path, found), model=target)
    forked = {
        "a/rngs/count": 0, "a/rngs/key": drawn(5), "b/rngs/count": 0,
        "b/rngs/key": drawn(6), "rngs/dropout/count": 7, "rngs/dropout/key": [3, 4],
    }  # fmt: skip
    shared = {"a/rngs/dropout/count": 5, "a/rngs/dropout/key": [3, 4]}
    assert streams(target) == (forked if FORKED else shared)
    assert len(report.derived) == (4 if FORKED else 0)


@stateful
def test_forks_become_forks_and_the_kept_stream_the_shared_one(tmp_path):
    target = Dropping(nnx.Rngs(dropout=1))
    report = checkpoint.load(saved(tmp_path, FORKS), model=target)
    forked = {
        k.removesuffix("/value"): np.asarray(a).tolist() for k, a in FORKS.items()
    }
    shared = {"a/rngs/dropout/count": 7, "a/rngs/dropout/key": [7, 8]}
    assert streams(target) == (forked if FORKED else shared)
    assert len(report.unused) == (0 if FORKED else 4)


@stateful
def test_streams_that_a_file_lacks_are_kept_and_reported(tmp_path):
    target = Dropping(nnx.Rngs(dropout=1))
    before = streams(target)
    np.savez(tmp_path / "saved.npz", other=np.zeros(1))
    report = checkpoint.load(tmp_path / "saved.npz", strict=False, model=target)
    assert streams(target) == before
    assert {row.rule for row in report.kept} == {"own stream"}
    report = checkpoint.load(
        saved(tmp_path, FORKS), rngs="model", strict=False, model=target
    )
    assert streams(target) == before


@stateful
def test_keys_of_another_implementation_are_refused(tmp_path):
    rbg = {
        k: np.arange(4, dtype="uint32") if "key" in k else a for k, a in FORKS.items()
    }
    target = Dropping(nnx.Rngs(dropout=1))
    before = streams(target)
    with pytest.raises(errors.CheckpointStructureError, match=r"shape \[4\]"):
        checkpoint.load(saved(tmp_path, rbg), model=target)
    assert streams(target) == before


def test_two_items_that_share_their_variables_are_refused(tmp_path):
    target = model()
    found = {f"{n}/{k}": a for n in "ab" for k, a in arrays().items()}
    with pytest.raises(
        errors.CheckpointStructureError, match="hold the same Variables"
    ):
        checkpoint.load(saved(tmp_path, found), a=target, b=(target,))


@pytest.mark.parametrize("wrong", [3, jnp.zeros(2), "model", None])
def test_what_cannot_be_written_in_place_is_refused(tmp_path, wrong):
    with pytest.raises(errors.ArgumentTypeError, match="cannot be written in place"):
        checkpoint.load(saved(tmp_path, arrays()), model=wrong)
