"""Nothing is lost in a compiled step: Ctrl-C, writes in between, two steps, threads."""

from __future__ import annotations

import contextlib
import copy
import pickle
import signal
import sys
import threading

import jax
import jax.numpy as jnp
import pytest

import nnx_compat as nc
from nnx_compat.revisions import nnx

from .models import Bare, Counter


class Pair(nnx.Module):
    """A weight and how often it was changed."""

    def __init__(self):
        self.n = nnx.Variable(jnp.array(0))
        self.w = nnx.Param(jnp.zeros(4))


def grow(pair, x=1.0):
    """One step; ``w`` tells how many there were."""
    n, w = (nc.variables(pair)[name,] for name in ("n", "w"))
    nc.set_value(n, nc.get_value(n) + 1)
    nc.set_value(w, nc.get_value(w) + jnp.sum(x))
    return nc.get_value(w).sum()


def steps_in(pair):
    """How many steps the weights of a model have seen, all of them the same."""
    n, w = (nc.get_value(nc.variables(pair)[name,]) for name in ("n", "w"))
    assert w.tolist() == [float(n)] * 4
    return int(n)


def double(model):
    w = nc.variables(model)["w",]
    nc.set_value(w, nc.get_value(w) * 2)


# -- Ctrl-C -------------------------------------------------------------------------


#: An interrupt that is raised in jax's callback of gc is reported, and gone.
may_be_swallowed = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)


class Interrupting:
    """Sends Ctrl-C at one of the bytecodes that are run, in whichever Python function.

    Args:
        at: which one, counted from 0.
        first: a word in the name of a file; only functions in such files count.
    """

    def __init__(self, at, first=""):
        self.at, self.first = at, first
        self.count = 0

    def __enter__(self):
        # Python 3.12 asks whether opcodes are wanted when the tracing is set
        sys._getframe().f_trace_opcodes = True
        sys.settrace(self._enter)
        return self

    def __exit__(self, *_):
        sys.settrace(None)

    def _enter(self, frame, event, argument):
        if self.first not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes = True
        return self._run

    def _run(self, frame, event, argument):
        if event == "opcode":
            self.count += 1
            if self.count == self.at + 1:
                signal.raise_signal(signal.SIGINT)
        return self._run


@may_be_swallowed
@pytest.mark.parametrize(("calls", "stride"), [(1, 1), (0, 29)])
def test_an_interrupt_at_any_bytecode_of_a_call_leaves_the_model_whole(calls, stride):
    """Each of the bytecodes of a call, or some of those around the first of them, too."""
    step = nc.compile_step(grow, pair := Pair())
    for _ in range(3):
        step()
    step.sync()
    at, met = 0, True
    while met:
        before = steps_in(pair)
        interrupting = Interrupting(at, "pure")
        with contextlib.suppress(KeyboardInterrupt), step:
            for _ in range(calls):
                step()
            with interrupting:
                step()
        met = interrupting.count > at
        assert steps_in(pair) - before - calls in ((0, 1) if met else (1,))
        at += stride
    assert at > 50


@may_be_swallowed
@pytest.mark.parametrize("part", [0.0, 0.5, 0.9, 0.99, 0.999])
def test_an_interrupt_in_a_call_that_is_new_to_jax_leaves_the_model_whole(part):
    """On the way from the traced function to the device and back, all in Python."""

    def interrupted(at):
        pair, interrupting = Pair(), Interrupting(at)

        def fn(pair):
            grow(pair)
            interrupting.__enter__()

        try:
            with nc.compile_step(fn, pair) as step:
                step()
                interrupting.__exit__()
        except KeyboardInterrupt:
            assert interrupting.count > at
        finally:
            interrupting.__exit__()
        assert steps_in(pair) in (0, 1)
        return interrupting.count

    whole = interrupted(10**9)
    assert whole > 1000
    interrupted(int(whole * part))


@may_be_swallowed
def test_interrupts_in_a_loop_that_waits_for_nothing_lose_no_step():
    step = nc.compile_step(grow, pair := Pair())
    with step:
        step()
    calls = 1
    for moment in range(1, 21):
        with contextlib.suppress(KeyboardInterrupt), step:
            before = signal.signal(signal.SIGALRM, signal.default_int_handler)
            try:
                # Again and again: jax collects garbage by a callback of gc, and an
                # interrupt that is raised in there is lost.
                signal.setitimer(signal.ITIMER_REAL, moment * 3e-4, 0.05)
                while True:
                    step()
                    calls += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, before)
        assert steps_in(pair) - calls in (0, 1)
        calls = steps_in(pair)
    assert step.traces == 1


def test_the_handlers_of_a_process_are_its_own_again_after_every_call():
    seen = []
    before = signal.signal(signal.SIGTERM, lambda *_: seen.append("signal"))
    try:
        handlers = [signal.getsignal(n) for n in signal.valid_signals()]
        step = nc.compile_step(grow, Pair())
        step.lower()
        for _ in range(3):
            step()
        with pytest.raises(TypeError):
            step(x="no array")
        step.sync()
        assert [signal.getsignal(n) for n in signal.valid_signals()] == handlers
        signal.raise_signal(signal.SIGTERM)
        assert seen == ["signal"]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_an_error_under_way_is_not_replaced_by_that_of_the_way_out():
    def fail(value):
        raise KeyError("while it runs")

    def fn(counter):
        count = nc.variables(counter)["count",]
        value = nc.get_value(count) + 1
        nc.set_value(count, jax.pure_callback(fail, value, value))

    step = nc.compile_step(fn, Counter())
    with contextlib.suppress(Exception):
        jax.block_until_ready(step())
    with contextlib.suppress(ZeroDivisionError), step:
        raise ZeroDivisionError
    with pytest.raises(Exception, match=r"while it runs|used the memory"):
        with_values(step)


def with_values(step):
    with step:
        pass
    jax.block_until_ready(nc.state(step.nodes[0]))


# -- a lent model -------------------------------------------------------------------


@pytest.mark.parametrize(
    "use",
    [
        nc.clone,
        nc.split,
        nc.state,
        nc.audit,
        lambda model: nc.update(model, {"w": jnp.ones(3)}),
        lambda model: nc.pop(model, ...),
        lambda model: nc.split((model, Bare()), ...),
        copy.deepcopy,
        pickle.dumps,
    ],
)
def test_a_lent_model_is_not_copied_saved_or_updated(use):
    model = Bare()
    step = nc.compile_step(double, model)
    step()
    with pytest.raises(nc.errors.DonatedError, match="w.* was given up"):
        use(model)
    nc.clone(Bare())
    nc.clone(step.nodes[0])
    step.sync()
    nc.clone(model)
    assert nc.get_value(model.w).tolist() == [0, 2, 4]


@pytest.mark.parametrize(
    "use",
    [
        lambda marker: marker == 1,
        lambda marker: marker != marker,
        lambda marker: marker < 1,
        lambda marker: marker >= 1,
        lambda marker: marker // 2,
        lambda marker: 2 % marker,
        lambda marker: 2**marker,
        lambda marker: +marker,
        lambda marker: abs(marker),
        lambda marker: ~marker,
        lambda marker: marker & 1,
        lambda marker: marker << 1,
        lambda marker: jnp.ones(3) + marker,
        lambda marker: f"{marker:.2f}",
        lambda marker: f"{marker}",
        lambda marker: marker.mean(),
        lambda marker: 1 in marker,
        lambda marker: copy.copy(marker),
    ],
)
def test_every_use_of_a_marker_says_what_it_is(use):
    step = nc.compile_step(double, model := Bare())
    step()
    marker = nc.get_value(model.w)
    with pytest.raises(nc.errors.DonatedError, match="0/w was given up to a compiled"):
        use(marker)
    assert len({marker, marker}) == 1
    assert str(marker) == "<0/w: given up to a compiled step>"


# -- what is written between two calls ----------------------------------------------


@pytest.mark.parametrize("donate", [True, False])
@pytest.mark.parametrize("pack", ["auto", False])
def test_what_is_written_after_a_sync_is_taken_in(donate, pack):
    pair = Pair()
    step = nc.compile_step(grow, pair, donate=donate, pack=pack)
    step()
    step.sync()
    nc.update(pair, {"w": jnp.full(4, 100.0)})
    step()
    step.sync()
    assert nc.get_value(pair.w).tolist() == [101.0] * 4
    assert int(nc.get_value(pair.n)) == 2


def test_what_is_written_before_the_first_call_is_taken_in():
    pair = Pair()
    with nc.compile_step(grow, pair) as step:
        nc.update(pair, {"w": jnp.full(4, 5.0)})
        step()
    assert nc.get_value(pair.w).tolist() == [6.0] * 4


def test_what_is_written_into_a_lent_model_is_taken_in_by_the_next_call():
    pair = Pair()
    with nc.compile_step(grow, pair) as step:
        step()
        nc.set_value(nc.variables(pair)["w",], jnp.full(4, 100.0))
        assert float(step()) == 404
        assert float(step()) == 408
        nc.set_value(nc.variables(pair)["w",], jnp.full(4, 7.0))
    assert nc.get_value(pair.w).tolist() == [7.0] * 4
    assert int(nc.get_value(pair.n)) == 3
    assert step.traces == 1


def test_the_same_array_written_twice_is_donated_once_and_the_rest_goes_on():
    model = Bare()
    other = Bare()

    def both(model, other):
        double(model)
        double(other)

    with nc.compile_step(both, model, other) as step:
        step()
        same = jnp.ones(3)
        for node in (model, other):
            nc.set_value(nc.variables(node)["w",], same)
        step()
        step()
    assert nc.get_value(model.w).tolist() == nc.get_value(other.w).tolist() == [4] * 3


@pytest.mark.parametrize(
    ("value", "error", "found"),
    [
        (jnp.ones(5), ValueError, r"0/w: was float32\[4\], is float32\[5\]"),
        (jnp.ones(4, jnp.int32), ValueError, r"0/w: was float32\[4\], is int32\[4\]"),
        ("text", TypeError, "0/w holds a str"),
    ],
)
def test_what_does_not_fit_is_refused_by_path_and_changes_nothing(value, error, found):
    pair = Pair()
    step = nc.compile_step(grow, pair)
    step()
    nc.set_value(nc.variables(pair)["w",], value)
    for use in (step, step.sync):
        with pytest.raises(error, match=found):
            use()
    assert steps_in(step.nodes[0]) == 1


def test_a_write_that_nobody_can_date_is_an_error_and_not_overwritten():
    pair = Pair()
    step = nc.compile_step(grow, pair)
    step()
    marker = nc.get_value(pair.w)
    nc.set_value(nc.variables(pair)["w",], jnp.full(4, 100.0))
    step()
    with pytest.raises(nc.errors.DonatedError, match=r"written to while.*\n *0/w\n"):
        step.sync()
    assert nc.get_value(pair.w).tolist() == [100.0] * 4
    assert steps_in(step.nodes[0]) == 2
    assert marker.shape == (4,)


def test_without_donation_a_write_is_an_error_at_sync():
    pair = Pair()
    step = nc.compile_step(grow, pair, donate=False)
    step()
    nc.set_value(nc.variables(pair)["w",], jnp.full(4, 100.0))
    step()
    with pytest.raises(nc.errors.DonatedError, match=r"written to while.*\n *0/w\n"):
        step.sync()
    assert nc.get_value(pair.w).tolist() == [100.0] * 4


def test_another_variable_in_the_place_of_one_is_an_error_by_path():
    class Outer(nnx.Module):
        def __init__(self):
            self.inner = Bare()

    outer = Outer()
    step = nc.compile_step(lambda outer: double(outer.inner), outer)
    step()
    step.sync()
    outer.inner = Bare()
    step()
    with pytest.raises(nc.errors.StepStructureError, match="0/inner/w: is another"):
        step.sync()
    assert nc.get_value(outer.inner.w).tolist() == [0, 1, 2]
    assert nc.get_value(step.nodes[0].inner.w).tolist() == [0, 4, 8]


def test_a_checkpoint_goes_on_where_a_failed_call_has_used_the_state():
    def fn(pair, wrong):
        grow(pair)
        n = nc.variables(pair)["n",]
        if wrong:
            value = nc.get_value(n)
            nc.set_value(n, jax.pure_callback(_fail, value, value))

    pair = Pair()
    step = nc.compile_step(fn, pair, static_argnums=0)
    step(False)
    with contextlib.suppress(Exception):  # now, or when its value is looked at
        jax.block_until_ready(step(True))
    nc.set_value(nc.variables(pair)["n",], jnp.array(5))
    nc.set_value(nc.variables(pair)["w",], jnp.full(4, 5.0))
    step(False)
    step.sync()
    assert steps_in(pair) == 6


def _fail(value):
    raise KeyError("while it runs")


# -- two steps, several threads, transformations ------------------------------------


@pytest.mark.parametrize("donate", [True, False])
def test_a_second_step_on_a_model_says_so_at_once(donate):
    pair = Pair()
    first = nc.compile_step(grow, pair, donate=donate)
    with pytest.raises(
        nc.errors.DonatedError,
        match=r"that <compiled step over \(Pair\).* 0/0/n, 0/0/w",
    ):
        nc.compile_step(grow, (pair, Bare()), donate=donate)
    first()
    first.sync()
    second = nc.compile_step(grow, pair, donate=donate)
    with pytest.raises(nc.errors.DonatedError, match="was to be run on Variables"):
        first()
    second()
    second.sync()
    first()
    first.sync()
    assert steps_in(pair) == 3


def test_a_step_that_is_gone_leaves_its_model_to_others():
    pair = Pair()
    nc.compile_step(grow, pair)
    with nc.compile_step(grow, pair) as step:
        step()
    assert steps_in(pair) == 1


@pytest.mark.parametrize("donate", [True, False])
def test_threads_take_turns_and_no_step_is_lost(donate):
    pair = Pair()
    step = nc.compile_step(grow, pair, donate=donate)
    step()
    failed = []

    def work():
        try:
            for _ in range(100):
                step()
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    step.sync()
    assert failed == []
    assert steps_in(pair) == 401


def test_a_step_inside_of_a_transformation_is_refused_and_keeps_its_state():
    pair = Pair()
    step = nc.compile_step(grow, pair)
    step()
    for _ in range(2):
        with pytest.raises(TypeError, match="inside of a jax transformation"):
            jax.jit(lambda: step())()
    step()
    step.sync()
    assert steps_in(pair) == 2


def test_a_result_of_any_kind_comes_back():
    def fn(pair, x):
        grow(pair)
        return {"state": nc.state(pair), "x": (x, None)}

    step = nc.compile_step(fn, Pair())
    for x in (jnp.ones(2), jnp.ones(2), jnp.ones(3), jnp.ones(2)):
        result = step(x)
        assert isinstance(result["state"], nnx.State)
        assert result["x"][0].shape == x.shape
        assert result["x"][1] is None
    assert float(nc.to_pure_dict(result["state"])["n"]) == 4
    assert step.traces == 2
