"""What an attribute is: marks, dataclass fields, and the questions about it."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nnx_compat as nc
from nnx_compat import errors, facts, nnx
from nnx_compat.revisions import flax_version

NEWEST = facts.releases()[-1].version
#: Whether an attribute can be marked; before that, its value decides.
MARKS = facts.name("nnx.data").on(flax_version)
#: Whether lists and dicts are looked into, so that a plain list of Modules is data.
LOOKS_IN = not facts.behaviour("list-of-modules-is-refused").holds(flax_version)
IS_PYTREE = facts.behaviour("module-is-a-pytree").holds(flax_version)
#: Whether NNX's transforms see that a pytree of jax is a node.
MAY_BE_PYTREE = IS_PYTREE or facts.name("nnx.Static").on(flax_version)
TAKES_ARRAYS = not facts.behaviour("split-refuses-raw-arrays").holds(flax_version)


def linear():
    return nnx.Linear(2, 3, rngs=nnx.Rngs(0))


def paths(node):
    return set(nc.to_flat_state(nc.state(node)))


# -- data and static ----------------------------------------------------------------


def test_a_list_marked_as_data_is_in_the_state():
    class Block(nnx.Module):
        def __init__(self):
            self.full = nnx.data([linear()])
            self.empty = nnx.data([])
            self.empty.append(linear())
            self.later = nnx.data([])
            self.names = nnx.data({"a": nnx.Param(jnp.ones(2))})
            self.none = nnx.data(None)

    block = Block()
    block.later.append(linear())
    assert paths(block) == {
        ("full", 0, "bias"), ("full", 0, "kernel"),
        ("empty", 0, "bias"), ("empty", 0, "kernel"),
        ("later", 0, "bias"), ("later", 0, "kernel"),
        ("names", "a"),
    }  # fmt: skip
    copy = nc.merge(*nc.split(block))
    assert copy.later[0] is not block.later[0]
    assert type(copy.full) is list and copy.none is None


def test_what_is_data_anyway_may_be_marked():
    class Block(nnx.Module):
        def __init__(self):
            self.layer = nnx.data(linear())
            self.w = nnx.data(nnx.Param(jnp.ones(2)))

    assert paths(Block()) == {("layer", "bias"), ("layer", "kernel"), ("w",)}


def test_a_static_value_is_not_in_the_state():
    class Block(nnx.Module):
        def __init__(self):
            self.a = nnx.static(5)
            self.b = nnx.static((1, "two"))
            self.c = nnx.static(nnx.relu)

    block = Block()
    assert (block.a, block.b, block.c) == (5, (1, "two"), nnx.relu)
    assert paths(block) == set()
    copy = nc.merge(*nc.split(block))
    assert (copy.a, copy.b, copy.c) == (5, (1, "two"), nnx.relu)


def test_a_number_is_data_where_it_can_be_marked_and_refused_elsewhere():
    class Block(nnx.Module):
        def __init__(self):
            self.count = nnx.data(5)

    if MARKS:
        assert jax.tree_util.tree_leaves(Block()) == [5]
    else:
        for bad in (5, "text", [nnx.Param(1.0), 2], nnx.relu):
            with pytest.raises(errors.RefusedArgumentError, match="nnx.Variable"):
                nnx.data(bad)
        with pytest.raises(errors.RefusedArgumentError, match="was given 5"):
            Block()


def test_an_array_is_data_where_a_module_may_have_one():
    class Block(nnx.Module):
        def __init__(self):
            self.w = nnx.data(jnp.ones(2))

    if TAKES_ARRAYS:
        assert paths(Block()) == {("w",)}
    else:
        with pytest.raises(errors.RefusedArgumentError, match="refused in a Module"):
            Block()


def test_data_marked_as_static_is_a_value_error():
    class Block(nnx.Module):
        def __init__(self):
            self.w = nnx.static([nnx.Param(1.0)])

    with pytest.raises(ValueError, match="data"):
        Block()


def test_a_mark_takes_a_value_or_a_field_not_both():
    for mark in (nnx.data, nnx.static):
        with pytest.raises(TypeError):
            mark(nnx.Param(1.0), default=1)
        with pytest.raises(ValueError, match="static"):
            mark(metadata={"static": True})


def test_a_mark_without_a_value_is_a_dataclass_field():
    for mark, static in ((nnx.data, False), (nnx.static, True)):
        field = mark(default=None, kw_only=True, metadata={"unit": "m"})
        assert isinstance(field, dataclasses.Field)
        assert field.default is None and field.kw_only is True
        assert field.metadata["static"] is static
        assert field.metadata["unit"] == "m"
        assert mark(default_factory=list).default_factory is list


# -- dataclasses --------------------------------------------------------------------


def test_a_dataclass_of_modules_and_variables_is_split_and_merged():
    @nnx.dataclass
    class Block(nnx.Module):
        layer: Any
        layers: Any = nnx.data(default_factory=list)
        axes: Any = nnx.static(default=(0, 1))
        name: str = "block"

    block = Block(linear(), [linear()])
    assert (block.axes, block.name) == ((0, 1), "block")
    assert paths(block) == {
        ("layer", "bias"), ("layer", "kernel"),
        ("layers", 0, "bias"), ("layers", 0, "kernel"),
    }  # fmt: skip
    copy = nc.merge(*nc.split(block))
    assert type(copy) is Block and copy.axes == (0, 1)
    assert Block(linear()).layers is not Block(linear()).layers


def test_the_arguments_of_a_dataclass_are_those_of_the_newest():
    @nnx.dataclass(kw_only=True, eq=False)
    class Block(nnx.Pytree):
        size: int = nnx.static()

    assert Block(size=3).size == 3
    with pytest.raises(TypeError):
        Block(3)
    with pytest.raises(TypeError):
        nnx.dataclass(frozen=True)


@pytest.mark.skipif(
    nnx.dataclass.__module__.startswith("flax"),
    reason="Flax's own, and the first of them took slots",
)
def test_a_dataclass_takes_no_slots():
    with pytest.raises(TypeError, match="slots"):

        @nnx.dataclass(slots=True)
        class Slotted(nnx.Pytree):
            size: int


@pytest.mark.parametrize("decorate", ["nnx", "dataclasses"])
def test_the_value_of_a_field_is_what_the_field_says(decorate):
    decorator = nnx.dataclass if decorate == "nnx" else dataclasses.dataclass

    @decorator
    class Block(nnx.Module):
        a: Any = nnx.data(default=None)
        b: Any = nnx.static(default=0)

    @decorator
    class Derived(Block):
        c: Any = nnx.data(default=None)

    for kind in (Block, Derived):
        assert kind(nnx.Param(jnp.ones(2)), 1).b == 1
        if MARKS:
            assert jax.tree_util.tree_leaves(kind(5)) == [5]
        else:
            with pytest.raises(errors.RefusedArgumentError, match=f"{kind.__name__}.a"):
                kind(5)
        with pytest.raises(ValueError, match="data"):
            kind(b=nnx.Param(1.0))
    if not MARKS:
        block = Derived()
        with pytest.raises(errors.RefusedArgumentError, match="Derived.c"):
            block.c = 5
        assert block.c is None


def test_a_class_without_fields_is_left_alone():
    class Block(nnx.Module):
        def __init__(self):
            self.a = 5

    assert "__setattr__" not in vars(Block)
    assert Block().a == 5


# -- questions ----------------------------------------------------------------------


def test_is_data_is_true_of_variables_modules_and_arrays():
    for value in (nnx.Param(1), linear(), jnp.ones(2), np.ones(2), nnx.List([])):
        assert nnx.is_data(value) is True
    for value in (5, 2.0, "text", None, [jnp.ones(2)], (nnx.Param(1),), {}, nnx.relu):
        assert nnx.is_data(value) is False


def test_has_data_lists_the_data_in_a_value():
    weight, layer = nnx.Param(1), linear()
    found = nnx.has_data({"a": [weight, 5], "b": (layer, None)})
    assert len(found) == 2 and found[0] is weight and found[1] is layer
    assert nnx.has_data(weight)[0] is weight
    assert nnx.has_data([5, "text"]) == []


def test_is_data_type_is_kept_with_a_warning():
    with pytest.warns(errors.RemovedNameWarning, match="nnx.is_data"):
        is_data_type = nnx.is_data_type
    assert is_data_type(nnx.Param(1)) and not is_data_type(5)


@pytest.mark.skipif(MARKS, reason="an attribute can be marked there")
def test_a_registered_type_is_refused_where_nothing_can_be_marked():
    @jax.tree_util.register_pytree_node_class
    class Pair:
        def tree_flatten(self):
            return (self.one, self.other), None

        tree_unflatten = classmethod(lambda cls, aux_data, children: cls())

    assert nnx.register_data_type(Pair) is Pair  # jax knows what is in it
    with pytest.raises(errors.RefusedArgumentError, match=r"nnx\.Variable"):
        nnx.register_data_type(type("Token", (), {}))


@pytest.mark.skipif(not MARKS, reason="no attribute can be marked there")
def test_a_registered_type_is_data():
    @nnx.register_data_type
    class Token:
        pass

    assert isinstance(Token, type)
    assert nnx.is_data(Token())


def test_check_pytree_takes_pytrees_only():
    nnx.check_pytree(linear())
    nnx.check_pytree(nnx.List([linear()]))
    with pytest.raises(TypeError):
        nnx.check_pytree([linear()])


def test_check_pytree_finds_data_that_nnx_does_not_see():
    class Block(nnx.Module):
        def __init__(self):
            self.layers = []

    block = Block()
    nnx.check_pytree(block)
    block.layers.append(linear())
    if LOOKS_IN and not MARKS:  # it is looked at when it is split
        nnx.check_pytree(block)
        assert len(paths(block)) == 2
    else:
        with pytest.raises(ValueError, match="layers"):
            nnx.check_pytree(block)
    if not TAKES_ARRAYS:
        vars(block)["layers"] = [jnp.ones(2)]
        with pytest.raises(ValueError, match="layers"):
            nnx.check_pytree(block)


# -- base classes and annotations ---------------------------------------------------


def test_a_module_is_a_pytree_and_a_pytree_is_a_node():
    class Node(nnx.Pytree):
        def __init__(self):
            self.w = nnx.Param(jnp.ones(2))
            self.name = "node"

    assert issubclass(nnx.Module, nnx.Pytree)
    assert isinstance(linear(), nnx.Pytree)
    node = Node()
    assert paths(node) == {("w",)}
    assert nc.merge(*nc.split(node)).name == "node"
    assert (jax.tree_util.tree_leaves(node)[0] is node) is not MAY_BE_PYTREE


class Point(nnx.Pytree):
    def __init__(self, x, name):
        self.x = nnx.Variable(x)
        self.layer = linear()
        self.name = name


@pytest.mark.skipif(MAY_BE_PYTREE, reason="a node may be a pytree there")
def test_a_pytree_is_one_leaf_where_no_node_is_one():
    point = Point(jnp.arange(3.0), "p")
    assert jax.tree_util.tree_leaves(point) == [point]


@pytest.mark.skipif(not MAY_BE_PYTREE, reason="no node is a pytree there")
def test_a_pytree_goes_through_jax():
    traced = []

    @jax.jit
    def double(point):
        traced.append(point.name)
        return jax.tree_util.tree_map(lambda a: a * 2, point)

    point = Point(jnp.arange(3.0), "p")
    for _ in range(2):
        twice = double(point)
        assert type(twice) is Point and twice.name == "p"
        assert nc.get_value(twice.x).tolist() == [0, 2, 4]
    assert traced == ["p"]
    assert nc.get_value(point.x).tolist() == [0, 1, 2]
    assert len(jax.tree_util.tree_leaves(point)) == 3


def test_a_class_can_be_a_node_without_being_a_pytree_of_jax():
    class Plain(nnx.Pytree, pytree=False):
        def __init__(self):
            self.w = nnx.Param(jnp.ones(2))

    if not MAY_BE_PYTREE:
        with pytest.raises(errors.RefusedArgumentError, match="pytree=True"):

            class Tree(nnx.Pytree, pytree=True):
                pass

    plain = Plain()
    assert jax.tree_util.tree_leaves(plain) == [plain]
    assert paths(plain) == {("w",)}


def test_what_is_no_object_of_nnx_is_no_pytree():
    class Other(nnx.Pytree):
        pass

    for value in (5, [linear()], jnp.ones(2), nc.state(linear())):
        assert not isinstance(value, nnx.Pytree)
    assert not isinstance(linear(), Other) and isinstance(Other(), Other)
    assert not issubclass(int, nnx.Pytree)


def test_an_object_is_a_node():
    class Node(nnx.Object):
        def __init__(self):
            self.w = nnx.Param(jnp.ones(2))

    assert issubclass(nnx.Object, nnx.Pytree)
    assert paths(Node()) == {("w",)}


def test_an_annotation_says_static():
    static = nnx.Static  # a string would not be looked up here

    class Block(nnx.Module):
        def __init__(self):
            self.size = 3

    Block.__annotations__ = {"size": static[int]}
    assert Block().size == 3 and paths(Block()) == set()


def test_an_annotation_that_says_data_is_refused_where_it_means_nothing():
    if MARKS:
        assert nnx.Data[int]
    else:
        with pytest.raises(errors.RefusedNameError, match=r"nnx\.data\(\)"):
            nnx.Data


# -- containers and marks -----------------------------------------------------------


def marked_list():
    values = nnx.List([nnx.Param(jnp.ones(2)), nnx.static(nnx.relu)])
    values.append(nnx.data([]))
    values[2].append(nnx.Param(jnp.zeros(2)))
    return values


def test_an_element_can_be_marked():
    assert len(jax.tree_util.tree_leaves(nc.state(marked_list()))) == 2


@pytest.mark.skipif(
    facts.name("nnx.List").on(flax_version) and MARKS,
    reason="Flax's own list leaves the marks where they are",
)
def test_a_mark_of_an_element_moves_with_it():
    values = marked_list()
    values.insert(0, nnx.relu)
    assert values[2] is nnx.relu and len(values) == 4
    assert len(jax.tree_util.tree_leaves(nc.state(values))) == 2
    if IS_PYTREE:
        assert len(jax.tree_util.tree_leaves(values)) == 2
    del values[0]
    values.reverse()
    assert len(jax.tree_util.tree_leaves(nc.state(values))) == 2
