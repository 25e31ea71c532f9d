"""What a newer jax broke in an older Flax: true of the installed pair, and repaired."""

from __future__ import annotations

import contextlib
import importlib
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen
from packaging.version import Version

import nnx_compat as nc
from nnx_compat import band, errors, facts
from nnx_compat._install.jax_views import view
from nnx_compat._nnx.transforms.compilation.jit import jit
from nnx_compat._release import here, native
from nnx_compat.facts._faults import admits

# a jax that is years newer than the Flax has deprecated what that calls
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

# -- each fault, tried in a namespace: Flax's own, the drop-in, Flax's after install() --


def jit_passes_abstracted_axes(nnx):
    model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    assert nnx.jit(lambda model: model(jnp.ones(2)))(model).shape == (3,)


def tabulate_compiles(nnx):
    if hasattr(nnx, "tabulate"):

        class Layer(nnx.Linear):
            """Its own class: Flax's tabulate leaves Module's methods, sow among them,
            in the classes it looks at, and nnx.capture then calls itself for ever."""

        model = Layer(2, 3, rngs=nnx.Rngs(0))
        assert "kernel" in nnx.tabulate(model, jnp.ones((1, 2)))


def pmap_passes_global_arg_shapes(nnx):
    if hasattr(nnx, "pmap"):
        assert nnx.pmap(lambda x: 2 * x)(jnp.ones((1, 2))).tolist() == [[2, 2]]


def shard_map_passes_auto(nnx):
    if hasattr(nnx, "shard_map"):
        mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("d",))
        spec = jax.sharding.PartitionSpec("d")
        twice = nnx.shard_map(
            lambda x: 2 * x, mesh=mesh, in_specs=(spec,), out_specs=spec
        )
        assert twice(jnp.ones(2)).tolist() == [2, 2]


def linen_remat_passes_concrete(nnx):
    model = linen.remat(linen.Dense)(2)
    assert model.init(jax.random.PRNGKey(0), jnp.ones((1, 3))).keys() == {"params"}


def importing(nnx):
    assert nnx.Module  # else no test of this file runs: the record of the band has it


def modules_need_the_trace_state(nnx):
    assert isinstance(nnx.Linear(2, 3, rngs=nnx.Rngs(0)), nnx.Module)


MODULES = not facts.fault("modules-need-the-trace-state").holds(
    nc.flax_version, nc.jax_version
)
GONE = [
    row for row in facts.gone() if admits(facts.fault(row.fault).jax, nc.jax_version)
]
OF_FLAX = types.SimpleNamespace(**native)


@pytest.mark.parametrize("id", facts.faults())
def test_a_fault_is_where_the_facts_say(id):
    row = facts.fault(id)
    try:
        globals()[row.probe](OF_FLAX)
    except (TypeError, AttributeError, NotImplementedError) as error:
        assert row.holds(nc.flax_version, nc.jax_version), error
    else:
        assert not row.holds(nc.flax_version, nc.jax_version)


def test_the_facts_say_of_every_pair_in_the_record_whether_a_newer_jax_broke_it():
    """What fails where NNX cannot be imported is proved by the band, not here."""
    known = {"import", "nnx.jit", "nnx.Module"}
    wrong = []
    for (flax, version), pair in band.pairs().items():
        newer = Version(version) > Version(facts.release(flax).jax_dated)
        if newer and pair.works("native") is not None:
            broken = any(
                known & {*fault.breaks} and fault.holds(flax, version)
                for fault in facts.faults().values()
            )
            if broken is pair.works("native"):
                wrong.append((flax, version, pair.failing("native")))
    assert wrong == []


@pytest.mark.parametrize(
    ("door", "id"),
    [(door, row.id) for row in facts.faults().values() for door in row.repaired],
)
def test_what_is_repaired_works_on_this_pair(door, id):
    probe = globals()[facts.fault(id).probe]
    if door == "drop-in" and not MODULES:
        pytest.skip("no Module can be made on this pair before install()")
    with nc.installed() if door == "install" else contextlib.nullcontext():
        probe(OF_FLAX if door == "install" else nc.nnx)
    assert facts.fault(id).repaired


def test_a_repaired_jit_takes_all_that_a_jit_takes(monkeypatch):
    """On every pair, as it is where Flax's own raises."""
    monkeypatch.setattr(here, "jit_raises", True)
    with nc.installed():  # on some pairs no Module can be made without
        mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("d",))
        where = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
        model = nc.nnx.BatchNorm(2, use_running_average=False, rngs=nc.nnx.Rngs(0))

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


# -- what install() does to it ----------------------------------------------------------


def function(x, beside=1):
    """Twice x."""
    return 2 * x * beside


def made_up():
    module = types.ModuleType("made_up", "its text")
    module.function, module.later = function, 1
    return module


def test_a_view_leaves_an_argument_out_that_asks_for_nothing():
    module = made_up()
    seen = view(module, {"function": "gone"})
    for nothing in (None, False, frozenset()):
        assert seen.function(2, gone=nothing, beside=2) == 8
    with pytest.raises(TypeError, match="gone"):
        seen.function(2, gone=3)
    assert seen.function.__doc__ == function.__doc__
    assert module.function is function


def test_a_view_of_jax_reaches_into_its_modules_and_shows_the_rest_as_it_is():
    seen = view(jax, {"jit": "gone", "numpy.sum": "gone"})
    assert seen.jit(lambda x: x + 1, gone=None)(1) == 2
    assert seen.numpy.sum(jnp.ones(2), gone=()) == 2
    assert seen.numpy.ones is jnp.ones
    assert seen.vmap is jax.vmap
    assert dir(seen) == dir(jax)
    assert (seen.__name__, seen.__doc__) == (jax.__name__, jax.__doc__)
    with pytest.raises(AttributeError, match="never"):
        _ = seen.never
    with pytest.raises(TypeError, match="gone"):
        jax.jit(lambda x: x, gone=None)


def test_an_argument_or_a_name_belongs_to_a_fault_that_install_repairs():
    for row in (*facts.arguments(), *facts.gone()):
        assert "install" in facts.fault(row.fault).repaired


@pytest.mark.parametrize("row", GONE, ids=lambda row: row.name)
def test_a_name_that_jax_has_no_more_is_put_back_and_goes_again(row, monkeypatch):
    """Beside any Flax, as if it were the one that misses the name."""
    place, _, name = row.name.rpartition(".")
    module = importlib.import_module(place)
    assert not hasattr(module, name)
    monkeypatch.setattr(facts, "gone", lambda *pair: (row,))
    with nc.installed():
        found = getattr(module, name)
        assert row.name in nc.installed_names()
        if row.now:
            there, _, now = row.now.rpartition(".")
            assert found is getattr(importlib.import_module(there), now)
        else:
            with pytest.raises(errors.UnsupportedFlaxError, match=name):
                type("Derived", (found,), {})("made").bind()
    assert not hasattr(module, name)
