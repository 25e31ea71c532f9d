"""Methods that State lacks on some releases: what ``install`` adds to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .. import functional
from ..functional import Filter, Path
from ..revisions import bound

if TYPE_CHECKING:
    from flax.nnx import State as Native
else:
    Native = object


class State(Native):
    """Methods that State had or has on other releases."""

    def filter(self, *filters: Filter) -> Native | tuple[Native, ...]:
        """The leaves that the filters choose."""
        return functional.filter_state(self, *filters)

    def map(self, f: Callable[[Path, Any], object]) -> Native:
        """A state with ``f(path, leaf)`` for each leaf."""
        return functional.map_state(f, self)

    def to_pure_dict(self) -> dict[Any, Any]:
        """The values in nested dicts."""
        found: dict[Any, Any] = functional.to_pure_dict(self)
        return found

    def replace_by_pure_dict(self, pure_dict: Mapping[Any, Any]) -> None:
        """Take over the values of nested dicts, in place."""
        new = functional.from_pure_dict(self, pure_dict)
        flat = bound.flatten(new)
        for path, leaf in bound.flatten(self).items():
            bound.write(leaf, bound.raw(flat[path]))
