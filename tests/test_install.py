"""``install``: what Flax lacks is added, nothing else changes, and all of it goes again."""

from __future__ import annotations

import sys
import threading
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nnx_compat as nc
from nnx_compat import errors, facts
from nnx_compat._install import jax_views
from nnx_compat._nnx import _older
from nnx_compat.revisions import nnx as native


@pytest.fixture(autouse=True)
def nothing_is_left_behind():
    yield
    nc.uninstall()


def look():
    """Every attribute of Flax's modules and of NNX's classes, and the module paths."""
    paths = sorted(name for name in sys.modules if name.split(".")[0] == "flax")
    found = {}
    for path in paths:
        module = sys.modules[path]
        found[path] = dict(vars(module))
        for value in list(vars(module).values()):
            if isinstance(value, type) and value.__module__.startswith("flax"):
                found[value] = {
                    name: member
                    for name, member in vars(value).items()
                    if not name.startswith("_abc")
                }
    return paths, found


def differences(before, after):
    (old_paths, old), (new_paths, new) = before, after
    found = sorted(set(old_paths) ^ set(new_paths))
    for owner in old.keys() | new.keys():
        was, now = old.get(owner, {}), new.get(owner, {})
        found += [
            (owner, name)
            for name in was.keys() | now.keys()
            if was.get(name, found) is not now.get(name, found)
        ]
    return found


def calls(wrapper, native):
    """Whether it is a wrapper around the native one, or one around such."""
    while wrapper is not native and hasattr(wrapper, "__wrapped__"):
        wrapper = wrapper.__wrapped__
    return wrapper is native


def test_uninstall_leaves_flax_exactly_as_it_was():
    nc.install()  # imports what it needs, which stays imported
    nc.uninstall()
    before = look()
    nc.install()
    assert bool(differences(before, look())) == bool(nc.installed_names())
    nc.uninstall()
    assert differences(before, look()) == []
    assert nc.installed_names() == ()


def test_only_what_is_absent_is_added_but_for_the_calls_that_are_an_error_today():
    nc.install()
    nc.uninstall()
    _, before = look()
    nc.install()
    _, after = look()
    for owner, was in before.items():
        now = after[owner]
        for name in was:
            if name not in now:  # it waits for its first use, to warn
                assert calls(getattr(native, name), was[name])
            elif isinstance(now[name], jax_views.View):  # of what jax refuses today
                replaced = {k: v for k, v in vars(now[name]).items() if k[0] != "_"}
                assert replaced
                assert all(v is not getattr(jax, k) for k, v in replaced.items())
            elif was[name] is not now[name]:
                if calls(now[name], was[name]):
                    continue
                kind = getattr(owner, "__name__", owner)
                kind = kind.split(".")[-1]
                path = f"nnx.{name}" if kind == "nnx" else f"nnx.{kind}.{name}"
                rows = [
                    facts.treatment(p, nc.flax_version)
                    for p in (path, path.replace("VariableState", "Variable"))
                ]
                assert "patched" in [row.treatment for row in rows if row], path


def test_twice_is_once():
    nc.install()
    names = nc.installed_names()
    nc.install()
    assert nc.installed_names() == names
    nc.uninstall()
    assert nc.installed_names() == ()
    nc.uninstall()


def test_a_block_inside_another_leaves_the_outer_one_alone():
    with nc.installed():
        names = nc.installed_names()
        with nc.installed():
            pass
        assert nc.installed_names() == names
    assert nc.installed_names() == ()
    nc.install()
    with nc.installed():
        pass
    assert nc.installed_names() == names


def test_a_block_uninstalls_also_when_its_body_raises():
    with pytest.raises(KeyError), nc.installed():
        raise KeyError
    assert nc.installed_names() == ()


def test_many_threads_install_once():
    before = look()
    threads = [threading.Thread(target=nc.install) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = nc.installed_names()
    assert len(names) == len(set(names))
    nc.uninstall()
    assert not [d for d in differences(before, look()) if isinstance(d, tuple)]


def test_a_variable_has_the_methods_of_the_newest_release():
    with nc.installed():
        weight = native.Param(jnp.arange(3.0), unit="m")
        assert weight.get_value().tolist() == [0, 1, 2]
        weight.set_value(jnp.ones(3))
        weight.set_value(5.0, index=1)
        assert weight[...].tolist() == [1, 5, 1]
        assert weight[1] == 5
        assert weight.get_raw_value().shape == weight.shape == (3,)
        assert (weight + 1).tolist() == (1 + weight).tolist() == [2, 6, 2]
        assert weight.get_metadata("unit") == "m"
        assert weight.has_metadata("unit")
        weight.set_metadata("unit", "s")
        weight.set_metadata(of="rest")
        assert nc.get_metadata(weight) == {"unit": "s", "of": "rest"}
        weight.del_metadata("of")
        assert nc.get_metadata(weight) == {"unit": "s"}
        assert weight.copy(jnp.zeros(2)).shape == (2,)
        assert nc.get_metadata(weight.copy(unit="kg")) == {"unit": "kg"}
        assert nc.get_metadata(weight) == {"unit": "s"}
        weight += 1
        assert isinstance(weight, native.Param)
        assert weight[...].tolist() == [2, 6, 2]


def test_a_leaf_of_a_state_has_them_too():
    model = native.Linear(2, 3, rngs=native.Rngs(0))
    before = np.asarray(nc.get_value(nc.variables(model)["kernel",]))
    with nc.installed():
        leaf = nc.to_flat_state(nc.state(model))["kernel",]
        assert np.array_equal(leaf.get_value(), before)
        assert np.array_equal(leaf[...], before)
        leaf.set_value(leaf.get_value() * 2)
        assert np.array_equal(leaf.get_value(), before * 2)
    assert np.array_equal(nc.get_value(nc.variables(model)["kernel",]), before)


# where it is experimental, the test above has it: there is no assignment at all
assigns = pytest.mark.skipif(
    native.__name__ == "flax.experimental.nnx", reason="no item can be assigned there"
)


@assigns
def test_an_item_is_assigned_where_jax_refuses_it():
    with nc.installed():
        weight = native.Param(jnp.zeros(3))
        weight[0] = 2.0
        assert weight.get_value().tolist() == [2, 0, 0]


@assigns
def test_a_number_that_was_assigned_is_read_back():
    with nc.installed():
        weight = native.Param(jnp.array(1))
        weight[...] = 3
        assert weight[...] == weight.get_value() == 3


def test_variables_are_compared_element_by_element():
    with nc.installed():
        one, two = native.Param(jnp.arange(3.0)), native.Param(jnp.ones(3))
        assert (one == two).tolist() == [False, True, False]
        assert native.Param(2) == native.Param(2)
        assert native.Param(2) != native.Param(3)


@pytest.mark.skipif(
    nc.revision.startswith("methods"), reason="no container holds Modules there"
)
def test_plain_lists_of_modules_are_taken_everywhere():
    with nc.installed():

        class Blocks(native.Module):
            def __init__(self, rngs):
                self.layers = [native.Linear(2, 2, rngs=rngs)]
                self.layers.append(native.Linear(2, 2, rngs=rngs))

        model = Blocks(native.Rngs(0))
        assert isinstance(model.layers, list)
        assert ("layers", 1, "kernel") in nc.to_flat_state(nc.state(model))


@pytest.mark.skipif(
    facts.treatment("nnx.Pytree.__setattr__", nc.flax_version) is None,
    reason="Flax's own assignment is left alone there",
)
@pytest.mark.filterwarnings("ignore:'Static' is deprecated:DeprecationWarning")
def test_what_a_class_declares_static_stays_so():
    class Bar(native.Pytree):
        __annotations__ = {"a": native.Static[jax.Array]}

        def __init__(self, a):
            self.a = a

    with nc.installed(), pytest.raises(ValueError, match="Found"):
        Bar(jnp.array(3))


def test_names_that_came_later_are_in_flax_nnx():
    with nc.installed():
        assert native.to_pure_dict
        assert native.List
        assert not [n for n in ("split", "merge", "state") if not hasattr(native, n)]


@pytest.mark.skipif(not nc.supports("nnx.Optimizer"), reason="no nnx.Optimizer")
def test_the_old_and_the_new_form_of_the_optimizer_are_taken():
    optax = pytest.importorskip("optax")
    with nc.installed():
        model = native.Linear(2, 1, rngs=native.Rngs(0))
        grads = native.grad(lambda m: m(jnp.ones((1, 2))).sum())(model)
        old = native.Optimizer(model, optax.sgd(0.5))
        before = np.asarray(nc.get_value(model.kernel))
        old.update(grads)
        assert np.allclose(nc.get_value(model.kernel), before - 0.5)
        assert old.model is model
        old.update(model, grads)
        assert np.allclose(nc.get_value(model.kernel), before - 1)
        other = nc.clone(model)
        old.update(model=other, grads=grads)
        assert np.allclose(nc.get_value(model.kernel), before - 1)
        assert np.allclose(nc.get_value(other.kernel), before - 1.5)
        assert old.model is model


def test_settings_are_read_as_what_the_release_does():
    import flax

    with nc.installed():
        for setting in facts.settings():
            assert isinstance(getattr(flax.config, setting.name), bool)
        values = {s.name: s.value for s in facts.settings()}
        added = [name for name in values if name not in flax.config._values]
        for name in added:
            assert getattr(flax.config, name) is values[name]
            assert f"flax.config.{name}" in nc.installed_names()
            flax.config.update(name, values[name])
            with pytest.warns(UserWarning, match=f"{name}: it stays"):
                flax.config.update(name, not values[name])
            assert getattr(flax.config, name) is values[name]
        with pytest.raises(LookupError):
            flax.config.update("no_such_setting", True)
    assert not any(hasattr(flax.config, name) for name in added)


def test_a_function_takes_calls_that_only_other_releases_take():
    with nc.installed():
        graphdef, state = native.split(
            model := native.Linear(2, 2, rngs=native.Rngs(0))
        )
        assert native.merge(graphdef, state, copy=True) is not None
        assert native.clone(model, variables=False) is not model
        x = jnp.ones((1, 2, 1, 4))
        assert native.dot_product_attention(x, x, x, is_causal=True).shape == x.shape
        assert int(native.jit(static_argnames="n")(lambda x, n: x * n)(2, n=3)) == 6
        with pytest.raises(TypeError):
            native.merge()


@pytest.mark.skipif(not nc.supports("nnx.split_rngs"), reason="streams are static")
def test_a_stream_has_the_methods_of_the_newest_release_and_keeps_its_name():
    key = jax.random.key_data(native.Rngs(0, normal=1)["normal"]())
    plain = jax.random.key_data(native.Rngs(0)["normal"]())
    with nc.installed():
        rngs = native.Rngs(0)
        assert rngs.normal((3,)).shape == (3,)
        assert rngs.params.uniform((2,)).shape == (2,)
        assert rngs.split(2)["params"].key.shape == (2,)
        found = jax.random.key_data(native.Rngs(0, normal=1).normal())
        assert (found == key).all()
        assert native.RngStream(1, tag="a").tag == "a"
        if not facts.name("nnx.Rngs.normal").on(nc.flax_version):
            assert (jax.random.key_data(native.Rngs(0).normal()) == plain).all()


def test_a_refused_name_says_why():
    refused = [
        name.removeprefix("nnx.")
        for name, rows in facts.treatments().items()
        for row in [facts.treatment(name, nc.flax_version)]
        if row and row.treatment == "refused" and name.count(".") == 1
    ]
    assert not hasattr(native, "no_such_name")
    with nc.installed():
        for name in refused:
            with pytest.raises(errors.RefusedNameError, match="NC101"):
                getattr(native, name)
        with pytest.raises(AttributeError, match="no_such_name"):
            native.no_such_name


@pytest.mark.skipif(not nc.supports("nnx.LSTMCell"), reason="no nnx.LSTMCell")
def test_a_carry_of_zeros_needs_no_keys():
    for name in ("LSTMCell", "OptimizedLSTMCell", "SimpleCell", "GRUCell"):
        with nc.installed():
            cell = getattr(native, name)(2, 3, rngs=native.Rngs(0))
            for carry in jax.tree_util.tree_leaves(cell.initialize_carry((4, 2))):
                assert carry.shape == (4, 3)
                assert not carry.any()
    if facts.treatment("nnx.LSTMCell.initialize_carry", nc.flax_version):
        normal = jax.nn.initializers.normal()
        with nc.installed(), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            cell = native.LSTMCell(2, 3, carry_init=normal, rngs=native.Rngs(0))
            with pytest.raises(ValueError, match="RNGs must be provided"):
                cell.initialize_carry((4, 2))


def test_layers_take_arguments_that_came_later():
    with nc.installed():
        half = jnp.ones((1, 2), jnp.float16)
        layer = native.Linear(
            2, 3, use_bias=False, dtype=jnp.float16, rngs=native.Rngs(0),
            preferred_element_type=jnp.float32, kernel_metadata={"unit": "m"},
        )  # fmt: skip
        assert layer(half).dtype == jnp.float32
        assert nc.get_metadata(nc.variables(layer)["kernel",]) == {"unit": "m"}
        again = native.Linear(
            2, 3, use_bias=False, dtype=jnp.float16, rngs=native.Rngs(1),
            preferred_element_type=jnp.float32, kernel_metadata={"unit": "m"},
        )  # fmt: skip
        assert nc.graphdef(layer) == nc.graphdef(again)
        for name in ("SimpleCell", "OptimizedLSTMCell", "LSTMCell"):
            if hasattr(native, name):
                cell = getattr(native, name)(
                    2, 3, rngs=native.Rngs(0), recurrent_kernel_metadata={"unit": "m"}
                )
                found = {
                    path[0]
                    for path, v in nc.variables(cell).items()
                    if nc.get_metadata(v) == {"unit": "m"} and path[-1] == "kernel"
                }
                hidden = {"hi", "hf", "hg", "ho"} if name == "LSTMCell" else {"dense_h"}
                assert found == hidden
        norm = native.LayerNorm(
            2, promote_dtype=lambda x, **_: x, bias_metadata={}, rngs=native.Rngs(0)
        )
        assert norm(jnp.ones((1, 2))).shape == (1, 2)
        if not facts.name("nnx.LayerNorm").on(nc.flax_version, "promote_dtype"):
            with pytest.raises(errors.RefusedArgumentError, match="promote_dtype"):
                native.LayerNorm(2, promote_dtype=len, rngs=native.Rngs(0))
    if not facts.name("nnx.Linear").on(nc.flax_version, "preferred_element_type"):
        with pytest.raises(TypeError):
            native.Linear(2, 3, rngs=native.Rngs(0), preferred_element_type=None)


def test_a_script_may_set_the_flags_of_jax_after_it():
    """As scripts do that ask for several devices: the backend is not started yet."""
    import os
    import subprocess

    code = (
        "import os, nnx_compat; nnx_compat.install(); "
        "os.environ['XLA_FLAGS'] = '--xla_force_host_platform_device_count=4'; "
        "import jax; print(jax.device_count())"
    )
    env = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env={**env, "JAX_PLATFORMS": "cpu"}, capture_output=True, text=True,
    )  # fmt: skip
    assert ran.stdout == "4\n", ran.stderr


def test_a_script_runs_with_it(tmp_path):
    import subprocess

    script = tmp_path / "script.py"
    script.write_text(
        f"import sys\nfrom {native.__name__.rpartition('.')[0]} import nnx\n"
        "print(nnx.Param(2.0).get_value(), sys.argv[1:], __name__)\n"
    )
    command = [sys.executable, "-W", "ignore", "-m", "nnx_compat", "run"]
    ran = subprocess.run(
        [*command, str(script), "a", "--b"], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "2.0 ['a', '--b'] __main__\n"
    ran = subprocess.run(
        [*command, "-m", "script", "x"], capture_output=True, text=True, cwd=tmp_path
    )
    assert ran.stdout == "2.0 ['x'] __main__\n", ran.stderr
    ran = subprocess.run([*command, "no.py"], capture_output=True, text=True)
    assert ran.returncode == 2
    assert "instead: nnx-compat run -m no" in ran.stderr


def test_fast_puts_our_jit_in_the_place_of_flaxs_until_uninstall():
    before = native.jit
    nc.install(fast=True)
    try:
        assert f"{native.__name__}.jit" in nc.installed_names()
        step = native.jit(lambda x: x + 1)
        assert int(step(1)) == 2 and step.traces == 1
        assert native.jit(static_argnums=1)(lambda x, n: x * n)(2, 3) == 6
        assert nc.nnx.jit is native.jit
    finally:
        nc.uninstall()
    assert native.jit is before
    assert nc.nnx.jit is not native.jit or nc.nnx.jit is before


def test_a_script_runs_fast_with_the_same_results(tmp_path):
    import subprocess

    script = tmp_path / "train.py"
    script.write_text(
        f"from {native.__name__.rpartition('.')[0]} import nnx\n"
        "import jax.numpy as jnp\n"
        "@nnx.jit\n"
        "def call(model, x):\n"
        "    return model(x, use_running_average=False).sum()\n"
        "model = nnx.BatchNorm(2, rngs=nnx.Rngs(0))\n"
        "x = jnp.arange(8.0).reshape(4, 2)\n"
        "print([float(call(model, x)) for _ in range(3)], hasattr(call, 'traces'))\n"
    )
    command = [sys.executable, "-W", "ignore", "-m", "nnx_compat", "run"]
    plain, fast = (
        subprocess.run([*command, *flags, str(script)], capture_output=True, text=True)
        for flags in ([], ["--fast"])
    )
    assert fast.stdout == plain.stdout.replace("False", "True"), fast.stderr


def test_the_first_use_of_a_name_of_an_older_meaning_warns_where_it_is_written():
    _older.forget()
    warned = sorted(facts.older(nc.flax_version, "native"))
    with nc.installed(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for name in ("metrics", "metrics", "Embed", "Embed", "make_causal_mask"):
            getattr(native, name, None)
        assert "metrics" in dir(native) or not nc.supports("nnx.metrics")
    said = [w for w in caught if w.category is errors.OlderMeaningWarning]
    assert {w.filename for w in said} <= {__file__}
    about = [str(w.message).split()[0] for w in said]
    layers = ["nnx.Embed"] if "nnx.Module" in warned else []
    assert about == [n for n in ("nnx.metrics",) if n in warned] + layers


def test_it_does_not_warn_of_the_newest_meaning_that_it_gives():
    _older.forget()
    with nc.installed(meaning="newest"), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", errors.OlderMeaningWarning)
        for name in ("metrics", "Dropout", "Sequential"):
            getattr(native, name, None)
    assert all("Module is one leaf" in str(w.message) for w in caught)
    assert len(caught) == ("nnx.Module" in facts.older(nc.flax_version, "newest"))


def test_a_first_use_costs_later_ones_nothing():
    with nc.installed():
        for name in facts.older(nc.flax_version, "native"):
            found = getattr(native, name[4:], None)
            assert found is vars(native).get(name[4:])
