from __future__ import annotations

import jax.numpy as jnp
import pytest
import tinymlp

import nnx_compat as nc
from nnx_compat import nnx

X = jnp.linspace(-1.0, 1.0, 16).reshape(8, 2)
Y = X.sum(axis=1, keepdims=True) ** 2


def model(seed=0):
    return tinymlp.MLP(2, 8, 1, rngs=nnx.Rngs(seed))


def test_training_reduces_the_error():
    one = model()
    errors = [float(tinymlp.train_step(one, X, Y, 0.05)) for _ in range(20)]
    assert errors[-1] < errors[0] / 2


def test_training_counts_the_statistics_of_the_batches():
    one = model()
    assert (nc.get_value(one.norm.mean) == 0).all()
    tinymlp.train_step(one, X, Y, 0.05)
    assert not (nc.get_value(one.norm.mean) == 0).all()


def test_an_average_is_a_model_of_its_own():
    old, new = model(0), model(1)
    middle = tinymlp.average(old, new, 0.5)
    kernels = [nc.get_value(m.first.kernel) for m in (old, new, middle)]
    assert jnp.allclose(kernels[2], (kernels[0] + kernels[1]) / 2)
    tinymlp.train_step(middle, X, Y, 0.05)
    assert (nc.get_value(old.first.kernel) == kernels[0]).all()


@pytest.mark.flax(">=0.11", reason="a State holds Variables since then")
def test_the_leaves_of_a_state_are_variables_of_flax():
    assert isinstance(nc.state(model())["first"]["kernel"], nnx.Variable)


def test_it_is_a_release_that_the_facts_know(nnx_release):
    assert nnx_release.revision == nc.revision
