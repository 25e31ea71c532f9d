"""Names that are there on older releases and meant something else, silently."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

import nnx_compat as nc
from nnx_compat import errors, nnx
from nnx_compat._release import here
from nnx_compat._release import native as names

streams_are_state = pytest.mark.skipif(
    here.rngs_are_static, reason="random streams are no state there"
)


@streams_are_state
def test_dropout_draws_from_a_stream_of_its_own():
    rngs = nnx.Rngs(0, dropout=1)
    one, other = (nnx.Dropout(0.5, rngs=rngs) for _ in range(2))
    x = jnp.ones(64)
    assert list(nc.variables(one)) == [("rngs", "count"), ("rngs", "key")]
    assert not np.array_equal(first := one(x), other(x))
    again = nnx.Dropout(0.5, rngs=nnx.Rngs(0, dropout=1))
    assert np.array_equal(again(x), first)
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(1), 0), 0)
    assert np.array_equal(first, jax.random.bernoulli(key, 0.5, (64,)) * 2.0)
    assert int(nc.get_value(rngs.dropout.count)) == 2


@streams_are_state
def test_dropout_takes_streams_and_keys_at_the_call():
    layer, x = nnx.Dropout(0.5), jnp.ones(64)
    stream = nnx.Rngs(0, dropout=1).dropout
    key = jax.random.fold_in(jax.random.key(1), 0)
    expected = layer(x, rngs=key)
    assert np.array_equal(layer(x, rngs=stream), expected)
    assert np.array_equal(layer(x, rngs=nnx.Rngs(0, dropout=1)), expected)
    assert np.array_equal(layer(x, deterministic=True), x)
    with pytest.raises((TypeError, errors.ArgumentTypeError), match="rngs must be"):
        nnx.Dropout(0.5, rngs=3)


@streams_are_state
def test_attention_drops_by_a_stream_of_its_own():
    def made(**options):
        return nnx.MultiHeadAttention(
            2, 4, decode=False, deterministic=False, rngs=nnx.Rngs(0), **options
        )

    x = jnp.ones((1, 3, 4))
    layer, other = made(dropout_rate=0.5), made(dropout_rate=0.5)
    first = layer(x)
    assert np.array_equal(first, other(x))
    assert not np.array_equal(first, layer(x))
    assert ("rngs", "key") in nc.variables(layer)
    assert layer(x, rngs=nnx.Rngs(1)).shape == x.shape
    assert all(path[0] != "rngs" for path in nc.variables(made()))
    assert isinstance(layer, names["MultiHeadAttention"])


@streams_are_state
def test_layers_with_dropout_are_scanned_over():
    class Block(nnx.Module):
        def __init__(self, rngs):
            self.linear = nnx.Linear(4, 4, rngs=rngs)
            self.dropout = nnx.Dropout(0.5, rngs=rngs)

        def __call__(self, x):
            return self.dropout(self.linear(x))

    @nnx.split_rngs(splits=3)
    @nnx.vmap
    def make(rngs):
        return Block(rngs)

    @nnx.scan(in_axes=(0, nnx.Carry), out_axes=nnx.Carry)
    def run(block, x):
        return block(x)

    assert run(make(nnx.Rngs(0)), jnp.ones((2, 4))).shape == (2, 4)


@streams_are_state
def test_flaxs_own_dropout_is_an_instance_of_it():
    assert isinstance(names["Dropout"](0.5), nnx.Dropout)
    assert isinstance(nnx.Dropout(0.5), names["Dropout"])


@pytest.mark.filterwarnings("ignore:'sharding_names':DeprecationWarning")
@pytest.mark.parametrize("key", ["sharding_names", "out_sharding"])
def test_the_spec_of_a_sharding_is_read_by_every_name(key):
    weight = nnx.Param(jnp.ones((2, 2)), eager_sharding=False, **{key: ("a", None)})
    specs = nnx.get_partition_spec(
        nnx.State({"w": weight, "b": nnx.Param(jnp.ones(2))})
    )
    assert nc.get_value(specs["w"]) == PartitionSpec("a", None)
    assert nc.get_value(specs["b"]) == PartitionSpec()
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]).reshape(1, 1), ("a", "b"))
    named = nnx.get_named_sharding(nnx.State({"w": weight}), mesh)
    assert nc.get_value(named["w"]).spec == PartitionSpec("a", None)


@pytest.mark.filterwarnings("ignore:'sharding_names':DeprecationWarning")
@pytest.mark.skipif(
    not hasattr(nnx, "logical_axis_rules"), reason="nothing has rules there"
)
def test_the_spec_of_a_sharding_follows_the_logical_rules():
    weight = nnx.Param(
        jnp.ones((2, 2)), eager_sharding=False, sharding_names=("embed", None)
    )
    with nnx.logical_axis_rules([("embed", "a")]):
        specs = nnx.get_partition_spec(nnx.State({"w": weight}))
    assert nc.get_value(specs["w"]) == PartitionSpec("a", None)
