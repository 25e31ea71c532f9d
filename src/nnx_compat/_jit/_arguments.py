"""Which arguments are meant by positions and by names."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from .._nnx.transforms._layout import Layout
from .._nnx.transforms._lifted import as_tuple
from ..functional import is_variable

Positions = int | Sequence[int] | None
Names = str | Iterable[str] | None


class Labels:
    """Arguments of a function, by position or by name, as ``jax.jit`` reads both.

    Where only one kind is given, the other follows from the signature.

    Args:
        fun: the function.
        positions: of arguments; negative ones count from the end.
        names: of arguments.
    """

    def __init__(
        self, fun: Callable[..., Any], positions: Positions, names: Names
    ) -> None:
        self.positions, self.names = set(as_tuple(positions)), set(as_tuple(names))
        if (positions is None) == (names is None):
            return
        try:
            parameters = list(inspect.signature(fun).parameters.values())
        except (TypeError, ValueError):
            return
        by_position = [
            p.name
            for p in parameters
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
        if positions is None:
            found = [i for i, name in enumerate(by_position) if name in self.names]
            self.positions = set(found)
        else:
            count = len(by_position)
            by_name = {p.name for p in parameters if p.kind != p.POSITIONAL_ONLY}
            self.names = {
                by_position[i % count] for i in self.positions if -count <= i < count
            } & by_name

    def of(
        self, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[dict[int, Any], dict[str, Any]]:
        """Those of a call that are meant, by position and by name."""
        count = len(args)
        found = {
            i % count: args[i % count] for i in self.positions if -count <= i < count
        }
        return found, {k: v for k, v in kwargs.items() if k in self.names}

    def leaves(
        self, layout: Layout, count: int, static: Mapping[int, object]
    ) -> tuple[bool, ...]:
        """Whether each array of the arguments belongs to one that is meant.

        Those of a node do where a Variable holds them: another leaf cannot be replaced
        in one bytecode, so what it holds must not be used up.

        Args:
            layout: of the arguments that are not static.
            count: of the arguments by position, static ones included.
            static: those by position.
        """
        if not self.positions and not self.names:
            return (False,) * layout.count
        wanted = {i % count for i in self.positions if -count <= i < count}
        args, kwargs = layout.treedef.children()
        given = [i for i in range(count) if i not in static]
        owners: list[bool] = []
        for position, child in zip(given, args.children(), strict=True):
            owners += [position in wanted] * child.num_leaves
        for name, child in zip(
            sorted(kwargs.node_data()[1]), kwargs.children(), strict=True
        ):
            owners += [name in self.names] * child.num_leaves
        return tuple(
            owners[leaf] and (not path or is_variable(layout.leaves[path]))
            for leaf, path in layout.owners
        )
