"""The native spelling of each stable operation, evaluated on the installed release."""

from __future__ import annotations

import warnings

import jax.numpy as jnp
import pytest

import nnx_compat as nc
from nnx_compat import facts
from nnx_compat.revisions import nnx

HERE = [
    s
    for s in facts.spellings()
    if any(facts.nearest(nc.flax_version) in interval for interval in s.intervals)
]


def names():
    model = nnx.BatchNorm(3, rngs=nnx.Rngs(0))
    graphdef, state = nc.split(model)
    flat = nc.to_flat_state(state)
    if not nc.supports("nnx.split"):
        flat = {"/".join(path): leaf for path, leaf in flat.items()}
    return {
        "nnx": nnx,
        "model": model,
        "graphdef": graphdef,
        "state": state,
        "flat": flat,
        "values": nc.to_pure_dict(state),
        "variable": nc.variables(model)["scale",],
        "leaf": nc.to_flat_state(state)["scale",],
        "x": jnp.ones(3),
        "fn": lambda path, leaf: leaf,
    }


@pytest.mark.parametrize("spelling", HERE, ids=lambda s: s.operation)
def test_the_native_spelling_runs(spelling):
    if spelling.native:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            eval(spelling.native, names())
    else:
        assert not callable(getattr(nnx, spelling.operation, None))


def test_every_operation_has_one_spelling_here():
    operations = [s.operation for s in HERE]
    assert len(operations) == len(set(operations))
    assert set(operations) == {s.operation for s in facts.spellings()}


def test_the_operations_are_those_of_the_stable_api():
    from nnx_compat.stable import v1

    no_native_form = {
        "audit", "compile_step", "flax_version", "install", "installed",
        "installed_names", "jax_version", "jit", "nnx", "pure_state_update",
        "reproducible_init", "revision", "supports", "uninstall",
    }  # fmt: skip
    operations = {s.operation for s in facts.spellings()}
    assert operations == set(v1.__all__) - no_native_form
