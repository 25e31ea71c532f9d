"""Normalization of each channel of each example."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax

from ....errors import ArgumentValueError
from .._extending import extending
from ._common import NormalizationWithBias, each_axis, normalized, statistics

if TYPE_CHECKING:
    from .._types import Axes

__all__ = ["InstanceNorm"]


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
