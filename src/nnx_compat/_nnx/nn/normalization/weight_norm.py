"""A layer around a layer, whose weights have a length of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax.nn import initializers

from ...._release import native
from ....functional import Filter, Path, get_value, predicate, set_value, variables
from ....revisions import nnx
from .. import dtypes
from .._types import Axes, PromoteDtype
from ._around import by_path, unit, variable_at
from ._common import each_axis

if TYPE_CHECKING:
    from flax.nnx import Rngs, Variable
    from jax.nn.initializers import Initializer
    from jax.typing import DTypeLike

__all__ = ["WeightNorm"]

Layer = Callable[..., jax.Array]
#: Flax's own, whose scales are not trained on its first releases, for isinstance.
_Base: Any = native.get("WeightNorm", nnx.Module)


class WeightNorm(_Base):  # type: ignore[misc]
    """A layer whose weights have unit length times a scale (arXiv:1602.07868).

    A call puts the normalized weights into the layer, then calls it.

    Args:
        layer_instance: the layer.
        feature_axes: which axes of a weight keep a length of their own; ``None`` for
            one length of the whole.
        use_scale: multiply by ``scales``, which are Params by the path of the weight;
            on the first releases in dicts in dicts.
        scale_init: their initializer.
        epsilon: added to the squared length.
        dtype: of the weights; by default as they are.
        param_dtype: has no effect, as on the newest release.
        variable_filter: which weights; by default those with ``kernel`` in their path.
        promote_dtype: has no effect, as on the newest release.
        rngs: its ``params`` stream gives the keys, where ``scale_init`` is another one.

    Example:
        >>> import nnx_compat
        >>> from nnx_compat import nnx
        >>> layer = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
        >>> normed = nnx.WeightNorm(layer, rngs=nnx.Rngs(1))
        >>> _ = normed(jnp.ones((1, 3)))
        >>> kernel = nnx_compat.get_value(layer.kernel)
        >>> [round(v, 4) for v in (kernel**2).sum(0).tolist()]
        [1.0, 1.0]
    """

    def __init__(
        self,
        layer_instance: Layer,
        *,
        feature_axes: Axes | None = -1,
        use_scale: bool = True,
        scale_init: Initializer = initializers.ones,
        epsilon: float = 1e-12,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        variable_filter: Filter | None = None,
        promote_dtype: PromoteDtype = dtypes.promote_dtype,
        rngs: Rngs,
    ) -> None:
        self.layer_instance = layer_instance
        self.feature_axes = () if feature_axes is None else feature_axes
        self.use_scale = use_scale
        self.scale_init = scale_init
        self.epsilon = epsilon
        self.dtype = dtype
        self.param_dtype = param_dtype
        self.variable_filter = variable_filter or _has_kernel
        self.promote_dtype = promote_dtype
        self.scales: dict[Any, Any] | None = None
        if use_scale:
            scales = {}
            for path, weight in self._weights().items():
                shape = get_value(weight).shape
                axes = each_axis(len(shape), self.feature_axes)
                lengths = tuple(shape[axis] for axis in axes)
                # the newest release draws no key for ones, so later layers agree
                key = None if scale_init is initializers.ones else rngs.params()
                scales[path] = nnx.Param(scale_init(key, lengths))
            self.scales = by_path(scales)

    def __call__(self, x: jax.Array, *args: object, **kwargs: object) -> jax.Array:
        """The layer's result with normalized weights."""
        for path, weight in self._weights().items():
            self._normalize(path, weight)
        return self.layer_instance(x, *args, **kwargs)

    def _weights(self) -> dict[Path, Variable[jax.Array]]:
        chosen = predicate(self.variable_filter)
        found = variables(self.layer_instance, nnx.Param)
        return {path: leaf for path, leaf in found.items() if chosen(path, leaf)}

    def _normalize(self, path: Path, weight: Variable[jax.Array]) -> None:
        value = get_value(weight)
        features = each_axis(value.ndim, self.feature_axes)
        others = tuple(a for a in range(value.ndim) if a not in features)
        normed, scale = unit(value, others, self.epsilon), None
        if self.use_scale:
            scale = get_value(variable_at(self.scales, path, "scale"))
            shape = [n if i in features else 1 for i, n in enumerate(value.shape)]
            scale = scale.reshape(shape)
            normed = normed * scale
        dtype = dtypes.canonicalize_dtype(value, scale, dtype=self.dtype)
        set_value(weight, jnp.asarray(normed, dtype))


def _has_kernel(path: Path, leaf: Variable[jax.Array]) -> bool:
    return "kernel" in path
