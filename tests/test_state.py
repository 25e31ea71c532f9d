"""The algebra of states: flat, nested, filtered, parted, merged, mapped."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nnx_compat as nc
from nnx_compat.revisions import nnx

from .models import HAS, Bare, Custom, Nested, snapshot


@pytest.fixture
def state():
    return nc.state(Nested(nnx.Rngs(0)))


def test_flat_and_back(state):
    flat = nc.to_flat_state(state)
    assert type(flat) is dict
    assert snapshot(nc.from_flat_state(flat)) == snapshot(state)
    assert snapshot(nc.from_flat_state(list(flat.items()))) == snapshot(state)
    assert isinstance(nc.from_flat_state(flat), nnx.State)


def test_flat_leaves_are_those_of_the_state(state):
    first, second = nc.to_flat_state(state), nc.to_flat_state(state)
    assert all(first[path] is second[path] for path in first)


def test_list_indices_are_ints_in_paths():
    layers = [nnx.Linear(1, 1, rngs=nnx.Rngs(i)) for i in range(2)]
    paths = list(nc.to_flat_state(nc.state(layers)))
    assert paths == [(0, "bias"), (0, "kernel"), (1, "bias"), (1, "kernel")]


def test_pure_dicts_are_plain_and_hold_the_arrays(state):
    pure = nc.to_pure_dict(state)
    assert type(pure) is dict
    assert type(pure["first"]) is dict
    leaves = jax.tree_util.tree_leaves(state)
    assert all(a is b for a, b in zip(jax.tree_util.tree_leaves(pure), leaves))  # noqa: B905


if HAS["split-takes-a-bare-variable"]:

    def test_a_bare_variable_is_a_state_with_its_value_at_the_root():
        state = nc.state(nnx.Param(jnp.arange(3.0), unit="m"))
        assert list(nc.to_flat_state(state)) == [()]
        assert nc.to_pure_dict(state).tolist() == [0, 1, 2]
        new = nc.from_pure_dict(state, jnp.full(3, 9.0))
        assert nc.get_value(new).tolist() == [9, 9, 9]
        assert nc.get_metadata(new) == {"unit": "m"}
        with pytest.raises(ValueError, match=r"the root: shape was \(3,\), is \(2,\)"):
            nc.from_pure_dict(state, jnp.ones(2))


def test_from_pure_dict_keeps_types_and_metadata():
    template = nc.state(Bare())
    new = nc.from_pure_dict(template, {"w": jnp.full(3, 9.0)})
    leaf = nc.to_flat_state(new)["w",]
    assert nc.variable_type(leaf) is Custom
    assert nc.get_metadata(leaf) == {"unit": "m"}
    assert nc.get_value(leaf).tolist() == [9, 9, 9]
    assert snapshot(template)["w",][2] == [0, 1, 2]


def test_from_pure_dict_takes_numpy_and_text_indices():
    template = nc.state([nnx.Linear(1, 1, rngs=nnx.Rngs(0))])
    values = {"0": {"kernel": np.ones((1, 1), "f"), "bias": np.ones(1, "f")}}
    assert snapshot(nc.from_pure_dict(template, values))[0, "bias"][2] == [1]


def test_from_pure_dict_names_every_path_that_does_not_fit():
    template = nc.state(nnx.BatchNorm(3, rngs=nnx.Rngs(0)))
    values = {
        "mean": jnp.ones(4),
        "scale": jnp.ones(3, jnp.int32),
        "extra": {"deep": jnp.ones(1)},
        "var": jnp.ones(3),
    }
    with pytest.raises(nc.errors.StateStructureError) as raised:
        nc.from_pure_dict(template, values)
    assert str(raised.value) == (
        "from_pure_dict: 4 of the leaves do not fit. [NC010]\n"
        "    mean: shape was (3,), is (4,)\n"
        "    scale: dtype was float32, is int32\n"
        "    extra/deep: not in the template\n"
        "    bias: missing\n"
        "  instead: values for the paths, shapes and dtypes of "
        "nnx_compat.to_pure_dict(nnx_compat.state(model))"
    )


def test_at_most_ten_paths_are_named():
    template = nc.state(nnx.Linear(1, 1, rngs=nnx.Rngs(0)))
    values = nc.to_pure_dict(template) | {f"x{i}": jnp.ones(1) for i in range(14)}
    with pytest.raises(ValueError, match="and 4 more") as raised:
        nc.from_pure_dict(template, values)
    assert str(raised.value).count("not in the template") == 10


def test_a_value_that_is_a_dict_is_one_leaf():
    class Holds(nnx.Module):
        def __init__(self):
            self.w = nnx.Param({"a": jnp.ones(2), "b": jnp.zeros(1)})

    model = Holds()
    pure = nc.to_pure_dict(nc.state(model))
    assert set(pure["w"]) == {"a", "b"}
    nc.update(model, {"w": {"a": jnp.full(2, 5.0), "b": jnp.ones(1)}})
    assert nc.get_value(model.w)["a"].tolist() == [5, 5]


def test_filter_state_leaves_out_and_shares_leaves(state):
    stats = nc.filter_state(state, nnx.BatchStat)
    assert len(nc.to_flat_state(stats)) == 4
    path = ("first", "norm", "mean")
    assert nc.to_flat_state(stats)[path] is nc.to_flat_state(state)[path]
    one, two = nc.filter_state(state, nnx.BatchStat, nnx.Param)
    assert len(nc.to_flat_state(one)) + len(nc.to_flat_state(two)) == 12


def test_split_state_parts_and_merge_state_joins(state):
    parts = nc.split_state(state, nnx.BatchStat, nnx.Param)
    assert snapshot(nc.merge_state(*parts)) == snapshot(state)
    with pytest.raises(ValueError, match="leave 8 leaves over"):
        nc.split_state(state, nnx.BatchStat)


def test_merge_state_lets_the_later_one_count(state):
    doubled = jax.tree_util.tree_map(lambda a: a * 2 + 1, state)
    assert snapshot(nc.merge_state(state, doubled)) == snapshot(doubled)


def test_map_state_takes_values_and_leaves(state):
    seen = []

    def grow(path, leaf):
        seen.append(path)
        return nc.get_value(leaf) + 1 if path[-1] == "bias" else leaf

    new = nc.map_state(grow, state)
    assert seen == list(nc.to_flat_state(state))
    kinds = [nc.variable_type(leaf) for leaf in nc.to_flat_state(new).values()]
    assert kinds == [nc.variable_type(x) for x in nc.to_flat_state(state).values()]
    assert snapshot(new)["first", "linear", "bias"][2] == [1, 1, 1]
    assert snapshot(state)["first", "linear", "bias"][2] == [0, 0, 0]


def test_a_mapped_state_merges(state):
    graphdef = nc.graphdef(Nested(nnx.Rngs(0)))
    new = nc.map_state(lambda _, leaf: nc.get_value(leaf) * 2, state)
    assert snapshot(nc.merge(graphdef, new)) == snapshot(new)


@pytest.mark.parametrize(
    "function",
    [
        nc.to_flat_state,
        nc.to_pure_dict,
        nc.merge_state,
        lambda s: nc.filter_state(s, ...),
    ],
)
def test_what_is_no_state_is_refused(function):
    with pytest.raises(TypeError, match="needs a State and was given a dict"):
        function({"a": 1})


def test_what_is_no_filter_is_refused(state):
    with pytest.raises(TypeError, match="3 is not a filter"):
        nc.filter_state(state, 3)


def test_update_refuses_what_is_neither_state_nor_dict():
    with pytest.raises(TypeError, match="update needs a State or a nested dict"):
        nc.update(Nested(nnx.Rngs(0)), [1, 2])


if not HAS["split-refuses-raw-arrays"]:

    def test_arrays_inside_immutable_containers_are_updated_too():
        """As in the state of an optimizer, on the releases where it held arrays."""
        model = Bare()
        data = getattr(nnx, "data", lambda value: value)
        held, tied = nnx.Param(jnp.ones(1)), jnp.zeros(2)
        model.pair = data((jnp.ones(1), Pair(jnp.ones(2), held)))
        model.named = data({"x": tied})
        doubled = jax.tree_util.tree_map(lambda a: a * 2 + 1, nc.state(model))
        nc.update(model, doubled)
        assert snapshot(nc.state(model)) == snapshot(doubled)
        assert model.pair[1].b is held
        assert type(model.pair[1]) is Pair
        nc.update(model, {"pair": {"0": jnp.full(1, 9.0)}})
        assert model.pair[0].tolist() == [9]
        assert model.pair[1].a.tolist() == [3, 3]


class Pair(NamedTuple):
    a: object
    b: object
