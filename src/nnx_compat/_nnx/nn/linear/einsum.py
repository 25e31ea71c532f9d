"""An einsum as a layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import opt_einsum  # type: ignore[import-not-found]
from jax.nn import initializers

from ....errors import ArgumentValueError
from ....revisions import nnx
from ..._variable_attributes import new_param, value_of
from .. import dtypes
from .._types import NO_METADATA, Metadata, PromoteDtype

if TYPE_CHECKING:
    from flax.nnx import Param, Rngs
    from jax.lax import PrecisionLike
    from jax.nn.initializers import Initializer
    from jax.typing import DTypeLike

__all__ = ["Einsum"]


class Einsum(nnx.Module):  # type: ignore[misc, name-defined]
    """An einsum of the input with a kernel, and a bias.

    Args:
        einsum_str: ``"input,kernel->output"``; or give it in the call.
        kernel_shape: of the kernel.
        bias_shape: of the bias, the axes of the kernel that are in the output; ``None``
            for no bias.
        dtype: of the result; by default that of the input and parameters.
        param_dtype: of the parameters.
        precision: of the product, as in ``jax.lax``.
        kernel_init: its initializer.
        bias_init: its initializer.
        promote_dtype: ``((inputs, kernel, bias), dtype=)`` to arrays of one dtype.
        einsum_op: in the place of ``jnp.einsum``.
        preferred_element_type: of the product.
        rngs: its ``params`` stream gives the keys.
        kernel_metadata: for the Variable.
        bias_metadata: for the Variable.

    Raises:
        ArgumentValueError: the equation has no ``->``, or not two operands.

    Example:
        >>> from nnx_compat import nnx
        >>> layer = nnx.Einsum("bi,ihk->bhk", (2, 3, 4), (3, 4), rngs=nnx.Rngs(0))
        >>> layer(jnp.ones((5, 2))).shape
        (5, 3, 4)
    """

    def __init__(
        self,
        einsum_str: str,
        kernel_shape: Sequence[int],
        bias_shape: Sequence[int] | None = None,
        *,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        precision: PrecisionLike = None,
        kernel_init: Initializer = initializers.lecun_normal(),  # noqa: B008
        bias_init: Initializer = initializers.zeros,
        promote_dtype: PromoteDtype = dtypes.promote_dtype,
        einsum_op: Callable[..., jax.Array] = jnp.einsum,
        preferred_element_type: DTypeLike | None = None,
        rngs: Rngs,
        kernel_metadata: Metadata = NO_METADATA,
        bias_metadata: Metadata = NO_METADATA,
    ) -> None:
        self.einsum_str = _equation(einsum_str)
        self.kernel = new_param(
            kernel_init, rngs, kernel_shape, param_dtype, kernel_metadata
        )
        self.bias: Param[jax.Array] | None = None
        if bias_shape is not None:
            self.bias = new_param(
                bias_init, rngs, bias_shape, param_dtype, bias_metadata
            )
        self.kernel_shape = tuple(kernel_shape)
        self.bias_shape = None if bias_shape is None else tuple(bias_shape)
        self.dtype = dtype
        self.param_dtype = param_dtype
        self.precision = precision
        self.promote_dtype = promote_dtype
        self.einsum_op = einsum_op
        self.preferred_element_type = preferred_element_type

    def __call__(self, inputs: jax.Array, einsum_str: str | None = None) -> jax.Array:
        """The product, and the bias along the axes that it has of the kernel's."""
        equation = self.einsum_str if einsum_str is None else _equation(einsum_str)
        bias = value_of(self, "bias")
        given = (inputs, value_of(self, "kernel"), bias)
        inputs, kernel, bias = self.promote_dtype(given, dtype=self.dtype)
        options: dict[str, Any] = {"precision": self.precision}
        if self.preferred_element_type is not None:
            options["preferred_element_type"] = self.preferred_element_type
        y: jax.Array = self.einsum_op(equation, inputs, kernel, **options)
        if bias is None:
            return y
        return y + bias.reshape(_bias_shape(equation, inputs, kernel))


def _equation(text: str) -> str:
    text = text.replace(" ", "")
    if "->" not in text:
        raise ArgumentValueError(
            f'`einsum_str` equation must be explicit and include "->", and is {text!r}'
        )
    if text.count(",") != 1:
        raise ArgumentValueError(
            "`einsum_str` equation must have exactly two operands and therefore, "
            f"exactly one comma character, instead of {text.count(',')}"
        )
    return text


def _bias_shape(equation: str, inputs: jax.Array, kernel: jax.Array) -> list[int]:
    """1 for every axis of the output that the kernel does not have."""
    parser = opt_einsum.parser  # writes an ellipsis out in letters
    operands, result, _ = parser.parse_einsum_input((equation, inputs, kernel))
    letters = operands.split(",")[1]
    sizes = dict(zip(letters, kernel.shape, strict=True))
    return [sizes.get(letter, 1) for letter in result]
