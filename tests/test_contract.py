"""The contract of split, merge, state, clone, update and pop on every kind of node."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest

import nnx_compat as nc
from nnx_compat import facts
from nnx_compat.revisions import nnx
from nnx_compat.revisions.graphdefs import leaf_paths

from .models import (
    CALLED,
    NODES,
    TRAINED,
    Bare,
    Block,
    Counter,
    Custom,
    Dropped,
    Nested,
    Shared,
    X,
    snapshot,
)

each_node = pytest.mark.parametrize("kind", NODES)


def touch_all(node):
    """Change every Variable of a node, by hand and by running it."""
    if isinstance(node, nnx.Module) and callable(node):
        node(X)
    for variable in nc.variables(node).values():
        value = nc.get_value(variable)
        if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
            nc.set_value(variable, jax.random.key(99))
        else:
            nc.set_value(variable, value + 7)


def touch_state(state):
    for leaf in nc.to_flat_state(state).values():
        value = nc.get_value(leaf)
        if not jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
            nc.set_value(leaf, value - 5)


@each_node
def test_merge_after_split_is_identity(kind):
    node = NODES[kind]()
    again = nc.merge(*nc.split(node))
    assert type(again) is type(node)
    assert snapshot(again) == snapshot(node)


@each_node
def test_the_state_of_a_merged_node_is_the_state(kind):
    graphdef, state = nc.split(NODES[kind]())
    again = nc.state(nc.merge(graphdef, state))
    assert snapshot(again) == snapshot(state)
    assert jax.tree_util.tree_structure(again) == jax.tree_util.tree_structure(state)


@each_node
def test_changing_the_node_never_shows_in_its_state(kind):
    node = NODES[kind]()
    _, state = nc.split(node)
    taken, other = nc.state(node), snapshot(state)
    touch_all(node)
    assert snapshot(state) == other
    assert snapshot(taken) == other


@each_node
def test_changing_a_state_never_shows_in_the_node(kind):
    node = NODES[kind]()
    _, state = nc.split(node)
    before = snapshot(node)
    touch_state(state)
    assert snapshot(node) == before


@each_node
def test_changing_a_merged_node_shows_nowhere(kind):
    node = NODES[kind]()
    graphdef, state = nc.split(node)
    first, second = nc.merge(graphdef, state), nc.merge(graphdef, state)
    before = [snapshot(n) for n in (node, state, second)]
    touch_all(first)
    assert [snapshot(n) for n in (node, state, second)] == before


@each_node
def test_changing_a_state_never_shows_in_a_merged_node(kind):
    graphdef, state = nc.split(NODES[kind]())
    merged = nc.merge(graphdef, state)
    before = snapshot(merged)
    touch_state(state)
    assert snapshot(merged) == before


@each_node
def test_a_clone_is_a_node_of_its_own(kind):
    node = NODES[kind]()
    copy = nc.clone(node)
    before = snapshot(node)
    assert snapshot(copy) == before
    touch_all(copy)
    assert snapshot(node) == before
    held, copied = ({id(v) for v in nc.variables(n).values()} for n in (node, copy))
    assert not held & copied


@each_node
def test_arrays_are_shared_and_never_copied(kind):
    node = NODES[kind]()
    held = [id(nc.get_value(v)) for v in nc.variables(node).values()]
    if kind != "variable":
        assert [id(a) for a in jax.tree_util.tree_leaves(nc.state(node))] == held
    assert [id(nc.get_value(v)) for v in nc.variables(nc.clone(node)).values()] == held


@pytest.mark.parametrize("kind", sorted(CALLED))
def test_merged_twice_from_one_state_both_compute_the_same(kind):
    graphdef, state = nc.split(NODES[kind]())
    first = nc.merge(graphdef, state)(X)
    assert (first == nc.merge(graphdef, state)(X)).all()


@pytest.mark.parametrize("kind", sorted(TRAINED))
def test_running_a_merged_node_in_training_never_changes_the_original(kind):
    node = NODES[kind]()
    graphdef, state = nc.split(node)
    before = snapshot(node), snapshot(state)
    merged = nc.merge(graphdef, state)
    merged(X)
    assert (snapshot(node), snapshot(state)) == before
    assert snapshot(merged) != snapshot(node), "the model does not change when it runs"


@pytest.mark.parametrize("kind", [kind for kind in NODES if kind != "variable"])
def test_leaves_come_in_the_order_of_their_paths(kind):
    node = NODES[kind]()
    state = nc.state(node)
    paths = list(nc.to_flat_state(state))
    assert paths == sorted(paths)
    leaves = [nc.get_value(leaf) for leaf in nc.to_flat_state(state).values()]
    assert [id(a) for a in leaves] == [id(a) for a in jax.tree_util.tree_leaves(state)]
    assert list(nc.variables(node)) == paths


def test_split_gives_the_graphdef_first_and_a_state_per_filter():
    node = NODES["dropout"]()
    graphdef, params, stats, rest = nc.split(node, nnx.Param, nnx.BatchStat, ...)
    assert jax.tree_util.tree_leaves(graphdef) == []
    assert set(nc.to_flat_state(params)) == {("norm", "bias"), ("norm", "scale")}
    assert set(nc.to_flat_state(stats)) == {("norm", "mean"), ("norm", "var")}
    merged = nc.merge(graphdef, params, stats, rest)
    assert snapshot(merged) == snapshot(node)


def test_state_takes_filters_and_leaves_out_the_rest():
    node = NODES["nested"]()
    stats, params = nc.state(node, nnx.BatchStat, nnx.Param)
    assert len(nc.to_flat_state(stats)) == 4
    assert len(nc.to_flat_state(params)) == 8
    only = nc.state(node, nnx.BatchStat)
    assert snapshot(only) == snapshot(stats)


def test_filters_mean_the_same_on_every_release():
    node = NODES["nested"]()
    seen = []

    def is_bias(path, leaf):
        seen.append((path, nc.variable_type(leaf)))
        return path[-1] == "bias"

    biases, rest = nc.split(node, is_bias, ...)[1:]
    assert {p[-1] for p in nc.to_flat_state(biases)} == {"bias"}
    assert (("first", "linear", "kernel"), nnx.Param) in seen
    some = nc.state(node, [nnx.BatchStat, is_bias])
    assert len(nc.to_flat_state(some)) == 8
    assert not nc.to_flat_state(nc.state(node, None))
    assert len(nc.to_flat_state(nc.state(node, True))) == 12


def test_filters_that_leave_something_over_are_an_error_that_names_it():
    with pytest.raises(ValueError, match=r"leave 2 leaves over: mean, var"):
        nc.split(nnx.BatchNorm(3, rngs=nnx.Rngs(0)), nnx.Param)
    with pytest.raises(ValueError, match="is not the last"):
        nc.split(nnx.BatchNorm(3, rngs=nnx.Rngs(0)), ..., nnx.Param)


def test_the_graphdef_can_leave_and_enter_a_jitted_function():
    node = NODES["nested"]()
    graphdef, state = nc.split(node)
    same, doubled = jax.jit(
        lambda g, s: (g, jax.tree_util.tree_map(lambda a: 2 * a, s))
    )(graphdef, state)
    merged = nc.merge(same, doubled)
    value = nc.get_value(nc.variables(merged)["first", "linear", "kernel"])
    expected = 2 * nc.get_value(nc.variables(node)["first", "linear", "kernel"])
    assert (value == expected).all()


def test_ties_survive_split_and_merge():
    node = Shared(nnx.Rngs(0))
    assert len(nc.variables(node)) == 3
    merged = nc.merge(*nc.split(node))
    assert merged.again is merged.a
    kernels = [vars(merged.a)["kernel"], vars(merged.b)["kernel"]]
    assert kernels[0] is kernels[1]
    assert vars(nc.clone(node).b)["kernel"] is not vars(node.b)["kernel"]


def test_custom_variables_keep_their_class_and_metadata():
    node = Bare()
    graphdef, state = nc.split(node)
    leaf = nc.to_flat_state(state)["w",]
    assert nc.variable_type(leaf) is Custom
    assert nc.get_metadata(leaf) == {"unit": "m"}
    mapped = jax.tree_util.tree_map(lambda a: a + 1, state)
    back = nc.variables(nc.merge(graphdef, mapped))["w",]
    assert type(back) is Custom
    assert nc.get_metadata(back) == {"unit": "m"}
    assert nc.get_value(back).tolist() == [1, 2, 3]


def can_make(kind):
    """Whether this Flax, with this jax, makes a Variable that jax itself may mutate."""
    named = kind if kind != "ref" else "hijax"  # one is an argument, both are metadata
    if not nc.supports("nnx.Variable", named):
        return False
    try:
        Custom(jnp.arange(3.0), **{kind: True})
    except AttributeError:  # Flax asks an older jax for what it does not have yet
        return False
    return True


KINDS = (
    ("hijax", "ref") if nc.supports("nnx.Variable", "hijax") else ("mutable", "use_ref")
)
MUTATED = [kind for kind in KINDS if can_make(kind)]

if MUTATED:  # and nothing to ask where they are not

    @pytest.mark.parametrize("kind", MUTATED)
    def test_variables_that_jax_mutates_are_detached_too(kind):
        node = Bare()
        node.w = Custom(jnp.arange(3.0), **{kind: True})
        graphdef, state = nc.split(node)
        merged = nc.merge(graphdef, state)
        nc.set_value(nc.variables(merged)["w",], jnp.zeros(3))
        nc.set_value(nc.variables(nc.clone(node))["w",], jnp.zeros(3))
        assert nc.get_value(node.w).tolist() == [0, 1, 2]
        assert nc.get_value(nc.to_flat_state(state)["w",]).tolist() == [0, 1, 2]
        nc.set_value(nc.variables(node)["w",], jnp.ones(3))
        assert nc.get_value(nc.to_flat_state(state)["w",]).tolist() == [0, 1, 2]

    @pytest.mark.parametrize("kind", MUTATED)
    def test_variables_that_jax_mutates_are_scaled_and_not_compiled(kind):
        node = Bare()
        node.w = Custom(jnp.arange(3.0), **{kind: True})
        scaled = nc.pure.scale(node, 2.0)
        assert nc.get_value(scaled.w).tolist() == [0, 2, 4]
        nc.set_value(nc.variables(scaled)["w",], jnp.ones(3))
        assert nc.get_value(node.w).tolist() == [0, 1, 2]
        with pytest.raises(TypeError, match="0/w holds an? .*which jax itself mutates"):
            nc.compile_step(lambda node: None, node)


def test_metadata_set_on_a_merged_node_stay_there():
    node = Bare()
    _, state = nc.split(node)
    merged = nc.merge(nc.graphdef(node), state)
    nc.set_metadata(nc.variables(merged)["w",], unit="cm")
    assert nc.get_metadata(nc.variables(node)["w",]) == {"unit": "m"}
    assert nc.get_metadata(nc.to_flat_state(state)["w",]) == {"unit": "m"}


def test_an_abstract_model_splits_and_merges():
    graphdef, state = jax.eval_shape(lambda: nc.split(Nested(nnx.Rngs(0))))
    abstract = nc.merge(graphdef, state)
    values = [nc.get_value(v) for v in nc.variables(abstract).values()]
    assert all(isinstance(v, jax.ShapeDtypeStruct) for v in values)
    _, again = nc.split(abstract)
    concrete = nc.state(Nested(nnx.Rngs(0)))
    filled = nc.from_pure_dict(again, nc.to_pure_dict(concrete))
    assert snapshot(nc.merge(graphdef, filled)) == snapshot(concrete)


def test_an_empty_module_has_an_empty_state():
    graphdef, state = nc.split(NODES["empty"]())
    assert nc.to_flat_state(state) == {}
    assert nc.merge(graphdef, state).size == 3


def test_what_cannot_be_split_is_refused_with_a_way_out():
    for look in (nc.split, nc.state, nc.clone, nc.variables):
        with pytest.raises(TypeError, match=r"Linear is a class.*\n.*Linear\(\.\.\., "):
            look(nnx.Linear)
    with pytest.raises(TypeError, match=r"an array is not a node.*\n.*instead: a Mod"):
        nc.split(jnp.ones(3))
    if "variable" not in NODES:
        with pytest.raises(TypeError, match=r"bare Param.*\n.*split\(\(variable,\)\)"):
            nc.split(nnx.Param(1.0))


@pytest.mark.parametrize("met", [False, True])
def test_merge_names_the_leaves_that_are_missing_or_left_over(met):
    graphdef, state = nc.split((Nested(nnx.Rngs(0)), {"k": Block(3, nnx.Rngs(1))}))
    if met:
        for _ in range(3):
            nc.merge(graphdef, state)
    flat = nc.to_flat_state(state)
    lost, *rest = flat
    given = {path: flat[path] for path in rest} | {(9, "such"): flat[lost]}
    with pytest.raises(ValueError, match="merge: 2 of the leaves do not fit") as caught:
        nc.merge(graphdef, nc.from_flat_state(given))
    said = str(caught.value)
    assert f"    {'/'.join(map(str, lost))}: missing\n" in said
    assert "    9/such: not in the graphdef\n" in said
    assert len(nc.to_flat_state(nc.state(nc.merge(graphdef, state)))) == len(flat)


@pytest.mark.parametrize("kind", NODES)
def test_the_graphdef_tells_the_paths_of_its_leaves(kind):
    graphdef, state = nc.split(NODES[kind]())
    told = sorted(tuple(map(str, path)) for path in leaf_paths(graphdef))
    assert told == sorted(tuple(map(str, p)) for p in nc.to_flat_state(state))


def test_merge_takes_its_arguments_in_one_order_and_of_one_kind():
    graphdef, state = nc.split(Nested(nnx.Rngs(0)))
    values = nc.to_pure_dict(state)
    with pytest.raises(TypeError, match="given a State for a graphdef"):
        nc.merge(state, graphdef)
    with pytest.raises(TypeError, match="given a NoneType for a state"):
        nc.merge(graphdef, None)
    if facts.behaviour("merge-takes-plain-dicts").holds(nc.flax_version):
        assert len(nc.variables(nc.merge(graphdef, values))) == len(
            nc.to_flat_state(state)
        )
    else:
        with pytest.raises(TypeError, match=r"merges States alone.*\n.*from_pure_dict"):
            nc.merge(graphdef, values)


# -- under transformations ----------------------------------------------------------


def make_step(graphdef):
    def loss(params, rest, x):
        model = nc.merge(graphdef, params, rest)
        return (model(x) ** 2).mean(), nc.state(model, nnx.BatchStat)

    return loss


@pytest.mark.parametrize("jit", [False, True])
def test_grad_may_close_over_the_rest_and_train_batchnorm(jit):
    node = Nested(nnx.Rngs(0))
    graphdef, params, rest = nc.split(node, nnx.Param, ...)
    before = snapshot(rest)

    def loss(params):
        return make_step(graphdef)(params, rest, X)

    grad = jax.grad(loss, has_aux=True)
    grads, stats = (jax.jit(grad) if jit else grad)(params)
    assert set(nc.to_flat_state(grads)) == set(nc.to_flat_state(params))
    assert snapshot(rest) == before
    assert snapshot(stats) != before
    assert all(jnp.isfinite(g).all() for g in jax.tree_util.tree_leaves((grads, stats)))


@pytest.mark.parametrize("jit", [False, True])
def test_grad_may_take_the_rest_as_an_argument(jit):
    node = Block(3, nnx.Rngs(0))
    graphdef, params, rest = nc.split(node, nnx.Param, ...)
    grad = jax.grad(make_step(graphdef), has_aux=True)
    grads, _ = (jax.jit(grad) if jit else grad)(params, rest, X)
    assert snapshot(node) == snapshot(nc.merge(graphdef, params, rest))
    assert len(jax.tree_util.tree_leaves(grads)) == 4


def test_vmap_may_close_over_a_state_and_mutate():
    graphdef, state = nc.split(Dropped(nnx.Rngs(0, dropout=1)))
    before = snapshot(state)
    out = jax.vmap(lambda x: nc.merge(graphdef, state)(x))(jnp.stack([X, X + 1]))
    assert out.shape == (2, 4, 3)
    assert snapshot(state) == before


def test_jit_may_close_over_a_state_and_mutate():
    graphdef, state = nc.split(Counter())

    @jax.jit
    def run(x):
        model = nc.merge(graphdef, state)
        model(x)
        model(x)
        return nc.to_pure_dict(nc.state(model))["count"]

    assert int(run(X)) == 2
    assert int(run(X)) == 2
    assert snapshot(state)["count",][2] == 0


def test_jit_may_clone_and_mutate_a_model_from_outside():
    node = Counter()

    @jax.jit
    def run(x):
        model = nc.clone(node)
        model(x)
        return nc.get_value(nc.variables(model)["count",])

    assert int(run(X)) == 1
    assert snapshot(node)["count",][2] == 0


def test_a_model_may_be_split_inside_a_jitted_function():
    node = Nested(nnx.Rngs(0))

    @jax.jit
    def total(x):
        graphdef, state = nc.split(node)
        halved = jax.tree_util.tree_map(lambda a: a / 2, state)
        return nc.merge(graphdef, halved)(x).sum()

    assert jnp.isfinite(total(X))


def test_a_state_may_be_the_carry_of_a_scan():
    graphdef, state = nc.split(Counter())

    def body(state, _):
        model = nc.merge(graphdef, state)
        model(X)
        return nc.state(model), None

    last, _ = jax.lax.scan(body, state, None, length=5)
    assert snapshot(last)["count",][2] == 5
    assert snapshot(state)["count",][2] == 0


def test_twenty_sgd_steps_give_the_losses_of_every_release():
    """Weights set by hand; the losses were computed with numpy in float64."""
    node = Block(3, nnx.Rngs(0))
    ramp = jnp.arange(9.0).reshape(3, 3)
    nc.update(
        node,
        {
            "linear": {"kernel": jnp.cos(ramp), "bias": jnp.sin(ramp[0])},
            "norm": {"scale": jnp.ones(3), "bias": jnp.zeros(3)},
        },
    )
    graphdef, params, rest = nc.split(node, nnx.Param, ...)
    target = jnp.sin(jnp.arange(12.0)).reshape(4, 3)

    @jax.jit
    def step(params, rest):
        def loss(params):
            model = nc.merge(graphdef, params, rest)
            return ((model(X) - target) ** 2).mean(), nc.state(model, nnx.BatchStat)

        (value, rest_), grads = jax.value_and_grad(loss, has_aux=True)(params)
        new = jax.tree_util.tree_map(lambda p, g: p - 0.1 * g, params, grads)
        return new, rest_, value

    losses = []
    for _ in range(20):
        params, rest, value = step(params, rest)
        losses.append(float(value))
    assert losses == pytest.approx(reference_losses(), rel=1e-5)


def reference_losses():
    """The same 20 steps in plain numpy: Linear, BatchNorm in training, mean square."""
    import numpy as np

    ramp = np.arange(9.0).reshape(3, 3)
    kernel, bias, scale, shift = np.cos(ramp), np.sin(ramp[0]), np.ones(3), np.zeros(3)
    x = np.arange(12.0).reshape(4, 3) / 10
    target = np.sin(np.arange(12.0)).reshape(4, 3)
    losses = []
    for _ in range(20):
        hidden = x @ kernel + bias
        mean, var = hidden.mean(0), hidden.var(0)
        inverse = 1 / np.sqrt(var + 1e-5)
        normed = (hidden - mean) * inverse
        error = normed * scale + shift - target
        losses.append((error**2).mean())
        d_out = 2 * error / error.size
        d_normed = d_out * scale
        d_hidden = inverse * (
            d_normed - d_normed.mean(0) - normed * (d_normed * normed).mean(0)
        )
        kernel = kernel - 0.1 * x.T @ d_hidden
        bias = bias - 0.1 * d_hidden.sum(0)
        scale, shift = (
            scale - 0.1 * (d_out * normed).sum(0),
            shift - 0.1 * d_out.sum(0),
        )
    return losses


# -- update and pop -----------------------------------------------------------------


def test_update_keeps_the_identity_of_variables():
    node = Nested(nnx.Rngs(0))
    before = {p: id(v) for p, v in nc.variables(node).items()}
    new = jax.tree_util.tree_map(lambda a: a + 1, nc.state(node))
    nc.update(node, new)
    assert {p: id(v) for p, v in nc.variables(node).items()} == before
    assert snapshot(node) == snapshot(new)


def test_an_updated_node_shares_nothing_with_the_state():
    node = Counter()
    state = nc.state(node)
    nc.update(node, state)
    node(X)
    assert snapshot(state)["count",][2] == 0


def test_update_takes_nested_dicts_states_and_several():
    node = Nested(nnx.Rngs(0))
    nc.update(node, {"first": {"linear": {"bias": jnp.ones(3)}}})
    nc.update(
        node,
        nc.from_flat_state({}),
        {"second": {"linear": {"bias": jnp.full(3, 4.0)}}},
        {"second": {"linear": {"bias": jnp.full(3, 5.0)}}},
    )
    taken = snapshot(node)
    assert taken["first", "linear", "bias"][2] == [1, 1, 1]
    assert taken["second", "linear", "bias"][2] == [5, 5, 5]


def test_update_accepts_list_indices_as_strings():
    node = [nnx.Linear(2, 2, rngs=nnx.Rngs(0)), nnx.Linear(2, 2, rngs=nnx.Rngs(1))]
    nc.update(node, {"1": {"bias": jnp.ones(2)}})
    assert snapshot(node)[1, "bias"][2] == [1, 1]
    nc.update(node, {0: {"bias": jnp.full(2, 3.0)}})
    assert snapshot(node)[0, "bias"][2] == [3, 3]


def test_update_refuses_what_does_not_fit_and_changes_nothing():
    node = Nested(nnx.Rngs(0))
    before = snapshot(node)
    bad = {
        "first": {"linear": {"bias": jnp.ones(3), "kernel": jnp.ones((3, 4))}},
        "third": {"w": jnp.ones(1)},
    }
    with pytest.raises(nc.errors.StateStructureError) as raised:
        nc.update(node, bad)
    text = str(raised.value)
    assert "first/linear/kernel: shape was (3, 3), is (3, 4)" in text
    assert "third/w: not in the template" in text
    assert "instead:" in text
    assert isinstance(raised.value, ValueError)
    assert snapshot(node) == before


def test_update_refuses_a_leaf_of_another_variable_type():
    node = nnx.BatchNorm(3, rngs=nnx.Rngs(0))
    state = nc.to_flat_state(nc.state(node))
    wrong = nc.from_flat_state({("scale",): state["mean",]})
    with pytest.raises(ValueError, match="scale: type was Param, is BatchStat"):
        nc.update(node, wrong)


def test_update_changes_a_dtype_when_asked():
    node = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    nc.update(node, {"bias": jnp.ones(2, jnp.bfloat16)})
    assert nc.get_value(nc.variables(node)["bias",]).dtype == jnp.bfloat16


def test_update_works_on_the_node_of_a_jitted_function():
    graphdef, state = nc.split(Nested(nnx.Rngs(0)))

    @jax.jit
    def run(state, bias):
        model = nc.merge(graphdef, state)
        nc.update(model, {"first": {"linear": {"bias": bias}}})
        return nc.state(model)

    new = run(state, jnp.full(3, 9.0))
    assert snapshot(new)["first", "linear", "bias"][2] == [9, 9, 9]


def test_pop_takes_variables_out_and_detaches_them():
    node = Nested(nnx.Rngs(0))
    live = nc.variables(node)["first", "norm", "mean"]
    stats = nc.pop(node, nnx.BatchStat)
    assert len(nc.to_flat_state(stats)) == 4
    assert len(nc.variables(node)) == 8
    before = snapshot(stats)
    nc.set_value(live, jnp.full(3, 42.0))
    assert snapshot(stats) == before


def test_pop_by_several_filters_gives_several_states():
    node = Nested(nnx.Rngs(0))
    biases, stats = nc.pop(node, lambda path, _: path[-1] == "bias", nnx.BatchStat)
    assert {p[-1] for p in nc.to_flat_state(biases)} == {"bias"}
    assert {p[-1] for p in nc.to_flat_state(stats)} == {"mean", "var"}
    assert {p[-1] for p in nc.variables(node)} == {"kernel", "scale"}


def test_pop_needs_a_filter():
    with pytest.raises(ValueError, match="without a filter"):
        nc.pop(Nested(nnx.Rngs(0)))


# -- walking ------------------------------------------------------------------------


def test_iter_modules_gives_children_before_parents():
    found = [(p, type(m).__name__) for p, m in nc.iter_modules(Nested(nnx.Rngs(0)))]
    assert found == [
        (("first", "linear"), "Linear"),
        (("first", "norm"), "BatchNorm"),
        (("first",), "Block"),
        (("second", "linear"), "Linear"),
        (("second", "norm"), "BatchNorm"),
        (("second",), "Block"),
        ((), "Nested"),
    ]


def test_iter_graph_gives_each_node_and_variable_once_and_no_internals():
    node = Shared(nnx.Rngs(0))
    pairs = list(nc.iter_graph(node))
    live = [id(v) for _, v in pairs if nc.is_variable(v) or isinstance(v, nnx.Module)]
    assert len(live) == len(set(live)) == 3 + 3
    assert pairs[-1][0] == () and pairs[-1][1] is node
    assert not [p for p, _ in pairs if p and str(p[-1]).startswith("_")]


def test_variables_are_the_live_ones():
    node = Nested(nnx.Rngs(0))
    stats = nc.variables(node, nnx.BatchStat)
    assert {p[-1] for p in stats} == {"mean", "var"}
    nc.set_value(stats["first", "norm", "mean"], jnp.full(3, 2.0))
    assert nc.get_value(node.first.norm.mean).tolist() == [2, 2, 2]
    both = nc.variables(node, nnx.BatchStat, lambda path, _: path[-1] == "bias")
    assert len(both) == 4 + 4
