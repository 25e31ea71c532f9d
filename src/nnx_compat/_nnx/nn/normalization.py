"""Normalization layers that came one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.nn import initializers

from ...errors import ArgumentValueError, StateStructureError
from ...functional import Path, get_value, predicate, set_value, show, variables
from ...revisions import bound, nnx
from ...revisions.get_value import nested
from .._attributes import holds, promoted, read, result_dtype

__all__ = ["GroupNorm", "InstanceNorm", "RMSNorm", "SpectralNorm", "WeightNorm"]

Axes = int | Sequence[int]
Metadata = Mapping[str, Any]
NONE: Metadata = MappingProxyType({})

# From the release on that treats a dict in an attribute as static, it is marked.
_data: Any = getattr(nnx, "data", lambda value: value)


# -- statistics ---------------------------------------------------------------------


def _axes(ndim: int, axes: Axes) -> tuple[int, ...]:
    """Axes counted from the front, each once."""
    given = axes if isinstance(axes, Iterable) else (axes,)
    return tuple(dict.fromkeys(a + ndim if a < 0 else a for a in given))


def _squared(x: jax.Array) -> jax.Array:
    if jnp.iscomplexobj(x):
        return lax.square(lax.real(x)) + lax.square(lax.imag(x))
    return lax.square(x)


def _statistics(
    layer: Any, x: jax.Array, axes: Axes, mask: Any, *, centred: bool = True
) -> tuple[jax.Array, jax.Array]:
    """Mean and variance over some axes, and over the devices of ``layer.axis_name``.

    Computed in float32 at least. The fast variance is E[x^2] - E[x]^2, one pass over
    the input, and may come out slightly negative, so it is cut off at 0.
    """
    dtype = layer.dtype if layer.dtype is not None else x.dtype
    x = jnp.asarray(x, jnp.promote_types(dtype, jnp.float32))
    axes = _axes(x.ndim, axes)

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


def _normalized(
    layer: Any,
    x: jax.Array,
    statistics: tuple[jax.Array, jax.Array],
    parameters: tuple[Any, Any],
    reduced: Axes,
    features: Axes,
) -> jax.Array:
    """``(x - mean) / std * scale + bias``, the parameters along the feature axes."""
    axes = _axes(x.ndim, reduced)
    shape = [1 if i in axes else n for i, n in enumerate(x.shape)]
    mean, variance = (value.reshape(shape) for value in statistics)
    axes = _axes(x.ndim, features)
    shape = [n if i in axes else 1 for i, n in enumerate(x.shape)]
    scale, bias = (None if p is None else p.reshape(shape) for p in parameters)
    factor = lax.rsqrt(variance + layer.epsilon)
    y = (x - mean) * (factor if scale is None else factor * scale)
    if bias is not None:
        y = y + bias
    return jnp.asarray(y, result_dtype(x, scale, bias, dtype=layer.dtype))


class _Normalization(nnx.Module):  # type: ignore[misc, name-defined]
    """What the layers below have in common: a scale, a bias, and how to compute."""

    def _set_parameters(
        self,
        rngs: Any,
        shape: tuple[int, ...],
        dtype: Any,
        scale: tuple[Callable[..., Any], Metadata] | None,
        bias: tuple[Callable[..., Any], Metadata] | None,
    ) -> None:
        for name, made in (("scale", scale), ("bias", bias)):
            value = None
            if made is not None:
                init, metadata = made
                value = nnx.Param(init(rngs.params(), shape, dtype), **metadata)
            setattr(self, name, value)

    def _set(self, **attributes: Any) -> None:
        for name, value in attributes.items():
            setattr(self, name, value)

    def _promoted(self, x: jax.Array) -> tuple[Any, Any, Any]:
        scale = read(self, "scale") if holds(self, "scale") else None
        bias = read(self, "bias") if holds(self, "bias") else None
        x, scale, bias = self.promote_dtype((x, scale, bias), dtype=self.dtype)
        return x, scale, bias


class RMSNorm(_Normalization):
    """Divide by the root mean square over the features (arXiv:1910.07467).

    Args:
        num_features: the size of the feature axis.
        epsilon: added to the mean square.
        dtype: of the result; by default that of the input and parameters.
        param_dtype: of the parameters.
        use_scale: multiply by a ``scale``.
        scale_init: its initializer.
        reduction_axes: the axes that are averaged over.
        feature_axes: the axes of ``scale``.
        axis_name: of ``pmap``, to average over devices as well.
        axis_index_groups: of devices to average over.
        use_fast_variance: has no effect, for nothing is centred.
        promote_dtype: ``((x, scale), dtype=)`` to arrays of one dtype.
        rngs: its ``params`` stream gives the key.
        scale_metadata: for the Variable.

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
        epsilon: float = 1e-6,
        dtype: Any = None,
        param_dtype: Any = jnp.float32,
        use_scale: bool = True,
        scale_init: Any = initializers.ones,
        reduction_axes: Axes = -1,
        feature_axes: Axes = -1,
        axis_name: str | None = None,
        axis_index_groups: Any = None,
        use_fast_variance: bool = True,
        promote_dtype: Any = promoted,
        rngs: Any,
        scale_metadata: Metadata = NONE,
    ) -> None:
        self.scale: Any = None
        if use_scale:
            value = scale_init(rngs.params(), (num_features,), param_dtype)
            self.scale = nnx.Param(value, **scale_metadata)
        self._set(
            num_features=num_features,
            epsilon=epsilon,
            dtype=dtype,
            param_dtype=param_dtype,
            use_scale=use_scale,
            reduction_axes=reduction_axes,
            feature_axes=feature_axes,
            axis_name=axis_name,
            axis_index_groups=axis_index_groups,
            use_fast_variance=use_fast_variance,
            promote_dtype=promote_dtype,
        )

    def __call__(self, x: jax.Array, mask: Any = None) -> jax.Array:
        """The normalized input, of its shape; ``mask`` says what counts."""
        scale = read(self, "scale") if holds(self, "scale") else None
        x, scale = self.promote_dtype((x, scale), dtype=self.dtype)
        axes = self.reduction_axes
        found = _statistics(self, x, axes, mask, centred=False)
        return _normalized(self, x, found, (scale, None), axes, self.feature_axes)


class GroupNorm(_Normalization):
    """Normalize groups of channels of each example (arXiv:1803.08494).

    Args:
        num_features: the number of channels, the last axis.
        num_groups: of channels; or give ``group_size`` and ``num_groups=None``.
        group_size: channels in a group.
        epsilon: added to the variance.
        dtype: of the result; by default that of the input and parameters.
        param_dtype: of the parameters.
        use_bias: add a ``bias``.
        use_scale: multiply by a ``scale``.
        bias_init: its initializer.
        scale_init: its initializer.
        reduction_axes: averaged over, the last axis among them; by default all but the
            first.
        axis_name: of ``pmap``, to average over devices as well.
        axis_index_groups: of devices to average over.
        use_fast_variance: in one pass, less exact.
        promote_dtype: ``((x, scale, bias), dtype=)`` to arrays of one dtype.
        rngs: its ``params`` stream gives the keys.
        bias_metadata: for the Variable.
        scale_metadata: for the Variable.

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
        epsilon: float = 1e-6,
        dtype: Any = None,
        param_dtype: Any = jnp.float32,
        use_bias: bool = True,
        use_scale: bool = True,
        bias_init: Any = initializers.zeros,
        scale_init: Any = initializers.ones,
        reduction_axes: Axes | None = None,
        axis_name: str | None = None,
        axis_index_groups: Any = None,
        use_fast_variance: bool = True,
        promote_dtype: Any = promoted,
        rngs: Any,
        bias_metadata: Metadata = NONE,
        scale_metadata: Metadata = NONE,
    ) -> None:
        groups, size = _groups(num_features, num_groups, group_size)
        self._set_parameters(
            rngs,
            (num_features,),
            param_dtype,
            (scale_init, scale_metadata) if use_scale else None,
            (bias_init, bias_metadata) if use_bias else None,
        )
        self._set(
            feature_axis=-1,
            num_groups=groups,
            group_size=size,
            epsilon=epsilon,
            dtype=dtype,
            param_dtype=param_dtype,
            use_bias=use_bias,
            use_scale=use_scale,
            reduction_axes=reduction_axes,
            axis_name=axis_name,
            axis_index_groups=axis_index_groups,
            use_fast_variance=use_fast_variance,
            promote_dtype=promote_dtype,
        )

    def __call__(self, x: jax.Array, *, mask: Any = None) -> jax.Array:
        """The normalized input, of its shape; ``mask`` says what counts."""
        given = self.reduction_axes
        axes = _axes(x.ndim, given if given is not None else range(1, x.ndim))
        grouped = (self.num_groups, self.group_size)
        if mask is not None:
            mask = mask.reshape(mask.shape[:-1] + grouped)
        x, scale, bias = self._promoted(x)
        in_groups = x.reshape(x.shape[:-1] + grouped)
        found = _statistics(self, in_groups, [*axes[:-1], -1], mask)
        mean, variance = (jnp.repeat(v, self.group_size, axis=1) for v in found)
        return _normalized(self, x, (mean, variance), (scale, bias), axes[:-1], -1)


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


class InstanceNorm(_Normalization):
    """Normalize each channel of each example (arXiv:1607.08022).

    Args:
        num_features: the number of channels.
        epsilon: added to the variance.
        dtype: of the result; by default that of the input and parameters.
        param_dtype: of the parameters.
        use_bias: add a ``bias``.
        use_scale: multiply by a ``scale``.
        bias_init: its initializer.
        scale_init: its initializer.
        feature_axes: the axes of the channels; all others but the first are averaged
            over.
        axis_name: of ``pmap``, to average over devices as well.
        axis_index_groups: of devices to average over.
        use_fast_variance: in one pass, less exact.
        promote_dtype: ``((x, scale, bias), dtype=)`` to arrays of one dtype.
        rngs: its ``params`` stream gives the keys.
        bias_metadata: for the Variable.
        scale_metadata: for the Variable.

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
        self,
        num_features: int,
        *,
        epsilon: float = 1e-6,
        dtype: Any = None,
        param_dtype: Any = jnp.float32,
        use_bias: bool = True,
        use_scale: bool = True,
        bias_init: Any = initializers.zeros,
        scale_init: Any = initializers.ones,
        feature_axes: Axes = -1,
        axis_name: str | None = None,
        axis_index_groups: Any = None,
        use_fast_variance: bool = True,
        promote_dtype: Any = promoted,
        rngs: Any,
        bias_metadata: Metadata = NONE,
        scale_metadata: Metadata = NONE,
    ) -> None:
        self._set_parameters(
            rngs,
            (num_features,),
            param_dtype,
            (scale_init, scale_metadata) if use_scale else None,
            (bias_init, bias_metadata) if use_bias else None,
        )
        self._set(
            num_features=num_features,
            epsilon=epsilon,
            dtype=dtype,
            param_dtype=param_dtype,
            use_bias=use_bias,
            use_scale=use_scale,
            feature_axes=feature_axes,
            axis_name=axis_name,
            axis_index_groups=axis_index_groups,
            use_fast_variance=use_fast_variance,
            promote_dtype=promote_dtype,
        )

    def __call__(self, x: jax.Array, *, mask: Any = None) -> jax.Array:
        """The normalized input, of its shape; ``mask`` says what counts."""
        features = _axes(x.ndim, self.feature_axes)
        if 0 in features:
            raise ArgumentValueError(
                "The channel axes cannot include the leading dimension, which is the "
                "batch"
            )
        axes = [axis for axis in range(1, x.ndim) if axis not in features]
        x, scale, bias = self._promoted(x)
        found = _statistics(self, x, axes, mask)
        return _normalized(self, x, found, (scale, bias), axes, features)


# -- layers around a layer ----------------------------------------------------------

#: Flax's own, whose scales are not trained on its first releases, for isinstance.
_OldWeightNorm: Any = getattr(nnx, "WeightNorm", nnx.Module)


def _unit(x: jax.Array, axis: Any, epsilon: float) -> jax.Array:
    return x * lax.rsqrt((x * x).sum(axis=axis, keepdims=True) + epsilon)


class WeightNorm(_OldWeightNorm):  # type: ignore[misc]
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
        param_dtype: is kept, and has no effect, as on the newest release.
        variable_filter: which weights; by default those with ``kernel`` in their path.
        promote_dtype: is kept, and has no effect, as on the newest release.
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
        layer_instance: Any,
        *,
        feature_axes: Axes | None = -1,
        use_scale: bool = True,
        scale_init: Any = initializers.ones,
        epsilon: float = 1e-12,
        dtype: Any = None,
        param_dtype: Any = jnp.float32,
        variable_filter: Any = None,
        promote_dtype: Any = promoted,
        rngs: Any,
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
        self.scales: Any = None
        if use_scale:
            made = {}
            for path, weight in self._weights().items():
                shape = get_value(weight).shape
                kept = tuple(shape[a] for a in _axes(len(shape), self.feature_axes))
                # the newest release draws no key for ones, so later layers agree
                key = None if scale_init is initializers.ones else rngs.params()
                made[path] = nnx.Param(scale_init(key, kept))
            self.scales = _by_path(made)

    def __call__(self, x: jax.Array, *args: Any, **kwargs: Any) -> Any:
        """The layer's result with normalized weights."""
        for path, weight in self._weights().items():
            self._normalize(path, weight)
        return self.layer_instance(x, *args, **kwargs)

    def _weights(self) -> dict[Path, Any]:
        chosen = predicate(self.variable_filter)
        found = variables(self.layer_instance, nnx.Param)
        return {path: leaf for path, leaf in found.items() if chosen(path, leaf)}

    def _normalize(self, path: Path, weight: Any) -> None:
        value = get_value(weight)
        features = _axes(value.ndim, self.feature_axes)
        others = tuple(a for a in range(value.ndim) if a not in features)
        made, scale = _unit(value, others, self.epsilon), None
        if self.use_scale:
            scale = get_value(_stored(self.scales, path, "scale"))
            shape = [n if i in features else 1 for i, n in enumerate(value.shape)]
            scale = scale.reshape(shape)
            made = made * scale
        set_value(
            weight, jnp.asarray(made, result_dtype(value, scale, dtype=self.dtype))
        )


def _has_kernel(path: Path, leaf: Any) -> bool:
    return "kernel" in path


def _by_path(made: Mapping[Path, Any]) -> Any:
    """A dict of Variables by path; in dicts by key where keys have to be strings."""
    return _data(dict(made)) if hasattr(nnx, "split") else nested(_texts(made))


def _texts(made: Mapping[Path, Any]) -> dict[Path, Any]:
    return {tuple(map(str, path)): value for path, value in made.items()}


def _flat(found: Any) -> Mapping[Path, Any]:
    if hasattr(nnx, "split"):
        return found  # type: ignore[no-any-return]
    by_text = bound.flatten(nnx.State(found))
    return {tuple(map(str, path)): value for path, value in by_text.items()}


def _stored(kept: Any, path: Path, what: str) -> Any:
    found = _flat(kept)
    path = path if hasattr(nnx, "split") else tuple(map(str, path))
    if path not in found:
        raise StateStructureError(
            f"there is no {what} for {show(path)}: the parameters of the layer were "
            "others when it was wrapped"
        )
    return found[path]


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
        layer_instance: Any,
        *,
        n_steps: int = 1,
        epsilon: float = 1e-12,
        dtype: Any = None,
        param_dtype: Any = jnp.float32,
        error_on_non_matrix: bool = False,
        update_stats: bool = True,
        rngs: Any,
    ) -> None:
        self.layer_instance = layer_instance
        self.n_steps = n_steps
        self.epsilon = epsilon
        self.dtype = dtype
        self.param_dtype = param_dtype
        self.error_on_non_matrix = error_on_non_matrix
        # train() and eval() set this one
        self.use_running_average = not update_stats
        stats: dict[Path, Any] = {}
        for path, weight in self._matrices().items():
            key, width = rngs.params(), get_value(weight).shape[-1]
            vector = initializers.normal()(key, (1, width), param_dtype)
            stats[(*path, "u")] = nnx.BatchStat(vector)
            stats[(*path, "sigma")] = nnx.BatchStat(jnp.ones((), param_dtype))
        self.batch_stats = _by_path(stats)

    def __call__(self, x: jax.Array, update_stats: bool | None = None) -> Any:
        """The layer's result with normalized weights.

        Args:
            x: for the layer.
            update_stats: as in the constructor, for this call.
        """
        update = not self.use_running_average if update_stats is None else update_stats
        for path, weight in self._matrices().items():
            self._normalize(path, weight, update)
        return self.layer_instance(x)

    def _matrices(self) -> dict[Path, Any]:
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

    def _normalize(self, path: Path, weight: Any, update: bool) -> None:
        value = get_value(weight)
        matrix = value.reshape(-1, value.shape[-1])
        stored = _stored(self.batch_stats, (*path, "u"), "vector")
        u = get_value(stored)
        for _ in range(self.n_steps):
            v = _unit(jnp.matmul(u, matrix.T), None, self.epsilon)
            u = _unit(jnp.matmul(v, matrix), None, self.epsilon)
        u, v = lax.stop_gradient(u), lax.stop_gradient(v)
        sigma = jnp.matmul(jnp.matmul(v, matrix), u.T)[0, 0]
        made = (matrix / jnp.where(sigma != 0, sigma, 1)).reshape(value.shape)
        if update:
            set_value(stored, u)
            set_value(_stored(self.batch_stats, (*path, "sigma"), "sigma"), sigma)
        dtype = result_dtype(made, u, v, sigma, dtype=self.dtype)
        set_value(weight, jnp.asarray(made, dtype))
