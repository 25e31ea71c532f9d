"""Normalization by the root mean square."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..._variable_attributes import value_of
from .._extending import extending
from .._types import Axes
from ._common import Normalization, normalized, statistics

if TYPE_CHECKING:
    import jax

__all__ = ["RMSNorm"]


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
