"""The Variables of a node by path, where no Variable and no object is met twice.

What ``update`` needs the first time: a whole walk takes as long as Flax takes for the
update itself. This one looks at nothing else, and gives up where it had to.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .._release import here, registry
from ..revisions.get_value import Path
from ._walk import INSTANCE_STATE, OBJECT, Unplanned, is_leaf, is_live, name_in

_SKIPPED = INSTANCE_STATE | {here.data_names}
#: Of classes met: whether their objects are Variables, or may have some inside.
_kinds: dict[type, int] = {}
_NEITHER, _VARIABLE, _INSIDE = range(3)


def live(node: object) -> dict[Path, Any] | None:
    """The Variables, in no order; None where Flax has to be asked."""
    found: dict[Path, Any] = {}
    try:
        _visit(node, (), found, {id(node)})
    except (Unplanned, RecursionError):
        return None
    return found


def _visit(node: Any, path: Path, found: dict[Path, Any], seen: set[int]) -> None:
    data = None
    items: Iterable[tuple[Any, Any]]
    if isinstance(node, OBJECT):
        items = vars(node).items()
        if getattr(type(node), "_pytree__is_pytree", True):
            data = vars(node).get(here.data_names)
    else:
        items = node.items() if type(node) is dict else enumerate(node)
    for key, value in items:
        kind = _kinds.get(type(value))
        if kind == _NEITHER or key in _SKIPPED:
            continue
        if data is not None and not (
            key in data if isinstance(data, frozenset) else data.get(key, False)
        ):
            continue  # it is static
        if kind is None:
            kind = _kind(value)
            if kind == _NEITHER:
                continue
        if id(value) in seen:
            raise Unplanned("something that is met again")
        seen.add(id(value))
        there = (*path, name_in(node, key))
        if kind == _VARIABLE:
            found[there] = value
        else:
            _visit(value, there, found, seen)


def _kind(value: Any) -> int:
    """What there is to do about the objects of a class.

    Raises:
        Unplanned: it is one that only a whole walk knows.
    """
    of = type(value)
    if is_live(of):
        kind = _VARIABLE
    elif isinstance(value, OBJECT) or of in (list, dict, tuple):
        kind = _INSIDE
    elif is_leaf(value) or value is None or not registry.is_node(value):
        kind = _NEITHER
    else:
        raise Unplanned(f"{of.__name__} is a pytree of its own")
    _kinds[of] = kind
    return kind
