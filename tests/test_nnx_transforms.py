"""The transforms of the drop-in namespace mean the same on every release."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nnx_compat as nc
from nnx_compat import errors, facts, nnx
from nnx_compat._release import here

X = jnp.arange(12.0).reshape(4, 3)
RELEASE = facts.nearest(nc.flax_version)


class Block(nnx.Module):
    """A BatchNorm that counts, and a Linear layer."""

    def __init__(self, rngs):
        self.norm = nnx.BatchNorm(3, use_running_average=False, rngs=rngs)
        self.linear = nnx.Linear(3, 2, rngs=rngs)

    def __call__(self, x):
        return self.linear(self.norm(x))

    def loss(self, x):
        return (self(x) ** 2).mean()


class Counter(nnx.Module):
    """One Variable that is no parameter, and one that is."""

    def __init__(self):
        self.count = nnx.Variable(jnp.zeros(()))
        self.w = nnx.Param(jnp.arange(3.0))

    def __call__(self, x):
        set_count(self, nc.get_value(self.count) + 1)
        return nc.get_value(self.w) * x

    def add(self, x):
        set_count(self, nc.get_value(self.count) + x)
        return x


class Holder(nnx.Module):
    """A Variable."""

    def __init__(self, variable):
        self.variable = variable


def set_count(counter, value):
    nc.set_value(nc.variables(counter)["count",], value)


def count(counter):
    return nc.get_value(counter.count).tolist()


def value(node, *path):
    return nc.get_value(nc.variables(node)[path])


def block():
    return Block(nnx.Rngs(0))


def loss(model, x):
    return (model(x) ** 2).mean()


def paths(state):
    return list(nc.to_flat_state(state))


# -- gradients ----------------------------------------------------------------------


def test_a_gradient_is_a_state_of_the_params_and_statistics_are_updated():
    model = block()
    grads = nnx.grad(loss)(model, X)
    assert isinstance(grads, nnx.State)
    assert ("norm", "mean") not in paths(grads) and ("linear", "kernel") in paths(grads)
    assert value(model, "norm", "mean").sum() > 0

    pure, params, rest = nc.split(block(), nnx.Param, ...)
    expected = jax.grad(lambda params: loss(nc.merge(pure, params, rest), X))(params)
    for got, wanted in zip(
        jax.tree_util.tree_leaves(grads),
        jax.tree_util.tree_leaves(expected),
        strict=True,
    ):
        np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-7)


def test_diff_state_chooses_the_part_that_is_differentiated():
    def in_kernel(path, leaf):
        return "kernel" in path

    @nnx.value_and_grad(argnums=(nnx.DiffState(0, in_kernel), 1), has_aux=True)
    def with_aux(model, x):
        return loss(model, x), {"model": model}

    model = block()
    (_, aux), (state, dx) = with_aux(model, X)
    assert paths(state) == [("linear", "kernel")]
    assert dx.shape == X.shape
    assert aux["model"] is model


def test_grad_takes_keywords_and_lists_of_modules():
    models = [block(), block()]
    grads = nnx.grad(lambda models, x: loss(models[0], x) + loss(models[1], x))(
        models=models, x=X
    )
    assert [isinstance(grad, nnx.State) for grad in grads] == [True, True]


def test_a_shared_module_is_differentiated_once_and_stays_shared():
    model = block()
    first, second = nnx.grad(lambda a, b: loss(a, X) + loss(b, X), argnums=(0, 1))(
        model, model
    )
    assert len(paths(first)) == 4 and paths(second) == []


def test_the_old_wrt_is_taken_and_warned_of():
    if facts.treatment("nnx.grad", nc.flax_version) is None:
        with pytest.raises(TypeError, match="wrt"):  # Flax's own
            nnx.grad(loss, wrt=nnx.BatchStat)
    else:
        with pytest.warns(errors.RemovedNameWarning, match="DiffState"):
            transformed = nnx.grad(loss, wrt=nnx.BatchStat)
        assert callable(transformed)


def test_a_repeated_argnum_is_refused():
    with pytest.raises(ValueError, match="repeated"):
        nnx.grad(loss, argnums=(0, nnx.DiffState(0, nnx.Param)))(block(), X)


def test_new_attributes_come_out_of_a_gradient():
    def grows(counter):
        counter.seen = nnx.BatchStat(jnp.ones(2))
        counter.name = "grown"
        return counter(jnp.ones(3)).sum()

    counter = Counter()
    nnx.grad(grows)(counter)
    assert counter.name == "grown"
    assert value(counter, "seen").tolist() == [1.0, 1.0]
    nc.merge(*nc.split(counter))


def test_vjp_gives_modules_of_cotangents_and_propagates_values():
    counter = Counter()
    x = jnp.ones(3)
    out, vjp_fn = nnx.vjp(lambda m, x: m(x).sum(), counter, x, graph_updates=False)
    d_counter, dx = vjp_fn(jnp.ones_like(out))
    assert isinstance(d_counter, Counter)
    np.testing.assert_allclose(value(d_counter, "w"), x)
    np.testing.assert_allclose(dx, jnp.arange(3.0))
    assert count(counter) == 1.0


def test_jvp_is_the_derivative_along_the_tangents():
    counter = Counter()
    graphdef, state = nc.split(counter)
    ones = nc.merge(graphdef, jax.tree_util.tree_map(jnp.ones_like, state))
    out, tangent, aux = nnx.jvp(has_aux=True, graph_updates=False)(
        lambda m, x: (m(x).sum(), x)
    )((counter, X[0]), (ones, jnp.zeros(3)))
    assert float(out) == 5.0 and float(tangent) == 3.0
    assert count(counter) == 1.0


@pytest.mark.parametrize("name", ["vjp", "jvp", "make_jaxpr", "jit_partial"])
def test_what_propagates_values_only_has_to_be_told_so(name):
    with pytest.raises((ValueError, NotImplementedError), match="graph.updates"):
        getattr(nnx, name)(lambda x: x, graph_updates=True)(jnp.ones(3))


def test_a_custom_derivative_is_used():
    @nnx.custom_vjp
    def f(counter):
        return nc.get_value(counter.w).sum()

    def fwd(counter):
        return f(counter), nc.get_value(counter.w)

    def bwd(w, g):
        (inputs,), out = g
        assert isinstance(inputs, nnx.State)
        return (jax.tree_util.tree_map(lambda leaf: leaf * 0 + 7 * out, inputs),)

    f.defvjp(fwd, bwd)
    grads = nnx.grad(lambda counter: f(counter))(Counter())
    assert jax.tree_util.tree_leaves(grads)[0].tolist() == [7.0, 7.0, 7.0]


# -- maps ---------------------------------------------------------------------------


def test_vmap_makes_and_runs_an_ensemble():
    @nnx.vmap(in_axes=0, out_axes=0)
    def make(key):
        return Block(nnx.Rngs(key))

    models = make(jax.random.split(jax.random.PRNGKey(0), 5))
    assert value(models, "linear", "kernel").shape == (5, 3, 2)
    run = nnx.vmap(lambda model, x: model(x), in_axes=(0, None))
    assert run(models, X).shape == (5, 4, 2)
    assert value(models, "norm", "mean").shape == (5, 3)
    assert value(models, "norm", "mean").sum() > 0


def test_state_axes_map_a_part_of_a_module():
    axes = nnx.StateAxes({nnx.Param: 0, ...: None})
    counter = Counter()
    run = nnx.vmap(lambda counter: nc.get_value(counter.w) * 2, in_axes=(axes,))
    assert run(counter).tolist() == [0.0, 2.0, 4.0]
    assert (axes[nnx.Param], axes[...], len(axes)) == (0, None, 2)
    assert axes == nnx.StateAxes({nnx.Param: 0, ...: None})
    assert hash(axes) == hash(nnx.StateAxes({nnx.Param: 0, ...: None}))


def test_axes_other_than_the_first_come_back_where_they_were():
    @nnx.vmap(in_axes=(None, 1), out_axes=1, axis_size=4)
    def add(counter, x):
        return x + 1, Holder(nnx.Param(x))

    out, made = add(Counter(), X.T)
    assert out.shape == (3, 4)
    np.testing.assert_allclose(value(made, "variable"), X.T)


def test_vmap_of_one_variable_with_two_axes_is_refused():
    counter = Counter()
    with pytest.raises(ValueError, match="[Ii]nconsistent aliasing"):
        nnx.vmap(lambda a, b: 1.0, in_axes=(0, None), axis_size=3)(counter, counter)


def test_a_module_is_no_axis():
    with pytest.raises((TypeError, ValueError), match=r"Graph nodes are not|in_axes"):
        nnx.vmap(lambda x: x, in_axes=Counter())


def test_pmap_runs_on_each_device():
    counter = Counter()
    run = nnx.pmap(lambda counter, x: counter(x), in_axes=(None, 0), axis_size=1)
    assert run(counter, X[:1]).shape == (1, 3)
    assert count(counter) == 1.0


def test_shard_map_takes_both_spellings_and_propagates():
    spec = jax.sharding.PartitionSpec
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("data",))
    counter = Counter()
    for check in ({}, {"check_vma": False}, {"check_rep": False}):
        if "check_rep" in check and facts.name("nnx.shard_map").on(
            RELEASE, "check_vma"
        ):
            continue  # native there, and gone
        run = nnx.shard_map(
            lambda counter, x: counter(x),
            mesh=mesh,
            in_specs=(spec(), spec("data")),
            out_specs=spec("data"),
            **check,
        )
        assert run(counter, X).shape == X.shape
    assert count(counter) >= 2.0


def test_transform_metadata_takes_the_axis_away_inside():
    names = {here.annotation: ("layers", "in")}
    variable = nnx.Param(jnp.zeros((2, 3)), eager_sharding=False, **names)
    holder = Holder(variable)
    seen = []

    @nnx.transform_metadata(in_axes=0, out_axes=1, partition="layers")
    def f(holder):
        inner = nc.variables(holder)["variable",]
        seen.append(nc.get_metadata(inner, "out_sharding"))
        return 1.0

    assert f(holder) == 1.0
    assert seen == [("in",)]
    outside = nc.get_metadata(nc.variables(holder)["variable",], "out_sharding")
    assert outside == ("layers", "in")


@pytest.mark.filterwarnings("ignore:Variable hooks are deprecated")
def test_axis_hooks_are_called_with_the_index_and_the_name():
    seen = []
    hooks = {
        "on_remove_axis": lambda variable, index, name: seen.append((index, name)),
        "on_add_axis": lambda variable, index, name: seen.append((index, name)),
    }
    holder = Holder(nnx.Param(nnx.VariableMetadata(jnp.zeros((2, 3)), **hooks)))
    transform = nnx.transform_metadata(in_axes=1, out_axes=0, partition="layers")
    transform(lambda holder: 1.0)(holder)
    assert seen == [(1, "layers"), (1, "layers")]


# -- loops and branches -------------------------------------------------------------


def test_scan_carries_slices_and_holds():
    axes = nnx.StateAxes({nnx.Param: 0, ...: nnx.Carry})

    @nnx.scan(in_axes=(axes, nnx.Carry, 0), out_axes=(nnx.Carry, 0))
    def step(counter, total, x):
        set_count(counter, nc.get_value(counter.count) + 1)
        total = total + nc.get_value(counter.w) * x
        return total, total

    counter = Counter()
    total, totals = step(counter, jnp.zeros(()), jnp.ones(3))
    assert float(total) == 3.0 and totals.tolist() == [0.0, 1.0, 3.0]
    assert count(counter) == 3.0


def test_scan_without_a_carry_and_with_a_module_as_the_carry():
    double = nnx.scan(lambda x: 2 * x, in_axes=0, out_axes=0)
    assert double(jnp.arange(3.0)).tolist() == [0.0, 2.0, 4.0]

    @nnx.scan(in_axes=(nnx.Carry, 0), out_axes=(nnx.Carry, 0))
    def step(counter, x):
        counter.add(x)
        return counter, nc.get_value(counter.count)

    counter = Counter()
    same, counts = step(counter, jnp.arange(4.0))
    assert same is counter
    assert counts.tolist() == [0.0, 1.0, 3.0, 6.0]
    assert count(counter) == 6.0


def test_scan_says_what_is_wrong_with_its_axes():
    carry = nnx.Carry
    for in_axes, out_axes, text in [
        ((0,), (carry, 0), "other must also have Carry"),
        ((carry, carry), (carry, 0), "multiple Carry"),
        ((0,), None, "[Cc]annot broadcast output"),
    ]:
        with pytest.raises(ValueError, match=text):
            nnx.scan(lambda x: x, in_axes=in_axes, out_axes=out_axes)(X)


def test_branches_propagate_what_they_do():
    counter = Counter()
    branches = (lambda c, x: c.add(x), lambda c, x: c.add(10 * x))
    assert float(nnx.cond(True, *branches, counter, jnp.float32(1))) == 1.0
    assert count(counter) == 1.0
    assert float(nnx.switch(1, branches, counter, jnp.float32(1))) == 10.0
    assert count(counter) == 11.0


def test_loops_bring_the_callers_modules_up_to_date():
    def body(value):
        counter, x = value
        counter.add(1.0)
        return counter, x + 1

    counter = Counter()
    same, x = nnx.while_loop(lambda value: value[1] < 5, body, (counter, 0))
    assert same is counter and int(x) == 5 and count(counter) == 5.0
    same = nnx.fori_loop(0, 3, lambda i, c: (c.add(1.0), c)[1], counter)
    assert same is counter and count(counter) == 8.0
    twice = nnx.fori_loop(0, 2, lambda i, c: (c[0].add(1.0), c)[1], [counter, counter])
    assert twice[0] is twice[1] is counter and count(counter) == 10.0


# -- compilation --------------------------------------------------------------------


def test_jit_propagates_values_and_structure_and_traces_once():
    traces = []

    @nnx.jit(static_argnames="scale")
    def run(counter, x, scale=1):
        traces.append(scale)
        counter.last = nnx.BatchStat(x)
        return counter(x) * scale, counter

    counter = Counter()
    run(counter, jnp.ones(3))
    out, same = run(counter, X[1], scale=2)
    assert same is counter and count(counter) == 2.0
    np.testing.assert_allclose(out, 2 * jnp.arange(3.0) * X[1])
    np.testing.assert_allclose(value(counter, "last"), X[1])
    before = len(traces)
    run(counter, X[2], scale=2)
    assert len(traces) - before <= 1  # the attribute is there now
    before = len(traces)
    run(counter, X[3], scale=2)
    assert len(traces) == before


def test_jit_decorates_methods_and_functions_without_modules():
    class Model(nnx.Module):
        def __init__(self):
            self.w = nnx.Param(jnp.ones(3))

        @nnx.jit
        def __call__(self, x):
            return nc.get_value(self.w) * x

    assert Model()(X).shape == X.shape
    assert nnx.jit(jnp.sum)(X).shape == ()


def test_jit_partial_binds_and_compiles_once():
    traces = []

    def step(counter, x):
        traces.append(1)
        return counter(x)

    counter = Counter()
    run = nnx.jit_partial(step, counter, graph_updates=False)
    for _ in range(3):
        run(X[0])
    assert count(counter) == 3.0 and len(traces) == 1
    assert run.lower(X[0]).compile()(X[0]).shape == (3,)
    assert count(counter) == 4.0


def test_cached_partial_binds_arguments():
    counter = Counter()
    run = nnx.cached_partial(nnx.jit(lambda counter, x: counter(x)), counter)
    assert run(X[0]).shape == (3,)
    assert count(counter) == 1.0


def test_remat_keeps_values_gradients_and_updates():
    model = block()
    run = nnx.remat(lambda model, x: model(x))
    grads = nnx.grad(lambda model: (run(model, X) ** 2).mean())(model)
    expected = nnx.grad(loss)(block(), X)
    for got, wanted in zip(
        jax.tree_util.tree_leaves(grads),
        jax.tree_util.tree_leaves(expected),
        strict=True,
    ):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-6)


def test_eval_shape_and_make_jaxpr_run_nothing():
    counter = Counter()
    shapes = nnx.eval_shape(lambda c, x: c(x), counter, X)
    assert shapes.shape == X.shape
    jaxpr = nnx.make_jaxpr(lambda c, x: c(x), graph_updates=False)(counter, X)
    assert jaxpr.jaxpr.outvars[0].aval.shape == X.shape
    assert count(counter) == 0.0


def test_checkify_finds_errors_and_propagates():
    from jax.experimental import checkify

    def root(counter, x):
        counter.add(1.0)
        return jnp.sqrt(x)

    counter = Counter()
    error, _ = nnx.checkify(root, errors=checkify.float_checks)(counter, -1.0)
    assert error.get() is not None
    assert count(counter) == 1.0


# -- what all have in common --------------------------------------------------------

FIRST_ARGUMENT = {
    "checkify": nnx.checkify,
    "custom_vjp": nnx.custom_vjp,
    "grad": nnx.grad,
    "jit": nnx.jit,
    "pmap": nnx.pmap,
    "remat": nnx.remat,
    "scan": nnx.scan,
    "value_and_grad": nnx.value_and_grad,
    "vmap": nnx.vmap,
}


@pytest.mark.parametrize("name", sorted(FIRST_ARGUMENT))
def test_bound_methods_are_refused(name):
    transform = FIRST_ARGUMENT[name]
    for method in (block().loss, functools.partial(block().loss, X)):
        with pytest.raises(ValueError, match="bound methods"):
            transform(method)


@pytest.mark.parametrize("name", ["grad", "jit", "vmap", "scan", "remat"])
def test_modes_that_the_release_cannot_do_are_refused(name):
    row = facts.name(f"nnx.{name}")
    if row.on(RELEASE, "graph"):
        assert callable(FIRST_ARGUMENT[name](lambda x: x, graph=False))
    else:
        with pytest.raises(errors.RefusedArgumentError, match="tree mode"):
            FIRST_ARGUMENT[name](lambda x: x, graph=False)
    FIRST_ARGUMENT[name](lambda x: x, graph=True, graph_updates=True)


@pytest.mark.parametrize("name", ["JIT", "Jit", "Vmap", "Scan", "Remat", "Pmap"])
def test_transformed_classes_are_native_or_refused(name):
    if facts.name(f"nnx.{name}").on(RELEASE):
        assert isinstance(getattr(nnx, name), type)
    else:
        with pytest.raises(errors.RefusedNameError, match=f"nnx.{name.lower()} of"):
            getattr(nnx, name)


@pytest.mark.parametrize("name", ["jit", "jit_partial"])
def test_compiled_functions_take_shardings(name):
    spec = jax.sharding.PartitionSpec
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("data",))
    whole = jax.sharding.NamedSharding(mesh, spec())
    rows = jax.sharding.NamedSharding(mesh, spec("data"))
    counter = Counter()
    shardings = {"in_shardings": (None, rows), "out_shardings": whole}

    def call(counter, x, scale=1):
        return counter(x) * scale

    if name == "jit":
        run = nnx.jit(call, static_argnames="scale", **shardings)
        out = run(counter, X, 2)
    else:
        run = nnx.jit_partial(call, counter, graph_updates=False, **shardings)
        out = run(X) * 2
    np.testing.assert_allclose(out, 2 * jnp.arange(3.0) * X)
    assert out.sharding.is_equivalent_to(whole, 2)
    assert count(counter) == 1.0


def test_what_is_donated_is_used_up_and_comes_back_new():
    counter = Counter()
    run = nnx.jit(lambda counter: set_count(counter, 1.0), donate_argnums=0)
    before = value(counter, "w")
    run(counter)
    assert count(counter) == 1.0 and value(counter, "w").tolist() == [0.0, 1.0, 2.0]
    assert value(counter, "w") is not before
