"""A leaf of a pytree prefix that gives each leaf of one Module a value, by filter."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ...functional import Filter, Path, stored, to_flat_state
from ...revisions import nnx


class PrefixMapping(Mapping[Filter, Any]):
    """An immutable mapping from filters; the first that selects a leaf counts."""

    def __init__(
        self, mapping: Mapping[Filter, Any] | Iterable[tuple[Filter, Any]]
    ) -> None:
        pairs: Iterable[tuple[Filter, Any]]
        if isinstance(mapping, nnx.State):
            pairs = _filters_by_value(mapping)
        else:
            pairs = mapping.items() if isinstance(mapping, Mapping) else mapping
        given = tuple(pairs)
        self._filters = tuple(wanted for wanted, _ in given)
        self._values = tuple(value for _, value in given)

    @property
    def filters(self) -> tuple[Filter, ...]:
        """The filters, in order."""
        return self._filters

    def __repr__(self) -> str:
        return f"{type(self).__name__}({dict(self.items())})"

    def items(self) -> Any:
        """Pairs of a filter and the value for the leaves it selects."""
        return tuple(zip(self._filters, self._values, strict=True))

    def __getitem__(self, key: object) -> Any:
        return self._values[self._filters.index(key)]

    def __iter__(self) -> Iterator[Filter]:
        return iter(self._filters)

    def __len__(self) -> int:
        return len(self._filters)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and bool(self.items() == other.items())

    def __hash__(self) -> int:
        return hash((self._filters, self._values))


def _filters_by_value(state: Any) -> list[tuple[Filter, Any]]:
    """One filter for each different value in a state: the paths that have it."""
    paths: dict[Any, set[Path]] = {}
    for path, leaf in to_flat_state(state).items():
        paths.setdefault(stored(leaf), set()).add(path)
    return [(_OneOf(frozenset(found)), value) for value, found in paths.items()]


@dataclasses.dataclass(frozen=True)
class _OneOf:
    """A filter that selects leaves by their exact paths."""

    paths: frozenset[Path]

    def __call__(self, path: Path, leaf: object) -> bool:
        return tuple(path) in self.paths
