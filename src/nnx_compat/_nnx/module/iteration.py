"""The Modules in a node."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ... import functional
from ...functional import Path
from .._parameters import check

if TYPE_CHECKING:
    from flax.nnx import Module

__all__ = ["iter_modules"]


def iter_modules(
    module: object, /, *, graph: bool | None = None
) -> Iterator[tuple[Path, Module]]:
    """The Modules of a node, itself included, children before parents.

    Example:
        >>> from nnx_compat import nnx
        >>> models = [nnx.Linear(2, 2, rngs=nnx.Rngs(i)) for i in range(2)]
        >>> [path for path, module in nnx.iter_modules(models)]
        [(0,), (1,)]
    """
    check("iter_modules", graph=graph)
    return functional.iter_modules(module)
