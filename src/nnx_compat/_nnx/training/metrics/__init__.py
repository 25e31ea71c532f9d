"""Metrics with masks, where Flax has none or takes no ``mask``.

A metric that ignores a ``mask`` it is given computes another number without a word, so
these are used on every release before the one that brought it. This package is also
what ``nnx.metrics`` is there.
"""

from __future__ import annotations

import sys

from .accuracy import Accuracy as Accuracy
from .average import Average as Average
from .metric import Metric as Metric
from .metric import MetricState as MetricState
from .multi_metric import MultiMetric as MultiMetric
from .welford import Statistics as Statistics
from .welford import Welford as Welford

__all__ = ["metrics"]

#: ``nnx.metrics``
metrics = sys.modules[__name__]
