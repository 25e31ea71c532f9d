"""``fix`` leaves what is not certain by the code around it, and says why."""

from __future__ import annotations

import textwrap

import pytest

from nnx_compat.check.fixing import fix_source
from nnx_compat.check.sources import Source

from .test_rules import run

TRAINED = """\
import jax.numpy as jnp
import optax
from flax import nnx

tx = optax.sgd(0.1)
x = jnp.ones((2, 2))


def loss(model):
    return model(x).sum()


one, other = (nnx.Linear(2, 1, rngs=nnx.Rngs(seed)) for seed in (0, 1))
before = [float(loss(model)) for model in (one, other)]
"""

#: In each, the name of the model at the constructor is another thing at the update.
FORMS = {
    "appended in a loop": """\
        optimizers = []
        for m in (one, other):
            optimizers.append(nnx.Optimizer(m, tx))
        for o in optimizers:
            o.update(nnx.grad(loss)(one))
    """,
    "a comprehension": """\
        optimizers = [nnx.Optimizer(m, tx) for m in (one, other)]
        m = other
        optimizers[0].update(nnx.grad(loss)(one))
    """,
    "a lambda": """\
        optimizer = (lambda m: nnx.Optimizer(m, tx))(one)
        optimizer.update(nnx.grad(loss)(one))
    """,
    "an attribute that is set again": """\
        class Trainer:
            def __init__(self):
                self.model = one
                self.optimizer = nnx.Optimizer(self.model, tx)

            def swap(self):
                self.model = other

            def step(self):
                self.optimizer.update(nnx.grad(loss)(one))


        trainer = Trainer()
        trainer.swap()
        trainer.step()
    """,
    "a name that a function sets": """\
        model = one
        optimizer = nnx.Optimizer(model, tx)


        def swap():
            global model
            model = other


        swap()
        optimizer.update(nnx.grad(loss)(one))
    """,
}


def fixed(script):
    return fix_source(Source("a.py", script))


@pytest.mark.parametrize("name", FORMS)
def test_an_optimizer_trains_what_it_was_made_with(name):
    script = TRAINED + textwrap.dedent(FORMS[name])
    text = fixed(script).text
    assert "nnx.ModelAndOptimizer(" in text
    assert fixed(text).text == text
    values = {"__name__": "example"}
    exec(compile(text, "example", "exec"), values)
    one, other = (
        float(values["loss"](values[model])) != before
        for model, before in zip(("one", "other"), values["before"], strict=True)
    )
    assert one
    assert other is (name == "appended in a loop"), "the other Optimizer is updated too"


def test_a_model_that_is_one_thing_is_given_to_the_update():
    script = TRAINED + textwrap.dedent(
        """\
        for epoch in range(2):
            model = nnx.Linear(2, 1, rngs=nnx.Rngs(epoch))
            optimizer = nnx.Optimizer(model, tx)
            for _ in range(2):
                optimizer.update(nnx.grad(loss)(model))
        """
    )
    assert "optimizer.update(model, nnx.grad(loss)(model))" in fixed(script).text


LISTED = """\
from flax import nnx


class Blocks(nnx.Module):
    def __init__(self, rngs, names):
        {}


model = Blocks(nnx.Rngs(0), ["a"])
"""
BLOCK = "nnx.Linear(1, 1, rngs=rngs)"


@pytest.mark.parametrize(
    ("line", "after"),
    [
        (f"self.a = [{BLOCK}]", f"self.a = nnx.List([{BLOCK}])"),
        (f"self.a = dict(x={BLOCK})", f"self.a = nnx.Dict(dict(x={BLOCK}))"),
        (f"self.a = {{'x': {BLOCK}}}", f"self.a = nnx.Dict({{'x': {BLOCK}}})"),
        (
            f"self.a = {{n: {BLOCK} for n in 'ab'}}",
            f"self.a = nnx.Dict({{n: {BLOCK} for n in 'ab'}})",
        ),
    ],
)
def test_a_plain_container_becomes_one_of_its_kind(line, after):
    text = fixed(LISTED.format(line)).text
    assert f"        {after}\n" in text
    assert run(text) is None


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (f"self.a = {{0: {BLOCK}}}", "keys of nnx.Dict are names"),
        (f"self.a = {{n: {BLOCK} for n in names}}", "keys of nnx.Dict are names"),
        (f"self.a = {{}}\n        self.a[0] = {BLOCK}", "line 7 uses it as Python's"),
        (f"a = [{BLOCK}]\n        self.a = a\n        a.append(a[0])", "`a` is used"),
        (f"self.a = [{BLOCK}]\n        b = self.a + [1]", "line 7 uses it as"),
        (f"self.a = [{BLOCK}]\n        assert isinstance(self.a, list)", "line 7"),
        (f"self.a = [{BLOCK}]\n        b = self.a.copy()", "line 7 uses it as"),
    ],
)
def test_a_container_that_is_used_as_pythons_own_is_left(lines, why):
    script = LISTED.format(lines)
    result = fixed(script)
    assert result.text == script.replace("from flax", "from nnx_compat")
    [reason] = [reason for finding, reason in result.left if finding.code == "NC320"]
    assert reason.startswith(why)
