"""``nc.jit`` means what the newest ``nnx.jit`` means, on every release."""

from __future__ import annotations

import contextlib
import gc
import signal
import weakref

import jax
import jax.numpy as jnp
import optax
import pytest

import nnx_compat as nc
from nnx_compat import errors

from . import models
from .test_step_kept import Interrupting, Pair, grow, may_be_swallowed, steps_in

nnx = nc.nnx


def flat(node):
    return [nc.get_value(v) for v in nc.variables(node).values()]


def same(one, other):
    return all(bool((a == b).all()) for a, b in zip(one, other, strict=True))


class Counter(nnx.Module):
    """Counts calls in a Variable."""

    def __init__(self):
        self.count = nnx.Variable(jnp.array(0))


def count_of(counter):
    return nc.variables(counter)["count",]


def add(counter, amount):
    variable = count_of(counter)
    nc.set_value(variable, nc.get_value(variable) + amount)
    return nc.get_value(variable)


def test_updates_reach_the_callers_variables_and_one_trace_serves_all_calls():
    counter, step = Counter(), nc.jit(add)
    variable = count_of(counter)
    assert [int(step(counter, 2)) for _ in range(3)] == [2, 4, 6]
    assert count_of(counter) is variable and int(nc.get_value(variable)) == 6
    assert step.traces == 1


def test_another_model_of_the_same_structure_needs_no_trace():
    step = nc.jit(add)
    for _ in range(3):
        assert int(step(Counter(), 1)) == 1
    assert step.traces == 1


def test_nodes_may_be_anywhere_in_arguments_and_results():
    one, two = Counter(), Counter()

    @nc.jit
    def swap(nodes, *, extra):
        add(nodes["a"][0], 1)
        add(extra, 10)
        return {"back": extra, "sum": nc.get_value(count_of(extra)) + 1}

    for number in range(1, 3):
        out = swap({"a": (one,)}, extra=two)
        assert out["back"] is two and int(out["sum"]) == 10 * number + 1
    assert int(nc.get_value(count_of(one))) == 2
    assert swap.traces == 1


def test_the_same_node_twice_is_one_node_inside():
    counter = Counter()

    @nc.jit
    def both(a, b):
        assert a is b
        add(a, 1)
        return add(b, 1)

    assert [int(both(counter, counter)) for _ in range(2)] == [2, 4]
    assert both.traces == 1
    with pytest.raises(AssertionError):
        both(counter, Counter())


def test_a_new_node_is_returned_as_one_of_its_own():
    @nc.jit
    def make(x):
        made = Counter()
        add(made, x)
        return made

    first, second = make(3), make(4)
    assert int(nc.get_value(count_of(first))) == 3
    assert int(nc.get_value(count_of(second))) == 4


def test_structure_may_change_inside_and_out():
    def grow(counter):
        traced.append(1)
        if not hasattr(counter, "more"):
            counter.more = nnx.Variable(jnp.array(5))
        add(counter, 1)
        return nc.get_value(nc.variables(counter)["more",])

    traces = []
    for jit in (nnx.jit, nc.jit):
        counter, step, traced = Counter(), jit(grow), []
        assert [int(step(counter)) for _ in range(3)] == [5, 5, 5]
        assert int(nc.get_value(count_of(counter))) == 3
        del counter.more
        counter.count = nnx.Variable(jnp.array(7))
        assert int(step(counter)) == 5
        assert int(nc.get_value(count_of(counter))) == 8
        traces.append(len(traced))
    assert traces[0] == traces[1] == step.traces  # traced anew when nnx.jit is


def test_an_exception_leaves_everything_as_it_was():
    counter, step = Counter(), nc.jit(add)

    @nc.jit
    def fails(counter):
        add(counter, 1)
        counter.more = nnx.Variable(jnp.array(1))
        raise KeyError("inside")

    step(counter, 1)
    for _ in range(2):
        with pytest.raises(KeyError, match="inside"):
            fails(counter)
    assert not hasattr(counter, "more")
    assert int(nc.get_value(count_of(counter))) == 1
    assert int(step(counter, 1)) == 2 and step.traces == 1


@pytest.mark.parametrize(
    "static", [{"static_argnums": 1}, {"static_argnames": "times"}]
)
def test_static_arguments_are_part_of_the_program(static):
    @nc.jit(**static)
    def step(counter, times):
        for _ in range(times):
            add(counter, 1)
        return nc.get_value(count_of(counter))

    counter = Counter()
    assert [int(step(counter, n)) for n in (1, 3, 1)] == [1, 4, 5]
    assert int(step(counter, times=3)) == 8
    assert int(step(counter, times=3)) == 11
    assert step.traces <= 3


def test_a_method_can_be_decorated():
    class Doubling(nnx.Module):
        def __init__(self):
            self.count = nnx.Variable(jnp.array(1))

        @nc.jit
        def __call__(self, x):
            add(self, 1)
            return 2 * x

    module = Doubling()
    assert [int(module(n)) for n in (1, 2)] == [2, 4]
    assert int(nc.get_value(count_of(module))) == 3


def test_a_bound_method_is_refused():
    with pytest.raises(errors.ArgumentValueError, match="bound method"):
        nc.jit(models.Nested(nnx.Rngs(0)).__call__)


@pytest.mark.parametrize(
    "donate", [{"donate_argnums": 0}, {"donate_argnames": ("counter",)}]
)
def test_donated_variables_get_the_new_arrays(donate):
    counter, step = Counter(), nc.jit(add, **donate)
    step(counter, 1)
    old = nc.get_value(count_of(counter))
    assert int(step(counter, 1)) == 2
    assert old.is_deleted() and int(nc.get_value(count_of(counter))) == 2


def test_nothing_is_donated_that_was_not_named():
    counter, step = Counter(), nc.jit(add)
    old = nc.get_value(count_of(counter))
    step(counter, 1)
    assert int(old) == 0


def test_an_array_that_two_variables_hold_is_copied_before_it_is_donated():
    counter, step = (
        Counter(),
        nc.jit(lambda a, b: (add(a, 1), add(b, 2)), donate_argnums=0),
    )
    other = nc.clone(counter)
    assert [[int(n) for n in step(counter, other)] for _ in range(2)] == [
        [1, 2],
        [2, 4],
    ]


def test_a_failing_trace_donates_nothing():
    @nc.jit(donate_argnums=0)
    def fails(counter):
        raise KeyError("inside")

    counter = Counter()
    with pytest.raises(KeyError):
        fails(counter)
    assert int(nc.get_value(count_of(counter))) == 0


def test_it_works_inside_other_transformations():
    inner = nc.jit(lambda c, x: nc.get_value(count_of(c)) + x)

    def outer(x):
        counter = Counter()
        add(counter, 1)
        return inner(counter, x) + nc.get_value(count_of(counter))

    assert float(jax.grad(outer)(2.0)) == 1.0
    assert float(jax.jit(outer)(2.0)) == 4.0
    assert jax.eval_shape(outer, 2.0).shape == ()
    assert jax.vmap(outer)(jnp.ones(3)).tolist() == [3.0, 3.0, 3.0]
    assert float(outer(2.0)) == 4.0


def test_why_names_what_changed_by_its_path():
    step = nc.jit(lambda model, x: nc.get_value(count_of(model)) + x.sum())
    counter = Counter()
    assert step.why() == "not traced"
    step(counter, jnp.ones(2))
    assert step.why() == "traced once"
    step(counter, jnp.ones(3))
    assert step.why() == "args[1]: float32[2] became float32[3]"
    counter.epoch = 1
    step(counter, jnp.ones(3))
    assert step.why() == "args[0].epoch: 1 is new"
    counter.epoch = 2
    step(counter, jnp.ones(3))
    assert step.why() == "args[0].epoch: 1 became 2"
    assert step.traces == 4


def test_without_compilation_it_means_the_same():
    counter, step = Counter(), nc.jit(add)
    with jax.disable_jit():
        assert [int(step(counter, 2)) for _ in range(2)] == [2, 4]
    assert int(nc.get_value(count_of(counter))) == 4


def test_lower_and_eval_shape_leave_the_arguments_as_they_are():
    counter, step = Counter(), nc.jit(add)
    assert step.eval_shape(counter, 1).shape == ()
    assert "stablehlo" in step.lower(counter, 1).as_text()
    assert int(nc.get_value(count_of(counter))) == 0


def test_clear_cache_forgets_the_programs():
    counter, step = Counter(), nc.jit(add)
    step(counter, 1)
    step.clear_cache()
    assert int(step(counter, 1)) == 2 and step.traces == 2


def test_the_structures_that_are_kept_have_a_limit():
    from nnx_compat._jit import _compiled

    counter, step = Counter(), nc.jit(lambda c, x: x)
    for number in range(_compiled.STRUCTURES + 5):
        step._entries[number] = ()
    step(counter, 1)
    assert len(step._entries) <= _compiled.STRUCTURES


def test_no_model_is_kept_alive():
    counter, step = Counter(), nc.jit(add)
    step(counter, 1)
    gone = weakref.ref(counter)
    del counter
    gc.collect()
    assert gone() is None


@pytest.mark.skipif(not nc.supports("nnx.Optimizer"), reason="no Optimizer yet")
def test_twenty_steps_of_adam_are_those_of_nnx_jit():
    x = jnp.arange(6.0).reshape(2, 3)

    def train(model, optimizer, x):
        loss, grads = nnx.value_and_grad(lambda m: ((m(x) - 1) ** 2).mean())(model)
        optimizer.update(model, grads)
        return loss

    results = []
    for jit in (nnx.jit, nc.jit):
        model = models.Nested(nnx.Rngs(0))
        optimizer = nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.Param)
        step, losses = jit(train), []
        for number in range(20):
            if number == 10:
                model.first.linear = nnx.Linear(3, 3, rngs=nnx.Rngs(9))
                optimizer = nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.Param)
            losses.append(float(step(model, optimizer, x)))
        results.append((losses, flat(model)))
    assert results[0][0] == pytest.approx(results[1][0], abs=1e-6)
    assert all(
        bool(jnp.allclose(a, b, atol=1e-6))
        for a, b in zip(results[0][1], results[1][1], strict=True)
    )


def test_keys_are_counted_as_without_it():
    def draws(call):
        dropout, drawn = models.Dropped(nnx.Rngs(0)), []
        for _ in range(3):
            drawn.append(call(dropout, jnp.ones((4, 3))))
        return drawn

    assert same(draws(nc.jit(lambda m, x: m(x))), draws(nnx.jit(lambda m, x: m(x))))


# -- Ctrl-C while arrays are used up ------------------------------------------------


def call_interrupted(at, change):
    """Steps that the model has seen of one call that donates, interrupted; bytecodes."""
    pair, interrupting = Pair(), Interrupting(at)

    @nc.jit(donate_argnums=0)
    def step(pair):
        grow(pair)
        if change:
            pair.more = nnx.Param(jnp.zeros(2))
        interrupting.__enter__()

    try:
        step(pair)
    except KeyboardInterrupt:
        assert interrupting.count > at
    finally:
        interrupting.__exit__()
    return steps_in(pair), interrupting.count


@may_be_swallowed
@pytest.mark.parametrize("change", [False, True])
@pytest.mark.parametrize("part", [0.0, 0.5, 0.9, 0.99, 0.999])
def test_an_interrupt_in_a_donating_call_that_is_new_leaves_the_model_whole(
    part, change
):
    seen, whole = call_interrupted(10**9, change)
    assert seen == 1 and whole > 1000
    assert call_interrupted(int(whole * part), change)[0] in (0, 1)


@may_be_swallowed
def test_interrupts_in_a_loop_of_donating_calls_lose_no_weights():
    pair, calls = Pair(), 0
    step = nc.jit(grow, donate_argnums=0)
    step(pair)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        for moment in range(1, 21):
            calls = steps_in(pair)
            with contextlib.suppress(KeyboardInterrupt):
                # Again and again: jax collects garbage by a callback of gc, and an
                # interrupt that is raised in there is lost.
                signal.setitimer(signal.ITIMER_REAL, moment * 3e-4, 0.05)
                while True:
                    step(pair)
                    calls += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
            assert steps_in(pair) - calls in (0, 1)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
