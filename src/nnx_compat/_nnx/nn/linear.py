"""Layers of one kind each: activations, einsum, transposed convolution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import opt_einsum  # type: ignore[import-not-found]
from jax import lax
from jax.nn import initializers

from ...errors import ArgumentValueError, RefusedArgumentError
from ...revisions import flax_version, nnx
from .._attributes import holds, promoted, read

__all__ = ["ConvTranspose", "Einsum", "PReLU"]

Metadata = Mapping[str, Any]
NONE: Metadata = MappingProxyType({})


class PReLU(nnx.Module):  # type: ignore[misc, name-defined]
    """A ``relu`` whose slope below zero is a parameter.

    Args:
        negative_slope_init: the slope to begin with.
        dtype: of the result; by default that of the input.
        param_dtype: of the slope.
        promote_dtype: ``((inputs, slope), dtype=)`` to arrays of one dtype.
        negative_slope_metadata: for the Variable.

    Example:
        >>> from nnx_compat import nnx
        >>> nnx.PReLU(0.5)(jnp.array([-4.0, 3.0])).tolist()
        [-2.0, 3.0]
    """

    def __init__(
        self,
        negative_slope_init: float = 0.01,
        *,
        dtype: Any = None,
        param_dtype: Any = jnp.float32,
        promote_dtype: Any = promoted,
        negative_slope_metadata: Metadata = NONE,
    ) -> None:
        slope = jnp.asarray(negative_slope_init, dtype=param_dtype)
        self.negative_slope = nnx.Param(slope, **negative_slope_metadata)
        self.dtype = dtype
        self.param_dtype = param_dtype
        self.promote_dtype = promote_dtype

    def __call__(self, inputs: jax.Array) -> jax.Array:
        """The inputs, times the slope where they are negative."""
        slope = read(self, "negative_slope")
        if self.dtype is None:
            slope = jnp.asarray(slope, inputs.dtype)
        else:
            inputs, slope = self.promote_dtype((inputs, slope), dtype=self.dtype)
        return jnp.where(inputs >= 0, inputs, slope * inputs)


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
        dtype: Any = None,
        param_dtype: Any = jnp.float32,
        precision: Any = None,
        kernel_init: Any = initializers.lecun_normal(),  # noqa: B008
        bias_init: Any = initializers.zeros,
        promote_dtype: Any = promoted,
        einsum_op: Any = jnp.einsum,
        preferred_element_type: Any = None,
        rngs: Any,
        kernel_metadata: Metadata = NONE,
        bias_metadata: Metadata = NONE,
    ) -> None:
        self.einsum_str = _equation(einsum_str)
        kernel = kernel_init(rngs.params(), kernel_shape, param_dtype)
        self.kernel = nnx.Param(kernel, **kernel_metadata)
        self.bias: Any = None
        if bias_shape is not None:
            bias = bias_init(rngs.params(), bias_shape, param_dtype)
            self.bias = nnx.Param(bias, **bias_metadata)
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
        bias = read(self, "bias") if holds(self, "bias") else None
        given = (inputs, read(self, "kernel"), bias)
        inputs, kernel, bias = self.promote_dtype(given, dtype=self.dtype)
        options = {"precision": self.precision}
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


class ConvTranspose(nnx.Module):  # type: ignore[misc, name-defined]
    """A transposed convolution, channels last.

    Args:
        in_features: channels of the input.
        out_features: channels of the output.
        kernel_size: an int for one spatial axis, else one for each.
        strides: between windows, one for all or for each axis.
        padding: ``"SAME"``, ``"VALID"``, ``"CIRCULAR"``, an int, or ``(low, high)`` or
            an int for each axis, as in ``jax.lax.conv_transpose``.
        kernel_dilation: one for all or for each axis.
        use_bias: add a ``bias``.
        mask: of the shape of the kernel, which is multiplied by it.
        dtype: of the result; by default that of the input and parameters.
        param_dtype: of the parameters.
        precision: of the product, as in ``jax.lax``.
        kernel_init: its initializer.
        bias_init: its initializer.
        transpose_kernel: flip the kernel and swap its channels, for the transpose of a
            ``Conv`` with the same kernel.
        promote_dtype: ``((inputs, kernel, bias), dtype=)`` to arrays of one dtype.
        preferred_element_type: of the product.
        rngs: its ``params`` stream gives the keys.
        kernel_metadata: for the Variable.
        bias_metadata: for the Variable.

    Raises:
        RefusedArgumentError: there is a mask, which the first releases cannot keep.

    Example:
        >>> from nnx_compat import nnx
        >>> layer = nnx.ConvTranspose(3, 4, (3,), padding="VALID", rngs=nnx.Rngs(0))
        >>> layer(jnp.ones((1, 8, 3))).shape
        (1, 10, 4)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] | None = None,
        *,
        padding: Any = "SAME",
        kernel_dilation: int | Sequence[int] | None = None,
        use_bias: bool = True,
        mask: Any = None,
        dtype: Any = None,
        param_dtype: Any = jnp.float32,
        precision: Any = None,
        kernel_init: Any = initializers.lecun_normal(),  # noqa: B008
        bias_init: Any = initializers.zeros,
        transpose_kernel: bool = False,
        promote_dtype: Any = promoted,
        preferred_element_type: Any = None,
        rngs: Any,
        kernel_metadata: Metadata = NONE,
        bias_metadata: Metadata = NONE,
    ) -> None:
        if mask is not None and not hasattr(nnx, "split"):
            raise RefusedArgumentError(
                f"ConvTranspose was given a mask, and flax {flax_version} takes no "
                "bare array as an attribute",
                instead="multiply the kernel by the mask before the call",
            )
        size = (kernel_size,) if isinstance(kernel_size, int) else tuple(kernel_size)
        channels = (out_features, in_features)
        shape = size + (channels if transpose_kernel else channels[::-1])
        self.kernel_size = size
        self.in_features = in_features
        self.out_features = out_features
        self.strides = strides
        self.padding = padding
        self.kernel_dilation = kernel_dilation
        self.use_bias = use_bias
        self.mask = mask
        self.dtype = dtype
        self.param_dtype = param_dtype
        self.precision = precision
        self.transpose_kernel = transpose_kernel
        self.promote_dtype = promote_dtype
        self.preferred_element_type = preferred_element_type
        self.kernel_shape = shape
        kernel = kernel_init(rngs.params(), shape, param_dtype)
        self.kernel = nnx.Param(kernel, **kernel_metadata)
        self.bias: Any = None
        if use_bias:
            bias = bias_init(rngs.params(), (out_features,), param_dtype)
            self.bias = nnx.Param(bias, **bias_metadata)

    def __call__(self, inputs: jax.Array) -> jax.Array:
        """Any number of batch axes, or none, then the spatial ones, then channels."""
        rank = len(self.kernel_size)
        batch = inputs.shape[: inputs.ndim - rank - 1]
        inputs = inputs.reshape((-1, *inputs.shape[len(batch) :]))
        kernel = read(self, "kernel")
        if self.mask is not None:
            if self.mask.shape != self.kernel_shape:
                raise ArgumentValueError(
                    "Mask needs to have the same shape as weights. Shapes are: "
                    f"{self.mask.shape}, {self.kernel_shape}"
                )
            kernel = kernel * self.mask
        bias = read(self, "bias") if holds(self, "bias") else None
        given = (inputs, kernel, bias)
        inputs, kernel, bias = self.promote_dtype(given, dtype=self.dtype)
        strides = _each(self.strides, rank)
        circular = self.padding == "CIRCULAR"
        y = lax.conv_transpose(
            inputs,
            kernel,
            strides,
            "VALID" if circular else _padding(self.padding, rank),
            rhs_dilation=_each(self.kernel_dilation, rank),
            transpose_kernel=self.transpose_kernel,
            precision=self.precision,
            preferred_element_type=self.preferred_element_type,
        )
        if circular:
            sizes = [n * s for n, s in zip(inputs.shape[1:-1], strides, strict=True)]
            y = _wrapped(y, sizes, self.transpose_kernel)
        if bias is not None:
            y = y + bias
        return y.reshape(batch + y.shape[1:])


def _each(given: int | Sequence[int] | None, rank: int) -> tuple[int, ...]:
    if given is None or isinstance(given, int):
        return (1 if given is None else given,) * rank
    return tuple(given)


def _padding(given: Any, rank: int) -> Any:
    if isinstance(given, str):
        return given
    each = [given] * rank if isinstance(given, int) else list(given)
    pairs: list[Any] = [(p, p) if isinstance(p, int) else tuple(p) for p in each]
    if len(pairs) != rank or any(len(pair) != 2 for pair in pairs):
        raise ArgumentValueError(
            f"Invalid padding format: {given}, should be str, int, or a sequence of "
            f"len {rank} where each element is an int or pair of ints"
        )
    return pairs


def _wrapped(y: jax.Array, sizes: Sequence[int], transposed: bool) -> jax.Array:
    """The output laid around a torus of ``sizes``, its parts added where they meet.

    The padding makes each axis a whole number of periods, with the input's origin at
    the beginning of one; of an odd number the extra one is where ``Conv`` has it.
    """
    pads = []
    for found, size in zip(y.shape[1:-1], sizes, strict=True):
        lacking = (size - found) % (2 * size)
        less, more = lacking // 2, (lacking + 1) // 2
        pads.append((less, more) if transposed else (more, less))
    y = jnp.pad(y, [(0, 0), *pads, (0, 0)])
    for axis, size in enumerate(sizes, start=1):
        periods = (*y.shape[:axis], -1, size, *y.shape[axis + 1 :])
        y = y.reshape(periods).sum(axis=axis)
    return y
