"""``nnx.List``, ``nnx.Dict`` and ``nnx.Sequential``: the newest protocol everywhere."""

from __future__ import annotations

import warnings

import jax
import jax.numpy as jnp
import pytest

import nnx_compat as nc
from nnx_compat import errors, facts, nnx
from nnx_compat.revisions import flax_version

#: Whether NNX's transforms see that a pytree of jax is a node.
ARE_PYTREES = (
    facts.behaviour("module-is-a-pytree").holds(flax_version)
    or facts.name("nnx.Static").on(flax_version)
)  # fmt: skip


def linears(count):
    rngs = nnx.Rngs(0)
    return [nnx.Linear(2, 2, rngs=rngs) for _ in range(count)]


class Stack(nnx.Module):
    def __init__(self, count):
        self.layers = nnx.List(linears(count))

    def __call__(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


# -- List ---------------------------------------------------------------------------


def test_a_list_answers_as_a_python_list_does():
    ours, plain = nnx.List([1, 2, 3]), [1, 2, 3]
    for values in (ours, plain):
        values.append(4)
        values.insert(1, 5)
        values.insert(-100, 6)
        values.insert(100, 7)
        del values[2]
        del values[-1]
        values[1:3] = [8, 9]
        values[-1] = 10
        values.extend([11, 12, 13])
        values += [14]
        assert values.pop() == 14
        assert values.pop(0) == 6
        values.remove(8)
        values.reverse()
        del values[::2]
    assert list(ours) == plain
    assert len(ours) == len(plain)
    assert ours[1:] == plain[1:] and ours[::-1] == plain[::-1]
    assert list(reversed(ours)) == plain[::-1]
    assert plain[1] in ours and 99 not in ours
    assert ours.index(plain[1]) == 1 and ours.count(99) == 0
    ours.clear()
    assert len(ours) == 0 and list(ours) == []


def test_a_list_can_be_empty_and_still_grow():
    for layers in (nnx.List(), nnx.List([])):
        assert len(layers) == 0 and not layers
        layers.append(nnx.Param(jnp.ones(2)))
        assert len(jax.tree_util.tree_leaves(nc.state(layers))) == 1


def test_a_list_is_a_module():
    values = nnx.List([1])
    assert isinstance(values, nnx.Module)
    assert isinstance(values, nnx.Pytree)
    assert values == values


def test_a_bad_index_or_slice_of_a_list_changes_nothing():
    values = nnx.List([1, 2, 3])
    with pytest.raises(IndexError):
        values[3]
    with pytest.raises(IndexError):
        values[-4] = 0
    with pytest.raises(IndexError):
        del values[3]
    with pytest.raises(TypeError):
        values["0"]
    with pytest.raises(TypeError):
        values[0.0] = 1
    with pytest.raises(ValueError, match=r"[Ll]ength|2 elements"):
        values[0:2] = [1]
    with pytest.raises(TypeError):
        values[0:2] = 1
    assert list(values) == [1, 2, 3]


def test_a_list_of_eleven_keeps_its_order_in_a_state_and_in_a_merge():
    model = Stack(11)
    graphdef, state = nc.split(model)
    paths = [path for path in nc.to_flat_state(state) if path[-1] == "bias"]
    if nc.facts.behaviour("state-list-index-is-text").holds(flax_version):
        paths.sort(key=lambda path: int(path[1]))
    assert paths == [("layers", i, "bias") for i in range(11)]
    for index, layer in enumerate(model.layers):
        nc.set_value(nc.variables(layer)["bias",], jnp.full(2, float(index)))
    copy = nc.merge(graphdef, nc.state(model))
    assert type(copy.layers) is type(model.layers)
    biases = [nc.get_value(layer.bias) for layer in copy.layers]
    assert [float(bias[0]) for bias in biases] == list(range(11))
    nc.update(model, {"layers": {10: {"bias": jnp.zeros(2)}}})
    assert float(nc.get_value(model.layers[10].bias)[0]) == 0


def test_the_leaves_of_a_list_of_eleven_are_in_its_order():
    values = nnx.List([nnx.Param(jnp.full(2, float(i))) for i in range(11)])
    leaves = jax.tree_util.tree_leaves(values)
    if not ARE_PYTREES:
        assert leaves == [values]
    else:
        assert [float(leaf[0]) for leaf in leaves] == list(range(11))


def test_containers_are_pytrees_of_jax():
    first, second = linears(2)
    kernel = nc.get_value(first.kernel)
    for values in (
        nnx.List([first, second, nnx.relu, "name", None]),
        nnx.Dict(a=first, b=second, act=nnx.relu, name="name"),
        nnx.Sequential(first, nnx.relu, second),
    ):
        if not ARE_PYTREES:
            assert jax.tree_util.tree_leaves(values) == [values]
            continue
        assert len(jax.tree_util.tree_leaves(values)) == 4
        twice = jax.jit(lambda v: jax.tree_util.tree_map(lambda a: a * 2, v))(values)
        assert type(twice) is type(values)
        found = nc.to_flat_state(nc.state(twice, nnx.Param)).values()
        assert any(jnp.array_equal(nc.get_value(leaf), kernel * 2) for leaf in found)
        assert jnp.array_equal(nc.get_value(first.kernel), kernel)


def test_a_list_is_mapped_over_an_axis_of_its_arrays():
    values = nnx.List([nnx.Param(jnp.arange(3.0)), "static"])
    if not ARE_PYTREES:
        with pytest.raises(TypeError):
            jax.jit(lambda v: v)(values)
    else:
        total = jax.vmap(lambda v, x: nc.get_value(v[0]) + x)(values, jnp.ones(3))
        assert total.tolist() == [1, 2, 3]


def test_a_layer_that_is_appended_later_is_in_the_state():
    model = Stack(1)
    model.layers.append(linears(1)[0])
    model.layers.insert(0, linears(1)[0])
    model.layers.append(nnx.relu)
    assert len(jax.tree_util.tree_leaves(nc.state(model))) == 6
    copy = nc.merge(*nc.split(model))
    assert copy.layers[-1] is nnx.relu
    assert copy(jnp.ones((1, 2))).shape == (1, 2)


def test_a_list_moves_variables_and_static_values_without_copying_them():
    w, b = nnx.Param(jnp.ones(2)), nnx.BatchStat(jnp.zeros(2))
    values = nnx.List([w, b])
    values.reverse()
    values.insert(0, "name")
    assert values[0] == "name" and values[1] is b and values[2] is w
    assert list(nc.to_flat_state(nc.state(values, nnx.Param))) == [(2,)]
    del values[0]
    assert values[0] is b and len(values) == 2


def test_a_list_in_a_list_is_seen():
    values = nnx.List([nnx.List([nnx.Param(jnp.ones(2))]), nnx.Dict(a=linears(1)[0])])
    paths = set(nc.to_flat_state(nc.state(values)))
    assert paths == {(0, 0), (1, "a", "bias"), (1, "a", "kernel")}


def test_a_tied_element_of_a_list_stays_tied():
    (layer,) = linears(1)
    copy = nc.merge(*nc.split(nnx.List([layer, layer])))
    assert copy[0] is copy[1]


def test_a_list_takes_part_in_a_compiled_step():
    model = Stack(2)

    @nnx.jit
    def double(model):
        for layer in model.layers:
            variable = nc.variables(layer)["kernel",]
            nc.set_value(variable, nc.get_value(variable) * 2)

    before = nc.get_value(model.layers[1].kernel)
    double(model)
    assert jnp.allclose(nc.get_value(model.layers[1].kernel), before * 2)


def test_a_container_takes_part_in_nnx_transforms():
    model = nnx.Sequential(*linears(2))
    x = jnp.ones((1, 2))
    expected = model(x)
    assert jnp.allclose(nnx.jit(lambda model, x: model(x))(model, x), expected)
    grads = nnx.grad(lambda model: jnp.sum(model(x) ** 2))(model)
    assert len(jax.tree_util.tree_leaves(grads)) == 4

    @nnx.jit
    def halve(model):
        variable = nc.variables(model.layers[1])["kernel",]
        nc.set_value(variable, nc.get_value(variable) / 2)

    before = nc.get_value(model.layers[1].kernel)
    halve(model)
    assert jnp.allclose(nc.get_value(model.layers[1].kernel), before / 2)


def test_a_subclass_of_a_list_can_have_other_attributes():
    class Named(nnx.List):
        def __init__(self, name, values):
            super().__init__(values)
            self.name = name

    copy = nc.merge(*nc.split(Named("block", linears(2))))
    assert copy.name == "block" and len(copy) == 2


# -- Dict ---------------------------------------------------------------------------


def test_a_dict_answers_as_a_python_dict_does():
    ours, plain = nnx.Dict({"a": 1}, b=2), {"a": 1, "b": 2}
    for values in (ours, plain):
        values["c"] = 3
        values.update({"d": 4}, e=5)
        del values["a"]
        assert values.pop("b") == 2
        assert values.pop("z", None) is None
        assert values.setdefault("c", 9) == 3
        assert values.setdefault("f", 6) == 6
    assert dict(ours) == plain
    assert len(ours) == len(plain)
    assert list(ours) == list(plain)
    assert list(ours.items()) == list(plain.items())
    assert "c" in ours and "a" not in ours
    assert ours.get("a") is None and ours.get("a", 7) == 7
    assert ours.c == 3
    ours.clear()
    assert len(ours) == 0


def test_a_missing_key_of_a_dict_is_a_key_error():
    values = nnx.Dict(a=1)
    with pytest.raises(KeyError):
        values["b"]
    with pytest.raises(KeyError):
        del values["b"]
    with pytest.raises(KeyError):
        values.pop("b")


def test_a_dict_is_a_module_whose_elements_are_attributes():
    values = nnx.Dict([("a", linears(1)[0])])
    assert isinstance(values, nnx.Module)
    assert values.a is values["a"]
    values.b = linears(1)[0]
    assert set(values) == {"a", "b"}
    assert hash(values) == hash(values)
    assert set(nc.to_flat_state(nc.state(values))) == {
        ("a", "bias"), ("a", "kernel"), ("b", "bias"), ("b", "kernel"),
    }  # fmt: skip
    copy = nc.merge(*nc.split(values))
    assert set(copy) == {"a", "b"}


def test_a_dict_gives_the_variable_that_was_put_in():
    weight = nnx.Param(jnp.ones(2))
    assert nnx.Dict(w=weight)["w"] is weight


# -- Sequential ---------------------------------------------------------------------


def test_a_sequential_calls_its_layers_in_order():
    first, second = linears(2)
    model = nnx.Sequential(first, nnx.relu, second)
    x = jnp.ones((3, 2))
    assert jnp.array_equal(model(x), second(nnx.relu(first(x))))
    assert isinstance(model.layers, nnx.List)
    assert list(model) == [first, nnx.relu, second]
    assert model.layers[2] is second


def test_the_paths_of_a_sequential_are_those_of_the_newest():
    state = nc.state(nnx.Sequential(*linears(2)))
    assert set(nc.to_flat_state(state)) == {
        ("layers", 0, "bias"), ("layers", 0, "kernel"),
        ("layers", 1, "bias"), ("layers", 1, "kernel"),
    }  # fmt: skip


def test_a_sequential_hands_on_tuples_and_dicts_as_arguments():
    model = nnx.Sequential(
        lambda x: (x, x + 1), lambda a, b: {"c": a, "d": b}, lambda *, c, d: c * 10 + d
    )
    assert model(1) == 12


def test_a_sequential_gives_keyword_arguments_to_whom_takes_them():
    model = nnx.Sequential(
        lambda x, *, scale: x * scale, lambda x: x + 1, lambda x, scale=1: x * scale
    )
    assert model(2, scale=10, unknown=3) == 210
    assert nnx.Sequential(lambda x, **rest: (x, rest))(1, a=2) == (1, {"a": 2})


def test_a_sequential_refuses_an_argument_that_is_given_twice():
    model = nnx.Sequential(lambda x: {"a": x}, lambda *, a: a)
    with pytest.raises(TypeError):
        model(1, a=2)


def test_a_sequential_without_layers_hands_on_its_arguments():
    model = nnx.Sequential()
    assert model(12) == 12
    assert model(12, 23) == (12, 23)
    assert model() is None
    assert model(k=2) == {"k": 2}


def test_a_sequential_says_which_layer_cannot_be_called():
    with pytest.raises(TypeError, match="1"):
        nnx.Sequential(nnx.relu, 5)(jnp.ones(2))


def test_a_dropout_in_a_sequential_is_switched_by_eval():
    model = nnx.Sequential(linears(1)[0], nnx.BatchNorm(2, rngs=nnx.Rngs(0)))
    assert len(list(nc.iter_modules(model))) >= 4  # the List is one of them


def test_the_first_sequence_is_kept_with_a_warning():
    with pytest.warns(errors.RemovedNameWarning, match="nnx.Sequential"):
        sequence = nnx.Sequence
    model = sequence(linears(2))
    assert len(model) == 2 and model(jnp.ones((1, 2))).shape == (1, 2)
    assert len(jax.tree_util.tree_leaves(nc.state(model))) == 4


# -- as annotations ---------------------------------------------------------------


def test_containers_take_the_type_of_their_elements_at_run_time():
    class Layers(nnx.List[nnx.Linear]):
        pass

    (layer,) = linears(1)
    layers = Layers([layer])
    assert isinstance(layers, nnx.List) and list(layers) == [layer]
    assert set(nc.to_flat_state(nc.state(layers))) == {(0, "bias"), (0, "kernel")}
    assert nnx.List[nnx.Linear]([layer])[0] is layer
    assert nnx.Dict[nnx.Linear](a=layer)["a"] is layer
    assert nnx.TrainState[nnx.Linear] is not None


# -- both namespaces ----------------------------------------------------------------


def test_isinstance_is_true_across_both_namespaces():
    from nnx_compat.revisions import nnx as native

    made = {"Dict": {"a": 1}, "List": [1]}
    for name, value in made.items():
        if hasattr(native, name):
            ours, theirs = getattr(nnx, name), getattr(native, name)
            assert isinstance(ours(value), theirs) and issubclass(ours, theirs)
            assert isinstance(theirs(value), ours) and issubclass(theirs, ours)
            assert not isinstance(nnx.Linear(1, 1, rngs=nnx.Rngs(0)), ours)
    theirs = getattr(native, "Sequential", nnx.Sequential)
    if not hasattr(theirs, "__len__"):  # the first one was a List
        assert isinstance(theirs(), nnx.Sequential)
        assert isinstance(nnx.Sequential(), theirs)

    class Mine(nnx.Dict):
        pass

    assert isinstance(Mine(), nnx.Dict) and not isinstance(nnx.Dict(), Mine)


def test_a_container_has_one_class_however_it_is_reached():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        from nnx_compat.nnx import Dict, List, Sequential

    assert (Dict, List, Sequential) == (nnx.Dict, nnx.List, nnx.Sequential)
    assert facts.name("nnx.List").on(facts.releases()[-1].version)
