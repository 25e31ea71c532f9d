"""The shardings of the leaves of one Module."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import jax

from .._mapping import PrefixMapping

__all__ = ["StateSharding"]

#: A prefix of arguments or outputs: a sharding, ``StateSharding``, or a tree of them.
Shardings: TypeAlias = (
    "jax.sharding.Sharding | jax.sharding.PartitionSpec | Sequence[Any]"
    " | Mapping[Any, Any] | None"
)


class StateSharding(PrefixMapping):
    """The shardings of the leaves of a Module in ``jit`` and ``shard_map``, by filter.

    Args:
        filter_sharding: a mapping from filters to shardings, or pairs of them. A State
            of shardings gives each path its own.

    Example:
        >>> from nnx_compat import nnx
        >>> spec = jax.sharding.PartitionSpec("data")
        >>> nnx.StateSharding({nnx.Param: spec, ...: None}).shardings[1] is None
        True
    """

    def __init__(self, filter_sharding: Mapping[Any, Any] | Iterable[Any], /) -> None:
        super().__init__(filter_sharding)

    @property
    def shardings(self) -> tuple[Any, ...]:
        """The shardings, in the order of the filters."""
        return self._values
