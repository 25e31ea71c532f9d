"""Dtypes by name, with those that numpy lacks. Imports no flax, no jax.

``ml_dtypes`` has bfloat16 and its like; jax brings it. It is imported only where a file
has one of them.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from ..errors import CheckpointFormError, MissingPackageError


def named(name: str) -> np.dtype[Any]:
    """The dtype of this name.

    Raises:
        MissingPackageError: it is one of ``ml_dtypes``, which is not installed.
        CheckpointFormError: no array of numbers has such a dtype.
    """
    try:
        found: np.dtype[Any] = np.dtype(name)
    except TypeError:
        found = np.dtype(_extended(name))
    if found.hasobject:
        raise CheckpointFormError(
            f"{name} is the dtype of Python objects, and reading them would run code",
            instead="arrays of numbers",
        )
    return found


def _extended(name: str) -> type[Any]:
    try:
        module = importlib.import_module("ml_dtypes")
    except ImportError:
        raise MissingPackageError(
            f"the dtype {name} needs the package ml_dtypes",
            instead="pip install ml_dtypes",
        ) from None
    found: type[Any] | None = getattr(module, name, None)
    if found is None or not isinstance(found, type):
        raise CheckpointFormError(
            f"{name} is no dtype of numpy's or of ml_dtypes {module.__version__}",
            instead="pip install --upgrade ml_dtypes",
        )
    return found


def is_extended(dtype: np.dtype[Any]) -> bool:
    """Whether a dtype is one that numpy itself lacks."""
    return dtype.type.__module__.split(".")[0] == "ml_dtypes"
