"""Normalization by the statistics of each example."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.nn import initializers

from ....errors import ArgumentValueError
from ....revisions import nnx
from ..._native_classes import standing_in_for
from ..._variable_attributes import new_param, value_of
from .. import dtypes
from .._absent import AbsentParameters
from .._extending import extending
from .._types import NO_METADATA, Axes, Metadata, PromoteDtype

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flax.nnx import Param, Rngs
    from jax.nn.initializers import Initializer
    from jax.typing import DTypeLike

__all__ = ["BatchNorm", "GroupNorm", "InstanceNorm", "LayerNorm", "RMSNorm"]


class Normalization(nnx.Module):  # type: ignore[misc, name-defined]
    """A normalization with a scale.

    Args:
        num_features: the size of the feature axis.
        epsilon: added to the variance.
        dtype: of the result; by default that of the input and parameters.
        param_dtype: of the parameters.
        use_scale: multiply by a ``scale``.
        scale_init: its initializer.
        axis_name: of ``pmap``, to average over devices as well.
        axis_index_groups: of devices to average over.
        use_fast_variance: in one pass, less exact.
        promote_dtype: ``((x, scale, bias), dtype=)`` to arrays of one dtype.
        rngs: its ``params`` stream gives the keys.
        scale_metadata: for the Variable.
    """

    def __init__(
        self,
        num_features: int,
        *,
        epsilon: float = 1e-6,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        use_scale: bool = True,
        scale_init: Initializer = initializers.ones,
        axis_name: str | None = None,
        axis_index_groups: Sequence[Sequence[int]] | None = None,
        use_fast_variance: bool = True,
        promote_dtype: PromoteDtype = dtypes.promote_dtype,
        rngs: Rngs,
        scale_metadata: Metadata = NO_METADATA,
    ) -> None:
        self.epsilon = epsilon
        self.dtype = dtype
        self.param_dtype = param_dtype
        self.use_scale = use_scale
        self.axis_name = axis_name
        self.axis_index_groups = axis_index_groups
        self.use_fast_variance = use_fast_variance
        self.promote_dtype = promote_dtype
        self.scale: Param[jax.Array] | None = None
        if use_scale:
            shape = (num_features,)
            self.scale = new_param(scale_init, rngs, shape, param_dtype, scale_metadata)


@extending
class NormalizationWithBias(Normalization):
    """A normalization with a scale and a bias.

    Args:
        {num_features} {epsilon} {dtype} {param_dtype}
        use_bias: add a ``bias``.
        {use_scale}
        bias_init: its initializer.
        {scale_init} {axis_name} {axis_index_groups} {use_fast_variance}
        {promote_dtype} {rngs}
        bias_metadata: for the Variable.
        {scale_metadata}
    """

    def __init__(
        self,
        num_features: int,
        *,
        use_bias: bool = True,
        bias_init: Initializer = initializers.zeros,
        param_dtype: DTypeLike = jnp.float32,
        rngs: Rngs,
        bias_metadata: Metadata = NO_METADATA,
        **usual: Any,
    ) -> None:
        super().__init__(num_features, param_dtype=param_dtype, rngs=rngs, **usual)
        self.use_bias = use_bias
        self.bias: Param[jax.Array] | None = None
        if use_bias:
            shape = (num_features,)
            self.bias = new_param(bias_init, rngs, shape, param_dtype, bias_metadata)

    def _promoted(
        self, x: jax.Array
    ) -> tuple[jax.Array, jax.Array | None, jax.Array | None]:
        """The input, the scale and the bias, of one dtype."""
        given = (x, value_of(self, "scale"), value_of(self, "bias"))
        x, scale, bias = self.promote_dtype(given, dtype=self.dtype)
        return x, scale, bias


def each_axis(ndim: int, axes: Axes) -> tuple[int, ...]:
    """Axes counted from the front, each once."""
    given = axes if isinstance(axes, Iterable) else (axes,)
    return tuple(dict.fromkeys(a + ndim if a < 0 else a for a in given))


def _squared(x: jax.Array) -> jax.Array:
    if jnp.iscomplexobj(x):
        return lax.square(lax.real(x)) + lax.square(lax.imag(x))
    return lax.square(x)


def statistics(
    layer: Normalization,
    x: jax.Array,
    axes: Axes,
    mask: jax.Array | None,
    *,
    centred: bool = True,
) -> tuple[jax.Array, jax.Array]:
    """Mean and variance over some axes, and over the devices of ``layer.axis_name``.

    Computed in float32 at least. The fast variance is E[x^2] - E[x]^2, one pass over
    the input, and may come out slightly negative, so it is cut off at 0.
    """
    dtype = layer.dtype if layer.dtype is not None else x.dtype
    x = jnp.asarray(x, jnp.promote_types(dtype, jnp.float32))
    axes = each_axis(x.ndim, axes)

    def mean(value: jax.Array) -> jax.Array:
        found = value.mean(axes, where=mask)
        if layer.axis_name is None:
            return found
        groups = layer.axis_index_groups
        pooled: jax.Array = lax.pmean(found, layer.axis_name, axis_index_groups=groups)
        return pooled

    if not centred:
        variance = mean(_squared(x))
        return jnp.zeros_like(variance), variance
    middle = mean(x)
    if layer.use_fast_variance:
        return middle, jnp.maximum(0.0, mean(_squared(x)) - _squared(middle))
    return middle, mean(_squared(x - jnp.expand_dims(middle, axes)))


def normalized(
    layer: Normalization,
    x: jax.Array,
    statistics: tuple[jax.Array, jax.Array],
    parameters: tuple[jax.Array | None, jax.Array | None],
    reduced: Axes,
    features: Axes,
) -> jax.Array:
    """``(x - mean) / std * scale + bias``, the parameters along the feature axes."""
    axes = each_axis(x.ndim, reduced)
    shape = [1 if i in axes else n for i, n in enumerate(x.shape)]
    mean, variance = (value.reshape(shape) for value in statistics)
    axes = each_axis(x.ndim, features)
    shape = [n if i in axes else 1 for i, n in enumerate(x.shape)]
    scale, bias = (None if p is None else p.reshape(shape) for p in parameters)
    factor = lax.rsqrt(variance + layer.epsilon)
    y = (x - mean) * (factor if scale is None else factor * scale)
    if bias is not None:
        y = y + bias
    return jnp.asarray(y, dtypes.canonicalize_dtype(x, scale, bias, dtype=layer.dtype))


# -- Normalization of groups of channels --------------------------------------------


@extending
class GroupNorm(NormalizationWithBias):
    """Normalize groups of channels of each example (arXiv:1803.08494).

    Args:
        num_features: the number of channels, the last axis.
        num_groups: of channels; or give ``group_size`` and ``num_groups=None``.
        group_size: channels in a group.
        {epsilon} {dtype} {param_dtype} {use_bias} {use_scale} {bias_init} {scale_init}
        reduction_axes: averaged over, the last axis among them; by default all but the
            first.
        {usual}

    Raises:
        ArgumentValueError: the groups do not divide the channels.

    Example:
        >>> from nnx_compat import nnx
        >>> layer = nnx.GroupNorm(4, num_groups=2, rngs=nnx.Rngs(0))
        >>> y = layer(jnp.array([[1.0, 3.0, 10.0, 30.0]]))
        >>> [round(v, 3) for v in y[0].tolist()]
        [-1.0, 1.0, -1.0, 1.0]
    """

    def __init__(
        self,
        num_features: int,
        num_groups: int | None = 32,
        group_size: int | None = None,
        *,
        reduction_axes: Axes | None = None,
        **usual: Any,
    ) -> None:
        self.num_groups, self.group_size = _groups(num_features, num_groups, group_size)
        super().__init__(num_features, **usual)
        self.feature_axis = -1
        self.reduction_axes = reduction_axes

    def __call__(self, x: jax.Array, *, mask: jax.Array | None = None) -> jax.Array:
        """The normalized input, of its shape; ``mask`` says what counts."""
        given = self.reduction_axes
        axes = each_axis(x.ndim, given if given is not None else range(1, x.ndim))
        grouped = (self.num_groups, self.group_size)
        if mask is not None:
            mask = mask.reshape(mask.shape[:-1] + grouped)
        x, scale, bias = self._promoted(x)
        in_groups = x.reshape(x.shape[:-1] + grouped)
        found = statistics(self, in_groups, [*axes[:-1], -1], mask)
        mean, variance = (jnp.repeat(v, self.group_size, axis=1) for v in found)
        return normalized(self, x, (mean, variance), (scale, bias), axes[:-1], -1)


def _groups(features: int, number: int | None, size: int | None) -> tuple[int, int]:
    if (number is None) == (size is None):
        raise ArgumentValueError(
            "Either `num_groups` or `group_size` should be specified, and not both",
            instead="GroupNorm(num_features, num_groups=None, group_size=...)",
        )
    if size is not None:
        if features % size:
            raise ArgumentValueError(
                f"Number of features ({features}) is not multiple of the group size "
                f"({size})"
            )
        return features // size, size
    if not isinstance(number, int) or number <= 0 or features % number:
        raise ArgumentValueError(
            f"Number of groups ({number}) does not divide the number of channels "
            f"({features})"
        )
    return number, features // number


# -- Normalization of each channel of each example ----------------------------------


@extending
class InstanceNorm(NormalizationWithBias):
    """Normalize each channel of each example (arXiv:1607.08022).

    Args:
        num_features: the number of channels.
        {epsilon} {dtype} {param_dtype} {use_bias} {use_scale} {bias_init} {scale_init}
        feature_axes: the axes of the channels; all others but the first are averaged
            over.
        {usual}

    Raises:
        ArgumentValueError: when called, the first axis is among the feature axes.

    Example:
        >>> from nnx_compat import nnx
        >>> layer = nnx.InstanceNorm(1, rngs=nnx.Rngs(0))
        >>> y = layer(jnp.array([[[1.0], [3.0]]]))
        >>> [round(v, 3) for v in y.ravel().tolist()]
        [-1.0, 1.0]
    """

    def __init__(
        self, num_features: int, *, feature_axes: Axes = -1, **usual: Any
    ) -> None:
        super().__init__(num_features, **usual)
        self.num_features = num_features
        self.feature_axes = feature_axes

    def __call__(self, x: jax.Array, *, mask: jax.Array | None = None) -> jax.Array:
        """The normalized input, of its shape; ``mask`` says what counts."""
        features = each_axis(x.ndim, self.feature_axes)
        if 0 in features:
            raise ArgumentValueError(
                "The channel axes cannot include the leading dimension, which is the "
                "batch"
            )
        axes = [axis for axis in range(1, x.ndim) if axis not in features]
        x, scale, bias = self._promoted(x)
        found = statistics(self, x, axes, mask)
        return normalized(self, x, found, (scale, bias), axes, features)


# -- Normalization by the root mean square ------------------------------------------


@extending
class RMSNorm(Normalization):
    """Divide by the root mean square over the features (arXiv:1910.07467).

    Args:
        {num_features}
        epsilon: added to the mean square.
        {dtype} {param_dtype} {use_scale} {scale_init}
        reduction_axes: the axes that are averaged over.
        feature_axes: the axes of ``scale``.
        {axis_name} {axis_index_groups}
        use_fast_variance: has no effect, for nothing is centred.
        {usual}

    Example:
        >>> from nnx_compat import nnx
        >>> layer = nnx.RMSNorm(2, rngs=nnx.Rngs(0))
        >>> [round(v, 3) for v in layer(jnp.array([[3.0, 4.0]]))[0].tolist()]
        [0.849, 1.131]
    """

    def __init__(
        self,
        num_features: int,
        *,
        reduction_axes: Axes = -1,
        feature_axes: Axes = -1,
        **usual: Any,
    ) -> None:
        super().__init__(num_features, **usual)
        self.num_features = num_features
        self.reduction_axes = reduction_axes
        self.feature_axes = feature_axes

    def __call__(self, x: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        """The normalized input, of its shape; ``mask`` says what counts."""
        given = (x, value_of(self, "scale"))
        x, scale = self.promote_dtype(given, dtype=self.dtype)
        axes = self.reduction_axes
        found = statistics(self, x, axes, mask, centred=False)
        return normalized(self, x, found, (scale, None), axes, self.feature_axes)


class BatchNorm(
    AbsentParameters,
    nnx.BatchNorm,  # type: ignore[misc, name-defined]
    metaclass=standing_in_for(nnx.BatchNorm),  # type: ignore[metaclass]
):
    """Normalization by the statistics of the batch.

    It takes what the layer of the installed release takes. The first releases want to
    be told whether to use the running average; of this one the batch is used, as today.

    Example:
        >>> from nnx_compat import nnx
        >>> layer = nnx.BatchNorm(2, use_bias=False, rngs=nnx.Rngs(0))
        >>> layer.bias is None
        True
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if vars(self)["use_running_average"] is None:
            self.use_running_average = False

    __call__ = AbsentParameters.__call__  # its own: capture looks for it


class LayerNorm(
    AbsentParameters,
    nnx.LayerNorm,  # type: ignore[misc, name-defined]
    metaclass=standing_in_for(nnx.LayerNorm),  # type: ignore[metaclass]
):
    """Normalization over the features of each example.

    It takes what the layer of the installed release takes.

    Example:
        >>> from nnx_compat import nnx
        >>> layer = nnx.LayerNorm(2, use_bias=False, rngs=nnx.Rngs(0))
        >>> layer.bias is None
        True
    """

    __call__ = AbsentParameters.__call__  # its own: capture looks for it
