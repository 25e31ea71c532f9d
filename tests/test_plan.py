"""A plan says yes if and only if Flax would take the nodes apart in the same way."""

from __future__ import annotations

import gc
import random
import weakref

import jax
import jax.numpy as jnp
import pytest

import nnx_compat as nc
from nnx_compat import _plan
from nnx_compat._nnx.transforms._layout import Layout, LayoutKey
from nnx_compat.revisions import bound

nnx = nc.nnx


class Block(nnx.Module):
    """Variables, statics, a child that may be shared, and what is put on it later."""

    def __init__(self, rngs, width):
        self.linear = nnx.Linear(width, width, rngs=rngs)
        self.norm = nnx.BatchNorm(width, rngs=rngs)
        self.width = width
        self.name = "block"
        self.spare = None

    def __call__(self, x):
        return self.norm(self.linear(x), use_running_average=False)


class Net(nnx.Module):
    """Blocks by attribute, some of them the same one."""

    def __init__(self, chance):
        rngs = nnx.Rngs(0)
        self.count = chance.randrange(1, 4)
        for number in range(self.count):
            setattr(self, f"block{number}", Block(rngs, chance.choice([2, 3])))
        if chance.random() < 0.3:
            self.shared = self.block0  # later in any order
        if chance.random() < 0.3:
            tied = nc.variables(self.block0.linear)["bias",]
            object.__setattr__(self.block0, "tied", tied)


def structure(nodes):
    """How Flax sees the nodes: graphdef, types and metadata; and their Variables.

    Static values are added: the first graphdefs are equal though these are not.
    """
    layout = Layout(nodes)
    live = bound.live_variables(layout.nodes)
    statics = [
        (path, value)
        for path, value in nc.iter_graph(nodes)
        if isinstance(value, (int, str, tuple)) and value is not nodes
    ]
    key = LayoutKey(layout), statics
    return key, [live[path] for path in layout.leaves], layout


def planned(nodes):
    """A plan of nodes, which are a tuple of Modules."""
    _, _, layout = structure(nodes)
    return _plan.Plan(layout.nodes, layout.leaves, bound.live_variables(layout.nodes))


def blocks(net):
    return [value for value in vars(net).values() if isinstance(value, Block)]


# -- what may happen to a model, in place -------------------------------------------


def _value(net, chance):
    variable = chance.choice(list(nc.variables(net).values()))
    nc.set_value(variable, nc.get_value(variable) * 2)


def _static(net, chance):
    chance.choice(blocks(net)).width = chance.randrange(5)


def _static_in_dict(net, chance):
    vars(chance.choice(blocks(net)))["name"] = chance.choice(["block", "other"])


def _static_by_object(net, chance):
    object.__setattr__(
        chance.choice(blocks(net)), "width", chance.randrange(1000, 1003)
    )


def _attribute_added(net, chance):
    vars(chance.choice(blocks(net)))[f"new{chance.randrange(3)}"] = 1


def _attribute_removed(net, chance):
    vars(chance.choice(blocks(net))).pop("new0", None)


def _attribute_renamed(net, chance):
    attributes = vars(chance.choice(blocks(net)))
    if "new1" in attributes:
        attributes["new2"] = attributes.pop("new1")


def _child_replaced(net, chance):
    chance.choice(blocks(net)).linear = nnx.Linear(2, 2, rngs=nnx.Rngs(1))


def _variable_replaced(net, chance):
    block = chance.choice(blocks(net))
    old = vars(block.linear)["bias"]
    vars(block.linear)["bias"] = type(old)(nc.get_value(old) + 1)


def _type_of_variable(net, chance):
    block = chance.choice(blocks(net))
    kind = chance.choice([nnx.Param, nnx.BatchStat])
    vars(block.linear)["bias"] = kind(jnp.ones(2))


def _tied(net, chance):
    block = chance.choice(blocks(net))
    vars(block.norm)["scale"] = vars(chance.choice(blocks(net)).linear)["bias"]


def _child_shared(net, chance):
    chance.choice(blocks(net)).linear = chance.choice(blocks(net)).linear


def _metadata(net, chance):
    variable = chance.choice(list(nc.variables(net).values()))
    nc.set_metadata(variable, note=chance.choice(["a", "b", ("c",)]))


MUTATIONS = [
    _value, _static, _static_in_dict, _static_by_object, _attribute_added,
    _attribute_removed, _attribute_renamed, _child_replaced, _variable_replaced,
    _type_of_variable, _tied, _child_shared, _metadata,
]  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_a_plan_matches_what_flax_finds_alike_and_nothing_else(seed):
    chance = random.Random(seed)
    nodes = (Net(chance),)
    known, _, _ = structure(nodes)
    plan = planned(nodes)
    outcomes = set()
    for _ in range(25):
        chance.choice(MUTATIONS)(nodes[0], chance)
        now, variables, _ = structure(nodes)
        found = plan.match(nodes)
        assert (found is not None) == (now == known)
        outcomes.add(found is not None)
        if found is None:
            known, plan = now, planned(nodes)
            found = plan.match(nodes)
        assert [*map(id, found.variables)] == [*map(id, variables)]
    assert outcomes == {True, False}


@pytest.mark.parametrize("mutate", MUTATIONS)
def test_a_plan_knows_each_mutation_or_what_flax_calls_none(mutate):
    for seed in range(3):
        chance = random.Random(seed)
        nodes = (Net(chance),)
        known, _, _ = structure(nodes)
        plan = planned(nodes)
        mutate(nodes[0], chance)
        assert (plan.match(nodes) is not None) == (structure(nodes)[0] == known)


def test_a_plan_serves_another_model_of_the_same_structure():
    one, other = (Net(random.Random(3)), Net(random.Random(3)))
    found = planned((one,)).match((other,))
    assert found is not None
    assert [*map(id, found.variables)] == [*map(id, structure((other,))[1])]


def test_a_variable_that_equals_a_static_value_is_no_static_value():
    net = Net(random.Random(0))
    net.block0.width = 1
    plan = planned((net,))
    vars(net.block0)["width"] = nnx.Param(jnp.array(1))
    assert plan.match((net,)) is None


def test_a_plan_keeps_no_model_alive():
    net = Net(random.Random(0))
    plan = planned((net,))
    gone = weakref.ref(net), weakref.ref(net.block0.linear)
    assert plan.match((net,)) is not None
    del net
    gc.collect()
    assert [ref() for ref in gone] == [None, None]


def test_values_are_read_and_written_as_they_are_stored():
    net = Net(random.Random(0))
    found = planned((net,)).match((net,))
    values = _plan.read(found.variables)
    leaves = jax.tree_util.tree_leaves(nc.state((net,)))
    assert [*map(id, values)] == [*map(id, leaves)]
    _plan.write(found.variables, [value + 1 for value in values])
    new = jax.tree_util.tree_leaves(nc.state((net,)))
    assert all((n == o + 1).all() for n, o in zip(new, leaves, strict=True))


def test_a_static_list_that_grows_is_another_structure():
    net = Net(random.Random(0))
    vars(net)["sizes"] = [1, 2]
    plan = planned((net,))
    assert plan.match((net,)) is not None
    net.sizes.append(3)
    assert plan.match((net,)) is None
