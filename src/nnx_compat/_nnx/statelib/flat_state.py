"""A State in flat form: its leaves in a row, with their paths."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, overload

import jax

from ... import functional
from ..._release import native
from ...errors import VariableTypeError, kind_of
from ...functional import Path
from ...revisions import bound, nnx

if TYPE_CHECKING:
    from flax.nnx import State

    from ...functional import Filter

__all__ = ["FlatState", "from_flat_state", "to_flat_state"]

_T = TypeVar("_T")


class OurFlatState(Sequence[tuple[Path, _T]]):
    """The leaves of a state with their paths, sorted by path: a sequence of pairs.

    A pytree whose children are the leaves; the paths are part of its structure.

    Args:
        items: pairs of a path and a leaf.
        sort: whether to sort them by path, or keep their order.

    Example:
        >>> from nnx_compat import nnx
        >>> flat = nnx.FlatState([(("b",), 2), (("a",), 1)], sort=True)
        >>> flat.paths, list(flat)
        ((('a',), ('b',)), [(('a',), 1), (('b',), 2)])
    """

    __slots__ = ("_keys", "_values")

    def __init__(self, items: Iterable[tuple[Path, _T]], /, *, sort: bool) -> None:
        pairs = list(items)
        if sort:
            pairs.sort(key=lambda pair: pair[0])  # leaves have no order
        self._keys = tuple(path for path, _ in pairs)
        self._values = [leaf for _, leaf in pairs]

    @staticmethod
    def from_sorted_keys_values(
        keys: tuple[Path, ...], values: list[_T], /
    ) -> OurFlatState[_T]:
        """The one with these paths, already sorted, and the leaves that go with them.

        Args:
            keys: the paths.
            values: the leaves; this list is kept, not copied.
        """
        flat: OurFlatState[_T] = object.__new__(OurFlatState)
        flat._keys, flat._values = keys, values
        return flat

    @property
    def paths(self) -> tuple[Path, ...]:
        """The paths, in order."""
        return self._keys

    @property
    def leaves(self) -> list[_T]:
        """The leaves, in order."""
        return self._values

    @overload
    def __getitem__(self, index: int) -> tuple[Path, _T]: ...
    @overload
    def __getitem__(self, index: slice) -> OurFlatState[_T]: ...
    def __getitem__(self, index: int | slice) -> tuple[Path, _T] | OurFlatState[_T]:
        if isinstance(index, slice):
            pairs = zip(self._keys[index], self._values[index], strict=True)
            return OurFlatState(pairs, sort=False)
        return self._keys[index], self._values[index]

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[tuple[Path, _T]]:
        return zip(self._keys, self._values, strict=True)

    def __repr__(self) -> str:
        return f"FlatState({list(self)!r})"

    def to_nested_state(self) -> State:
        """The State with these leaves."""
        return from_flat_state(self)

    def split(self, first: Filter, /, *filters: Filter) -> Parts[_T]:
        """One FlatState per filter; together the filters select every leaf.

        Raises:
            StateStructureError: leaves are left over, or ``...`` is not the last.
        """
        return self._each(functional.split_state, (first, *filters))

    def filter(self, first: Filter, /, *filters: Filter) -> Parts[_T]:
        """One FlatState per filter; what none of them selects is left out."""
        return self._each(functional.filter_state, (first, *filters))

    def _each(
        self,
        part: Callable[..., State | tuple[State, ...]],
        filters: tuple[Filter, ...],
    ) -> Parts[_T]:
        found = part(self.to_nested_state(), *filters)
        if isinstance(found, tuple):
            return tuple(map(to_flat_state, found))
        return to_flat_state(found)

    @staticmethod
    def merge(
        flat_state: Iterable[tuple[Path, _T]],
        /,
        *flat_states: Iterable[tuple[Path, _T]],
    ) -> OurFlatState[_T]:
        """One FlatState with the pairs of all, sorted by path."""
        if isinstance(flat_state, OurFlatState) and not flat_states:
            return flat_state
        pairs = [pair for flat in (flat_state, *flat_states) for pair in flat]
        return OurFlatState(pairs, sort=True)


#: A FlatState, or with several filters one for each.
Parts: TypeAlias = "OurFlatState[_T] | tuple[OurFlatState[_T], ...]"

OurFlatState.__name__ = OurFlatState.__qualname__ = "FlatState"
jax.tree_util.register_pytree_node(
    OurFlatState,
    lambda flat: (flat._values, flat._keys),
    lambda keys, values: OurFlatState.from_sorted_keys_values(keys, list(values)),
)

#: Flax's own where its ``to_flat_state`` makes one; it had no public name at first.
FlatState: Any = (
    type(nnx.to_flat_state(nnx.State({})))
    if "to_flat_state" in native
    else OurFlatState
)


def to_flat_state(state: State) -> OurFlatState[Any]:
    """The leaves of a state with their paths, sorted by path.

    Args:
        state: a State.

    Returns:
        A FlatState: a sequence of ``(path, leaf)`` pairs.

    Raises:
        VariableTypeError: it is not a State.

    Example:
        >>> from nnx_compat import nnx
        >>> state = nnx.state(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
        >>> [path for path, leaf in nnx.to_flat_state(state)]
        [('bias',), ('kernel',)]
    """
    flat = flat_leaves("to_flat_state", state)
    return OurFlatState.from_sorted_keys_values(tuple(flat), list(flat.values()))


def from_flat_state(
    flat_state: Mapping[Path, Any] | Iterable[tuple[Path, Any]],
    *,
    cls: type[State] = nnx.State,
) -> State:
    """The State with these leaves at these paths.

    Args:
        flat_state: a FlatState, or pairs of path and leaf, or a mapping of them.
        cls: a subclass of State to make instead.

    Example:
        >>> from nnx_compat import nnx
        >>> state = nnx.from_flat_state([(("a", "b"), nnx.Param(1.0))])
        >>> nnx.to_pure_dict(state)
        {'a': {'b': 1.0}}
    """
    state = bound.unflatten(dict(flat_state))
    return state if cls is nnx.State else cls(state.raw_mapping)


def flat_leaves(function: str, state: State) -> dict[Path, Any]:
    """The leaves of what a function was given for a State.

    Raises:
        VariableTypeError: it is none.
    """
    if not isinstance(state, nnx.State):
        raise VariableTypeError(
            f"{function} needs a State and was given {kind_of(state)}",
            instead=f"nnx.{function}(nnx.state(model))",
        )
    return bound.flatten(state)
