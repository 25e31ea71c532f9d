"""``install(meaning="newest")``: ``flax.nnx`` is the drop-in namespace for a while."""

from __future__ import annotations

import os
import subprocess
import sys
from types import ModuleType

import jax.numpy as jnp
import pytest

import nnx_compat as nc
from nnx_compat import errors, facts
from nnx_compat._install import newest
from nnx_compat._release import native as names
from nnx_compat.revisions import nnx as native

from .test_install import differences, look


@pytest.fixture(autouse=True)
def nothing_is_left_behind():
    yield
    nc.uninstall()
    assert not nc.installed_names()


def replaced():
    """The public names that mean something else on the newest release."""
    return [
        name
        for name in names
        if not name.startswith("_")
        and (row := facts.treatment(f"nnx.{name}", nc.flax_version))
        and row.treatment == "replaced"
    ]


def test_names_that_mean_less_are_those_of_the_drop_in_namespace():
    with nc.installed(meaning="newest"):
        for name in replaced():
            assert getattr(native, name) is getattr(nc.nnx, name) is not names[name]
            assert f"{native.__name__}.{name}" in nc.installed_names()
    assert [n for n in replaced() if getattr(native, n) is not names[n]] == []


def test_without_it_nothing_that_is_there_is_replaced():
    with nc.installed():
        for name in replaced():
            now = getattr(native, name)
            assert getattr(now, "__wrapped__", now) is names[name], name


def test_uninstall_leaves_flax_exactly_as_it_was():
    nc.install(meaning="newest")  # imports what it needs, which stays imported
    nc.uninstall()
    before = look()
    nc.install(meaning="newest")
    nc.install(meaning="newest")
    assert differences(before, look()) != []
    nc.uninstall()
    assert differences(before, look()) == []


def test_a_block_takes_away_what_it_brought_and_no_more():
    nc.install()
    before, added = look(), nc.installed_names()
    with nc.installed(meaning="newest"):
        with nc.installed():
            pass
        with nc.installed(meaning="newest"):
            pass
        assert all(getattr(native, name) is not names[name] for name in replaced())
    assert differences(before, look()) == []
    assert nc.installed_names() == added


def test_a_fast_jit_stays_above_it():
    nc.install(fast=True)
    fast = native.jit
    with nc.installed(meaning="newest"):
        assert native.jit is nc.nnx.jit is fast
    assert native.jit is fast
    nc.uninstall()
    assert native.jit is names["jit"]


def test_another_meaning_is_an_error_and_changes_nothing():
    before = look()
    for door in (nc.install, nc.installed(meaning="oldest").__enter__):
        with pytest.raises(errors.ArgumentValueError, match="instead: meaning="):
            door(meaning="oldest") if door is nc.install else door()
    assert differences(before, look()) == []


def test_an_error_on_the_way_leaves_what_was_there(monkeypatch):
    nc.install()
    before = look()

    def some():
        yield native, "jit", None
        raise KeyError

    monkeypatch.setattr(newest, "replacements", some)
    with pytest.raises(KeyError):
        nc.install(meaning="newest")
    with pytest.raises(KeyError), nc.installed(meaning="newest"):
        raise AssertionError
    assert differences(before, look()) == []
    nc.uninstall()


def test_what_flax_makes_and_what_is_ours_are_instances_of_each_other():
    flax_class = names["Rngs"]
    with nc.installed(meaning="newest"):
        assert isinstance(flax_class(0), native.Rngs)
        assert isinstance(native.Rngs(0), flax_class)
        assert issubclass(native.Rngs, flax_class)
        assert issubclass(flax_class, native.Rngs)


def test_flaxs_own_files_look_names_up_where_they_did():
    linear = sys.modules[native.Linear.__module__]
    with nc.installed(meaning="newest"):
        for name, value in vars(linear).items():
            if isinstance(value, ModuleType) and value.__name__ == native.__name__:
                assert all(getattr(value, n) is names[n] for n in replaced()), name
                assert value.Linear is names["Linear"]


def test_new_code_runs_by_its_public_name():
    import optax

    with nc.installed(meaning="newest"):
        model = native.Sequential(lambda x, k=1: x * k, lambda x, k=1: x + k)
        assert model(7.0, k=3) == 24.0
        metric = native.metrics.Average()
        mask = jnp.array([True, False, True])
        metric.update(values=jnp.array([1.0, 2.0, 5.0]), mask=mask)
        assert metric.compute() == 3
        layer = native.Linear(2, 2, rngs=native.Rngs(0))
        optimizer = native.Optimizer(layer, optax.sgd(0.5), wrt=native.Param)
        before = nc.get_value(nc.variables(layer)["bias",])
        grads = native.grad(lambda m: m(jnp.ones((1, 2))).sum())(layer)
        optimizer.update(layer, grads)
        after = nc.get_value(nc.variables(layer)["bias",])
        assert jnp.allclose(after, before - 0.5)
        if hasattr(nc.nnx.Rngs, "normal"):
            assert native.Rngs(0).normal((3,)).shape == (3,)


@pytest.mark.filterwarnings("ignore:Variable hooks are deprecated:UserWarning")
def test_hooks_are_called_that_a_variable_is_made_with():
    with nc.installed(meaning="newest"):
        weight = native.Param(
            jnp.array(1.0),
            on_get_value=lambda variable, value: value * 10,
            on_set_value=lambda variable, value: value + 1,
        )
        assert weight.get_value() == 10
        weight.set_value(jnp.array(5.0))
        assert weight.get_value() == 60


def test_run_has_it_unless_told_otherwise(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        f"from {native.__name__.rpartition('.')[0]} import nnx\n"
        "print(nnx.Sequential(lambda x, k=1: x * k, lambda x, k=1: x + k)(7.0, k=3))\n"
    )
    command = [sys.executable, "-W", "ignore", "-m", "nnx_compat", "run"]
    env = {**os.environ, "JAX_PLATFORMS": "cpu"}
    ran = [
        subprocess.run(
            [*command, *more, str(script)], capture_output=True, text=True, env=env
        )
        for more in ([], ["--native-meaning"])
    ]
    assert ran[0].stdout == "24.0\n", ran[0].stderr
    assert (ran[1].stdout == "24.0\n") is ("Sequential" not in replaced()), ran
