"""Access to Variables: the same on every release, without a warning."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nnx_compat as nc
from nnx_compat.revisions import nnx

from .models import Bare, Custom, Nested


def both():
    """A live Variable and the leaf that stands for it in a state."""
    model = Bare()
    return nc.variables(model)["w",], nc.to_flat_state(nc.state(model))["w",]


def test_get_value_takes_variables_leaves_and_arrays():
    variable, leaf = both()
    assert nc.get_value(variable).tolist() == [0, 1, 2]
    assert nc.get_value(leaf) is nc.get_value(variable)
    array = jnp.ones(3)
    assert nc.get_value(array) is array
    assert nc.get_value(None) is None
    assert nc.get_value(2.5) == 2.5


def test_get_value_of_an_attribute_is_right_on_every_release():
    model = Bare()
    assert nc.get_value(model.w).tolist() == [0, 1, 2]


@pytest.mark.parametrize("value", ["model", "state"])
def test_get_value_of_what_has_no_one_value_is_an_error(value):
    model = Nested(nnx.Rngs(0))
    bad = model if value == "model" else nc.state(model)
    with pytest.raises(TypeError, match="get_value needs a Variable and was given a"):
        nc.get_value(bad)


def test_set_value_replaces_without_broadcast_or_cast():
    for holder in both():
        nc.set_value(holder, jnp.array(7))
        assert nc.get_value(holder).shape == ()
        assert nc.get_value(holder).dtype == jnp.int32
        nc.set_value(holder, jnp.ones((2, 2), jnp.bfloat16))
        assert nc.get_value(holder).shape == (2, 2)
        assert nc.get_value(holder).dtype == jnp.bfloat16


@pytest.mark.parametrize("value", [1.0, np.ones(1), jnp.ones((1, 3))])
def test_a_value_that_was_to_be_broadcast_is_told(value):
    variable = nnx.Param(jnp.zeros((2, 3)))
    shape = np.shape(value)
    with pytest.warns(nc.errors.NotBroadcastWarning) as told:
        nc.set_value(variable, value)
    assert told[0].filename == __file__
    assert str(told[0].message) == (
        f"set_value: the value had shape (2, 3) and now has {shape}; nothing is broadcast\n"
        "  instead: nnx_compat.set_value(variable, jax.numpy.broadcast_to(value, (2, 3)))"
    )
    assert np.shape(nc.get_value(variable)) == shape


def test_only_of_a_param_is_another_shape_a_likely_mistake():
    cache = nnx.Cache(jnp.zeros((2, 3)))
    nc.set_value(cache, 0.0)
    assert nc.get_value(cache) == 0.0


def test_a_value_of_a_shape_that_could_not_be_broadcast_is_meant():
    variable = nnx.Param(jnp.zeros((2, 3)))
    for value in (jnp.ones((4, 3)), jnp.ones((1, 4, 3)), {"a": 1.0}, None, 2.0):
        nc.set_value(variable, value)


def test_set_value_on_what_is_no_variable_says_how_to_reach_it():
    with pytest.raises(nc.errors.VariableTypeError) as raised:
        nc.set_value(jnp.ones(3), 1)
    assert str(raised.value) == (
        "set_value needs a Variable and was given an array. [NC020]\n"
        "  instead: nnx_compat.variables(model)[path], with a path like ('kernel',)"
    )
    assert isinstance(raised.value, TypeError)


def test_set_value_refuses_a_variable_as_the_value():
    variable, _ = both()
    with pytest.raises(TypeError, match="a Param as the value"):
        nc.set_value(variable, nnx.Param(1.0))
    assert nc.get_value(variable).shape == (3,)


def test_values_may_be_pytrees_and_none():
    variable = nnx.Param({"a": jnp.ones(2), "b": (1.0, 2.0)})
    assert nc.get_value(variable)["b"] == (1.0, 2.0)
    nc.set_value(variable, None)
    assert nc.get_value(variable) is None


def test_variable_type_and_is_variable_take_both():
    for holder in both():
        assert nc.is_variable(holder)
        assert nc.variable_type(holder) is Custom
    assert not nc.is_variable(jnp.ones(1))
    assert not nc.is_variable(Custom)
    with pytest.raises(TypeError, match="variable_type needs a Variable"):
        nc.variable_type(jnp.ones(1))


def test_metadata_are_what_was_given_on_every_release():
    for holder in both():
        assert nc.get_metadata(holder) == {"unit": "m"}
        nc.set_metadata(holder, unit="cm", axes=(0, 1))
        assert nc.get_metadata(holder) == {"unit": "cm", "axes": (0, 1)}
        assert nc.get_value(holder).tolist() == [0, 1, 2]
    for function in (nc.get_metadata, nc.set_metadata):
        with pytest.raises(TypeError, match=f"{function.__name__} needs a Variable"):
            function(np.ones(2))


def test_one_entry_of_the_metadata_can_be_had():
    weight = nnx.Param(jnp.ones(2), unit="m")
    assert nc.get_metadata(weight, "unit") == "m"
    assert nc.get_metadata(weight, "scale") is None
    assert nc.get_metadata(weight, "scale", 1) == 1


@pytest.mark.filterwarnings("ignore:jax.tree_map is deprecated")
def test_the_annotation_for_a_mesh_has_one_name_and_is_the_one_flax_reads():
    init = nnx.with_partitioning(lambda: jnp.ones(2), ("data",), eager_sharding=False)
    weight, other = nnx.Param(init()), nnx.Param(jnp.ones(2))
    for called in ("out_sharding", "sharding_names", "sharding"):
        assert nc.get_metadata(weight, called) == ("data",)
        nc.set_metadata(other, **{called: ("data",)})
        spec = nc.get_value(nnx.get_partition_spec(nnx.State({"w": other}))["w"])
        assert spec == jax.sharding.PartitionSpec("data")
        assert nc.get_metadata(other) == {"out_sharding": ("data",)}


def test_metadata_returned_are_a_copy():
    variable, _ = both()
    nc.get_metadata(variable)["unit"] = "changed"
    assert nc.get_metadata(variable) == {"unit": "m"}


def test_a_plain_layer_has_no_metadata():
    for variable in nc.variables(nnx.Linear(2, 2, rngs=nnx.Rngs(0))).values():
        assert nc.get_metadata(variable) == {}


def test_metadata_survive_a_jitted_function():
    graphdef, state = nc.split(Bare())
    out = jax.jit(lambda s: jax.tree_util.tree_map(lambda a: a + 1, s))(state)
    assert nc.get_metadata(nc.to_flat_state(out)["w",]) == {"unit": "m"}


@pytest.mark.filterwarnings("ignore:Variable hooks are deprecated:UserWarning")
def test_get_hooks_apply_to_the_variable_of_a_model():
    names = {True: "on_get_value", False: "get_value_hooks"}
    name = names[nc.supports("nnx.Variable", "eager_sharding")]
    for hook in (name, names[name == "get_value_hooks"]):
        variable = nnx.Param(jnp.array(3.0), **{hook: lambda v, x: x * 2})
        if float(nc.get_value(variable)) == 6:
            break
    else:
        raise AssertionError("no hook applied")
    assert nc.get_metadata(variable) == {}
