"""Normalization of groups of channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from ....errors import ArgumentValueError
from .._extending import extending
from ._common import NormalizationWithBias, each_axis, normalized, statistics

if TYPE_CHECKING:
    from .._types import Axes

__all__ = ["GroupNorm"]


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
