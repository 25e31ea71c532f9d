"""Linear layers that came later, or take more than they did."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import opt_einsum  # type: ignore[import-not-found]
from jax import lax
from jax.nn import initializers

from ..._release import here
from ...errors import ArgumentValueError, RefusedArgumentError
from ...revisions import flax_version, nnx
from .._native_classes import standing_in_for
from .._variable_attributes import new_param, value_of
from . import dtypes
from ._absent import AbsentParameters
from ._types import NO_METADATA, Metadata, PromoteDtype

if TYPE_CHECKING:
    from flax.nnx import Param, Rngs
    from jax.lax import PrecisionLike
    from jax.nn.initializers import Initializer
    from jax.typing import DTypeLike

__all__ = ["Conv", "ConvTranspose", "Einsum", "Linear", "LinearGeneral"]


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


# -- A transposed convolution -------------------------------------------------------


Padding = str | int | Sequence[int | tuple[int, int]]


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
        RefusedArgumentError: there is a mask, and the release takes no bare array as an
            attribute.

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
        padding: Padding = "SAME",
        kernel_dilation: int | Sequence[int] | None = None,
        use_bias: bool = True,
        mask: jax.Array | None = None,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        precision: PrecisionLike = None,
        kernel_init: Initializer = initializers.lecun_normal(),  # noqa: B008
        bias_init: Initializer = initializers.zeros,
        transpose_kernel: bool = False,
        promote_dtype: PromoteDtype = dtypes.promote_dtype,
        preferred_element_type: DTypeLike | None = None,
        rngs: Rngs,
        kernel_metadata: Metadata = NO_METADATA,
        bias_metadata: Metadata = NO_METADATA,
    ) -> None:
        # split-refuses-raw-arrays: as a Variable the mask would be in the state, which
        # has none on the newest release.
        if mask is not None and here.refuses_arrays:
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
        self.kernel = new_param(kernel_init, rngs, shape, param_dtype, kernel_metadata)
        self.bias: Param[jax.Array] | None = None
        if use_bias:
            shape = (out_features,)
            self.bias = new_param(bias_init, rngs, shape, param_dtype, bias_metadata)

    def __call__(self, inputs: jax.Array) -> jax.Array:
        """Any number of batch axes, or none, then the spatial ones, then channels."""
        rank = len(self.kernel_size)
        batch = inputs.shape[: inputs.ndim - rank - 1]
        inputs = inputs.reshape((-1, *inputs.shape[len(batch) :]))
        kernel = value_of(self, "kernel")
        if self.mask is not None:
            if self.mask.shape != self.kernel_shape:
                raise ArgumentValueError(
                    "Mask needs to have the same shape as weights. Shapes are: "
                    f"{self.mask.shape}, {self.kernel_shape}"
                )
            kernel = kernel * self.mask
        bias = value_of(self, "bias")
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


def _padding(given: Padding, rank: int) -> str | list[tuple[int, ...]]:
    if isinstance(given, str):
        return given
    each = [given] * rank if isinstance(given, int) else given
    pairs = [(p, p) if isinstance(p, int) else tuple(p) for p in each]
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


class Linear(
    AbsentParameters,
    nnx.Linear,  # type: ignore[misc, name-defined]
    metaclass=standing_in_for(nnx.Linear),  # type: ignore[metaclass]
):
    """``x @ kernel + bias``.

    It takes what the layer of the installed release takes.

    Example:
        >>> from nnx_compat import nnx
        >>> layer = nnx.Linear(2, 3, use_bias=False, rngs=nnx.Rngs(0))
        >>> layer.bias is None
        True
    """

    __call__ = AbsentParameters.__call__  # its own: capture looks for it


class LinearGeneral(
    AbsentParameters,
    nnx.LinearGeneral,  # type: ignore[misc, name-defined]
    metaclass=standing_in_for(nnx.LinearGeneral),  # type: ignore[metaclass]
):
    """A linear layer over any axes.

    It takes what the layer of the installed release takes.

    Example:
        >>> from nnx_compat import nnx
        >>> layer = nnx.LinearGeneral(2, 3, use_bias=False, rngs=nnx.Rngs(0))
        >>> layer.bias is None
        True
    """

    __call__ = AbsentParameters.__call__  # its own: capture looks for it


class Conv(
    AbsentParameters,
    nnx.Conv,  # type: ignore[misc, name-defined]
    metaclass=standing_in_for(nnx.Conv),  # type: ignore[metaclass]
):
    """A convolution.

    It takes what the layer of the installed release takes.

    Example:
        >>> from nnx_compat import nnx
        >>> layer = nnx.Conv(2, 3, (3,), use_bias=False, rngs=nnx.Rngs(0))
        >>> layer.bias is None
        True
    """

    __call__ = AbsentParameters.__call__  # its own: capture looks for it
