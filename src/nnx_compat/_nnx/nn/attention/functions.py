"""Attention with causal masks, fewer heads of keys, and rotary positions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from ....errors import ArgumentValueError
from ....revisions import nnx
from ... import newest
from ..._variable_attributes import value_of
from .. import dtypes

if TYPE_CHECKING:
    from flax.nnx import Module, Variable
    from jax.lax import PrecisionLike
    from jax.typing import DTypeLike

    from .._types import PromoteDtype

__all__ = ["RoPE", "dot_product_attention", "dot_product_attention_with_rope"]


def dot_product_attention(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    bias: jax.Array | None = None,
    mask: jax.Array | None = None,
    broadcast_dropout: bool = True,
    dropout_rng: jax.Array | None = None,
    dropout_rate: float = 0.0,
    deterministic: bool = False,
    dtype: DTypeLike | None = None,
    precision: PrecisionLike = None,
    module: Module | None = None,
    promote_dtype: PromoteDtype = dtypes.promote_dtype,
    is_causal: bool = False,
) -> jax.Array:
    """Values, averaged with weights that are a softmax of ``query @ key``.

    Args:
        query: ``(batch..., q_length, heads, head_dim)``.
        key: ``(batch..., kv_length, kv_heads, head_dim)``; ``heads`` is a multiple of
            ``kv_heads``, and so many heads of queries in turn share one of keys.
        value: ``(batch..., kv_length, kv_heads, v_dim)``.
        bias: added to the logits, ``(batch..., heads, q_length, kv_length)`` or what
            can be broadcast to it.
        mask: of the same shape; where it is False the weight is zero.
        broadcast_dropout: whether all of a batch drop the same weights.
        dropout_rng: a key; needed to drop any.
        dropout_rate: the probability that a weight is dropped.
        deterministic: drop none.
        dtype: of the computation; by default that of the three together.
        precision: of the products, as in ``jax.numpy.einsum``.
        module: a Module that sows the weights as an Intermediate.
        promote_dtype: ``((query, key, value), dtype=)`` to arrays of one dtype.
        is_causal: let no query see a later key.

    Raises:
        ArgumentValueError: the heads are no multiple of those of the keys.

    Example:
        >>> from nnx_compat import nnx
        >>> q, kv = jnp.ones((1, 3, 4, 2)), jnp.ones((1, 3, 2, 2))
        >>> nnx.dot_product_attention(q, kv, kv, is_causal=True).shape
        (1, 3, 4, 2)
    """
    query, key, value = promote_dtype((query, key, value), dtype=dtype)
    heads, kv_heads = query.shape[-2], key.shape[-2]
    if heads % kv_heads:
        raise ArgumentValueError(
            f"Query heads ({heads}) must be a multiple of key heads ({kv_heads})"
        )
    if heads != kv_heads:
        key, value = (jnp.repeat(x, heads // kv_heads, axis=-2) for x in (key, value))
    if is_causal:
        earlier = jnp.tril(jnp.ones((query.shape[-3], key.shape[-3]), bool))
        mask = earlier if mask is None else jnp.logical_and(mask, earlier)
    attended: jax.Array = nnx.dot_product_attention(
        query, key, value, bias, mask, broadcast_dropout, dropout_rng, dropout_rate,
        deterministic, query.dtype, precision, module,
    )  # fmt: skip
    return attended


class RoPE(nnx.Module):  # type: ignore[misc, name-defined]
    """Turn pairs of features by an angle that grows with the position.

    Args:
        theta: the base of the frequencies.
        embedding_size: with ``max_seq_len``, to compute the angles once; even.
        max_seq_len: the longest sequence of such.

    Raises:
        ArgumentValueError: only one of the two is given, or the size is odd.

    Example:
        >>> from nnx_compat import nnx
        >>> y = nnx.RoPE()(jnp.ones((2, 2)))
        >>> [round(v, 4) for v in y[1].tolist()]
        [-0.3012, 1.3818]

    Reference: arXiv:2104.09864, with halves in the place of neighbours.
    """

    def __init__(
        self,
        theta: float = 10000.0,
        embedding_size: int | None = None,
        max_seq_len: int | None = None,
    ) -> None:
        self.theta = theta
        if (embedding_size is None) != (max_seq_len is None):
            raise ArgumentValueError(
                "Either both `embedding_size` and `max_seq_len` or none of them must "
                "be provided"
            )
        sin: Variable[jax.Array] | None = None
        cos: Variable[jax.Array] | None = None
        if embedding_size is not None and max_seq_len is not None:
            angles = _angles(theta, embedding_size, jnp.arange(float(max_seq_len)))
            sin, cos = nnx.Variable(jnp.sin(angles)), nnx.Variable(jnp.cos(angles))
        self.cached_sin = sin
        self.cached_cos = cos

    def __call__(
        self, x: jax.Array, input_positions: jax.Array | None = None
    ) -> jax.Array:
        """The input, turned.

        Args:
            x: ``(..., length, embedding_size)``.
            input_positions: ``(length,)``; 0, 1, 2, ... by default.

        Raises:
            ArgumentValueError: there is not one position for each step.
        """
        length, size = x.shape[-2:]
        if input_positions is None and value_of(self, "cached_sin") is not None:
            sin = value_of(self, "cached_sin")[:length]
            cos = value_of(self, "cached_cos")[:length]
        else:
            if input_positions is None:
                input_positions = jnp.arange(float(length))
            if input_positions.shape[-1] != length:
                raise ArgumentValueError(
                    "`input_positions` must have the same seq_len as `x`: found "
                    f"{input_positions.shape[-1]} and {length}"
                )
            angles = _angles(self.theta, size, input_positions)
            sin, cos = jnp.sin(angles), jnp.cos(angles)
        first, second = jnp.split(x, 2, axis=-1)
        turned = jnp.concatenate([-second, first], axis=-1)
        sin, cos = (jnp.concatenate([v, v], axis=-1) for v in (sin, cos))
        return x * cos + turned * sin


def _angles(theta: float, size: int, positions: jax.Array) -> jax.Array:
    if size <= 0 or size % 2:
        raise ArgumentValueError(
            f"`embedding_size` must be positive and even, and is {size}"
        )
    frequencies = 1.0 / theta ** (jnp.arange(0.0, size, 2) / size)
    return jnp.outer(positions, frequencies)


def dot_product_attention_with_rope(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    *,
    rope: Callable[[jax.Array, jax.Array | None], jax.Array],
    input_positions: jax.Array | None = None,
    **kwargs: Any,
) -> jax.Array:
    """``dot_product_attention`` of queries and keys that a ``RoPE`` has turned.

    With ``functools.partial(..., rope=rope)`` it is an ``attention_fn`` for
    ``MultiHeadAttention``.

    Args:
        query: ``(batch..., q_length, heads, head_dim)``.
        key: ``(batch..., kv_length, heads, head_dim)``.
        value: ``(batch..., kv_length, heads, v_dim)``.
        rope: a ``RoPE``.
        input_positions: ``(length,)``, of queries and keys. The newest release takes it
            and cannot compute with it; here it is the position in every head.
        **kwargs: further arguments of ``dot_product_attention``.

    Example:
        >>> from nnx_compat import nnx
        >>> q = k = v = jnp.ones((1, 3, 2, 4))
        >>> nnx.dot_product_attention_with_rope(q, k, v, rope=nnx.RoPE()).shape
        (1, 3, 2, 4)
    """
    query, key = (
        jnp.swapaxes(rope(jnp.swapaxes(x, -2, -3), input_positions), -2, -3)
        for x in (query, key)
    )
    attend = newest("dot_product_attention")
    attended: jax.Array = attend(query, key, value, **kwargs)
    return attended
