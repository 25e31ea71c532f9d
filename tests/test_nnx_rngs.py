"""Random streams do today's things on every release that has them as state."""

from __future__ import annotations

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nnx_compat as nc
from nnx_compat import errors, facts, nnx
from nnx_compat.revisions import nnx as native

NAMES = ("fork_rngs", "reseed", "restore_rngs", "split_rngs", "with_rngs")
#: Whether keys are Variables; before that, a Rngs is a static attribute.
STATE = not facts.behaviour("rngs-are-static").holds(nc.flax_version)
#: The newest releases would have ``fork(split=...)`` written as ``split(...)``.
pytestmark = pytest.mark.filterwarnings("ignore:The 'split' argument of 'fork'")
stateful = pytest.mark.skipif(not STATE, reason="a Rngs is static: refused, see below")


def key(stream):
    """The data of the key of a stream, or of a key."""
    value = nc.get_value(stream.key) if hasattr(stream, "tag") else stream
    return np.asarray(jax.random.key_data(value)).tolist()


def count(stream):
    return np.asarray(nc.get_value(stream.count)).tolist()


def shape(stream):
    return nc.get_value(stream.key).shape


def folded(seed, count):
    return key(jax.random.fold_in(jax.random.key(seed), count))


class Model(nnx.Module):
    def __init__(self, rngs):
        self.linear = nnx.Linear(2, 4, rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, deterministic=False, rngs=rngs)

    def __call__(self, x):
        return self.dropout(self.norm(self.linear(x)))


def test_streams_of_a_node_are_refused_where_they_are_static():
    for name in NAMES:
        if STATE:
            assert callable(getattr(nnx, name))
            continue
        with pytest.raises(errors.RefusedNameError, match="static"):
            getattr(nnx, name)
    assert STATE or issubclass(nnx.Rngs, native.Rngs)


# -- Rngs and RngStream -------------------------------------------------------------


@stateful
def test_the_keys_are_those_of_flax():
    ours, theirs = nnx.Rngs(3, dropout=4), native.Rngs(3, dropout=4)
    for _ in range(3):
        assert key(ours.params()) == key(theirs.params())
        assert key(ours.dropout()) == key(theirs.dropout())
        assert key(ours()) == key(theirs())
    assert key(nnx.Rngs(jax.random.key(5))()) == folded(5, 0)
    assert key(nnx.Rngs(jax.random.PRNGKey(5))()) == folded(5, 0)
    assert key(nnx.Rngs({"a": 1}, b=2).b()) == folded(2, 0)
    assert key(nnx.Rngs(default=6)()) == folded(6, 0)


@stateful
def test_a_rngs_is_an_instance_across_both_namespaces():
    assert isinstance(nnx.Rngs(0), native.Rngs)
    assert isinstance(native.Rngs(0), nnx.Rngs)
    assert isinstance(nnx.Rngs(0).params, native.RngStream)
    assert isinstance(native.Rngs(0).params, nnx.RngStream)
    assert not isinstance(native.Rngs(0).params, nnx.Rngs)

    class Mine(nnx.Rngs):
        pass

    assert isinstance(Mine(0), nnx.Rngs)
    assert not isinstance(nnx.Rngs(0), Mine)


@stateful
def test_a_rngs_is_what_it_looks_like():
    rngs = nnx.Rngs(0, dropout=1)
    assert len(rngs) == 2
    assert sorted(rngs) == ["default", "dropout"]
    assert "dropout" in rngs
    assert "params" not in rngs
    assert dict(rngs.items())["dropout"] is rngs.dropout
    assert rngs.dropout.tag == "dropout"
    with pytest.raises(AttributeError, match="No RngStream named 'params'"):
        nnx.Rngs(dropout=1).params()
    with pytest.raises(KeyError, match="No RngStream named 'params'"):
        nnx.Rngs(dropout=1)["params"]
    with pytest.raises(AttributeError):
        _ = rngs.__json__
    with pytest.raises(ValueError, match="Invalid rng value"):
        nnx.Rngs("seed")


@stateful
def test_a_rngs_is_split_merged_copied_and_pickled():
    rngs = nnx.Rngs(0, dropout=1)
    rngs.dropout()
    graphdef, state = nc.split(rngs)
    assert graphdef == nc.graphdef(nnx.Rngs(0, dropout=1))
    hash(graphdef)
    for again in (nc.merge(graphdef, state), nc.clone(rngs), copy.deepcopy(rngs)):
        assert type(again) is nnx.Rngs
        assert key(again.dropout()) == folded(1, 1)
        assert key(again.fork().dropout) == folded(1, 2)
    assert count(rngs.dropout) == 1
    data = nnx.Rngs(jax.random.PRNGKey(0))
    assert pickle.loads(pickle.dumps(nc.graphdef(data))) == nc.graphdef(data)


@stateful
def test_a_forked_rngs_draws_on_its_own():
    rngs = nnx.Rngs(0, dropout=1)
    new = rngs.fork()
    assert key(new.default) == folded(0, 0)
    assert key(new.dropout) == folded(1, 0)
    assert count(rngs.dropout) == 1
    assert count(new.dropout) == 0
    both = nnx.Rngs(0, dropout=1).fork(split={"dropout": 3})
    assert shape(both.dropout) == (3,)
    assert shape(both.default) == ()


@stateful
def test_a_rngs_is_split_into_arrays_of_keys():
    new = nnx.Rngs(0, dropout=1).split(4)
    expected = jax.random.split(jax.random.fold_in(jax.random.key(1), 0), 4)
    assert key(new.dropout) == key(expected)
    assert count(new.dropout) == [0] * 4
    assert shape(nnx.Rngs(0).split((2, 3)).default) == (2, 3)
    some = nnx.Rngs(0, dropout=1, noise=2).split({"dropout": None, "noise": 2, ...: 5})
    assert [shape(some[n]) for n in ("default", "dropout", "noise")] == [(5,), (), (2,)]
    assert key(some.dropout) == key(jax.random.key(1))


@stateful
def test_a_rngs_is_broadcast():
    new = nnx.Rngs(0).broadcast(3)
    assert key(new.default) == [folded(0, 0)] * 3
    assert shape(nnx.Rngs(0).default.broadcast((2, 2))) == (2, 2)
    some = nnx.Rngs(params=0, dropout=1).broadcast({"params": 2, "dropout": None})
    assert (shape(some.params), shape(some.dropout)) == ((2,), ())


@stateful
def test_samplers_draw_with_the_next_key():
    rngs = nnx.Rngs(0, params=1)
    keys = [jax.random.fold_in(jax.random.key(0), i) for i in range(3)]
    sample = jax.random.normal(keys[0], (2, 3))
    np.testing.assert_array_equal(rngs.normal((2, 3)), sample)
    np.testing.assert_array_equal(
        rngs.lecun_normal()((2, 3)),
        jax.nn.initializers.lecun_normal()(keys[1], (2, 3)),
    )
    other = jax.random.uniform(jax.random.fold_in(jax.random.key(1), 0), (2,))
    np.testing.assert_array_equal(rngs.params.uniform((2,)), other)
    assert count(rngs.default) == 2


@stateful
def test_a_sampler_that_jax_lacks_is_an_error_and_not_a_stream():
    rngs = nnx.Rngs(0)
    if hasattr(jax.random, "multinomial"):
        assert rngs.multinomial(3, jnp.ones(2) / 2).sum() == 3
    else:
        with pytest.raises(AttributeError, match="multinomial is not in jax"):
            rngs.multinomial(3, jnp.ones(2) / 2)


@stateful
def test_a_stream_is_made_of_a_key_and_a_tag():
    stream = nnx.RngStream(7, tag="noise")
    assert key(stream()) == folded(7, 0)
    assert (stream.tag, nc.get_metadata(stream.key)["tag"]) == ("noise", "noise")
    assert nc.get_metadata(stream.count)["tag"] == "noise"
    new = nnx.Rngs(a=stream, b=nnx.Rngs(3).fork().default)
    assert key(new.a) == key(jax.random.key(7))  # and its count starts anew
    assert new.a.tag == "a"


@stateful
def test_layers_and_transforms_take_a_rngs():
    model = Model(nnx.Rngs(0, dropout=1))
    theirs = Model(native.Rngs(0, dropout=1))

    @nnx.jit
    def step(model, x):
        return model(x)

    x = jnp.ones((3, 2))
    np.testing.assert_array_equal(step(model, x), step(theirs, x))
    np.testing.assert_array_equal(step(model, x), step(theirs, x))

    @nnx.jit
    def draw(rngs):
        return rngs.normal((2,)), rngs.fork()

    rngs = nnx.Rngs(0)
    sample, forked = draw(rngs)
    assert sample.shape == (2,)
    assert count(rngs.default) == 2
    assert key(forked.default) == folded(0, 1)


# -- the streams of a node ----------------------------------------------------------


@stateful
@pytest.mark.parametrize("made", [nnx.Rngs, native.Rngs], ids=["ours", "native"])
def test_streams_are_split_in_place_and_restored(made):
    rngs = made(params=0, dropout=1)
    backups = nnx.split_rngs(rngs, splits=5)
    expected = jax.random.split(jax.random.fold_in(jax.random.key(0), 0), 5)
    assert key(nc.get_value(rngs.params.key)) == key(expected)
    assert count(rngs.params) == [0] * 5
    nnx.restore_rngs(backups)
    assert key(nc.get_value(rngs.params.key)) == key(jax.random.key(0))
    assert count(rngs.params) == 1  # the key that the split was made of is used
    with nnx.split_rngs(rngs, splits=(2, 3)):
        assert shape(rngs.dropout) == (2, 3)
    assert shape(rngs.dropout) == ()


@stateful
def test_some_streams_are_split():
    rngs = nnx.Rngs(params=0, dropout=1)
    nnx.split_rngs(rngs, splits=5, only="params")
    assert (shape(rngs.params), shape(rngs.dropout)) == ((5,), ())
    one = nnx.Rngs(0)
    nnx.split_rngs(one, splits=1, squeeze=True)
    assert (shape(one.default), count(one.default)) == ((), 0)
    with pytest.raises(ValueError, match="squeeze"):
        nnx.split_rngs(one, splits=2, squeeze=True)


@stateful
@pytest.mark.parametrize("change", ["split_rngs", "fork_rngs"])
def test_a_copy_has_other_streams_and_the_same_variables(change):
    model = Model(nnx.Rngs(params=0, dropout=1))
    options = {"splits": 4} if change == "split_rngs" else {"split": 4}
    for mode in ({"graph_updates": False}, {"graph": False}):
        before = count(stream_of(model))
        new = getattr(nnx, change)(model, **options, **mode)
        assert type(new) is Model
        assert new is not model
        assert (shape(stream_of(new)), shape(stream_of(model))) == ((4,), ())
        assert count(stream_of(model)) == before + 1
        assert nc.variables(new)["norm", "mean"] is nc.variables(model)["norm", "mean"]


def stream_of(model):
    (stream,) = [
        v
        for _, v in nc.iter_graph(model)
        if isinstance(v, native.RngStream)
        and nc.get_metadata(v.key)["tag"] == "dropout"
    ]
    return stream


@stateful
@pytest.mark.parametrize("in_place", [True, False])
def test_a_decorator_splits_the_streams_of_the_arguments(in_place):
    mode = {} if in_place else {"graph_updates": False}

    @nnx.split_rngs(splits=3, **mode)
    def function(tree, *, scale):
        return shape(tree["rngs"].default), scale

    rngs = nnx.Rngs(0)
    assert function({"rngs": rngs}, scale=2) == ((3,), 2)
    assert shape(rngs.default) == ()
    assert count(rngs.default) == 1


@stateful
def test_streams_are_forked_in_place_and_restored():
    rngs = nnx.Rngs(params=0, dropout=1)
    backups = nnx.fork_rngs(rngs)
    assert key(rngs.params) == folded(0, 0)
    nnx.restore_rngs(backups)
    assert (key(rngs.params), count(rngs.params)) == (key(jax.random.key(0)), 1)
    with nnx.fork_rngs(rngs, split={"params": 2, "dropout": None}):
        assert (shape(rngs.params), shape(rngs.dropout)) == ((2,), ())
        assert key(rngs.dropout) == folded(1, 1)

    @nnx.fork_rngs(split=2)
    def function(rngs):
        return shape(rngs.params)

    assert function(rngs) == (2,)
    assert shape(rngs.params) == ()


@stateful
def test_with_rngs_gives_a_copy_by_rules():
    rngs = nnx.Rngs(params=0, dropout=1, noise=2)
    new = nnx.with_rngs(
        rngs, split={"params": 4}, broadcast={"noise": 2}, fork=..., graph_updates=False
    )
    assert [shape(new[n]) for n in ("params", "dropout", "noise")] == [(4,), (), (2,)]
    assert key(new.dropout) == folded(1, 0)
    assert [shape(rngs[n]) for n in rngs] == [(), (), ()]
    assert count(rngs.params) == 1
    same = nnx.with_rngs(rngs, fork="params", graph_updates=False)
    assert same.noise.key is rngs.noise.key
    some = nnx.with_rngs(rngs, split=3, only="noise", graph_updates=False)
    assert (shape(some.noise), shape(some.params)) == ((3,), ())


@stateful
def test_with_rngs_takes_pytrees_and_is_a_decorator():
    tree = {"a": nnx.RngStream(0, tag="a"), "b": jnp.ones(2), "c": "text"}
    new = nnx.with_rngs({"x": tree}, broadcast=2, graph_updates=False)["x"]
    assert shape(new["a"]) == (2,)
    assert new["b"] is tree["b"]
    assert new["c"] == "text"

    @nnx.with_rngs(split=4, graph_updates=False)
    def function(rngs, x):
        return shape(rngs.params), x

    assert function(nnx.Rngs(params=0), 3) == ((4,), 3)


@stateful
def test_with_rngs_says_what_it_cannot_do():
    rngs = nnx.Rngs(params=0)
    with pytest.raises(ValueError, match="multiple rules"):
        nnx.with_rngs(rngs, split={"params": 4}, fork="params", graph_updates=False)
    assert count(rngs.params) == 0
    with pytest.raises(NotImplementedError, match="graph_updates=True"):
        nnx.with_rngs(rngs, split=2)


@stateful
def test_a_reseeded_model_draws_what_one_of_that_seed_would():
    x = jnp.ones((4, 4))
    model, other = Model(nnx.Rngs(0, dropout=5)), Model(nnx.Rngs(1, dropout=42))
    first = other.dropout(x)
    assert not np.array_equal(model.dropout(x), first)
    nnx.reseed(model, dropout=42)
    np.testing.assert_array_equal(model.dropout(x), first)
    nnx.reseed(other, dropout=jax.random.key(42))
    np.testing.assert_array_equal(other.dropout(x), first)


@stateful
def test_only_streams_of_the_names_given_are_reseeded():
    rngs = nnx.Rngs(params=0, dropout=1)
    rngs.dropout()
    nnx.reseed(rngs, dropout=5, graph=False)
    assert count(rngs.dropout) == 0
    assert key(rngs.dropout) in (folded(5, 0), key(jax.random.key(5)))
    assert key(rngs.params) == key(jax.random.key(0))


@stateful
def test_streams_of_arrays_of_keys_are_reseeded_by_a_policy():
    rngs = nnx.Rngs(0).split(3)
    with pytest.raises(ValueError, match="non-scalar key"):
        nnx.reseed(rngs, default=1)
    with pytest.raises(ValueError, match="policy"):
        nnx.reseed(rngs, default=1, policy="other")
    one = nnx.Rngs(0)
    nnx.reseed(one, default=1)
    nnx.reseed(rngs, default=1, policy="match_shape")
    assert key(rngs.default) == key(jax.random.split(nc.get_value(one.default.key), 3))
    assert count(rngs.default) == [0] * 3
    nnx.reseed(rngs, default=1, policy=lambda path, new, shape: new)
    assert key(rngs.default) == key(one.default)


# -- removed ------------------------------------------------------------------------


@stateful
@pytest.mark.skipif(
    nc.supports("nnx.fork") and not nc.supports("nnx.ForkStates"),
    reason="fork of a state gives two parts there",
)
def test_fork_of_a_state_is_kept_with_a_warning():
    with pytest.warns(errors.RemovedNameWarning, match="nnx.fork"):
        fork = nnx.fork
    state = nc.state(nnx.Rngs(params=0, dropout=1), nnx.RngState)
    with pytest.warns(errors.RemovedNameWarning, match="nnx.ForkStates"):
        ForkStates = nnx.ForkStates
    found = fork(state, "dropout", (2, None))
    assert isinstance(found, ForkStates)
    shapes = [
        [leaf.shape for leaf in jax.tree_util.tree_leaves(part)] for part in found
    ]
    assert shapes == [[(2, 1)], [()], [()], [()]]
