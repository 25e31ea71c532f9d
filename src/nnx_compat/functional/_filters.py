"""What a filter means, and a state parted by filters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import EllipsisType
from typing import TYPE_CHECKING, Any, TypeAlias

from ..errors import StateStructureError, VariableTypeError
from ..revisions import bound
from ..revisions.get_value import Path
from ._fitting import show
from ._variables import is_variable

if TYPE_CHECKING:
    from flax.nnx import State

    from ..revisions.get_value import Leaf

Predicate: TypeAlias = Callable[[Path, Any], bool]
Filter: TypeAlias = (
    type | str | Predicate | bool | EllipsisType | None | Sequence["Filter"]
)


def predicate(wanted: Filter) -> Predicate:
    """What a filter means, the newest meaning, on every release."""
    if wanted is ... or wanted is True:
        return lambda path, leaf: True
    if wanted is None or wanted is False:
        return lambda path, leaf: False
    if isinstance(wanted, type):
        return lambda path, leaf: (
            issubclass(bound.variable_type(leaf), wanted)
            if is_variable(leaf)
            else isinstance(leaf, wanted)
        )
    if isinstance(wanted, str):
        return lambda path, leaf: getattr(leaf, "tag", None) == wanted
    if isinstance(wanted, (list, tuple)):
        parts = [predicate(part) for part in wanted]
        return lambda path, leaf: any(part(path, leaf) for part in parts)
    if callable(wanted):
        given: Predicate = wanted
        return given
    raise VariableTypeError(
        f"{wanted!r} is not a filter",
        instead="a Variable class, a tag, a callable (path, leaf) -> bool, or ...",
    )


def partition(
    state: State, filters: Sequence[Filter], *, exhaustive: bool
) -> list[State]:
    """One State per filter, every leaf in the first that selects it."""
    for wanted in filters[:-1]:
        if wanted is ... or wanted is True:
            raise StateStructureError(
                f"`{wanted}` selects everything and is not the last of {len(filters)} "
                "filters",
                instead="put it at the end",
            )
    predicates = [predicate(wanted) for wanted in filters]
    parts: list[dict[Path, Leaf]] = [{} for _ in filters]
    rest: list[Path] = []
    for path, leaf in bound.flatten(state).items():
        for part, selects in zip(parts, predicates, strict=True):
            if selects(path, leaf):
                part[path] = leaf
                break
        else:
            rest.append(path)
    if rest and exhaustive:
        shown = ", ".join(map(show, rest[:10])) + (", ..." if len(rest) > 10 else "")
        raise StateStructureError(
            f"the filters leave {len(rest)} leaves over: {shown}",
            instead="end the filters with ...",
        )
    return [bound.unflatten(part) for part in parts]


def one_or_all(states: list[State]) -> State | tuple[State, ...]:
    """The only one, or the tuple of several."""
    return states[0] if len(states) == 1 else tuple(states)
