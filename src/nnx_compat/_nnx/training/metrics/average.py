"""The mean of what a metric is given."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from ....errors import ArgumentValueError
from ..._variable_attributes import set_value_of, value_of
from .metric import MetricState, base, given


class Average(base("Average")):  # type: ignore[misc]
    """The mean of everything that ``update`` is given.

    Args:
        argname: the keyword of ``update`` that holds the values.

    Example:
        >>> from nnx_compat import nnx
        >>> loss = nnx.metrics.Average()
        >>> loss.update(values=jnp.array([1.0, 2.0, 3.0]))
        >>> loss.update(values=jnp.array([4.0, 9.0]), mask=jnp.array([True, False]))
        >>> float(loss.compute())
        2.5
    """

    def __init__(self, argname: str = "values") -> None:
        self.argname = argname
        self.total = MetricState(jnp.array(0, jnp.float32))
        self.count = MetricState(jnp.array(0, jnp.int32))

    def reset(self) -> None:
        """Forget everything; ``compute`` gives nan until the next update."""
        set_value_of(self, "total", jnp.array(0, jnp.float32))
        set_value_of(self, "count", jnp.array(0, jnp.int32))

    def update(
        self, mask: jax.Array | None = None, **kwargs: jax.Array | float
    ) -> None:
        """Add values, an array of any shape or a number.

        Args:
            mask: weights that broadcast to the values; only what is not 0 counts.
            **kwargs: the values, by the name given to the constructor.

        Raises:
            ArgumentTypeError: there are no values.
            ArgumentValueError: there is a mask for a Python number.
        """
        values = given(self.argname, kwargs)
        if isinstance(values, (int, float)):
            if mask is not None:
                raise ArgumentValueError(
                    f"If mask is provided, {self.argname} should be a jax array",
                    instead=f"{self.argname}=jnp.asarray(...)",
                )
            total, count = values, 1
        elif mask is None:
            total, count = values.sum(), values.size
        else:
            total = (values * mask.astype(values.dtype)).sum()
            count = mask.sum().astype(jnp.int32)
        set_value_of(self, "total", value_of(self, "total") + total)
        set_value_of(self, "count", value_of(self, "count") + count)

    def compute(self) -> jax.Array:
        """The mean so far, nan when there is nothing yet."""
        mean: jax.Array = value_of(self, "total") / value_of(self, "count")
        return mean
