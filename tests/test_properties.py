"""Laws that hold for models of any shape, searched by hypothesis."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from hypothesis import given
from hypothesis import strategies as st

import nnx_compat as nc
from nnx_compat.revisions import nnx

from .models import Custom, snapshot

KINDS = (nnx.Param, nnx.BatchStat, Custom)
DTYPES = (jnp.float32, jnp.int32, jnp.bfloat16)


class Tree(nnx.Module):
    """A Module with the attributes it is given."""

    def __init__(self, attributes):
        for name, value in attributes.items():
            setattr(self, name, value)


variables = st.builds(
    lambda kind, shape, dtype, tag: kind(jnp.ones(shape, dtype), **tag),
    st.sampled_from(KINDS),
    st.lists(st.integers(0, 3), max_size=2).map(tuple),
    st.sampled_from(DTYPES),
    st.dictionaries(st.sampled_from(["unit", "note"]), st.integers(0, 3), max_size=1),
)
names = st.sampled_from(["a", "b", "kernel", "w10", "w9"])
trees = st.recursive(
    st.dictionaries(names, variables, max_size=3).map(Tree),
    lambda inner: st.dictionaries(names, inner | variables, max_size=3).map(Tree),
    max_leaves=6,
)
nodes = trees | st.lists(trees, min_size=1, max_size=3) | st.tuples(trees, trees)


def metadata(node_or_flat):
    return {p: nc.get_metadata(v) for p, v in node_or_flat.items()}


@given(nodes)
def test_merge_after_split_is_identity(node):
    again = nc.merge(*nc.split(node))
    assert snapshot(again) == snapshot(node)
    assert metadata(nc.variables(again)) == metadata(nc.variables(node))
    kinds = [type(v) for v in nc.variables(node).values()]
    assert [type(v) for v in nc.variables(again).values()] == kinds


@given(nodes)
def test_split_after_merge_equals_the_state(node):
    graphdef, state = nc.split(node)
    again = nc.state(nc.merge(graphdef, state))
    assert snapshot(again) == snapshot(state)
    flat = nc.to_flat_state(state)
    assert metadata(nc.to_flat_state(again)) == metadata(flat)


@given(nodes)
def test_no_mutation_crosses(node):
    graphdef, state = nc.split(node)
    merged, copy = nc.merge(graphdef, state), nc.clone(node)
    for changed in (node, merged, copy):
        others = [n for n in (node, merged, copy) if n is not changed]
        before = [snapshot(n) for n in (*others, state)]
        for variable in nc.variables(changed).values():
            nc.set_value(variable, nc.get_value(variable) + 1)
        assert [snapshot(n) for n in (*others, state)] == before


@given(nodes, st.permutations(KINDS))
def test_filters_partition_the_leaves(node, kinds):
    state = nc.state(node)
    parts = nc.split_state(state, *kinds)
    for kind, part in zip(kinds, parts, strict=True):
        leaves = nc.to_flat_state(part).values()
        assert all(issubclass(nc.variable_type(leaf), kind) for leaf in leaves)
    joined = [path for part in parts for path in nc.to_flat_state(part)]
    assert sorted(joined) == sorted(nc.to_flat_state(state))
    assert snapshot(nc.merge_state(*parts)) == snapshot(state)


@given(nodes)
def test_pure_dicts_round_trip(node):
    state = nc.state(node)
    again = nc.from_pure_dict(state, nc.to_pure_dict(state))
    assert snapshot(again) == snapshot(state)
    assert metadata(nc.to_flat_state(again)) == metadata(nc.to_flat_state(state))


@given(nodes)
def test_update_with_a_changed_state_is_that_state(node):
    new = jax.tree_util.tree_map(lambda a: a + 1, nc.state(node))
    nc.update(node, new)
    assert snapshot(node) == snapshot(new)


@given(nodes)
def test_leaves_have_one_order(node):
    state = nc.state(node)
    values = [nc.get_value(leaf) for leaf in nc.to_flat_state(state).values()]
    leaves = jax.tree_util.tree_leaves(state)
    assert [id(v) for v in values] == [id(v) for v in leaves]
