"""Several metrics in one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .metric import base

if TYPE_CHECKING:
    from flax.nnx import Metric

__all__ = ["MultiMetric"]


class MultiMetric(base("MultiMetric")):  # type: ignore[misc]
    """Several metrics that are updated together.

    Args:
        **metrics: each becomes an attribute.

    Example:
        >>> from nnx_compat import nnx
        >>> metrics = nnx.MultiMetric(
        ...     accuracy=nnx.metrics.Accuracy(), loss=nnx.metrics.Average()
        ... )
        >>> logits, labels = jnp.eye(2), jnp.array([0, 0])
        >>> metrics.update(logits=logits, labels=labels, values=jnp.array([1.0, 3.0]))
        >>> {name: float(value) for name, value in metrics.compute().items()}
        {'accuracy': 0.5, 'loss': 2.0}
    """

    def __init__(self, **metrics: Metric) -> None:
        self._metric_names = tuple(metrics)
        for name, metric in metrics.items():
            setattr(self, name, metric)

    def reset(self) -> None:
        """Reset each metric."""
        for name in self._metric_names:
            getattr(self, name).reset()

    def update(self, **updates: Any) -> None:
        """Update each metric with the same arguments.

        Args:
            **updates: for each metric. A ``mask`` is for all of them, too, or a dict by
                the name of the metric it is for.
        """
        mask = updates.pop("mask", None)
        for name in self._metric_names:
            own = mask.get(name) if isinstance(mask, dict) else mask
            given = updates if own is None else {**updates, "mask": own}
            getattr(self, name).update(**given)

    def compute(self) -> dict[str, Any]:
        """The value of each metric, by name."""
        return {name: getattr(self, name).compute() for name in self._metric_names}
