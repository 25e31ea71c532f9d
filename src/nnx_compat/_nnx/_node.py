"""What a node that is not a Module derives from, on every release."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .._release import here
from ..revisions import nnx


class _MethodNode(nnx.Module):  # type: ignore[misc, name-defined]
    """A Module whose ``update`` is its own, though NNX's transforms call it.

    Where only a Module can be split, the transforms write a result back with
    ``module.update((state, graphdef))``; such a call is told from ours by its graphdef.
    """

    def __init_subclass__(cls, **options: object) -> None:
        super().__init_subclass__(**options)
        own: Callable[..., object] | None = vars(cls).get("update")
        if own is None:
            return

        @functools.wraps(own)
        def update(self: _MethodNode, *args: object, **kwargs: object) -> object:
            if args and _is_graph_update(args):
                return nnx.Module.update(self, *args, **kwargs)
            return own(self, *args, **kwargs)

        cls.update = update


def _is_graph_update(args: tuple[object, ...]) -> bool:
    last = args[-1][-1] if isinstance(args[-1], tuple) and args[-1] else args[-1]
    return isinstance(last, nnx.GraphDef)


#: Object, Pytree or whatever Module derives from on this release; a Module where
#: nothing else can be split.
Node: Any = _MethodNode if here.only_modules_are_nodes else nnx.Module.__mro__[1]
