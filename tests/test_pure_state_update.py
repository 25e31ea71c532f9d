"""pure_state_update: the recipe's numbers, under transformations, and its errors."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nnx_compat as nc
from nnx_compat.revisions import nnx

X = jnp.arange(1.0, 4.0)


def recipe(seed, x, features, scale):
    """Written out with what the installed release has, nothing of nnx-compat."""
    model = nnx.Linear(
        in_features=x.shape[-1], out_features=int(features), rngs=nnx.Rngs(int(seed))
    )
    if hasattr(nnx, "split"):
        graphdef, state = nnx.split(model)
    else:
        state, graphdef = model.split()
    state = jax.tree_util.tree_map(lambda leaf: leaf * scale, state)
    merged = (
        nnx.merge(graphdef, state)
        if hasattr(nnx, "split")
        else nnx.merge((state, graphdef))
    )
    return merged(x)


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_it_is_the_recipe_run_natively():
    close(nc.pure_state_update(0.0, X, 2.0, 2.0), recipe(0.0, X, 2.0, 2.0))


def test_under_reproducible_init_it_is_the_same_on_every_release():
    with nc.reproducible_init():
        result = nc.pure_state_update(0.0, X, 2.0, 2.0)
        native = recipe(0.0, X, 2.0, 2.0)
    np.testing.assert_allclose(result, [-3.8551145, -1.7786055], rtol=1e-6)
    np.testing.assert_allclose(native, [-3.8551145, -1.7786055], rtol=1e-6)


def test_reproducible_init_ends_where_it_ends():
    before = nc.pure_state_update(0, X, 2, 1.0)
    with nc.reproducible_init():
        nc.pure_state_update(0, X, 2, 1.0)
    close(nc.pure_state_update(0, X, 2, 1.0), before)
    close(before, recipe(0, X, 2, 1.0))


@given(
    seed=st.integers(-(2**63), 2**63 - 1),
    features=st.integers(1, 5),
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    scale=st.floats(-10, 10, width=32),
)
def test_it_is_the_recipe_for_any_seed_shape_and_scale(seed, features, shape, scale):
    x = jnp.linspace(-1, 1, int(np.prod(shape))).reshape(shape)
    result = nc.pure_state_update(seed, x, features, scale)
    assert result.shape == (*shape[:-1], features)
    close(result, recipe(seed, x, features, scale))


@pytest.mark.parametrize(
    "x",
    [
        np.arange(3),
        np.arange(3, dtype=np.float64),
        [1.0, 2.0, 3.0],
        jnp.arange(3, dtype=jnp.int8),
        jnp.ones(3, jnp.bfloat16),
        jnp.ones(3, jnp.complex64),
    ],
    ids=lambda x: f"{type(x).__name__}-{getattr(x, 'dtype', '')}",
)
def test_numeric_arrays_of_any_dtype(x):
    result = nc.pure_state_update(1, x, 2, 3.0)
    expected = recipe(1, jnp.asarray(x), 2, 3.0)
    close(result, expected)
    assert result.dtype == expected.dtype


@pytest.mark.parametrize(
    "scale", [3, np.float32(3), jnp.array(3.0), np.array(3), 3 + 1j]
)
def test_scalars_of_any_kind(scale):
    close(nc.pure_state_update(1, X, 2, scale), recipe(1, X, 2, scale))


@pytest.mark.parametrize("scale", [np.inf, -np.inf, np.nan])
def test_a_scale_that_is_not_finite_follows_ieee(scale):
    result = nc.pure_state_update(0, X, 2, scale)
    np.testing.assert_array_equal(result, recipe(0, X, 2, scale))


def test_under_jit_with_x_and_scale_traced():
    @jax.jit
    def run(x, scale):
        return nc.pure_state_update(0, x, 2, scale)

    close(run(X, 2.5), recipe(0, X, 2, 2.5))
    close(run(X, -1.0), recipe(0, X, 2, -1.0))


def test_under_vmap_over_x_and_over_scale():
    xs, scales = jnp.stack([X, X + 1, X * 2]), jnp.array([1.0, 2.0, -3.0])
    run = jax.vmap(lambda x, s: nc.pure_state_update(0, x, 2, s))
    expected = [recipe(0, x, 2, s) for x, s in zip(xs, scales, strict=True)]
    close(run(xs, scales), expected)
    close(
        jax.vmap(lambda s: nc.pure_state_update(0, X, 2, s))(scales),
        [recipe(0, X, 2, s) for s in scales],
    )


def test_gradients_agree_with_finite_differences():
    def total(x, scale):
        return (nc.pure_state_update(0, x, 2, scale) ** 2).sum()

    by_x, by_scale = jax.grad(total, (0, 1))(X, 1.5)
    step = 1e-2
    for i in range(3):
        e = step * jnp.eye(3)[i]
        slope = (total(X + e, 1.5) - total(X - e, 1.5)) / (2 * step)
        assert float(by_x[i]) == pytest.approx(float(slope), rel=2e-3, abs=2e-3)
    slope = (total(X, 1.5 + step) - total(X, 1.5 - step)) / (2 * step)
    assert float(by_scale) == pytest.approx(float(slope), rel=2e-3)


def test_calls_with_the_same_shapes_share_one_program():
    from nnx_compat.pure import _state_update

    nc.pure_state_update(0, X, 2, 1.0)
    size = _state_update._program._cache_size()
    for seed in range(5):
        nc.pure_state_update(seed, X + seed, 2.0, float(seed))
    assert _state_update._program._cache_size() == size


@pytest.mark.parametrize("given", [2, 2.0, np.int32(2), np.float32(2), jnp.array(2.0)])
def test_whole_numbers_of_any_kind(given):
    close(nc.pure_state_update(given, X, given, 1.0), recipe(2, X, 2, 1.0))


BAD_WHOLE = {
    "2.5": (2.5, ValueError, "is not a whole number: found 2.5"),
    "nan": (float("nan"), ValueError, "is not a whole number: found nan"),
    "inf": (float("inf"), ValueError, "is not a whole number: found inf"),
    "bool": (True, TypeError, "is a bool: found True"),
    "numpy bool": (np.True_, TypeError, "is a bool"),
    "text": ("2", TypeError, r"is not a number: found '2' \(str\)"),
    "none": (None, TypeError, r"is not a number: found None \(NoneType\)"),
    "complex": (2j, TypeError, "is not a number: found 2j"),
    "array": (jnp.ones(2), TypeError, r"is not a number: found .* of shape \(2,\)"),
}


@pytest.mark.parametrize("name", ["seed", "features"])
@pytest.mark.parametrize("case", BAD_WHOLE)
def test_what_is_no_whole_number_is_refused(name, case):
    bad, error, text = BAD_WHOLE[case]
    arguments = {"seed": 0, "x": X, "features": 2, "scale": 1.0, name: bad}
    with pytest.raises(error, match=f"^{name} {text}") as raised:
        nc.pure_state_update(**arguments)
    assert isinstance(raised.value, nc.errors.NnxCompatError)
    assert "instead:" in str(raised.value)


@pytest.mark.parametrize("name", ["seed", "features"])
def test_a_traced_seed_or_features_is_refused(name):
    def run(bad):
        return nc.pure_state_update(
            **{"seed": 0, "x": X, "features": 2, "scale": 1.0, name: bad}
        )

    with pytest.raises(TypeError, match=f"^{name} is a tracer") as raised:
        jax.jit(run)(2)
    assert f"static_argnames='{name}'" in str(raised.value)


@pytest.mark.parametrize("features", [0, -1, 0.0, 2**31])
def test_features_out_of_range_are_refused(features):
    with pytest.raises(ValueError, match="^features is out of range"):
        nc.pure_state_update(0, X, features, 1.0)


@pytest.mark.parametrize("seed", [2**63, -(2**63) - 1, 1e300])
def test_seeds_out_of_range_are_refused(seed):
    with pytest.raises(ValueError, match="^seed is out of range"):
        nc.pure_state_update(seed, X, 2, 1.0)


@pytest.mark.parametrize(
    ("x", "error", "text"),
    [
        (jnp.array(1.0), ValueError, r"^x has no features: its shape is \(\)"),
        (3.0, ValueError, r"^x has no features: its shape is \(\)"),
        (jnp.ones((2, 0)), ValueError, r"^x has no features: its shape is \(2, 0\)"),
        (jnp.array([True, False]), TypeError, "^x is not numeric: its dtype is bool"),
        (["a", "b"], TypeError, "^x is not numeric: its dtype is <U1"),
        ([[1], [2, 3]], TypeError, "^x is not an array"),
        (None, TypeError, "^x is not numeric: its dtype is object"),
    ],
)
def test_a_bad_x_is_refused(x, error, text):
    with pytest.raises(error, match=text):
        nc.pure_state_update(0, x, 2, 1.0)


@pytest.mark.parametrize(
    ("scale", "error", "text"),
    [
        (jnp.ones(1), ValueError, r"^scale is not a scalar: its shape is \(1,\)"),
        ([1.0, 2.0], ValueError, r"^scale is not a scalar: its shape is \(2,\)"),
        ("2", TypeError, r"^scale is not a number: found '2' \(str\)"),
        (None, TypeError, r"^scale is not a number: found None \(NoneType\)"),
        (np.array("a"), TypeError, "^scale is not a number"),
    ],
)
def test_a_bad_scale_is_refused(scale, error, text):
    with pytest.raises(error, match=text):
        nc.pure_state_update(0, X, 2, scale)


def test_bad_input_is_refused_before_anything_is_built(monkeypatch):
    def never(*_, **__):
        raise AssertionError("a layer was built")

    monkeypatch.setattr(nnx, "Linear", never)
    with pytest.raises(ValueError, match="scale is not a scalar"):
        nc.pure_state_update(0, X, 7, jnp.ones(3))


def test_the_error_text_in_full():
    with pytest.raises(ValueError, match="whole") as raised:
        nc.pure_state_update(2.5, X, 2, 1.0)
    assert str(raised.value) == (
        "seed is not a whole number: found 2.5. [NC031]\n"
        "  instead: pass an int, or a float such as 2.0"
    )
