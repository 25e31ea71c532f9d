"""How the mode of a layer of Flax's is set, where it has no method for it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

import jax.numpy as jnp

from ...errors import ArgumentTypeError
from ...revisions import nnx

if TYPE_CHECKING:
    from flax.nnx import BatchNorm, Dropout, Module, MultiHeadAttention


def setter_of(module: Module) -> functools.partial[None] | None:
    """What sets the mode of a Module: its own method, or ours for a layer of Flax's."""
    own = getattr(type(module), "set_view", None)
    if own is not None:
        return functools.partial(own, module)
    for kind, setter in _SETTERS.items():
        if isinstance(module, kind):
            return functools.partial(setter, module)
    return None


def _view_of_dropout(layer: Dropout, deterministic: bool | None = None) -> None:
    """The mode of a Dropout.

    Args:
        layer: the layer; it is changed.
        deterministic: whether everything is kept.
    """
    if deterministic is not None:
        layer.deterministic = deterministic


def _view_of_batch_norm(
    layer: BatchNorm, use_running_average: bool | None = None
) -> None:
    """The mode of a BatchNorm.

    Args:
        layer: the layer; it is changed.
        use_running_average: whether the stored statistics are used rather than
            those of the batch.
    """
    if use_running_average is not None:
        layer.use_running_average = use_running_average


def _view_of_attention(
    layer: MultiHeadAttention,
    deterministic: bool | None = None,
    decode: bool | None = None,
    batch_size: int | tuple[int, ...] | None = None,
    max_length: int | None = None,
) -> None:
    """The mode of a MultiHeadAttention.

    Args:
        layer: the layer; it is changed.
        deterministic: whether its dropout keeps everything.
        decode: whether it takes one position at a time and remembers the earlier ones.
        batch_size: of the memory, when there is none yet.
        max_length: of the memory, in positions, when there is none yet.
    """
    if deterministic is not None:
        layer.deterministic = deterministic
    if decode is None:
        return
    layer.decode = decode
    if all(hasattr(layer, name) for name in _MEMORY):  # None before init_cache
        return
    if batch_size is None or max_length is None:
        missing = "batch_size" if batch_size is None else "max_length"
        raise ArgumentTypeError(
            f"'{missing}' must be provided when initializing cache",
            instead="nnx.view(model, decode=True, batch_size=..., max_length=...)",
        )
    batch = (batch_size,) if isinstance(batch_size, int) else tuple(batch_size)
    shape = (*batch, max_length, layer.num_heads, layer.head_dim)
    dtype = layer.dtype or jnp.float32
    for name, value in zip(
        _MEMORY,
        (jnp.zeros(shape, dtype), jnp.zeros(shape, dtype), jnp.array(0, jnp.int32)),
        strict=True,
    ):
        setattr(layer, name, nnx.Cache(value))


_MEMORY = ("cached_key", "cached_value", "cache_index")

_SETTERS: dict[type, Callable[..., None]] = {
    nnx.Dropout: _view_of_dropout,
    nnx.BatchNorm: _view_of_batch_norm,
    nnx.MultiHeadAttention: _view_of_attention,
}
