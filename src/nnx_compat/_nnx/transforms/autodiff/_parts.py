"""Which arrays of the arguments are differentiated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax

from ....functional import Filter, predicate
from .._layout import Layout


class Parts:
    """The arrays of arguments, parted into those that are differentiated and the rest.

    Args:
        layout: of a tuple of arguments.
        filters: for each position that is differentiated, which leaves of the argument.
    """

    def __init__(self, layout: Layout, filters: Mapping[int, Filter]) -> None:
        arguments = [
            number
            for number, argument in enumerate(layout.treedef.children())
            for _ in range(argument.num_leaves)
        ]
        self.wanted: list[bool] = []
        for leaf, path in layout.owners:
            number = arguments[leaf]
            # a filter sees the path inside the Module; an array or a bare Variable,
            # which has no path there, is differentiated whole
            self.wanted.append(
                number in filters
                and (
                    len(path) < 2
                    or predicate(filters[number])(path[1:], layout.leaves[path])
                )
            )
        self.paths = {
            path for (_, path), w in zip(layout.owners, self.wanted, strict=True) if w
        }

    def parted(
        self, arrays: Sequence[jax.Array]
    ) -> tuple[list[jax.Array], list[jax.Array]]:
        """Those that are differentiated, and the rest."""
        pairs = list(zip(arrays, self.wanted, strict=True))
        return [a for a, w in pairs if w], [a for a, w in pairs if not w]

    def joined(
        self, diff: Sequence[jax.Array], rest: Sequence[jax.Array]
    ) -> list[jax.Array]:
        """All arrays in their order, from the two parts."""
        wanted, others = iter(diff), iter(rest)
        return [next(wanted if w else others) for w in self.wanted]
