"""Pytree prefixes: one axis, sharding or filter for each array of a tree.

As in jax, a prefix has the structure of the tree down to where one value is enough for
all that is below. ``StateAxes`` and ``StateSharding`` are leaves of a prefix that give
the leaves of one Module different values, by filter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeGuard

import jax

from ... import functional
from ...errors import ArgumentValueError
from ...functional import Filter, Path

if TYPE_CHECKING:
    from ._mapping import PrefixMapping


def by_filter(prefix: object) -> TypeGuard[PrefixMapping]:
    """Whether this is a ``StateAxes`` or ``StateSharding``, Flax's own or ours."""
    return hasattr(prefix, "filters")


def is_prefix_leaf(value: object) -> bool:
    """Whether jax is not to look into this part of a prefix."""
    return value is None or by_filter(value)


def filtered(prefix: Any) -> list[tuple[Filter, Any]]:
    """The filters of a ``StateAxes`` or ``StateSharding``, each with its value."""
    values = prefix.axes if hasattr(prefix, "axes") else prefix.shardings
    return list(zip(prefix.filters, values, strict=True))


def value_at(prefix: PrefixMapping, path: Path, leaf: object) -> Any:
    """The value for one leaf of a state: that of the first filter that selects it."""
    for wanted, value in filtered(prefix):
        if functional.predicate(wanted)(path, leaf):
            return value
    raise ArgumentValueError(
        f"{prefix!r} has no filter that selects {functional.show(path)}",
        instead="end it with ...: None",
    )


def broadcast(prefix: object, treedef: jax.tree_util.PyTreeDef) -> list[Any]:
    """The value of a prefix for each leaf of a tree."""
    values: list[Any] = []
    numbered = treedef.unflatten(range(treedef.num_leaves))

    def visit(value: object, part: object) -> None:
        values.extend([value] * len(jax.tree_util.tree_leaves(part)))

    jax.tree_util.tree_map(visit, prefix, numbered, is_leaf=is_prefix_leaf)
    return values


def leaf_values(leaf: object) -> list[Any]:
    """The values that a leaf of a prefix has for arrays."""
    return [value for _, value in filtered(leaf)] if by_filter(leaf) else [leaf]


class Groups:
    """Arrays by the value that a prefix has for them.

    jax wants to know the axes of an output before it knows the output. What the axes
    can be is known from the prefixes, so there is a list of arrays for each.

    Args:
        *prefixes: whose different values make the groups.
    """

    def __init__(self, *prefixes: object) -> None:
        self.values: list[Any] = []
        for prefix in prefixes:
            for leaf in jax.tree_util.tree_leaves(prefix, is_leaf=is_prefix_leaf):
                for value in leaf_values(leaf):
                    if not any(g is value or g == value for g in self.values):
                        self.values.append(value)

    def group(
        self, arrays: Sequence[jax.Array], values: Sequence[object]
    ) -> list[list[jax.Array]]:
        """The arrays of each group, from all arrays and the value for each."""
        lists: list[list[jax.Array]] = [[] for _ in self.values]
        for array, value in zip(arrays, values, strict=True):
            lists[self._index(value)].append(array)
        return lists

    def ungroup(
        self, lists: Sequence[Sequence[jax.Array]], values: Sequence[object]
    ) -> list[jax.Array]:
        """The arrays in their first order, from those of each group."""
        parts = [iter(arrays) for arrays in lists]
        return [next(parts[self._index(value)]) for value in values]

    def _index(self, value: object) -> int:
        # True is not 1 here, and None is a group
        return next(
            i
            for i, g in enumerate(self.values)
            if g is value or (g == value and g is not None)
        )
