"""What the probes make and compare; jax is imported when they run."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

__all__ = ["of_ones", "ones", "same", "the_jax", "the_jnp"]


def the_jnp() -> Any:
    """``jax.numpy``, which no module of the probes imports."""
    return importlib.import_module("jax.numpy")


def the_jax() -> Any:
    """``jax``, likewise."""
    return importlib.import_module("jax")


def ones(*shape: int) -> Any:
    """An array of ones, float32."""
    # an array of numpy's is copied, where jnp.ones is a program to compile
    return the_jnp().asarray(np.ones(shape, np.float32))


def of_ones(key: Any, shape: tuple[int, ...], dtype: Any = None) -> Any:
    """An initializer that gives ones."""
    return ones(*shape)


def same(found: Any, wanted: Any) -> None:
    """Raise an AssertionError where they differ, by shape or by more than 1e-5."""
    if isinstance(found, (list, tuple)):
        if len(found) != len(wanted):
            raise AssertionError(f"{len(found)} leaves instead of {len(wanted)}")
        for one, two in zip(found, wanted, strict=True):
            same(one, two)
        return
    found, wanted = np.asarray(found), np.asarray(wanted)
    if found.shape != wanted.shape:
        raise AssertionError(f"shape {found.shape} instead of {wanted.shape}")
    if not np.allclose(found, wanted, atol=1e-5):
        raise AssertionError(f"{found.tolist()} instead of {wanted.tolist()}")
