"""reproducible_init: the same seed, the same weights, within what can be promised."""

from __future__ import annotations

import threading

import jax
import numpy as np
import pytest

import nnx_compat as nc
from nnx_compat.revisions import nnx

from . import weights
from .models import HAS

#: First four weights from seed 0, as the bits of the float32 on the newest pair.
GOLDEN = {
    "Conv": ("3eb6a4c8", "bea58006", "be894b10", "bed35f6f"),
    "ConvTranspose": ("3eb6a4c8", "bea58006", "be894b10", "bed35f6f"),
    "Einsum": ("3f1e2c8f", "bf0f53c8", "beedcc7e", "bf370de0"),
    "Embed": ("3f00838a", "bee805b7", "bebf8837", "bf15ef5a"),
    "GRUCell": ("3f391be0", "be6a1547", "3e59b3c3", "3ea42ccd"),
    "LSTMCell": ("3f79f328", "be5d4eca", "3e5d4eca", "3f79f32a"),
    "Linear": ("3f1e2c8f", "bf0f53c8", "beedcc7e", "bf370de0"),
    "LinearGeneral": ("3f1e2c8f", "bf0f53c8", "beedcc7e", "bf370de0"),
    "MultiHeadAttention": ("3f2e0704", "3f353f22", "be62fcb8", "bed45412"),
}


@pytest.mark.parametrize("layer", sorted(weights.layers()))
def test_a_layer_starts_the_same_within_2_ulp(layer):
    with nc.reproducible_init():
        _, values = weights.first_kernel(weights.layers()[layer]())
    golden = np.array(
        [np.frombuffer(bytes.fromhex(b)[::-1], "<f4")[0] for b in GOLDEN[layer]]
    )
    np.testing.assert_array_max_ulp(values[: len(golden)], golden, maxulp=2)


def test_every_layer_has_golden_weights():
    assert set(weights.layers()) <= set(GOLDEN)


def test_the_setting_ends_with_the_context():
    before = jax.random.uniform(jax.random.key(0), (3,))
    with nc.reproducible_init():
        pass
    assert (jax.random.uniform(jax.random.key(0), (3,)) == before).all()


def test_the_setting_ends_when_the_body_raises():
    before = nnx.Rngs(0).params()
    with pytest.raises(ZeroDivisionError), nc.reproducible_init():
        _ = 1 / 0
    after = nnx.Rngs(0).params()
    assert (jax.random.key_data(after) == jax.random.key_data(before)).all()


def test_contexts_nest_and_other_threads_are_left_alone():
    def first():
        return jax.random.uniform(nnx.Rngs(0).params(), (3,))

    native, seen = first(), []
    with nc.reproducible_init():
        with nc.reproducible_init():
            inner = first()
        outer = first()
        thread = threading.Thread(target=lambda: seen.append(first()))
        thread.start()
        thread.join()
    assert (inner == outer).all()
    assert (seen[0] == native).all()
    assert (first() == native).all()


def test_a_dropout_with_a_stream_of_its_own_shifts_nothing():
    def kernel(*, dropout):
        rngs = nnx.Rngs(0, dropout=1)
        if dropout and not HAS["rngs-are-static"]:
            nnx.Dropout(0.5, rngs=rngs)
        return nc.get_value(nnx.Linear(3, 2, rngs=rngs).kernel)

    with nc.reproducible_init():
        assert (kernel(dropout=True) == kernel(dropout=False)).all()
