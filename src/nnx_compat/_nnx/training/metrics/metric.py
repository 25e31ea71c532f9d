"""What all metrics have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from ...._release import native_in
from ....errors import ArgumentTypeError
from ....revisions import nnx
from ..._node import Node

__all__ = ["Metric"]

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
