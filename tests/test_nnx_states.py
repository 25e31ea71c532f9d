"""The functions over a State mean the same on every release."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nnx_compat as nc
from nnx_compat import errors, nnx
from nnx_compat._nnx.statelib import flat_state, parts, pure_dict


class Model(nnx.Module):
    def __init__(self, rngs):
        self.layers = nnx.List([nnx.Linear(2, 2, rngs=rngs) for _ in range(2)])
        self.norm = nnx.BatchNorm(2, rngs=rngs)


@pytest.fixture
def model(rngs):
    return Model(rngs)


@pytest.fixture
def state(model):
    return nc.state(model)


PATHS = (
    ("layers", 0, "bias"),
    ("layers", 0, "kernel"),
    ("layers", 1, "bias"),
    ("layers", 1, "kernel"),
    ("norm", "bias"),
    ("norm", "mean"),
    ("norm", "scale"),
    ("norm", "var"),
)


def test_a_flat_state_is_a_sorted_sequence_of_pairs(state):
    flat = nnx.to_flat_state(state)
    assert isinstance(flat, nnx.FlatState)
    assert tuple(flat.paths) == PATHS
    assert len(flat) == len(PATHS)
    assert flat[0][0] == PATHS[0]
    assert [path for path, _ in flat[2:4]] == list(PATHS[2:4])
    assert all(a is b for (_, a), b in zip(flat, flat.leaves, strict=True))
    assert dict(flat).keys() == set(PATHS)


def test_a_flat_state_goes_back_to_the_same_state(state):
    flat = nnx.to_flat_state(state)
    for again in (
        nnx.from_flat_state(flat),
        nnx.from_flat_state(dict(flat)),
        nnx.from_flat_state(list(flat)[::-1]),
        flat.to_nested_state(),
    ):
        assert isinstance(again, nnx.State)
        leaves = nc.to_flat_state(again)
        assert all(leaves[path] is leaf for path, leaf in flat)


def test_a_flat_state_is_a_pytree(state):
    flat = nnx.to_flat_state(state)
    doubled = jax.tree_util.tree_map(lambda x: x * 2, flat)
    assert isinstance(doubled, nnx.FlatState)
    assert tuple(doubled.paths) == PATHS
    total = sum(float(x.sum()) for x in jax.tree_util.tree_leaves(doubled))
    assert total == pytest.approx(
        2 * sum(float(x.sum()) for x in jax.tree_util.tree_leaves(state))
    )


def test_a_flat_state_is_parted_and_put_together(state):
    flat = nnx.to_flat_state(state)
    stats, rest = flat.split(nnx.BatchStat, ...)
    assert tuple(stats.paths) == (("norm", "mean"), ("norm", "var"))
    assert tuple(flat.filter(nnx.BatchStat).paths) == tuple(stats.paths)
    assert tuple(nnx.FlatState.merge(rest, stats).paths) == PATHS
    with pytest.raises(ValueError, match="over|remainder"):
        flat.split(nnx.BatchStat)


def test_a_flat_state_sorts_what_it_is_given_or_not():
    pairs = [(("b",), 1), (("a",), 2)]
    assert nnx.FlatState(pairs, sort=True).leaves == [2, 1]
    assert nnx.FlatState(pairs, sort=False).leaves == [1, 2]
    made = nnx.FlatState.from_sorted_keys_values((("a",), ("b",)), [2, 1])
    assert list(made) == list(nnx.FlatState(pairs, sort=True))


def test_the_flat_state_built_here_is_like_flax_s_own(state):
    ours = flat_state.OurFlatState(nc.to_flat_state(state).items(), sort=True)
    native = nnx.to_flat_state(state)
    assert ours.paths == tuple(native.paths)
    assert all(a is b for a, b in zip(ours.leaves, native.leaves, strict=True))
    stats, rest = ours.split(nnx.BatchStat, ...)
    assert flat_state.OurFlatState.merge(stats, rest).paths == ours.paths
    assert ours[1:3].paths == PATHS[1:3]


def test_a_pure_dict_has_the_values_and_goes_back(model, state):
    pure = nnx.to_pure_dict(state)
    assert type(pure) is dict
    assert type(pure["layers"]) is dict
    assert pure["layers"][0]["kernel"].shape == (2, 2)
    assert isinstance(pure["norm"]["mean"], jax.Array)
    before = np.asarray(nc.get_value(model.norm.scale))
    zeros = jax.tree_util.tree_map(jnp.zeros_like, pure)
    assert nnx.replace_by_pure_dict(state, zeros) is None
    for leaf in jax.tree_util.tree_leaves(state):
        np.testing.assert_array_equal(leaf, 0)
    kernel = nc.to_flat_state(state)["layers", 0, "kernel"]
    assert nc.variable_type(kernel) is nnx.Param
    # the Variables of the model are replaced in the state, not written to
    np.testing.assert_array_equal(nc.get_value(model.norm.scale), before)
    nc.update(model, state)
    np.testing.assert_array_equal(nc.get_value(model.norm.scale), 0)


def test_a_pure_dict_may_be_made_and_used_by_functions_of_ones_own(state):
    shapes = nnx.to_pure_dict(state, lambda leaf: nc.get_value(leaf).shape)
    assert shapes["norm"]["mean"] == (2,)
    nnx.replace_by_pure_dict(
        state,
        {"norm": {"mean": 3.0}},
        lambda leaf, value: nc.functional.as_leaf(leaf, nc.get_value(leaf) + value),
    )
    assert nnx.to_pure_dict(state)["norm"]["mean"].tolist() == [3.0, 3.0]


def test_a_pure_dict_from_a_checkpoint_has_strings_for_indices(state):
    new = {"layers": {"1": {"bias": jnp.ones(2)}}}
    assert nnx.restore_int_paths(new)["layers"].keys() == {1}
    nnx.replace_by_pure_dict(state, new)
    assert nnx.to_pure_dict(state)["layers"][1]["bias"].tolist() == [1.0, 1.0]
    assert nnx.to_pure_dict(state)["layers"][0]["bias"].tolist() == [0.0, 0.0]


def test_a_key_that_looks_like_an_index_but_is_a_name_is_found():
    state = nnx.State({"blocks": {"0": nnx.Param(jnp.zeros(2))}})
    nnx.replace_by_pure_dict(state, {"blocks": {"0": jnp.ones(2)}})
    (leaf,) = nc.to_flat_state(state).values()
    assert nc.get_value(leaf).tolist() == [1.0, 1.0]


def test_a_path_that_is_not_in_the_state_is_an_error_and_changes_nothing(state):
    before = nnx.to_pure_dict(state)
    new = {"norm": {"mean": jnp.ones(2), "median": jnp.ones(2)}}
    with pytest.raises(ValueError, match="not available in"):
        nnx.replace_by_pure_dict(state, new)
    np.testing.assert_array_equal(
        nnx.to_pure_dict(state)["norm"]["mean"], before["norm"]["mean"]
    )


def test_a_state_is_split_filtered_and_merged(state):
    stats, params = nnx.split_state(state, nnx.BatchStat, nnx.Param)
    assert set(nc.to_flat_state(stats)) == {("norm", "mean"), ("norm", "var")}
    merged = nnx.merge_state(params, stats)
    leaves = nc.to_flat_state(state)
    assert all(leaf is leaves[path] for path, leaf in nnx.to_flat_state(merged))
    assert nnx.merge_state(state) is state
    only = nnx.filter_state(state, nnx.BatchStat)
    assert set(nc.to_flat_state(only)) == set(nc.to_flat_state(stats))
    with pytest.raises(ValueError, match="over|remainder"):
        nnx.split_state(state, nnx.BatchStat)


def test_map_state_puts_what_the_function_gives(state):
    sizes = nnx.map_state(lambda path, leaf: nc.get_value(leaf).size, state)
    assert isinstance(sizes, nnx.State)
    assert dict(nnx.to_flat_state(sizes))["layers", 0, "kernel"] == 4
    lengths = nnx.map_state(lambda path, leaf: len(path), state)
    assert dict(nnx.to_flat_state(lengths))["norm", "bias"] == 2


def test_a_difference_has_the_paths_that_the_other_lacks(state):
    stats, params = nnx.split_state(state, nnx.BatchStat, ...)
    found = nc.to_flat_state(parts.diff(state, params))
    assert found.keys() == nc.to_flat_state(stats).keys()
    assert not nc.to_flat_state(parts.diff(stats, state))


def test_what_is_no_state_is_an_error_that_says_what_to_write():
    for function in (flat_state.to_flat_state, pure_dict.to_pure_dict):
        with pytest.raises(errors.VariableTypeError, match="needs a State"):
            function({"a": 1})
    with pytest.raises(errors.ArgumentTypeError, match="nested dict"):
        pure_dict.replace_by_pure_dict(nnx.State({}), 3)
