"""Types of Variables, their names, metadata and settings, on every release."""

from __future__ import annotations

import warnings

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nnx_compat as nc
from nnx_compat import errors, facts, nnx
from nnx_compat._nnx.nn.activations import identity
from nnx_compat._nnx.variablelib.types import VariableState
from nnx_compat.revisions import nnx as native

SHARDS = hasattr(flax.config, "flax_always_shard_variable")


def removed(name):
    """A name that the newest release does not have; ours warns of it."""
    with pytest.warns(errors.RemovedNameWarning, match=f"nnx.{name}"):
        return getattr(nnx, name)


# -- types --------------------------------------------------------------------------


def test_types_that_came_later_are_variables_like_others():
    class Block(nnx.Module):
        def __init__(self):
            self.a = nnx.Param(jnp.ones(2))
            self.b = nnx.Perturbation(jnp.zeros(2))
            self.c = nnx.LoRAParam(jnp.zeros(3))

    state = nc.state(Block(), nnx.Perturbation, nnx.LoRAParam)
    assert [set(nc.to_flat_state(part)) for part in state] == [{("b",)}, {("c",)}]
    assert issubclass(nnx.Perturbation, nnx.Intermediate)


def test_the_variables_of_streams_have_types(rngs):
    assert issubclass(nnx.RngKey, nnx.RngState)
    assert issubclass(nnx.RngCount, nnx.RngState)

    class Holder(nnx.Module):
        def __init__(self, rngs):
            self.rngs = rngs

    found = nc.to_flat_state(nc.state(Holder(rngs), nnx.RngKey))
    in_states = not facts.behaviour("rngs-are-static").holds(nc.flax_version)
    assert len(found) == (1 if in_states else 0)


def test_names_that_were_removed_are_kept_with_a_warning():
    assert removed("Rng") is (getattr(native, "Rng", None) or nnx.RngKey)
    assert issubclass(removed("TraceContextError"), Exception)
    constrained = removed("with_sharding_constraint")
    spec = jax.sharding.PartitionSpec("data")
    assert constrained(jnp.ones(2), spec).tolist() == [1.0, 1.0]
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("data",))
    made = jax.jit(lambda x: constrained({"a": x}, {"a": spec}, mesh))(jnp.ones(2))
    assert made["a"].tolist() == [1.0, 1.0]


def test_identity_gives_back_what_it_is_given():
    assert float(nnx.identity(jnp.float32(2.0))) == 2.0
    assert identity(rngs := object()) is rngs


# -- VariableState ------------------------------------------------------------------


def state_leaf():
    state = nc.state(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
    return nc.to_flat_state(state)["kernel",]


def test_the_leaf_of_a_state_is_a_variable_state():
    assert isinstance(state_leaf(), nnx.VariableState)
    assert not isinstance(jnp.ones(2), nnx.VariableState)
    assert issubclass(type(state_leaf()), nnx.VariableState)


def test_variable_state_takes_a_type_and_a_value():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.RemovedNameWarning)
        for made in (
            nnx.VariableState(nnx.Param, jnp.ones(2), unit="m"),
            nnx.VariableState(type=nnx.Param, value=jnp.ones(2), unit="m"),
        ):
            assert isinstance(made, nnx.VariableState)
            assert nc.variable_type(made) is nnx.Param
            assert nc.get_value(made).tolist() == [1.0, 1.0]
            assert nc.get_metadata(made) == {"unit": "m"}
            (leaf,) = jax.tree_util.tree_leaves(nnx.State({"a": made}))
            assert leaf.tolist() == [1.0, 1.0]


def test_variable_state_is_another_name_of_variable_where_states_hold_variables():
    # ours, which is used where there is no such class of its own
    made = VariableState(jnp.ones(2), unit="m")
    assert type(made) is nnx.Variable
    assert isinstance(nnx.Param(1.0), VariableState)
    with pytest.warns(errors.RemovedNameWarning, match=r"nnx\.Param\(value\)"):
        assert type(VariableState(nnx.Param, 1.0)) is nnx.Param
    with pytest.raises(errors.ArgumentTypeError, match="not a Variable"):
        VariableState(int, 1.0)
    assert VariableState.__name__ == "VariableState"


# -- names of types -----------------------------------------------------------------


def test_collections_have_variable_types():
    for name, kind in {
        "params": nnx.Param,
        "batch_stats": nnx.BatchStat,
        "cache": nnx.Cache,
        "intermediates": nnx.Intermediate,
        "perturbations": nnx.Perturbation,
    }.items():
        assert nnx.variable_type_from_name(name) is kind
        assert nnx.variable_name_from_type(kind) == name


def test_a_name_is_registered_once():
    class Mine(nnx.Variable):
        pass

    with pytest.raises(ValueError, match="not registered"):
        nnx.variable_name_from_type(Mine)
    with pytest.raises(ValueError, match="not registered"):
        nnx.variable_type_from_name("test_mine")
    assert nnx.register_variable_name("test_mine", Mine, overwrite=True) is Mine
    assert nnx.variable_name_from_type(Mine) == "test_mine"
    with pytest.raises(ValueError, match="already mapped"):
        nnx.register_variable_name("test_mine", nnx.Param)
    decorate = nnx.register_variable_name("test_other", overwrite=True)
    Other = decorate(type("Other", (nnx.Variable,), {}))
    assert nnx.variable_type_from_name("test_other") is Other
    removed("register_variable_name_type_pair")("test_pair", Mine)
    assert nnx.variable_type_from_name("test_pair") is Mine


def test_a_type_is_made_for_a_name_when_asked():
    made = nnx.variable_type_from_name("test_made", base=nnx.Param, allow_register=True)
    assert issubclass(made, nnx.Param)
    assert nnx.variable_type_from_name("test_made") is made

    class Unnamed(nnx.Variable):
        pass

    Unnamed.__name__ = f"Unnamed{id(Unnamed)}"
    assert nnx.variable_name_from_type(Unnamed, allow_register=True).startswith("Unn")


# -- metadata and hooks -------------------------------------------------------------


def test_an_initializer_carries_metadata():
    init = nnx.with_metadata(nnx.initializers.ones_init(), unit="m")
    layer = nnx.Linear(2, 3, kernel_init=init, rngs=nnx.Rngs(0))
    kernel = nc.variables(layer)["kernel",]
    assert nc.get_metadata(kernel) == {"unit": "m"}
    assert nc.get_value(kernel).sum() == 6


@pytest.mark.filterwarnings("ignore:Variable hooks are deprecated")
@pytest.mark.parametrize("many", [False, True])
def test_the_hooks_of_an_initializer_are_called(many):
    def double(variable, value):
        return value * 2

    hooks = (double, double) if many else double
    init = nnx.with_metadata(
        nnx.initializers.ones_init(), on_create_value=hooks, on_get_value=double
    )
    made = nnx.Param(init(jax.random.key(0), (2,), jnp.float32))
    assert nc.get_value(made).tolist() == [8.0 if many else 4.0] * 2


@pytest.mark.filterwarnings("ignore:Variable hooks are deprecated")
def test_metadata_of_a_variable_are_given_with_its_value():
    metadata = nnx.VariableMetadata(
        jnp.ones(2), on_get_value=(lambda _, x: x + 1,), metadata={"unit": "m"}
    )
    assert isinstance(metadata, nnx.VariableMetadata)
    made = nnx.Param(metadata)
    assert nc.get_value(made).tolist() == [2.0, 2.0]
    assert nc.get_metadata(made)["unit"] == "m"
    init = nnx.with_metadata(nnx.initializers.ones_init(), unit="m")
    found = init(jax.random.key(0), (2,), jnp.float32)
    assert isinstance(found, nnx.VariableMetadata)
    assert not isinstance(1, nnx.VariableMetadata)


@pytest.mark.filterwarnings("ignore:Variable hooks are deprecated")
def test_a_sharding_is_carried_with_hooks_beside_it():
    init = nnx.with_partitioning(
        nnx.initializers.ones_init(),
        ("data", None),
        on_create_value=lambda _, value: value * 3,
        eager_sharding=False,
    )
    made = nnx.Param(init(jax.random.key(0), (2, 2), jnp.float32))
    assert ("data", None) in nc.get_metadata(made).values()
    assert nc.get_value(made).sum() == 12


def test_logical_axis_rules_are_read_or_refused():
    if not facts.treatment("nnx.logical_axis_rules", nc.flax_version):
        layer = nnx.Linear(
            2,
            2,
            kernel_init=nnx.with_partitioning(
                nnx.initializers.ones_init(), ("embed", None), eager_sharding=False
            ),
            rngs=nnx.Rngs(0),
        )
        with nnx.logical_axis_rules((("embed", "model"),)):
            spec = nnx.get_partition_spec(nc.state(layer))
        assert tuple(nc.get_value(spec["kernel"])) == ("model", None)
    else:
        with pytest.raises(errors.RefusedNameError, match="reads such rules"):
            _ = nnx.logical_axis_rules


# -- settings -----------------------------------------------------------------------


def test_eager_sharding_is_off_where_it_is_set_off():
    was = nnx.using_eager_sharding()
    with nnx.use_eager_sharding(False):
        assert not nnx.using_eager_sharding()
        nnx.Param(jnp.ones(2), out_sharding=("data",))  # an error with it, for no mesh
    assert nnx.using_eager_sharding() == was

    @nnx.use_eager_sharding(False)
    def inside():
        return nnx.using_eager_sharding()

    assert nnx.using_eager_sharding() == was
    assert inside() is False
    assert nnx.using_eager_sharding() == was


def test_eager_sharding_is_on_or_refused():
    if SHARDS:
        with nnx.use_eager_sharding(False), nnx.use_eager_sharding(True):
            assert nnx.using_eager_sharding()
    else:
        with pytest.raises(errors.RefusedArgumentError, match="shards no Variable"):
            nnx.use_eager_sharding(True)


def test_the_defaults_of_variables_are_those_of_the_release():
    defaults = nnx.var_defaults()
    assert dict(defaults) == {"hijax": False, "ref": False}
    assert not defaults.hijax
    with nnx.var_defaults(hijax=False, ref=False):
        assert not nnx.var_defaults().ref

    @nnx.var_defaults(ref=False)
    def made():
        return nc.get_value(nnx.Param(1.0))

    assert made() == 1.0


def test_another_kind_of_variable_is_refused():
    if not facts.name("nnx.var_defaults").on(nc.flax_version):
        with pytest.raises(errors.RefusedArgumentError, match="ref=True"):
            nnx.var_defaults(ref=True)
    for name in ("use_refs", "mutable_array", "as_ref_vars", "use_hijax"):
        if not hasattr(native, name):
            with pytest.raises(errors.RefusedNameError, match="instead:"):
                getattr(nnx, name)
