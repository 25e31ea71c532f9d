"""Metrics with masks, where Flax has none or takes no ``mask``.

A metric that ignores a ``mask`` it is given computes another number without a word, so
these are used on every release before the one that brought it. This module is also what
``nnx.metrics`` is there.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import jax
import jax.numpy as jnp
from flax import struct

from ..._release import native_in
from ...errors import ArgumentTypeError, ArgumentValueError, kind_of
from ...revisions import nnx
from .._node import Node
from .._variable_attributes import set_value_of, value_of

if TYPE_CHECKING:
    from flax.nnx import Metric as AnyMetric

__all__ = ["Metric", "MultiMetric", "metrics"]

#: ``nnx.metrics``
metrics = sys.modules[__name__]

V = TypeVar("V")


class _MetricState(nnx.Variable):  # type: ignore[misc, name-defined]
    """What a metric accumulates."""


class _Metric(Node):  # type: ignore[misc]
    """What a metric has to implement: ``update``, ``compute`` and ``reset``."""

    def __init__(self) -> None:
        raise NotImplementedError("Must override `__init__()` method.")

    def reset(self) -> None:
        """Forget everything."""
        raise NotImplementedError("Must override `reset()` method.")

    def update(self, **kwargs: object) -> None:
        """Take a batch into account."""
        raise NotImplementedError("Must override `update()` method.")

    def compute(self) -> Any:
        """The value over everything since the last reset."""
        raise NotImplementedError("Must override `compute()` method.")


# Flax's where it has them, so that a filter for its MetricState selects these too.
MetricState: Any = native_in("metrics", "MetricState", _MetricState)
Metric: Any = native_in("metrics", "Metric", _Metric)


def base(name: str) -> type:
    """Flax's own class, for isinstance, or Metric."""
    found: type = native_in("metrics", name, Metric)
    return found


def given(argname: str, kwargs: Mapping[str, V]) -> V:
    """The argument of ``update`` that a metric was told to use.

    Raises:
        ArgumentTypeError: there is none.
    """
    if argname not in kwargs:
        raise ArgumentTypeError(
            f"Expected keyword argument {argname!r}",
            instead=f"metric.update({argname}=...)",
        )
    return kwargs[argname]


# -- The mean of what a metric is given ---------------------------------------------


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


# -- Mean and deviation of a stream -------------------------------------------------


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


# -- The share of predictions that are right ----------------------------------------


_Native: type | None = native_in("metrics", "Accuracy")
# Our Average first: its methods go before those of Flax's Accuracy, for isinstance.
_bases: tuple[type, ...] = (Average, _Native) if _Native else (Average,)


class Accuracy(*_bases):  # type: ignore[misc]
    """The share of predictions that are right.

    Args:
        threshold: for two classes, the logit from which on a prediction is positive.
            Without it the class with the largest logit is the prediction.

    Example:
        >>> from nnx_compat import nnx
        >>> accuracy = nnx.metrics.Accuracy()
        >>> logits = jnp.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
        >>> accuracy.update(logits=logits, labels=jnp.array([0, 1, 0]))
        >>> round(float(accuracy.compute()), 4)
        0.6667
    """

    def __init__(
        self, threshold: float | None = None, *args: str, **kwargs: str
    ) -> None:
        if threshold is not None and not isinstance(threshold, float):
            raise ArgumentTypeError(
                f"threshold is {kind_of(threshold)}",
                instead=f"Accuracy(threshold={float(threshold)!r})",
            )
        self.threshold = threshold
        Average.__init__(self, *args, **kwargs)

    def update(
        self,
        *,
        logits: jax.Array,
        labels: jax.Array,
        mask: jax.Array | None = None,
        **_: object,
    ) -> None:
        """Compare a batch of predictions with the labels.

        Args:
            logits: ``(..., classes)``, or the shape of ``labels`` with a threshold.
            labels: integers, ``(...)``.
            mask: weights that broadcast to ``labels``.
            **_: for other metrics of a ``MultiMetric``; not used.

        Raises:
            ArgumentValueError: the shapes do not fit, or labels are no integers.
        """
        binary = self.threshold is not None
        if logits.ndim != labels.ndim + (not binary):
            kind, rule = (
                ("binary", "labels.ndim")
                if binary
                else ("multi-class", "labels.ndim+1")
            )
            raise ArgumentValueError(
                f"For {kind} classification, expected logits.ndim=={rule}, got "
                f"{logits.ndim} and {labels.ndim}"
            )
        if labels.dtype not in (jnp.int32, jnp.int64):
            raise ArgumentValueError(
                f"Expected labels.dtype==jnp.int32, got {labels.dtype}",
                instead="labels.astype(jnp.int32)",
            )
        if binary:
            right = (logits >= self.threshold) == (labels > 0)
        else:
            right = logits.argmax(axis=-1) == labels
        Average.update(self, **{self.argname: jnp.asarray(right), "mask": mask})


# -- Several metrics in one ---------------------------------------------------------


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

    def __init__(self, **metrics: AnyMetric) -> None:
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
