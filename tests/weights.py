"""The first weights of common layers from seed 0: what a seed gives on this pair."""

from __future__ import annotations

import contextlib
import warnings

import numpy as np

import nnx_compat as nc


def layers():
    """Constructors of the layers that the installed release has, by name."""
    from nnx_compat.revisions import nnx

    def rngs():
        return nnx.Rngs(0)

    found = {
        "Linear": lambda: nnx.Linear(3, 2, rngs=rngs()),
        "LinearGeneral": lambda: nnx.LinearGeneral(3, (2, 2), rngs=rngs()),
        "Conv": lambda: nnx.Conv(3, 2, kernel_size=(3,), rngs=rngs()),
        "ConvTranspose": lambda: nnx.ConvTranspose(3, 2, kernel_size=(3,), rngs=rngs()),
        "Embed": lambda: nnx.Embed(5, 4, rngs=rngs()),
        "Einsum": lambda: nnx.Einsum("ij,jk->ik", (3, 2), (2,), rngs=rngs()),
        "MultiHeadAttention": lambda: nnx.MultiHeadAttention(
            num_heads=2, in_features=4, decode=False, rngs=rngs()
        ),
        "LSTMCell": lambda: nnx.LSTMCell(3, 2, rngs=rngs()),
        "GRUCell": lambda: nnx.GRUCell(3, 2, rngs=rngs()),
    }
    return {name: _quiet(make) for name, make in found.items() if hasattr(nnx, name)}


def _quiet(make):
    """Some layers of some releases call deprecated jax functions when they are made."""

    def made():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return make()

    return made


def first_kernel(model):
    """Path and values of the first leaf that is not constant, in the order of leaves."""
    for path, variable in nc.variables(model, nc.nnx.Param).items():
        values = np.asarray(nc.get_value(variable)).ravel()
        if values.size > 1 and np.ptp(values) > 0:
            return path, values
    raise AssertionError("every parameter is constant")


def initial_weights():
    """First four weights a layer, with jax's default and under reproducible_init.

    Rounded to 5 digits, and as the bits of the float32.
    """
    record = {}
    for key, context in (
        ("default", contextlib.nullcontext),
        ("reproducible", nc.reproducible_init),
    ):
        record[key] = {}
        for name, make in layers().items():
            with context():
                _, values = first_kernel(make())
            record[key][name] = {
                "rounded": [round(float(v), 5) for v in values[:4]],
                "bits": [v.tobytes()[::-1].hex() for v in values[:4]],
            }
    return record
