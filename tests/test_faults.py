"""What a newer jax broke in an older Flax: true of the installed pair, and repaired."""

from __future__ import annotations

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nnx_compat as nc
from nnx_compat import facts
from nnx_compat._install.jax_views import View, leaving_out
from nnx_compat._nnx.transforms.compilation.jit import jit
from nnx_compat._release import here, native

# a jax that is years newer than the Flax has deprecated what that calls
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

# -- each fault, tried in a namespace: Flax's own, the drop-in, Flax's after install() --


def jit_passes_abstracted_axes(nnx):
    model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    assert nnx.jit(lambda model: model(jnp.ones(2)))(model).shape == (3,)


def tabulate_compiles(nnx):
    if hasattr(nnx, "tabulate"):
        model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        assert "kernel" in nnx.tabulate(model, jnp.ones((1, 2)))


def pmap_passes_global_arg_shapes(nnx):
    if hasattr(nnx, "pmap"):
        assert nnx.pmap(lambda x: 2 * x)(jnp.ones((1, 2))).tolist() == [[2, 2]]


OF_FLAX = types.SimpleNamespace(**native)


@pytest.mark.parametrize("id", facts.faults())
def test_a_fault_is_where_the_facts_say(id):
    row = facts.fault(id)
    try:
        globals()[row.probe](OF_FLAX)
    except (TypeError, AttributeError) as error:
        assert row.holds(nc.flax_version, nc.jax_version), error
    else:
        assert not row.holds(nc.flax_version, nc.jax_version)


@pytest.mark.parametrize("id", facts.faults())
@pytest.mark.parametrize("door", ["drop-in", "install"])
def test_what_is_repaired_works_on_this_pair(id, door):
    row = facts.fault(id)
    holds = row.holds(nc.flax_version, nc.jax_version)
    if holds and door not in row.repaired:
        pytest.skip(f"{door} does not repair {id}")
    if door == "drop-in":
        globals()[row.probe](nc.nnx)
    else:
        with nc.installed():
            globals()[row.probe](OF_FLAX)
    assert row.repaired


def test_a_repaired_jit_takes_all_that_a_jit_takes(monkeypatch):
    """On every pair, as it is where Flax's own raises."""
    monkeypatch.setattr(here, "jit_raises", True)
    nnx = nc.nnx
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("d",))
    where = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    model = nnx.BatchNorm(2, use_running_average=False, rngs=nnx.Rngs(0))

    def call(model, x, times, *, plus):
        return times * model(x) + plus

    options = {
        "static_argnums": 2,
        "static_argnames": "plus",
        "donate_argnums": 1,
        "keep_unused": True,
        "inline": True,
        "in_shardings": (where, where),
        "out_shardings": where,
    }
    x = jnp.arange(8.0).reshape(4, 2)
    wanted = call(nc.clone(model), x, 3, plus=1)
    compiled = jit(call, **options)
    assert compiled.lower(model, x + 0, 3, plus=1).compile() is not None
    found = compiled(model, x + 0, 3, plus=1)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    assert nc.get_value(model.mean).tolist() != [0, 0]
    assert found.sharding.is_equivalent_to(where, 2)


# -- the view of jax that install() gives to files of Flax ------------------------------


def function(x):
    """Twice x."""
    return 2 * x


def test_a_view_leaves_an_argument_out_that_asks_for_nothing():
    module = types.ModuleType("made_up", "its text")
    module.function, module.later = function, 1
    view = View(module, {"function": leaving_out("gone", function)})
    assert view.function(2, gone=None) == view.function(2) == 4
    with pytest.raises(TypeError, match="gone"):
        view.function(2, gone=3)
    assert view.function.__doc__ == function.__doc__
    assert (view.__name__, view.__doc__) == ("made_up", "its text")
    module.later = 2
    assert view.later == 2
    assert dir(view) == dir(module)
    with pytest.raises(AttributeError, match="made_up"):
        _ = view.never
    assert module.function is function


def test_an_argument_belongs_to_a_fault_that_install_repairs():
    for row in facts.arguments():
        assert "install" in facts.fault(row.fault).repaired
        assert callable(getattr(jax, row.function))
