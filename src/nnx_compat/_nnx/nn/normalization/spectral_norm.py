"""A layer around a layer, whose weights have a largest singular value of 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax import lax
from jax.nn import initializers

from ....errors import ArgumentValueError
from ....functional import Path, get_value, set_value, variables
from ....revisions import nnx
from .. import dtypes
from ._around import by_path, unit, variable_at

if TYPE_CHECKING:
    from flax.nnx import Rngs, Variable
    from jax.typing import DTypeLike

__all__ = ["SpectralNorm"]


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
