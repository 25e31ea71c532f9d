"""Filters select the same on every release, and equal ones are equal."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import nnx_compat as nc
from nnx_compat import errors, facts, nnx
from nnx_compat._nnx import filterlib as filters
from nnx_compat.revisions import nnx as native

ALL = (
    nnx.Everything(),
    nnx.Nothing(),
    nnx.OfType(nnx.Param),
    nnx.WithTag("dropout"),
    nnx.PathContains("head"),
    nnx.PathContains("head", exact=False),
    nnx.Any(nnx.Param, "dropout"),
    nnx.All(nnx.Param, nnx.PathContains("head")),
    nnx.Not(nnx.Param),
)


class Model(nnx.Module):
    def __init__(self, rngs):
        self.head = nnx.Linear(2, 2, rngs=rngs)
        self.head2 = nnx.BatchNorm(2, rngs=rngs)


def paths(state):
    return {"/".join(map(str, path)) for path in nc.to_flat_state(state)}


@pytest.fixture
def state(rngs):
    return nc.state(Model(rngs))


def test_a_filter_is_equal_to_one_made_of_the_same_and_to_no_other():
    again = (
        nnx.Everything(),
        nnx.Nothing(),
        nnx.OfType(nnx.Param),
        nnx.WithTag("dropout"),
        nnx.PathContains("head"),
        nnx.PathContains("head", exact=False),
        nnx.Any(nnx.Param, "dropout"),
        nnx.All(nnx.Param, nnx.PathContains("head")),
        nnx.Not(nnx.Param),
    )
    for i, one in enumerate(ALL):
        for j, other in enumerate(again):
            assert (one == other) is (i == j)
    assert [hash(f) for f in ALL] == [hash(f) for f in again]


@pytest.mark.parametrize("wanted", ALL, ids=repr)
def test_a_state_is_parted_by_any_filter_and_its_opposite(wanted, state):
    chosen, rest = nc.split_state(state, wanted, ...)
    assert paths(chosen) | paths(rest) == paths(state)
    assert paths(nc.filter_state(state, nnx.Not(wanted))) == paths(rest)


def test_a_type_selects_the_leaves_that_stand_for_it(state):
    chosen = nc.filter_state(state, nnx.OfType(nnx.BatchStat))
    assert paths(chosen) == {"head2/mean", "head2/var"}


def test_a_path_filter_takes_whole_keys_or_parts_of_them(state):
    exact = nc.filter_state(state, nnx.PathContains("head"))
    inside = nc.filter_state(state, nnx.PathContains("head", exact=False))
    assert paths(exact) == {"head/bias", "head/kernel"}
    assert paths(inside) == paths(state)


def test_all_any_and_not_combine_filters_of_any_kind(state):
    head = nnx.PathContains("head")
    both = nnx.All(nnx.Param, head)
    assert paths(nc.filter_state(state, both)) == {"head/bias", "head/kernel"}
    either = nnx.Any(head, nnx.BatchStat, lambda path, leaf: path[-1] == "scale")
    missing = paths(state) - paths(nc.filter_state(state, either))
    assert missing == {"head2/bias"}
    assert paths(nc.filter_state(state, nnx.All(...))) == paths(state)
    assert paths(nc.filter_state(state, nnx.Not(None))) == paths(state)
    assert not paths(nc.filter_state(state, nnx.Any()))


def test_a_string_is_a_tag_inside_a_filter_too():
    tagged = nnx.Variable(np.ones(2), tag="dropout")
    for wanted in (nnx.WithTag("dropout"), nnx.All("dropout"), nnx.Any("dropout")):
        assert wanted(("dropout", "other"), tagged)
        assert not wanted(("dropout",), nnx.Variable(np.ones(2)))
    assert not nnx.Not("dropout")(("key",), tagged)


def test_the_native_split_takes_our_filters(rngs):
    model = Model(rngs)
    wanted = nnx.All(nnx.Param, nnx.PathContains("head"))
    if hasattr(native, "split"):
        _, chosen, _ = native.split(model, wanted, ...)
    else:
        chosen, _, _ = model.split(wanted, ...)
    assert paths(chosen) == {"head/bias", "head/kernel"}


def test_the_path_of_the_first_releases_is_parted():
    leaf = nnx.Param(1.0)
    # ours on every release: natively a path is a string on the first ones
    assert filters.PathContains("kernel")("layers/0/kernel", leaf)
    assert filters.PathContains(0)("layers/0/kernel", leaf)
    assert not filters.PathContains("layer")("layers/0/kernel", leaf)
    seen = []
    wanted = filters.All(lambda path, _: not seen.append(path))
    assert wanted("layers/0/kernel", leaf)
    assert seen == [("layers", 0, "kernel")]


def test_what_is_no_filter_is_an_error_that_says_so():
    with pytest.raises(errors.VariableTypeError, match="is not a filter"):
        filters.Any(3)


def test_a_filter_is_flax_s_own_where_it_means_the_same():
    for name in filters.__all__:
        same = getattr(native, name, None) is getattr(nnx, name)
        row = facts.treatment(f"nnx.{name}", nc.flax_version)
        assert same is (hasattr(native, name) and row is None)


def test_filters_work_inside_jit(state):
    @jax.jit
    def norm(state):
        chosen = nc.filter_state(state, nnx.Not(nnx.BatchStat))
        return sum((leaf**2).sum() for leaf in jax.tree_util.tree_leaves(chosen))

    assert norm(state) > 0
