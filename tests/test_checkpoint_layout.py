"""Which releases name arrays as a file does, and what the installed one would misread."""

from __future__ import annotations

import json

import jax
import numpy as np
import optax
import pytest

import nnx_compat as nc
from nnx_compat import checkpoint, cli, doctor, facts, nnx
from nnx_compat.checkpoint import Contents, Entry, Item
from nnx_compat.checkpoint._layout import layout
from nnx_compat.revisions import nnx as native

FLOAT = np.dtype("float32")
STATIC = facts.behaviour("rngs-are-static").holds(nc.flax_version)


def contents(*paths, absent=()):
    """A file with arrays at these paths, and None at others."""
    entries = [Entry(tuple(path.split("/")), dtype=FLOAT) for path in paths]
    entries += [Entry(tuple(path.split("/")), "none") for path in absent]
    return Contents("x", "orbax", {"": Item(entries)})


SIGNS = {
    "state-path-ends-in-raw-value": (
        contents("lin/kernel/raw_value", "lin/bias/raw_value"),
        contents("lin/kernel/value", "lin/bias/value"),
    ),
    "absent-parameter-is-a-variable": (
        contents("lin/kernel/value", absent=["lin/bias/value"]),
        None,  # the model may have had all of its biases
    ),
    "rngs-are-static": (None, contents("drop/rngs/dropout/key/value")),
    "dropout-forks-its-rngs": (contents("drop/rngs/key/value"), None),
    "optimizer-state-holds-the-model": (
        contents("model/kernel/value", "opt_state/0/mu/kernel/value"),
        contents("opt_state/0/mu/kernel/value", "step/value"),
    ),
    "optimizer-state-keeps-raw-arrays": (
        contents("opt_state/0/mu/kernel/value", "opt_state/0/count"),
        contents("opt_state/0/mu/kernel/value", "opt_state/0/count/value"),
    ),
}


@pytest.mark.parametrize("id", SIGNS)
def test_a_sign_leaves_the_releases_for_which_the_facts_have_it(id):
    for held, file in zip((True, False), SIGNS[id], strict=True):
        if file is not None:
            found = layout(file)
            assert found.signs[id] is held
            alone = found._replace(signs={id: held})
            assert alone.releases == tuple(
                r.version
                for r in facts.releases()
                if facts.behaviour(id).holds(r.version) is held
            )


@pytest.mark.parametrize(
    "file",
    [
        contents("lin/kernel", "lin/bias"),
        contents("mha/value/kernel", "mha/key/kernel", "value"),
        contents("kernel/value", "value", absent=["bias"]),
        contents("model/opt_state", "model/rngs"),
        Contents("x", "npz", {}),
    ],
)
def test_names_that_people_give_are_of_no_release(file):
    found = layout(file)
    assert not found.signs
    assert not found.perhaps
    assert len(found.releases) == len(facts.releases())
    assert "no release" in str(found)


def test_shared_streams_may_be_those_of_a_dropout():
    shared = layout(contents("drop/rngs/dropout/key/value", "kernel/value"))
    assert shared.perhaps == ("dropout-forks-its-rngs",)
    assert not layout(contents("rngs/dropout/key/value")).perhaps
    both = contents("drop/rngs/key/value", "net/rngs/dropout/key/value")
    assert not layout(both).perhaps


class Net(nnx.Module):
    def __init__(self, rngs):
        self.lin = nnx.Linear(2, 2, use_bias=False, rngs=rngs)
        if not STATIC:  # before that, a Dropout takes no Rngs
            self.drop = native.Dropout(0.5, rngs=rngs)


def plain(state):
    """A state with the data of keys, which every orbax saves."""
    return jax.tree_util.tree_map(
        lambda a: (
            jax.random.key_data(a)
            if jax.dtypes.issubdtype(a.dtype, jax.dtypes.prng_key)
            else a
        ),
        state,
    )


def saved_natively(folder):
    import orbax.checkpoint as ocp

    model = Net(nnx.Rngs(0))
    items = {"model": nc.state(model)}
    if hasattr(native, "Optimizer"):
        try:
            optimizer = native.Optimizer(model, optax.adam(0.1), wrt=native.Param)
        except TypeError:
            optimizer = native.Optimizer(model, optax.adam(0.1))
        items["optimizer"] = native.state(optimizer)
    for name, state in items.items():
        checkpointer = ocp.Checkpointer(ocp.PyTreeCheckpointHandler())
        checkpointer.save(folder / name, plain(state))
    return items


def test_what_the_installed_flax_saved_it_does_not_misread(tmp_path):
    for name in saved_natively(tmp_path):
        found = layout(checkpoint.read(tmp_path / name))
        assert facts.nearest(nc.flax_version) in found.releases, name
        behaviours = {one.code for one in nc.audit(tmp_path / name)}
        assert behaviours <= {"dropout-forks-its-rngs"} & {*found.perhaps}


def test_our_own_form_is_the_same_everywhere(tmp_path):
    checkpoint.save(tmp_path / "own", model=Net(nnx.Rngs(0)))
    assert layout(checkpoint.read(tmp_path / "own")).anywhere
    assert nc.audit(tmp_path / "own") == ()


def test_doctor_and_audit_name_what_is_misread_and_what_reads_it(tmp_path, capsys):
    """One of the two files is of another release, whichever is installed."""
    raw = {"lin/kernel/raw_value": np.ones(2, "float32")}
    tail = {"lin/kernel/value": np.ones(2, "float32")}
    np.savez(tmp_path / "raw.npz", **raw)
    np.savez(tmp_path / "tail.npz", **tail)
    holds = facts.behaviour("state-path-ends-in-raw-value").holds(nc.flax_version)
    good, bad = ("raw.npz", "tail.npz") if holds else ("tail.npz", "raw.npz")
    assert nc.audit(str(tmp_path / good)) == ()
    (one,) = nc.audit(tmp_path / bad)
    assert (one.code, one.severity) == ("state-path-ends-in-raw-value", "wrong")
    assert "nnx_compat.checkpoint.load(" in one.remedy

    paths = [str(tmp_path / name) for name in (good, bad)]
    report = doctor.examine(checkpoints=paths)
    assert [bool(row["misread"]) for row in report.checkpoints] == [False, True]
    assert cli.main(["doctor", "--checkpoint", paths[0]]) == 0
    assert cli.main(["doctor", "--json", "--checkpoint", paths[1]]) == 1
    *_, printed = capsys.readouterr().out.partition("\n{")
    assert json.loads("{" + printed)["checkpoints"][0]["path"] == paths[1]
    assert cli.main(["doctor", "--checkpoint", str(tmp_path / "none")]) == 2
    assert "instead:" in capsys.readouterr().err
