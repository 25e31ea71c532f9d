"""Metrics with masks, where Flax has none or takes no ``mask``.

A metric that ignores a ``mask`` it is given computes another number without a word, so
these are used on every release before the one that brought it. This file is also what
``nnx.metrics`` is there.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from ...errors import ArgumentTypeError, ArgumentValueError
from ...revisions import nnx
from .._attributes import Node, read, write

__all__ = ["Metric", "MultiMetric", "metrics"]

_native: Any = getattr(nnx, "metrics", None)


class _MetricState(nnx.Variable):  # type: ignore[misc, name-defined]
    """What a metric accumulates."""


class _Metric(Node):  # type: ignore[misc]
    """What a metric has to implement: ``update``, ``compute`` and ``reset``."""

    def __init__(self) -> None:
        raise NotImplementedError("Must override `__init__()` method.")

    def reset(self) -> None:
        """Forget everything."""
        raise NotImplementedError("Must override `reset()` method.")

    def update(self, **kwargs: Any) -> None:
        """Take a batch into account."""
        raise NotImplementedError("Must override `update()` method.")

    def compute(self) -> Any:
        """The value over everything since the last reset."""
        raise NotImplementedError("Must override `compute()` method.")


@struct.dataclass
class _Statistics:
    """Mean, standard error of the mean and standard deviation, as arrays."""

    mean: Any
    standard_error_of_mean: Any
    standard_deviation: Any


MetricState: Any = getattr(_native, "MetricState", _MetricState)
Metric: Any = getattr(_native, "Metric", _Metric)
Statistics: Any = getattr(_native, "Statistics", _Statistics)


def _base(name: str) -> Any:
    """Flax's own class, for isinstance, or Metric."""
    return getattr(_native, name, Metric)


def _given(argname: str, kwargs: Mapping[str, Any]) -> Any:
    if argname not in kwargs:
        raise ArgumentTypeError(
            f"Expected keyword argument {argname!r}",
            instead=f"metric.update({argname}=...)",
        )
    return kwargs[argname]


class Average(_base("Average")):  # type: ignore[misc]
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
        write(self, "total", jnp.array(0, jnp.float32))
        write(self, "count", jnp.array(0, jnp.int32))

    def update(self, mask: Any = None, **kwargs: Any) -> None:
        """Add values, an array of any shape or a number.

        Args:
            mask: weights that broadcast to the values; only what is not 0 counts.
            **kwargs: the values, by the name given to the constructor.

        Raises:
            ArgumentTypeError: there are no values.
            ArgumentValueError: there is a mask for a Python number.
        """
        values = _given(self.argname, kwargs)
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
        write(self, "total", read(self, "total") + total)
        write(self, "count", read(self, "count") + count)

    def compute(self) -> jax.Array:
        """The mean so far, nan when there is nothing yet."""
        mean: jax.Array = read(self, "total") / read(self, "count")
        return mean

    def split(self, *filters: Any) -> Any:
        """``(graphdef, state, ...)``; on the first releases the graphdef is last."""
        return _split(self, filters)


class Welford(_base("Welford")):  # type: ignore[misc]
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
        write(self, "count", jnp.array(0, jnp.int32))
        write(self, "mean", jnp.array(0, jnp.float32))
        write(self, "m2", jnp.array(0, jnp.float32))

    def update(self, **kwargs: Any) -> None:
        """Add values, an array of any shape or a number.

        Raises:
            ArgumentTypeError: there are no values.
        """
        values = jnp.asarray(_given(self.argname, kwargs))
        before, added = read(self, "count"), values.size
        count = before + added
        delta = values.mean() - read(self, "mean")
        spread = values.var() * added + delta * delta * added * before / count
        write(self, "count", count)
        write(self, "mean", read(self, "mean") + delta * added / count)
        write(self, "m2", read(self, "m2") + spread)

    def compute(self) -> Any:
        """``Statistics`` of what there was so far."""
        count = read(self, "count")
        deviation = (read(self, "m2") / count) ** 0.5
        return Statistics(
            mean=read(self, "mean"),
            standard_error_of_mean=deviation / count**0.5,
            standard_deviation=deviation,
        )

    def split(self, *filters: Any) -> Any:
        """``(graphdef, state, ...)``; on the first releases the graphdef is last."""
        return _split(self, filters)


_OldAccuracy: Any = getattr(_native, "Accuracy", None)
_accuracy_bases: Any = (Average, _OldAccuracy) if _OldAccuracy else (Average,)


class Accuracy(*_accuracy_bases):  # type: ignore[misc]
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
        self, threshold: float | None = None, *args: Any, **kwargs: Any
    ) -> None:
        if threshold is not None and not isinstance(threshold, float):
            raise ArgumentTypeError(
                f"threshold is a {type(threshold).__name__}",
                instead=f"Accuracy(threshold={float(threshold)!r})",
            )
        self.threshold = threshold
        Average.__init__(self, *args, **kwargs)

    def update(self, *, logits: Any, labels: Any, mask: Any = None, **_: Any) -> None:
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


class MultiMetric(getattr(nnx, "MultiMetric", Metric)):  # type: ignore[misc]
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

    def __init__(self, **metrics: Any) -> None:
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

    def split(self, *filters: Any) -> Any:
        """``(graphdef, state, ...)``; on the first releases the graphdef is last."""
        return _split(self, filters)


def _split(metric: Any, filters: tuple[Any, ...]) -> Any:
    if hasattr(nnx, "split"):
        return nnx.split(metric, *filters)
    return nnx.Module.split(metric, *filters)


#: ``nnx.metrics``
metrics = sys.modules[__name__]
