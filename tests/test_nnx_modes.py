"""Modules in another mode, and what they sow, on every release."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nnx_compat as nc
from nnx_compat import errors, nnx
from nnx_compat._nnx import is_ours

X = jnp.arange(6.0).reshape(3, 2)


class Block(nnx.Module):
    def __init__(self, rngs):
        self.linear = nnx.Linear(2, 4, rngs=rngs)
        self.norm = nnx.BatchNorm(4, use_running_average=False, rngs=rngs)
        self.drop = nnx.Dropout(0.5, deterministic=False)

    def __call__(self, x, rngs):
        return self.drop(self.norm(self.linear(x)), rngs=rngs)


@pytest.fixture
def block(rngs):
    return Block(rngs)


# -- view ---------------------------------------------------------------------------


def test_a_view_is_a_new_module_in_another_mode_around_the_same_variables(block):
    test = nnx.view(block, deterministic=True, use_running_average=True)
    assert test is not block and type(test) is Block
    assert (test.drop.deterministic, test.norm.use_running_average) == (True, True)
    assert (block.drop.deterministic, block.norm.use_running_average) == (False, False)
    mine, others = nc.variables(block), nc.variables(test)
    assert all(others[path] is mine[path] for path in mine)


def test_what_a_training_view_learns_an_evaluation_view_uses(block):
    train = nnx.view(block, deterministic=False, use_running_average=False)
    test = nnx.view(block, deterministic=True, use_running_average=True)
    before = test(X, nnx.Rngs(0))
    train(X, nnx.Rngs(0))
    assert not np.allclose(before, test(X, nnx.Rngs(0)))


def test_a_view_may_be_of_some_modules_only(block):
    test = nnx.view(block, only=nnx.Dropout, deterministic=True)
    assert test.drop.deterministic is True
    assert test.norm.use_running_average is False


def test_a_mode_that_no_module_takes_is_an_error(block):
    with pytest.raises(ValueError, match="Unused keys found in nnx.view: .*'speed'"):
        nnx.view(block, speed=3)
    assert type(nnx.view(block, speed=3, raise_if_not_found=False)) is Block


def test_a_module_sets_its_own_mode():
    class Scaled(nnx.Module):
        def __init__(self):
            self.scale = 1

        def set_view(self, scale: int | None = None):
            """The mode.

            Args:
              scale: what to multiply by,
                a number.
            """
            if scale is not None:
                self.scale = scale

    assert nnx.view([Scaled()], scale=3)[0].scale == 3
    assert nnx.view_info(Scaled()).splitlines()[1:] == [
        "  scale: int | None = None",
        "    what to multiply by,",
        "    a number.",
    ]


def test_view_info_says_what_each_class_takes(block):
    text = nnx.view_info(block)
    assert text.count("BatchNorm:") == text.count("Dropout:") == 1
    assert "  deterministic: " in text and "  use_running_average: " in text
    assert "BatchNorm" not in nnx.view_info(block, only=nnx.Dropout)


@pytest.mark.filterwarnings("ignore:jax.tree_map is deprecated")  # by Flax itself
def test_attention_decodes_and_stops_to(rngs):
    ones = nnx.initializers.ones_init()
    attention = nnx.MultiHeadAttention(
        2, 4, qkv_features=4, decode=False, kernel_init=ones, rngs=rngs
    )
    attention.init_cache((1, 5, 4))
    one = nnx.view(attention, decode=True, deterministic=True)
    assert (one.decode, one.deterministic, attention.decode) == (True, True, False)
    assert one(jnp.ones((1, 1, 4))).shape == (1, 1, 4)
    assert int(nc.get_value(one.cache_index)) == 1


def test_with_attributes_sets_what_modules_have(block):
    new = nnx.with_attributes(block, rate=0.25)
    assert (new.drop.rate, block.drop.rate) == (0.25, 0.5)
    assert new.drop is not block.drop
    with pytest.raises(ValueError, match="following attributes: .*'unknown'"):
        nnx.with_attributes(block, unknown=1)
    nnx.with_attributes(block, unknown=1, raise_if_not_found=False)


def test_the_names_before_view_are_kept_with_a_warning(block):
    with pytest.warns(errors.RemovedNameWarning, match="nnx.view"):
        test = nnx.eval_mode(block)
    assert (test.drop.deterministic, test.norm.use_running_average) == (True, True)
    with pytest.warns(errors.RemovedNameWarning, match="nnx.view"):
        train = nnx.train_mode(test)
    assert (train.drop.deterministic, train.norm.use_running_average) == (False, False)
    with pytest.warns(errors.RemovedNameWarning, match="nnx.view"):
        assert nnx.set_mode(block, deterministic=True).drop.deterministic is True
    with pytest.warns(errors.RemovedNameWarning, match="view_info"):
        assert "Dropout" in nnx.set_mode_info(block)


# -- capture ------------------------------------------------------------------------


class Seen(nnx.Variable):
    pass


class Model(nnx.Module):
    def __init__(self, rngs):
        self.a = nnx.Linear(2, 2, rngs=rngs)

    def features(self, x):
        self.sow(nnx.Intermediate, "seen", x)
        return self.a(x)

    def __call__(self, x):
        x = self.features(x)
        self.sow(Seen, "last", x)
        return 2 * x


@pytest.mark.skipif(not is_ours("capture"), reason="Flax's own there")
def test_capture_works_after_flax_left_its_own_methods_in_a_class(rngs, monkeypatch):
    monkeypatch.setattr(nnx.Linear, "sow", nnx.Module.sow)
    model = Model(rngs)
    _, state = nnx.capture(model, nnx.Intermediate, method_outputs=nnx.Intermediate)(X)
    assert "__call__" in nnx.to_pure_dict(state)["a"]


def test_capture_hands_out_what_is_sown_and_leaves_nothing_behind(rngs):
    model = Model(rngs)
    y, state = nnx.capture(model, nnx.Intermediate)(X)
    assert set(state) == {"seen"}
    (seen,) = nnx.to_pure_dict(state)["seen"]
    assert (seen == X).all() and jnp.allclose(y, 2 * model.a(X))
    assert not nc.variables(model, nnx.Intermediate)


def test_capture_sorts_by_type(rngs):
    model = Model(rngs)
    y, last, seen = nnx.capture(model, Seen, nnx.Intermediate)(X)
    assert set(last) == {"last"} and set(seen) == {"seen"}
    assert len(nc.variables(model)) == 2


def test_capture_takes_functions_methods_and_is_a_decorator(rngs):
    model = Model(rngs)
    y, state = nnx.capture(model.features, nnx.Intermediate)(X)
    assert jnp.allclose(y, model.a(X)) and set(state) == {"seen"}

    @nnx.capture(nnx.Intermediate)
    def forward(model, x):
        return model.features(model.features(x))

    y, state = forward(model, X)
    assert len(nnx.to_pure_dict(state)["seen"]) == 2


def test_capture_goes_through_jit(rngs):
    model = Model(rngs)
    run = nnx.jit(lambda model, x: model(x))
    y, state = nnx.capture(run, nnx.Intermediate)(model, X)
    assert (nnx.to_pure_dict(state)["seen"][0] == X).all()
    assert len(nc.variables(model, nnx.Intermediate)) == 0


def test_capture_cleans_up_after_an_error(rngs):
    model = Model(rngs)

    def broken(model, x):
        model.features(x)
        raise KeyError("oops")

    with pytest.raises(KeyError, match="oops"):
        nnx.capture(broken, nnx.Intermediate)(model, X)
    if nnx.capture.__module__.startswith("nnx_compat"):  # Flax's own leaves a mess
        assert not nc.variables(model, nnx.Intermediate)


def test_capture_collects_the_outputs_of_methods(rngs):
    model = Model(rngs)
    y, state = nnx.capture(model, nnx.Intermediate, method_outputs=nnx.Intermediate)(X)
    found = nnx.to_pure_dict(state)
    assert set(found) == {"__call__", "features", "seen", "a"}
    assert (found["__call__"][0] == y).all()
    assert set(found["a"]) == {"__call__"}
    assert type(model) is Model and type(model.a) is nnx.Linear


@pytest.mark.skipif(
    not nc.supports("nnx.Module.perturb"), reason="Flax's Modules have no perturb there"
)
def test_capture_gives_the_gradients_of_what_is_perturbed():
    class Cubed(nnx.Module):
        def __call__(self, x):
            return 3 * self.perturb("grad_of_x", x)

    model = Cubed()
    _, perturbations = nnx.capture(model, nnx.Perturbation)(jnp.ones(2))
    assert (nnx.to_pure_dict(perturbations)["grad_of_x"] == 0).all()

    def loss(perturbations):
        return nnx.capture(model, init=perturbations)(jnp.ones(2)).sum()

    # the model is made inside: writing to one from outside is an error of Flax's
    def inside(perturbations):
        return nnx.capture(Cubed(), init=perturbations)(jnp.ones(2)).sum()

    grads = jax.grad(inside)(perturbations)
    assert nnx.to_pure_dict(grads)["grad_of_x"].tolist() == [3, 3]
    assert float(loss(perturbations)) == 6
