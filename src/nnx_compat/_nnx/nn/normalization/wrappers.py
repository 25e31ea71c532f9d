"""Normalization of the parameters of another layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.nn import initializers

from ...._release import here, native
from ....errors import ArgumentValueError, StateStructureError
from ....functional import (
    Filter,
    Path,
    get_value,
    predicate,
    set_value,
    show,
    variables,
)
from ....revisions import bound, nnx
from ....revisions.get_value import nested
from ... import newest
from .. import dtypes
from .._types import Axes, PromoteDtype
from .layers import each_axis

if TYPE_CHECKING:
    from flax.nnx import Rngs, Variable
    from jax.nn.initializers import Initializer
    from jax.typing import DTypeLike

__all__ = ["SpectralNorm", "WeightNorm"]


def by_path(found: Mapping[Path, Variable[jax.Array]]) -> dict[Any, Any]:
    """A dict of Variables by path, to be an attribute.

    In dicts by key on the first releases, where keys have to be strings; marked as data
    on those that take a dict for static.
    """
    if here.split_is_a_method:
        stored = nested({_texts(path): value for path, value in found.items()})
    else:
        stored = newest("data")(dict(found))
    return stored  # type: ignore[no-any-return]


def variable_at(
    stored: dict[Any, Any] | None, path: Path, what: str
) -> Variable[jax.Array]:
    """The Variable by the path of a weight, from what ``by_path`` gave.

    Raises:
        StateStructureError: there is none.
    """
    found, key = stored or {}, path
    if here.split_is_a_method:
        leaves = bound.flatten(nnx.State(stored))
        found, key = {_texts(p): leaf for p, leaf in leaves.items()}, _texts(path)
    if key not in found:
        raise StateStructureError(
            f"there is no {what} for {show(path)}: the parameters of the layer were "
            "others when it was wrapped"
        )
    variable: Variable[jax.Array] = found[key]
    return variable


def _texts(path: Path) -> tuple[str, ...]:
    return tuple(map(str, path))


def unit(x: jax.Array, axis: tuple[int, ...] | None, epsilon: float) -> jax.Array:
    """An array scaled to length 1 over some axes, or over all."""
    return x * lax.rsqrt((x * x).sum(axis=axis, keepdims=True) + epsilon)


# -- A layer around a layer, whose weights have a length of their own ---------------


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


# -- A layer around a layer, whose weights have a largest singular value of 1 -------


class SpectralNorm(nnx.Module):  # type: ignore[misc, name-defined]
    """A layer whose weights have a largest singular value of 1 (arXiv:1802.05957).

    A call puts the normalized weights into the layer, then calls it. The singular value
    is approximated by power iteration from a stored vector.

    Args:
        layer_instance: the layer.
        n_steps: steps of the power iteration in a call.
        epsilon: added to a squared length.
        dtype: of the weights; by default as they are.
        param_dtype: of the stored vectors.
        error_on_non_matrix: refuse weights of more than two axes; else all but their
            last axis are taken for one.
        update_stats: keep the vectors of a call, as in training.
        rngs: its ``params`` stream gives the keys.

    Attributes:
        batch_stats: a dict of BatchStats, by the path of the weight and ``u`` or
            ``sigma``; on the first releases dicts in dicts.

    Example:
        >>> import nnx_compat
        >>> from nnx_compat import nnx
        >>> layer = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
        >>> normed = nnx.SpectralNorm(layer, n_steps=50, rngs=nnx.Rngs(1))
        >>> _ = normed(jnp.ones((1, 3)))
        >>> round(float(jnp.linalg.norm(nnx_compat.get_value(layer.kernel), 2)), 4)
        1.0
    """

    def __init__(
        self,
        layer_instance: Callable[[jax.Array], jax.Array],
        *,
        n_steps: int = 1,
        epsilon: float = 1e-12,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        error_on_non_matrix: bool = False,
        update_stats: bool = True,
        rngs: Rngs,
    ) -> None:
        self.layer_instance = layer_instance
        self.n_steps = n_steps
        self.epsilon = epsilon
        self.dtype = dtype
        self.param_dtype = param_dtype
        self.error_on_non_matrix = error_on_non_matrix
        # train() and eval() set this one
        self.use_running_average = not update_stats
        stats: dict[Path, Variable[jax.Array]] = {}
        for path, weight in self._matrices().items():
            key, width = rngs.params(), get_value(weight).shape[-1]
            vector = initializers.normal()(key, (1, width), param_dtype)
            stats[(*path, "u")] = nnx.BatchStat(vector)
            stats[(*path, "sigma")] = nnx.BatchStat(jnp.ones((), param_dtype))
        self.batch_stats = by_path(stats)

    def __call__(self, x: jax.Array, update_stats: bool | None = None) -> jax.Array:
        """The layer's result with normalized weights.

        Args:
            x: for the layer.
            update_stats: as in the constructor, for this call.
        """
        update = not self.use_running_average if update_stats is None else update_stats
        for path, weight in self._matrices().items():
            self._normalize(path, weight, update)
        return self.layer_instance(x)

    def _matrices(self) -> dict[Path, Variable[jax.Array]]:
        found = {}
        for path, weight in variables(self.layer_instance, nnx.Param).items():
            ndim = get_value(weight).ndim
            if ndim <= 1 or self.n_steps < 1:
                continue
            if ndim > 2 and self.error_on_non_matrix:
                raise ArgumentValueError(
                    f"Layer instance parameter is {ndim}D but error_on_non_matrix is "
                    "True"
                )
            found[path] = weight
        return found

    def _normalize(self, path: Path, weight: Variable[jax.Array], update: bool) -> None:
        value = get_value(weight)
        matrix = value.reshape(-1, value.shape[-1])
        stored = variable_at(self.batch_stats, (*path, "u"), "vector")
        u = get_value(stored)
        for _ in range(self.n_steps):
            v = unit(jnp.matmul(u, matrix.T), None, self.epsilon)
            u = unit(jnp.matmul(v, matrix), None, self.epsilon)
        u, v = lax.stop_gradient(u), lax.stop_gradient(v)
        sigma = jnp.matmul(jnp.matmul(v, matrix), u.T)[0, 0]
        normed = (matrix / jnp.where(sigma != 0, sigma, 1)).reshape(value.shape)
        if update:
            set_value(stored, u)
            set_value(variable_at(self.batch_stats, (*path, "sigma"), "sigma"), sigma)
        dtype = dtypes.canonicalize_dtype(normed, u, v, sigma, dtype=self.dtype)
        set_value(weight, jnp.asarray(normed, dtype))
