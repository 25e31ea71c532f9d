"""The functions over a State: flat and back, to plain values and back, apart, together.

The leaves are always those of the State that is given, never copies. Natively most of
these were methods of State first, and are functions since the methods are going away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, overload

import jax

from .. import functional
from ..errors import ArgumentTypeError, ArgumentValueError, VariableTypeError
from ..functional import Path
from ..revisions import bound, nnx
from ..revisions.get_value import nested

__all__ = [
    "FlatState",
    "filter_state",
    "from_flat_state",
    "map_state",
    "merge_state",
    "replace_by_pure_dict",
    "restore_int_paths",
    "split_state",
    "to_flat_state",
    "to_pure_dict",
]

_State: type = nnx.State


class _FlatState(Sequence[tuple[Path, Any]]):
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

    def __init__(self, items: Iterable[tuple[Path, Any]], /, *, sort: bool) -> None:
        pairs = list(items)
        if sort:
            pairs.sort(key=lambda pair: pair[0])  # leaves have no order
        self._keys = tuple(path for path, _ in pairs)
        self._values = [leaf for _, leaf in pairs]

    @staticmethod
    def from_sorted_keys_values(keys: tuple[Path, ...], values: list[Any], /) -> Any:
        """The one with these paths, already sorted, and the leaves that go with them.

        Args:
            keys: the paths.
            values: the leaves; this list is kept, not copied.
        """
        made = object.__new__(_FlatState)
        made._keys, made._values = keys, values
        return made

    @property
    def paths(self) -> tuple[Path, ...]:
        """The paths, in order."""
        return self._keys

    @property
    def leaves(self) -> list[Any]:
        """The leaves, in order."""
        return self._values

    @overload
    def __getitem__(self, index: int) -> tuple[Path, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> _FlatState: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            pairs = zip(self._keys[index], self._values[index], strict=True)
            return _FlatState(pairs, sort=False)
        return self._keys[index], self._values[index]

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[tuple[Path, Any]]:
        return zip(self._keys, self._values, strict=True)

    def __repr__(self) -> str:
        return f"FlatState({list(self)!r})"

    def to_nested_state(self) -> Any:
        """The State with these leaves."""
        return from_flat_state(self)

    def split(self, first: Any, /, *filters: Any) -> Any:
        """One FlatState per filter; together the filters select every leaf.

        Raises:
            StateStructureError: leaves are left over, or ``...`` is not the last.
        """
        return self._each(functional.split_state, (first, *filters))

    def filter(self, first: Any, /, *filters: Any) -> Any:
        """One FlatState per filter; what none of them selects is left out."""
        return self._each(functional.filter_state, (first, *filters))

    def _each(self, part: Callable[..., Any], filters: tuple[Any, ...]) -> Any:
        found = part(self.to_nested_state(), *filters)
        if len(filters) == 1:
            return to_flat_state(found)
        return tuple(map(to_flat_state, found))

    @staticmethod
    def merge(
        flat_state: Iterable[tuple[Path, Any]],
        /,
        *flat_states: Iterable[tuple[Path, Any]],
    ) -> Any:
        """One FlatState with the pairs of all, sorted by path."""
        if isinstance(flat_state, _FlatState) and not flat_states:
            return flat_state
        pairs = [pair for flat in (flat_state, *flat_states) for pair in flat]
        return _FlatState(pairs, sort=True)


_FlatState.__name__ = _FlatState.__qualname__ = "FlatState"
jax.tree_util.register_pytree_node(
    _FlatState,
    lambda flat: (flat._values, flat._keys),
    lambda keys, values: _FlatState.from_sorted_keys_values(keys, list(values)),
)


def _flat_state_class() -> type:
    """Flax's own where its ``to_flat_state`` makes them, or ours."""
    if hasattr(nnx, "to_flat_state"):
        return type(nnx.to_flat_state(nnx.State({})))
    return _FlatState


FlatState: Any = _flat_state_class()


def to_flat_state(state: Any) -> Any:
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
    flat = _flat("to_flat_state", state)
    return _FlatState.from_sorted_keys_values(tuple(flat), list(flat.values()))


def from_flat_state(
    flat_state: Mapping[Path, Any] | Iterable[tuple[Path, Any]],
    *,
    cls: Any = _State,
) -> Any:
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
    made = bound.unflatten(dict(flat_state))
    return made if cls is _State else cls(made.raw_mapping)


def to_pure_dict(state: Any, extract_fn: Callable[[Any], Any] | None = None) -> Any:
    """The values of a state as nested dicts, without Variables.

    Args:
        state: a State.
        extract_fn: from a leaf to what is put in its place; the value when not given.

    Raises:
        VariableTypeError: it is not a State.

    Example:
        >>> from nnx_compat import nnx
        >>> state = nnx.state(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
        >>> {key: value.shape for key, value in nnx.to_pure_dict(state).items()}
        {'bias': (3,), 'kernel': (2, 3)}
    """
    take = functional.get_value if extract_fn is None else extract_fn
    leaves = _flat("to_pure_dict", state).items()
    return nested({path: take(leaf) for path, leaf in leaves})


def restore_int_paths(pure_dict: Mapping[Any, Any]) -> dict[Any, Any]:
    """The same nested dict with ints for keys that are digits.

    A checkpoint stores the indices of lists as strings; this turns them back. Keys that
    were digits in a string before are turned into ints too.

    Args:
        pure_dict: nested dicts, as restored.

    Example:
        >>> from nnx_compat import nnx
        >>> nnx.restore_int_paths({"layers": {"0": {"kernel": 1.0}}})
        {'layers': {0: {'kernel': 1.0}}}
    """
    return {
        _as_int(key): restore_int_paths(value) if isinstance(value, Mapping) else value
        for key, value in pure_dict.items()
    }


def _as_int(key: Any) -> Any:
    try:
        return int(key)
    except ValueError:
        return key


def replace_by_pure_dict(
    state: Any,
    pure_dict: Mapping[Any, Any],
    replace_fn: Callable[[Any, Any], Any] | None = None,
) -> None:
    """Give a state the values of a nested dict, in place.

    The Variables themselves are not written to: new ones take their places, of the same
    type and metadata, so the model that the state came from stays as it is. Shapes are
    not checked; ``nnx_compat.from_pure_dict`` does that.

    Args:
        state: a State.
        pure_dict: values for some or all of its paths. List indices may be strings, as
            they are in a restored checkpoint.
        replace_fn: from a leaf and its new value to the new leaf.

    Raises:
        ArgumentValueError: a path is not in the state; nothing was replaced.
        VariableTypeError: ``state`` is not a State.

    Example:
        >>> import jax.numpy as jnp
        >>> from nnx_compat import nnx
        >>> state = nnx.state(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
        >>> nnx.replace_by_pure_dict(state, {"bias": jnp.ones(3)})
        >>> nnx.to_pure_dict(state)["bias"].tolist()
        [1.0, 1.0, 1.0]
    """
    flat = _flat("replace_by_pure_dict", state)
    if not isinstance(pure_dict, Mapping):
        raise ArgumentTypeError(
            "replace_by_pure_dict needs a nested dict of values and was given a "
            f"{type(pure_dict).__name__}",
            instead="nnx.to_pure_dict(state) for one of the right form",
        )
    given = functional.given_leaves(pure_dict, flat, "replace_by_pure_dict")
    unknown = [functional.show(path) for path in given if path not in flat]
    if unknown:
        raise ArgumentValueError(
            f"{len(unknown)} paths of the pure dict are not available in the state",
            details=unknown,
            instead=f"some of these: {', '.join(map(functional.show, flat))}",
        )
    replace = functional.as_leaf if replace_fn is None else replace_fn
    flat.update({path: replace(flat[path], value) for path, value in given.items()})
    # through the mapping itself: an item assignment means something else on 0.8
    state.raw_mapping.update(bound.unflatten(flat).raw_mapping)


def split_state(state: Any, first: Any, /, *filters: Any) -> Any:
    """Part a state by filters that select every leaf; end with ``...`` for the rest.

    Args:
        state: a State.
        first: a filter.
        *filters: more of them.

    Returns:
        A State; with two filters or more a tuple of States, every leaf in the first
        that selects it.

    Raises:
        StateStructureError: leaves are left over, or ``...`` is not the last filter.

    Example:
        >>> from nnx_compat import nnx
        >>> state = nnx.state(nnx.BatchNorm(3, rngs=nnx.Rngs(0)))
        >>> params, rest = nnx.split_state(state, nnx.Param, ...)
        >>> sorted(rest)
        ['mean', 'var']
    """
    return functional.split_state(state, first, *filters)


def filter_state(state: Any, first: Any, /, *filters: Any) -> Any:
    """The parts of a state that filters select; the rest is left out.

    Args:
        state: a State.
        first: a filter.
        *filters: more of them.

    Returns:
        A State; with two filters or more a tuple of States.

    Example:
        >>> from nnx_compat import nnx
        >>> state = nnx.state(nnx.BatchNorm(3, rngs=nnx.Rngs(0)))
        >>> sorted(nnx.filter_state(state, nnx.BatchStat))
        ['mean', 'var']
    """
    return functional.filter_state(state, first, *filters)


def merge_state(state: Any, /, *states: Any, cls: Any = _State) -> Any:
    """One State with the leaves of all; where two have a path, the later one counts.

    Args:
        state: a State.
        *states: more of them.
        cls: a subclass of State to make instead.

    Example:
        >>> from nnx_compat import nnx
        >>> state = nnx.state(nnx.BatchNorm(3, rngs=nnx.Rngs(0)))
        >>> parts = nnx.split_state(state, nnx.Param, ...)
        >>> sorted(nnx.merge_state(*parts))
        ['bias', 'mean', 'scale', 'var']
    """
    if not states and isinstance(state, cls):
        return state
    made = functional.merge_state(*map(_as_state, (state, *states)))
    return made if cls is _State else cls(made.raw_mapping)


def map_state(f: Callable[[Path, Any], Any], state: Any) -> Any:
    """A new State with ``f(path, leaf)`` in the place of every leaf.

    Args:
        f: takes the path and the leaf; what it returns is the new leaf, as it is.
        state: a State; it is not changed.

    Example:
        >>> from nnx_compat import nnx
        >>> state = nnx.state(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
        >>> nnx.to_pure_dict(nnx.map_state(lambda path, leaf: len(path), state))
        {'bias': 1, 'kernel': 1}
    """
    leaves = _flat("map_state", state).items()
    return bound.unflatten({path: f(path, leaf) for path, leaf in leaves})


def diff(state: Any, other: Any) -> Any:
    """The leaves of one state at paths that another does not have.

    Args:
        state: a State.
        other: a State.

    Example:
        >>> from nnx_compat import nnx
        >>> one, other = nnx.State({"a": nnx.Param(1.0)}), nnx.State({})
        >>> list(diff(one, other)), list(diff(one, one))
        (['a'], [])
    """
    without = _flat("diff", other)
    leaves = _flat("diff", state).items()
    return bound.unflatten({p: leaf for p, leaf in leaves if p not in without})


def _flat(asked: str, state: Any) -> dict[Path, Any]:
    if not isinstance(state, _State):
        raise VariableTypeError(
            f"{asked} needs a State and was given a {type(state).__name__}",
            instead=f"nnx.{asked}(nnx.state(model))",
        )
    return bound.flatten(state)


def _as_state(state: Any) -> Any:
    return nnx.State(state) if type(state) is dict else state
