"""Functions over graphs, by their newest meaning, on every release."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nnx_compat as nc
from nnx_compat import errors, facts, nnx
from nnx_compat._nnx.graphlib._rewiring import rewired
from nnx_compat.revisions import nnx as native


def _older_than_parameter(name, parameter):
    return not facts.name(name).on(nc.flax_version, parameter)


def _older_than(name):
    return not facts.name(name).on(nc.flax_version)


class Block(nnx.Module):
    def __init__(self, rngs):
        self.a = nnx.Linear(2, 2, rngs=rngs)
        self.b = nnx.Linear(2, 2, rngs=rngs)
        self.n = 3


class Norm(nnx.Module):
    def __init__(self, rngs):
        self.linear = nnx.Linear(2, 3, rngs=rngs)
        self.norm = nnx.BatchNorm(3, rngs=rngs, use_running_average=False)

    def __call__(self, x):
        return self.norm(self.linear(x))


@pytest.fixture
def block(rngs):
    return Block(rngs)


def kernel(model):
    return nc.variables(model)["kernel",]


def tie(block):
    vars(block.b)["kernel"] = nc.variables(block)["a", "kernel"]


def same(one, other):
    a, b = nc.to_pure_dict(nc.state(one)), nc.to_pure_dict(nc.state(other))
    return jax.tree_util.tree_all(
        jax.tree_util.tree_map(lambda x, y: bool((x == y).all()), a, b)
    )


# -- split and merge ----------------------------------------------------------------


def test_split_and_merge_take_a_model_apart_and_put_it_together(rngs):
    model = Norm(rngs)
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)
    assert set(rest) == {"norm"} and set(params) == {"linear", "norm"}
    twin = nnx.merge(graphdef, params, rest)
    assert type(twin) is Norm and same(twin, model)


def test_graph_true_is_what_everything_does(block):
    assert type(nnx.merge(*nnx.split(block, graph=True))) is Block
    assert len(nnx.state(block, graph=True)) == 2
    assert nnx.merge(nnx.graphdef(block, graph=True), nnx.state(block)).n == 3
    assert dict(nnx.iter_modules(block, graph=True))[()] is block
    assert nnx.clone(block, graph=True).n == 3


def test_tree_mode_is_refused_where_there_is_none(block):
    if facts.name("nnx.split").on(nc.flax_version, "graph"):
        assert len(nnx.split(block, graph=False)) == 2
    else:
        for function in (nnx.split, nnx.state, nnx.clone, nnx.graphdef):
            with pytest.raises(errors.RefusedArgumentError, match="graph=False"):
                function(block, graph=False)


def test_two_filters_give_two_states(rngs):
    params, stats = nnx.state(Norm(rngs), nnx.Param, nnx.BatchStat)
    assert set(stats) == {"norm"} and "linear" in params
    assert len(nnx.variables(Norm(rngs), nnx.Param, nnx.BatchStat)) == 2


def test_a_merge_with_copy_shares_nothing_with_the_state(rngs):
    model = nnx.Linear(2, 3, rngs=rngs)
    graphdef, state = nnx.split(model)
    before = nc.to_pure_dict(state)["kernel"]
    twin = nnx.merge(graphdef, state, copy=True)
    nc.set_value(kernel(twin), jnp.zeros((2, 3)))
    assert (nc.to_pure_dict(state)["kernel"] == before).all()
    assert (nc.get_value(kernel(model)) == before).all()


def test_merge_needs_a_state(block):
    with pytest.raises(TypeError):
        nnx.merge(nnx.graphdef(block))


def test_merge_takes_recreate_variables(block):
    twin = nnx.merge(*nnx.split(block), recreate_variables=False)
    assert same(twin, block)


def test_merge_takes_nested_dicts_where_a_graphdef_knows_types(rngs):
    model = {"a": Norm(rngs)}
    graphdef, pure = nnx.graphdef(model), nc.to_pure_dict(nc.state(model))
    if _older_than("nnx.StateAxes"):
        with pytest.raises(errors.RefusedArgumentError, match="bare value for 'bias'"):
            nnx.merge(graphdef, pure)
    else:
        twin = nnx.merge(graphdef, pure)
        assert same(twin, model)
        kinds = {nc.variable_type(v) for v in nc.variables(twin).values()}
        assert kinds == {nnx.Param, nnx.BatchStat}


def test_update_takes_states_and_nested_dicts(block):
    zeros = nnx.map(lambda path, v: nc.get_value(v) * 0, block)
    nnx.update(block, nnx.state(zeros))
    assert same(block, zeros)
    mine = nc.variables(block)["a", "bias"]
    nnx.update(block, {"a": {"bias": jnp.ones(2)}})
    assert nc.variables(block)["a", "bias"] is mine
    assert nc.get_value(mine).tolist() == [1, 1]


def test_pop_takes_variables_out(rngs):
    model = Norm(rngs)
    assert set(nnx.pop(model, nnx.BatchStat)["norm"]) == {"mean", "var"}
    assert not nc.variables(model, nnx.BatchStat)


def test_a_clone_has_variables_of_its_own_around_the_same_arrays(block):
    twin = nnx.clone(block)
    for path, mine in nc.variables(block).items():
        other = nc.variables(twin)[path]
        assert other is not mine
        assert nc.get_value(other) is nc.get_value(mine)


def test_a_clone_may_share_the_variables(block):
    block.b = block.a
    twin = nnx.clone(block, variables=False)
    assert twin is not block and twin.a is not block.a and twin.b is twin.a
    mine, others = nc.variables(block), nc.variables(twin)
    assert all(others[path] is mine[path] for path in mine)
    nc.set_value(others["a", "bias"], jnp.ones(2))
    assert nc.get_value(mine["a", "bias"]).tolist() == [1, 1]


def test_a_clone_may_copy_the_arrays(rngs):
    model = nnx.Linear(2, 3, rngs=rngs)
    twin = nnx.clone(model, arrays=True)
    mine, other = nc.get_value(kernel(model)), nc.get_value(kernel(twin))
    assert mine is not other and (mine == other).all()
    assert mine.unsafe_buffer_pointer() != other.unsafe_buffer_pointer()
    with pytest.raises(ValueError, match="arrays"):
        nnx.clone(model, variables=False, arrays=True)


def test_call_runs_a_method_on_a_fresh_node_and_returns_its_state(rngs):
    pure = nnx.split({"model": Norm(rngs)})
    before = nc.to_pure_dict(pure[1])["model"]["norm"]["mean"]
    y, (graphdef, state) = nnx.call(pure)["model"](jnp.arange(6.0).reshape(3, 2))
    assert y.shape == (3, 3)
    after = nc.to_pure_dict(state)["model"]["norm"]["mean"]
    assert not np.allclose(before, after)
    (out, _) = nnx.call((graphdef, state))["model"].linear(jnp.ones(2))
    assert out.shape == (3,)


# -- a state with its graphdef ------------------------------------------------------


def test_unpack_gives_a_state_that_merges_by_itself(rngs):
    model = Norm(rngs)
    whole = nnx.unpack(model)
    assert isinstance(whole, nnx.GraphState) and set(whole) == {"linear", "norm"}
    assert same(nnx.merge(whole), model)
    params, rest = nnx.unpack(model, nnx.Param, ...)
    assert same(nnx.merge(params, rest), model)


def test_a_graph_state_is_a_pytree_and_goes_through_jit(rngs):
    model = nnx.Linear(2, 3, rngs=rngs)
    doubled = jax.tree_util.tree_map(lambda x: 2 * x, nnx.unpack(model))
    wanted = 2 * nc.get_value(kernel(model))
    assert (nc.get_value(kernel(nnx.merge(doubled))) == wanted).all()
    run = jax.jit(lambda state, x: nnx.merge(state)(x))
    x = jnp.ones(2)
    assert jnp.allclose(run(nnx.unpack(model), x), model(x), atol=1e-6)


def test_graph_states_of_two_models_do_not_merge(rngs):
    one, other = nnx.unpack(nnx.Linear(2, 3, rngs=rngs)), nnx.unpack(Block(rngs))
    with pytest.raises(ValueError, match="GraphDef must be the same|different models"):
        nnx.merge(one, other)
    with pytest.raises(ValueError, match="State"):
        nnx.GraphState(nnx.graphdef(Block(rngs)), {})


# -- walking ------------------------------------------------------------------------


def test_modules_are_visited_children_first(block):
    found = [(path, type(m).__name__) for path, m in nnx.iter_modules(block)]
    assert found == [(("a",), "Linear"), (("b",), "Linear"), ((), "Block")]


def test_every_variable_is_visited_once(block):
    tie(block)
    found = [v for _, v in nnx.iter_graph(block) if isinstance(v, nnx.Param)]
    assert len(found) == len({id(v) for v in found}) == 3


def test_children_are_objects_and_variables(block):
    assert [key for key, _ in nnx.iter_children(block)] == ["a", "b"]
    assert [key for key, _ in nnx.iter_children(block.a)] == ["bias", "kernel"]
    assert [key for key, _ in nnx.iter_module_children(block)] == ["a", "b"]
    assert not list(nnx.iter_module_children(block.a))
    assert [key for key, _ in nnx.iter_module_children([block, block.a])] == [0, 1]
    for function in (nnx.iter_children, nnx.iter_module_children):
        with pytest.raises(ValueError, match="graph node"):
            list(function(1))


def test_duplicates_are_found_by_path(block):
    assert nnx.find_duplicates(block) == []
    tie(block)
    assert nnx.find_duplicates(block) == [[("a", "kernel"), ("b", "kernel")]]
    assert nnx.find_duplicates(block, only=nnx.BatchStat) == []
    block.b = block.a
    assert nnx.find_duplicates(block) == [[("a",), ("b",)]]


# -- mapping ------------------------------------------------------------------------


def test_map_makes_a_new_model_and_leaves_the_old_one(block):
    seen = []

    def zero(path, variable):
        seen.append(path)
        return nc.get_value(variable) * 0

    new = nnx.map(zero, block)
    assert sorted(seen) == [(m, v) for m in "ab" for v in ("bias", "kernel")]
    assert not nc.get_value(nc.variables(new)["a", "kernel"]).any()
    assert nc.get_value(nc.variables(block)["a", "kernel"]).any()
    assert nc.variable_type(nc.variables(new)["a", "kernel"]) is nnx.Param


def test_map_keeps_ties(block):
    block.b = block.a
    new = nnx.map(lambda path, v: nc.get_value(v) + 1, block)
    assert new.a is new.b and new.a is not block.a


def test_recursive_map_replaces_children_from_the_inside_out(block):
    order = []

    def swap(path, value):
        if isinstance(value, nnx.Module):
            order.append(path)
        return nnx.Dropout(0.5) if path == ("b",) else value

    new = nnx.recursive_map(swap, block)
    assert order == [("a",), ("b",), ()]
    assert isinstance(new.b, nnx.Dropout) and isinstance(block.b, nnx.Linear)
    assert nc.variables(new)["a", "kernel"] is nc.variables(block)["a", "kernel"]


def test_recursive_map_maps_a_shared_module_once(block):
    block.b = block.a
    new = nnx.recursive_map(lambda path, value: value, block)
    assert new.a is new.b


def test_metadata_are_set_in_place(rngs):
    model = Norm(rngs)
    nnx.set_metadata(model, only=nnx.BatchStat, frozen=True)
    found = {p: nc.get_metadata(v) for p, v in nc.variables(model).items()}
    assert found["norm", "mean"]["frozen"] is True
    assert "frozen" not in found["linear", "kernel"]


def test_with_vars_makes_a_node_around_the_same_variables(block):
    new = nnx.with_vars(block, hijax=False)
    assert new is not block and same(new, block)
    if not hasattr(native, "vars_as"):
        with pytest.raises(errors.RefusedArgumentError, match="ref=True"):
            nnx.with_vars(block, ref=True)


def test_as_pure_leaves_the_values(rngs):
    model = nnx.Linear(2, 3, rngs=rngs)
    pure = nnx.as_pure(nnx.state(model))
    assert pure["kernel"] is nc.get_value(kernel(model))
    assert nnx.as_pure([1, {"a": nnx.Param(2)}]) == [1, {"a": 2}]


def test_a_node_is_rewired_around_what_stays(block):
    other = nnx.Linear(2, 2, rngs=nnx.Rngs(1))
    tree = {"block": block, "same": (1, 2), "pair": (block.a, block.b)}
    made = rewired(tree, standing={id(block.a): other})
    assert made["block"].a is other and made["pair"][0] is other
    assert made["block"].b is made["pair"][1] is not block.b
    assert made["same"] is tree["same"] and tree["block"].a is not other
    mine = nc.variables(block)
    assert nc.variables(made["block"])["b", "kernel"] is mine["b", "kernel"]


def test_nodes_that_share_are_rewired_together(block):
    known = {}
    one, other = (rewired([block], standing=known) for _ in range(2))
    assert one is not other and one[0] is other[0] is not block


def test_a_node_in_a_cycle_is_rewired_once(block):
    block.a.parent = block
    made = rewired(block)
    assert made.a.parent is made is not block


def test_a_rewired_node_can_be_changed_inside_a_transform(block):
    def count(x):
        made = rewired(block)
        made.n = 4
        return x * made.n

    assert jax.jit(count)(2) == 8


# -- flat form, transforms ----------------------------------------------------------


flat_states = pytest.mark.skipif(
    _older_than("nnx.filter_state"), reason="flat states are dicts there"
)


@pytest.mark.skipif(
    not _older_than("nnx.filter_state"), reason="flat states can be had there"
)
@pytest.mark.parametrize("name", ["flatten", "unflatten"])
def test_flatten_and_unflatten_are_refused_where_flat_states_are_dicts(name):
    with pytest.raises(errors.RefusedNameError, match="flat states"):
        getattr(nnx, name)


@flat_states
def test_flatten_and_unflatten_are_inverse(block):
    graphdef, flat = nnx.flatten(block, graph=True)
    assert next(path for path, _ in flat) == ("a", "bias")
    assert all(isinstance(leaf, nnx.Param) for _, leaf in flat)
    assert same(nnx.unflatten(graphdef, flat, recreate_variables=True), block)
    graphdef, leaves = nnx.flatten(block, with_paths=False)
    assert same(nnx.unflatten(graphdef, leaves, copy_variables=True), block)


def test_prefix_is_refused_where_no_transform_takes_it():
    if _older_than("nnx.prefix"):
        with pytest.raises(errors.RefusedNameError, match="StateAxes"):
            nnx.prefix
    else:
        assert callable(nnx.prefix)


def test_variables_are_those_of_the_model(rngs):
    model = nnx.Linear(2, 3, rngs=rngs)
    assert nnx.variables(model, nnx.Param).raw_mapping["bias"] is vars(model)["bias"]


def test_graph_mode_and_updates_can_be_asked_for():
    for setting in (nnx.set_graph_mode, nnx.set_graph_updates):
        assert setting.current_value() is True
        with setting(True):
            assert setting.current_value() is True
        assert setting(True)(lambda: 1)() == 1


@pytest.mark.skipif(
    not _older_than("nnx.set_graph_mode")
    or _older_than_parameter("nnx.split", "graph"),
    reason="the mode is a setting there, or graph mode is all there is",
)
def test_the_mode_is_no_setting_where_it_is_an_argument():
    with pytest.raises(errors.RefusedArgumentError, match="by argument"):
        nnx.set_graph_mode(False)


@pytest.mark.skipif(
    not _older_than_parameter("nnx.split", "graph"), reason="it has a tree mode too"
)
def test_without_graph_mode_nothing_is_done_where_it_is_all_there_is(block):
    @nnx.set_graph_mode(False)
    def inside():
        assert nnx.set_graph_mode.current_value() is False
        for function in (nnx.split, nnx.clone, nnx.unpack, nnx.iter_modules):
            with pytest.raises(errors.RefusedArgumentError, match="graph=False"):
                function(block)
        assert len(nnx.split(block, graph=True)) == 2

    inside()
    with nnx.set_graph_updates(False):
        assert nnx.set_graph_updates.current_value() is False
    assert nnx.set_graph_mode.current_value() is True
    assert len(nnx.split(block)) == 2


def test_names_that_need_indices_of_nodes_are_refused_before_they_came():
    for name in ("split_context", "merge_context", "update_context", "to_tree"):
        if _older_than(f"nnx.{name}"):
            with pytest.raises(errors.RefusedNameError, match=name):
                getattr(nnx, name)
        else:
            assert callable(getattr(nnx, name))


@pytest.mark.skipif(_older_than("nnx.merge_context"), reason="refused, see above")
def test_two_nodes_that_share_are_split_and_merged_in_contexts(rngs):
    model = nnx.Linear(2, 3, rngs=rngs)
    with nnx.update_context("test"):
        with nnx.split_context("test") as context:
            parts = context.split((model, model))
        with nnx.merge_context("test", True) as context:
            one, other = context.merge(*parts)
        assert one is other and one is not model
        one.extra = 5
        with nnx.split_context("test") as context:
            parts = context.split((one, other))
        with nnx.merge_context("test", inner=False) as context:
            one, other = context.merge(*parts)
    assert one is other is model and model.extra == 5


# -- abstract models ----------------------------------------------------------------


def test_an_abstract_model_has_shapes_and_shardings(rngs):
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("data",))
    graphdef, state = nnx.get_abstract_model(lambda: Block(nnx.Rngs(0)), mesh)
    leaves = jax.tree_util.tree_leaves(state)
    assert all(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in leaves)
    assert all(leaf.sharding.mesh == mesh for leaf in leaves)
    assert same(nnx.merge(graphdef, nc.state(Block(rngs))), Block(nnx.Rngs(0)))


def test_variables_without_annotation_stay_as_they_are(block):
    new = nnx.as_abstract(block)
    assert same(new, block)
