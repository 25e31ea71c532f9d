"""The share of predictions that are right."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from ...._release import native_in
from ....errors import ArgumentTypeError, ArgumentValueError, kind_of
from .average import Average

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
