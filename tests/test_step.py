"""The compiled step: the same numbers as nnx.jit, its own rules, its errors."""

from __future__ import annotations

import contextlib
import functools
import gc
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import nnx_compat as nc
from nnx_compat.pure._pack import can_pack
from nnx_compat.revisions import nnx

from .models import HAS, Bare, Counter, Custom, snapshot, unkeyed

X = jnp.arange(12.0).reshape(4, 3) / 10
Y = jnp.ones((4, 2))


class Net(nnx.Module):
    """Linear, BatchNorm and, where a Rngs is state, Dropout."""

    def __init__(self, rngs):
        self.inner = nnx.Linear(3, 8, rngs=rngs)
        self.norm = nnx.BatchNorm(8, use_running_average=False, rngs=rngs)
        if not HAS["rngs-are-static"]:
            self.dropout = nnx.Dropout(0.2, deterministic=False, rngs=rngs)
        self.outer = nnx.Linear(8, 2, rngs=rngs)

    def __call__(self, x):
        x = jax.nn.relu(self.norm(self.inner(x)))
        if not HAS["rngs-are-static"]:
            x = self.dropout(x)
        return self.outer(x)


class Adam(nnx.Module):
    """Adam by hand, for the releases before nnx.Optimizer, with optax inside."""

    def __init__(self, model, tx):
        self.tx = tx
        self.state = nnx.Variable(tx.init(nc.state(model, nnx.Param)))

    def update(self, model, grads):
        params = nc.state(model, nnx.Param)
        holder = nc.variables(self)["state",]
        updates, new = self.tx.update(grads, nc.get_value(holder), params)
        nc.set_value(holder, new)
        nc.update(model, optax.apply_updates(params, updates))


def make_optimizer(model):
    """An optimizer and how its update is called on the installed release."""
    tx = optax.adam(1e-2)
    if not nc.supports("nnx.Optimizer"):
        return Adam(model, tx), lambda o, m, g: o.update(m, g)
    if nc.supports("nnx.Optimizer", "wrt"):
        optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    else:
        optimizer = nnx.Optimizer(model, tx)
    if nc.supports("nnx.Optimizer.update", "model"):
        return optimizer, lambda o, m, g: o.update(m, g)
    return optimizer, lambda o, m, g: o.update(g)


def training(update):
    """One step of Adam, written with the stable operations only."""

    def train(model, optimizer, x, y):
        graphdef, params, rest = nc.split(model, nnx.Param, ...)

        def loss_of(params):
            inside = nc.merge(graphdef, params, rest)
            loss = ((inside(x) - y) ** 2).mean()
            return loss, nc.state(inside)

        (loss, state), grads = jax.value_and_grad(loss_of, has_aux=True)(params)
        nc.update(model, state)
        update(optimizer, model, grads)
        return loss

    return train


def natively(update):
    """The same as users write it for nnx.jit."""

    def train(model, optimizer, x, y):
        def loss_of(model):
            return ((model(x) - y) ** 2).mean()

        loss, grads = nnx.value_and_grad(loss_of)(model)
        update(optimizer, model, grads)
        return loss

    return train


def fresh():
    model = Net(nnx.Rngs(0, dropout=1))
    return (model, *make_optimizer(model))


@pytest.mark.parametrize("form", [training, natively])
@pytest.mark.parametrize("donate", [True, False])
def test_twenty_steps_of_adam_equal_those_of_nnx_jit(form, donate):
    model, optimizer, update = fresh()
    if isinstance(optimizer, Adam) and form is natively:
        update = _wrt_params(update)
    expected = []
    step = nnx.jit(form(update)) if nc.supports("nnx.split") else jit_of(form(update))
    for _ in range(20):
        expected.append(float(step(model, optimizer, X, Y)))

    own, own_optimizer, _ = fresh()
    with nc.compile_step(form(update), own, own_optimizer, donate=donate) as step:
        losses = [float(step(X, Y)) for _ in range(20)]
    assert step.traces == 1
    np.testing.assert_allclose(losses, expected, rtol=1e-6, atol=1e-6)
    assert losses[-1] < 0.9 * losses[0]
    mine, theirs = nc.variables(own), nc.variables(model)
    assert list(mine) == list(theirs)
    for path, variable in theirs.items():
        value, other = nc.get_value(variable), nc.get_value(mine[path])
        np.testing.assert_allclose(
            unkeyed(other), unkeyed(value), rtol=1e-5, atol=1e-6, err_msg=path
        )


def jit_of(fn):
    """What nnx.jit is from the next release on: it took one Module, and no optimizer."""

    def step(model, optimizer, *args):
        graphdef, state = nc.split((model, optimizer))
        state, result = run(graphdef, state, *args)
        nc.update((model, optimizer), state)
        return result

    @functools.partial(jax.jit, static_argnums=0)
    def run(graphdef, state, *args):
        nodes = nc.merge(graphdef, state)
        result = fn(*nodes, *args)
        return nc.state(nodes), result

    return step


def _wrt_params(update):
    return lambda o, m, g: update(o, m, nc.filter_state(g, nnx.Param))


if can_pack():

    @pytest.mark.parametrize("donate", [True, False])
    def test_a_packed_step_gives_the_same_bits(donate):
        taken = {}
        for pack in (False, True):
            model, optimizer, update = fresh()
            step = nc.compile_step(
                training(update), model, optimizer, pack=pack, donate=donate
            )
            losses = [np.asarray(step(X, Y)).tobytes() for _ in range(5)]
            losses.append(snapshot(step.nodes[0]))
            losses += [np.asarray(step(X, Y)).tobytes() for _ in range(5)]
            step.sync()
            taken[pack] = losses, snapshot(model), snapshot(optimizer)
            assert (" arrays>" in repr(step)) is pack
            assert step.traces == 1
        assert taken[True] == taken[False]

    def test_only_small_leaves_of_one_shape_are_packed():
        model = Bare()
        small = {"a": jnp.ones(3), "b": jnp.zeros(3), "key": jax.random.key(0)}
        model.w = Custom({**small, "c": jnp.ones(5000), "d": jnp.ones(5000)})
        step = nc.compile_step(lambda m: None, model, pack=True)
        # a zero, the key and two large ones, one array for two small ones
        assert repr(step) == "<compiled step over (Bare), 5 leaves in 5 arrays>"

    def test_more_rows_than_an_array_has():
        model = Bare()
        model.w = Custom([jnp.full(2, float(i)) for i in range(150)])

        def double(model):
            w = nc.variables(model)["w",]
            nc.set_value(w, [2 * value for value in nc.get_value(w)])

        with nc.compile_step(double, model, pack="auto") as step:
            assert repr(step).endswith("150 leaves in 4 arrays>")
            step()
        values = nc.get_value(nc.variables(model)["w",])
        assert [v.tolist() for v in values] == [[2.0 * i] * 2 for i in range(150)]

    def test_auto_packs_only_when_the_gain_is_sure():
        step = nc.compile_step(add, Counter(), pack="auto")
        assert repr(step) == "<compiled step over (Counter), 1 leaves>"
        assert int(step(1)) == 10


def test_what_cannot_be_packed_is_refused():
    with pytest.raises(ValueError, match=r"pack is 'yes'.*\n.*pack='auto'"):
        nc.compile_step(add, Counter(), pack="yes")
    if not can_pack():
        with pytest.raises(
            ValueError, match="needs an XLA that keeps to optimization barriers"
        ):
            nc.compile_step(add, Counter(), pack=True)
        assert int(nc.compile_step(add, Counter(), pack="auto")(1)) == 10


def add(counter, amount):
    count = nc.variables(counter)["count",]
    nc.set_value(count, nc.get_value(count) + amount)
    return nc.get_value(count) * 10


def count_of(counter):
    return int(nc.get_value(counter.count))


def test_the_result_is_that_of_the_function_and_sync_writes_back():
    counter = Counter()
    variable = nc.variables(counter)["count",]
    step = nc.compile_step(add, counter)
    assert [int(step(1)), int(step(2))] == [10, 30]
    step.sync()
    assert count_of(counter) == 3
    assert nc.variables(counter)["count",] is variable
    step(4)
    step.sync()
    assert count_of(counter) == 7


def test_a_node_given_up_is_an_error_of_ours_until_it_is_synced():
    model = Bare()

    def double(model):
        w = nc.variables(model)["w",]
        nc.set_value(w, nc.get_value(w) * 2)

    step = nc.compile_step(double, model)
    assert nc.get_value(model.w).tolist() == [0, 1, 2]  # nothing was run yet
    step()
    for use in (
        lambda: nc.get_value(model.w) + 1,
        lambda: jnp.sum(nc.get_value(model.w)),
        lambda: jax.jit(lambda a: a)(nc.get_value(model.w)),
        lambda: np.asarray(nc.get_value(model.w)),
        lambda: nc.get_value(model.w).block_until_ready(),
        lambda: model(jnp.ones(3)),
    ):
        with pytest.raises(nc.errors.DonatedError) as raised:
            use()
        assert str(raised.value) == (
            "the array at 0/w was given up to a compiled step, which has used its "
            "memory. [NC041]\n"
            "  instead: step.sync(), then read the node; or read step.nodes\n"
            "  or:      compile_step(..., donate=False), with twice the memory"
        )
    assert repr(nc.get_value(model.w)) == "<0/w: given up to a compiled step>"
    assert nc.get_value(model.w).shape == (3,)
    assert repr(model).startswith("Bare(")
    with pytest.raises(TypeError, match=r"0/w holds a Donated.*\n.*sync\(\)"):
        nc.compile_step(double, model)
    step.sync()
    assert nc.get_value(model.w).tolist() == [0, 2, 4]
    step()
    with pytest.raises(nc.errors.DonatedError):
        nc.get_value(model.w) + 1


def test_nodes_are_views_of_now_and_of_their_own():
    counter = Counter()
    step = nc.compile_step(add, counter)
    step(1)
    (view,) = step.nodes
    assert count_of(view) == 1
    nc.set_value(nc.variables(view)["count",], jnp.array(50))
    assert count_of(step.nodes[0]) == 1
    (view,) = step.nodes
    step(1)
    with pytest.raises(nc.errors.DonatedError):
        count_of(view)
    assert count_of(step.nodes[0]) == 2


def test_without_donation_the_original_stays_as_it_was():
    counter = Counter()
    step = nc.compile_step(add, counter, donate=False)
    (view,) = step.nodes
    step(1)
    assert count_of(counter) == 0
    assert count_of(view) == 0
    step.sync()
    assert count_of(counter) == 1


def test_the_context_syncs_also_when_the_body_raises():
    counter = Counter()
    with contextlib.suppress(KeyError), nc.compile_step(add, counter) as step:
        step(5)
        raise KeyError
    assert count_of(counter) == 5


def test_an_error_of_the_function_leaves_the_last_state():
    def careful(counter, x):
        if x.ndim:
            raise KeyError("the function")
        return add(counter, x)

    counter = Counter()
    with nc.compile_step(careful, counter) as step:
        step(1)
        with pytest.raises(KeyError, match="the function"):
            step(jnp.ones(2, jnp.int32))
        step(1)
    assert count_of(counter) == 2


def test_a_call_that_fails_while_it_runs_has_used_the_state():
    def fail(value):
        raise KeyError("while it runs")

    def fn(counter, wrong):
        count = add(counter, 1)
        return jax.pure_callback(fail, count, count) if wrong else count

    step = nc.compile_step(fn, Counter(), static_argnums=0)
    step(False)
    with pytest.raises(Exception, match="while it runs"):
        jax.block_until_ready(step(True))
    # what the call made of the state is an error by itself, or it was never there
    with pytest.raises(Exception, match="while it runs|had used the memory"):
        count_of(step.nodes[0])


def test_ties_are_kept_and_a_node_given_twice_is_one():
    counter = Counter()

    def both(first, second, pair):
        assert first is second
        assert pair["x"] is first
        add(first, 1)
        add(second, 1)
        return add(pair["x"], 1)

    with nc.compile_step(both, counter, counter, {"x": counter}) as step:
        assert int(step()) == 30
    assert count_of(counter) == 3


def test_arrays_that_are_the_same_are_donated_once():
    model = Bare()
    other = nc.clone(model)
    assert nc.get_value(other.w) is nc.get_value(model.w)

    def double(model, other):
        w = nc.variables(model)["w",]
        nc.set_value(w, nc.get_value(w) * 2 + nc.get_value(other.w))

    with nc.compile_step(double, model, other) as step:
        step()
        step()
    assert nc.get_value(model.w).tolist() == [0, 7, 14]
    assert nc.get_value(other.w).tolist() == [0, 1, 2]


def test_a_new_shape_is_a_new_trace_and_static_arguments_count_from_the_first():
    seen = []

    def fn(counter, x, mode):
        seen.append((x.shape, mode))
        return add(counter, 1)

    step = nc.compile_step(fn, Counter(), static_argnums=1)
    for x, mode in ((1, "a"), (1, "a"), (2, "a"), (2, "b"), (1, "a")):
        step(jnp.ones(x), mode)
    assert seen == [((1,), "a"), ((2,), "a"), ((2,), "b")]
    assert step.traces == 3
    named = nc.compile_step(
        lambda c, mode: add(c, len(mode)), Counter(), static_argnames="mode"
    )
    assert int(named(mode="abc")) == 30
    last = nc.compile_step(
        lambda c, x, mode: add(c, len(mode)), Counter(), static_argnums=-1
    )
    assert int(last(1, "ab")) == 20


def test_python_numbers_and_numpy_arrays_are_leaves():
    counter = Counter()
    nc.set_value(nc.variables(counter)["count",], 3)
    step = nc.compile_step(add, counter)
    assert int(step(1)) == 40
    assert int(step(1)) == 50
    assert step.traces == 1
    nc.set_value(nc.variables(counter)["count",], np.int32(3))
    assert int(nc.compile_step(add, counter)(1)) == 40


def grow(model):
    model.extra = Bare()


def turn(model):
    model.size = 4


def reshape(model):
    nc.set_value(nc.variables(model)["w",], jnp.zeros(4))


def retype(model):
    nc.set_value(nc.variables(model)["w",], jnp.zeros(3, jnp.int32))


def rename(model):
    nc.set_metadata(nc.variables(model)["w",], unit="cm")


def lose(model):
    nc.pop(model, ...)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (grow, "0/extra/w: was added, Custom of float32[3]"),
        (turn, "0/size: was 3, is 4"),
        (reshape, "0/w: was Custom of float32[3], is Custom of float32[4]"),
        (retype, "0/w: was Custom of float32[3], is Custom of int32[3]"),
        (rename, "0/w/metadata 'unit': was 'm', is 'cm'"),
        (lose, "0/w: is gone, Custom of float32[3]"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_change_of_structure_is_refused_by_path_and_the_state_is_there(change, named):
    model = Bare()
    model.size = 3

    def fn(model, wrong):
        w = nc.variables(model)["w",]
        nc.set_value(w, nc.get_value(w) + 1)
        if wrong:
            change(model)

    with nc.compile_step(fn, model, static_argnums=0) as step:
        step(False)
        with pytest.raises(nc.errors.StepStructureError) as raised:
            step(True)
        assert named in str(raised.value)
        step(False)
    assert nc.get_value(model.w).tolist() == [2, 3, 4]


if HAS["rngs-are-static"]:

    def test_a_static_rngs_that_the_step_draws_from_is_named():
        from .models import Noisy

        model = Noisy(nnx.Rngs(0, noise=1))
        with pytest.raises(ValueError, match=r"0/rngs: was .*after.*is .*after"):
            nc.compile_step(lambda m, x: m(x), model)(X)


def test_what_is_no_array_is_refused():
    abstract = nc.merge(*jax.eval_shape(lambda: nc.split(Bare())))
    with pytest.raises(TypeError, match=r"0/w holds a ShapeDtypeStruct"):
        nc.compile_step(add, abstract)

    @jax.jit
    def inside(x):
        model = Bare()
        nc.set_value(nc.variables(model)["w",], x)
        nc.compile_step(lambda m: None, model)

    with pytest.raises(TypeError, match="0/w holds a traced value"):
        inside(X)
    with pytest.raises(
        TypeError, match=r"does not take donate_argnums.*\n.*\n.*donate=F"
    ):
        nc.compile_step(add, Counter(), donate_argnums=0)
    with pytest.raises(TypeError, match="is not a node"):
        nc.compile_step(add, jnp.ones(3))


def test_a_step_is_freed_with_its_last_reference():
    step = nc.compile_step(add, Counter())
    step(1)
    dead = weakref.ref(step)
    gc.disable()
    try:
        del step
        assert dead() is None
    finally:
        gc.enable()


def test_it_says_what_it_is_and_can_be_lowered():
    step = nc.compile_step(add, Counter())
    assert repr(step) == "<compiled step over (Counter), 1 leaves>"
    assert "func" in step.lower(1).as_text()
    assert count_of(step.nodes[0]) == 0
