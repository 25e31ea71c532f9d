"""Mean and deviation of a stream."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from ...._release import native_in
from ..._variable_attributes import set_value_of, value_of
from .metric import MetricState, base, given


@struct.dataclass
class _Statistics:
    """Mean, standard error of the mean and standard deviation, as arrays."""

    mean: jax.Array
    standard_error_of_mean: jax.Array
    standard_deviation: jax.Array


Statistics: Any = native_in("metrics", "Statistics", _Statistics)


class Welford(base("Welford")):  # type: ignore[misc]
    """Mean and standard deviation of a stream, by Welford's method.

    Args:
        argname: the keyword of ``update`` that holds the values.

    Example:
        >>> from nnx_compat import nnx
        >>> stream = nnx.metrics.Welford()
        >>> stream.update(values=jnp.array([1.0, 2.0]))
        >>> stream.update(values=jnp.array([3.0, 4.0]))
        >>> statistics = stream.compute()
        >>> float(statistics.mean), round(float(statistics.standard_deviation), 4)
        (2.5, 1.118)

    Reference: B. P. Welford, Note on a method for calculating corrected sums of squares
    and products, Technometrics 4 (1962), extended to batches.
    """

    def __init__(self, argname: str = "values") -> None:
        self.argname = argname
        self.count = MetricState(jnp.array(0, jnp.int32))
        self.mean = MetricState(jnp.array(0, jnp.float32))
        self.m2 = MetricState(jnp.array(0, jnp.float32))

    def reset(self) -> None:
        """Forget everything."""
        set_value_of(self, "count", jnp.array(0, jnp.int32))
        set_value_of(self, "mean", jnp.array(0, jnp.float32))
        set_value_of(self, "m2", jnp.array(0, jnp.float32))

    def update(self, **kwargs: jax.Array | float) -> None:
        """Add values, an array of any shape or a number.

        Raises:
            ArgumentTypeError: there are no values.
        """
        values = jnp.asarray(given(self.argname, kwargs))
        before, added = value_of(self, "count"), values.size
        count = before + added
        delta = values.mean() - value_of(self, "mean")
        spread = values.var() * added + delta * delta * added * before / count
        set_value_of(self, "count", count)
        set_value_of(self, "mean", value_of(self, "mean") + delta * added / count)
        set_value_of(self, "m2", value_of(self, "m2") + spread)

    def compute(self) -> _Statistics:
        """``Statistics`` of what there was so far."""
        count = value_of(self, "count")
        deviation = (value_of(self, "m2") / count) ** 0.5
        found: _Statistics = Statistics(
            mean=value_of(self, "mean"),
            standard_error_of_mean=deviation / count**0.5,
            standard_deviation=deviation,
        )
        return found
