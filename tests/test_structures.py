"""What is remembered of nodes gives what Flax would give, and nothing outlives them."""

from __future__ import annotations

import gc
import random
import weakref

import jax
import jax.numpy as jnp
import pytest

import nnx_compat as nc
from nnx_compat import _plan, errors
from nnx_compat._plan import _structures
from nnx_compat.functional import _lent
from nnx_compat.revisions import bound, nnx

from . import test_contract
from .models import HAS, NODES, Bare, Block, Nested, Shared, X
from .test_plan import MUTATIONS, Net

#: The class of the leaves of a state.
LEAF = type(next(iter(bound.flatten(nc.state(Bare())).values())))

#: Kinds of nodes that are left to Flax: a bare Variable, and a Rngs that counts.
NATIVE = {"variable"} | ({"rngs", "dropout"} if HAS["rngs-are-static"] else set())


def told(thing, seen=None):
    """All there is to a node, a state or a leaf, in the order in which it is there."""
    seen = {} if seen is None else seen
    if id(thing) in seen:
        return f"again {seen[id(thing)]}"
    kind = type(thing).__name__
    if nc.is_variable(thing) or isinstance(thing, (_plan.OBJECT, nnx.State)):
        seen[id(thing)] = len(seen)
    if nc.is_variable(thing):
        trace = type(getattr(thing, "_trace_state", None)).__name__
        kept = sorted(bound.metadata(thing).items(), key=str)
        return kind, nc.variable_type(thing), id(bound.raw(thing)), kept, trace
    if isinstance(thing, nnx.State):
        return kind, told(thing._mapping, seen)
    if isinstance(thing, _plan.OBJECT):
        return kind, told(vars(thing), seen)
    if isinstance(thing, nnx.Rngs):
        return kind, sorted(thing._rngs)
    if type(thing) is dict:
        return [(key, told(value, seen)) for key, value in thing.items()]
    if isinstance(thing, (list, tuple)):
        return kind, [told(value, seen) for value in thing]
    if kind.endswith("State"):  # what NNX keeps of an object
        slots = set(type(thing).__slots__) - {"_id", "_trace_state"}
        return kind, [(name, getattr(thing, name)) for name in sorted(slots)]
    return kind, id(thing) if isinstance(thing, jax.Array) else thing


def warm(node):
    """A node split often enough, its graphdef, and a state."""
    for _ in range(2):
        graphdef, state = nc.split(node)
    for _ in range(2):
        nc.merge(graphdef, state)
    return graphdef, state


@pytest.mark.parametrize("kind", NODES)
def test_a_plan_gives_what_flax_gives(kind):
    node = NODES[kind]()
    warm(node)
    graphdef, state = nc.split(node)
    assert (_plan.met(node) is None) == (kind in NATIVE)
    native, expected = bound.split(node)
    assert kind in NATIVE or graphdef == native
    assert told(state) == told(expected)
    assert told(nc.state(node)) == told(expected)
    merged = nc.merge(graphdef, state)
    assert (_plan.mergeable(graphdef) is None) == (kind in NATIVE)
    assert told(merged) == told(bound.merge(native, [expected]))
    assert kind in NATIVE or bound.split(merged)[0] == graphdef
    for _ in range(3):
        copied = nc.clone(node)
    assert told(copied) == told(bound.clone(node))


@pytest.mark.parametrize("kind", NODES)
def test_the_contract_holds_for_what_a_plan_gives(kind, monkeypatch):
    def repeated(operation):
        def call(*args):
            for _ in range(3):
                operation(*args)
            return operation(*args)

        return call

    for name in ("split", "merge", "state", "clone"):
        monkeypatch.setattr(nc, name, repeated(getattr(nc, name)))
    ran = 0
    for test in vars(test_contract).values():
        marks = getattr(test, "pytestmark", [])
        kinds = [mark.args[1] for mark in marks if mark.args[0] == "kind"]
        if kinds and kind in kinds[0]:
            test(kind)
            ran += 1
    assert ran >= 5


def test_the_graphdef_of_an_unchanged_node_is_the_same_object():
    model = Nested(nnx.Rngs(0))
    first, _ = nc.split(model)
    graphdef, _ = nc.split(model)
    assert graphdef == first
    for _ in range(3):
        again, params, rest = nc.split(model, nnx.Param, ...)
        assert again is graphdef is nc.graphdef(model)
    assert told(nc.merge(graphdef, params, rest)) == told(
        nc.merge(graphdef, rest, params)
    )


def test_a_model_that_a_step_has_keeps_no_other_from_its_plan():
    model, other = Nested(nnx.Rngs(0)), Nested(nnx.Rngs(1))
    graphdef, _ = warm(model)
    warm(other)
    with nc.compile_step(lambda net: nc.update(net, nc.state(net)), other) as step:
        step()
        assert nc.split(model)[0] is graphdef
        copied = [nc.clone(model) for _ in range(3)][-1]
        assert nc.split(copied)[0] is graphdef
        for operation in (nc.split, nc.clone):
            with pytest.raises(errors.DonatedError):
                operation(other)


def test_a_merged_node_has_the_graphdef_it_was_merged_from():
    model = Nested(nnx.Rngs(0))
    graphdef, state = warm(model)
    merged = nc.merge(graphdef, state)
    assert nc.split(merged)[0] is graphdef
    copied = [nc.clone(merged) for _ in range(3)][-1]
    assert nc.split(copied)[0] is graphdef


@pytest.mark.parametrize("seed", range(4))
def test_no_mutation_is_overlooked(seed):
    chance = random.Random(seed)
    net = Net(chance)
    taken = 0
    for _ in range(25):
        chance.choice(MUTATIONS)(net, chance)
        for _ in range(chance.randrange(1, 4)):
            taken += _plan.met(net) is not None
            graphdef, state = nc.split(net)
            native, expected = bound.split(net)
            assert graphdef == native
            assert told(state) == told(expected)
            assert told(nc.merge(graphdef, state)) == told(
                bound.merge(native, [expected])
            )
    assert taken > 5


def test_a_static_value_that_is_only_equal_is_another_one():
    model = Block(2, nnx.Rngs(0))
    vars(model)["rate"] = 0.0
    warm(model)
    assert _plan.met(model) is not None
    vars(model)["rate"] = -0.0
    graphdef, state = nc.split(model)
    assert str(vars(nc.merge(graphdef, state))["rate"]) == "-0.0"


@pytest.mark.parametrize(
    "change",
    [
        lambda leaf: nc.set_metadata(leaf, unit="cm"),
        lambda leaf: nc.set_metadata(leaf, more=1),
    ],
)
def test_merge_takes_metadata_from_the_state_it_is_given(change):
    graphdef, state = warm(Bare())
    for leaf in nc.to_flat_state(state).values():
        change(leaf)
    assert told(nc.merge(graphdef, state)) == told(bound.merge(graphdef, [state]))


def test_merge_refuses_another_state_as_ever():
    graphdef, state = warm(Nested(nnx.Rngs(0)))
    part = nc.filter_state(state, nnx.Param)
    short, _ = nc.split(Nested(nnx.Rngs(0)))
    expected = _outcome(lambda: nc.merge(short, part))
    assert _outcome(lambda: nc.merge(graphdef, part)) == expected
    arrays = nc.map_state(lambda path, leaf: nc.get_value(leaf) + 1, state)
    assert nc.merge(graphdef, arrays).first.linear(X).shape == (4, 3)


def _outcome(call):
    try:
        return told(call())
    except Exception as error:
        return type(error)


@pytest.mark.parametrize("leave", ["split", "merge", "clone"])
def test_inside_a_jitted_function_variables_belong_to_the_trace(leave):
    model = Block(3, nnx.Rngs(0))
    graphdef, state = warm(model)
    for _ in range(4):
        nc.clone(model)

    @jax.jit
    def run(state, x):
        inner = nc.merge(graphdef, state)
        if leave == "split":
            inner = nc.merge(*nc.split(inner))
        elif leave == "clone":
            inner = nc.clone(inner)
        y = inner(x)
        return y, nc.state(inner)

    @jax.jit
    def closed(x):
        return nc.clone(model)(x), nc.merge(graphdef, state)(x)

    y, after = run(state, X)
    assert not jnp.array_equal(
        nc.to_pure_dict(after)["norm"]["mean"], nc.to_pure_dict(state)["norm"]["mean"]
    )
    assert all(jnp.array_equal(y, other) for other in closed(X))
    nc.update(model, after)
    assert jnp.array_equal(
        nc.get_value(model.norm.mean), nc.to_pure_dict(after)["norm"]["mean"]
    )


def test_a_value_that_is_a_container_is_not_shared():
    class Holder(nnx.Module):
        def __init__(self):
            self.pair = nnx.Variable({"x": jnp.ones(2)})

    holder = Holder()
    graphdef, state = warm(holder)
    graphdef, state = nc.split(holder)
    native, expected = bound.split(holder)
    shared = _value(state) is nc.get_value(nc.variables(holder)["pair",])
    assert shared == (_value(expected) is nc.get_value(nc.variables(holder)["pair",]))
    merged = nc.merge(graphdef, state)
    assert nc.get_value(nc.variables(merged)["pair",])["x"].tolist() == [1.0, 1.0]


def _value(state):
    (leaf,) = nc.to_flat_state(state).values()
    return nc.get_value(leaf)


class Bound(nnx.Module):
    """A static value that holds the Module itself."""

    def __init__(self):
        self.w = nnx.Param(jnp.ones(2))
        vars(self)["method"] = self.call

    def call(self):
        """Nothing."""


class Token:
    """A static value whose life can be watched."""


def _with_token():
    model = Block(2, nnx.Rngs(0))
    vars(model)["token"] = Token()
    return model, vars(model)["token"]


@pytest.mark.parametrize("make", [lambda: (Bound(), None), _with_token])
def test_nothing_outlives_a_node(make):
    model, token = make()
    alive = [weakref.ref(thing) for thing in (model, token) if thing is not None]
    for _ in range(4):
        graphdef, state = nc.split(model)
        nc.merge(graphdef, state)
        nc.clone(model)
    del model, token, graphdef, state
    gc.collect()
    nc.split(Shared(nnx.Rngs(0)))
    warm(Shared(nnx.Rngs(0)))
    gc.collect()
    assert [ref() for ref in alive] == [None] * len(alive)


def test_what_is_remembered_is_bounded():
    before = len(_structures._of_nodes)
    for width in range(1, 20):
        model = nnx.Linear(width, 2, rngs=nnx.Rngs(0))
        warm(model)
    del model
    gc.collect()
    assert len(_structures._of_nodes) <= before
    assert len(_structures._of_graphdefs) <= _structures.GRAPHDEFS


def test_a_counter_in_the_structure_makes_no_plan_each_time(monkeypatch):
    made = []
    learn = _structures.Structure.learn_to_split
    monkeypatch.setattr(
        _structures.Structure,
        "learn_to_split",
        lambda *args: made.append(1) or learn(*args),
    )
    model = Block(2, nnx.Rngs(0))
    for number in range(40):
        model.number = number
        nc.split(model)
    assert len(made) <= 6


class Grown(nnx.Module):
    """Static values of its own, many of them."""

    def __init__(self, number):
        for i in range(200):
            setattr(self, f"fixed{i:03d}", frozenset([number, i, "more"]))


def test_a_plan_is_made_of_a_model_of_any_size():
    nodes = [Grown(number) for number in range(60)]
    warm(nodes)
    assert _plan.met(nodes) is not None


def test_update_by_a_plan_is_that_of_flax():
    model, other = Nested(nnx.Rngs(0)), Nested(nnx.Rngs(1))
    warm(model)
    found = nc.variables(model)
    new = nc.state(other)
    nc.update(model, new)
    assert [*map(id, nc.variables(model).values())] == [*map(id, found.values())]
    assert told(nc.state(model)) == told(nc.state(other))
    unit = nc.map_state(lambda path, leaf: leaf, nc.state(other))
    for leaf in nc.to_flat_state(unit).values():
        nc.set_metadata(leaf, unit="m")
    before = told(new)
    nc.update(model, unit)
    assert told(new) == before
    assert nc.get_metadata(found["first", "linear", "bias"]) == {"unit": "m"}


@pytest.mark.skipif(
    not bound.belong_here([]), reason="a Variable keeps nothing of where it was made"
)
def test_the_first_update_needs_no_split(monkeypatch):
    if len({hasattr(one, "_var_metadata") for one in (nnx.Variable, LEAF)}) > 1:
        pytest.skip("a leaf keeps its metadata in another way than its Variable")
    model, new = Nested(nnx.Rngs(0)), nc.state(Nested(nnx.Rngs(1)))
    found = nc.variables(model)
    with monkeypatch.context() as patched:
        # what other tests lent and nothing has let go of yet makes every node be asked
        patched.setattr(_lent, "_out", set())
        patched.setattr(bound, "live_split", None)
        nc.update(model, new)
    assert [*map(id, nc.variables(model).values())] == [*map(id, found.values())]
    assert told(nc.state(model)) == told(new)


def test_of_tied_variables_the_first_update_has_to_know_which_path_counts():
    assert not _plan.updated(Shared(nnx.Rngs(0)), nc.state(Shared(nnx.Rngs(1))))


def test_update_by_a_plan_refuses_and_changes_nothing():
    model = Nested(nnx.Rngs(0))
    _, before = warm(model)
    wrong = nc.map_state(
        lambda path, leaf: (
            jnp.ones(7) if path[-1] == "var" else jnp.zeros_like(nc.get_value(leaf))
        ),
        before,
    )
    with pytest.raises(nc.errors.StateStructureError, match="var: shape was"):
        nc.update(model, wrong)
    assert told(nc.state(model)) == told(before)


def test_under_a_trace_a_variable_from_outside_is_written_to_as_flax_allows():
    model = Nested(nnx.Rngs(0))
    _, state = warm(model)
    outcomes = []

    def inside(x):
        for update in (bound.update, nc.update):
            outcomes.append(_outcome(lambda update=update: update(model, state)))
        return x

    jax.make_jaxpr(inside)(X)
    assert outcomes[0] == outcomes[1]
    assert told(nc.state(model)) == told(state)
