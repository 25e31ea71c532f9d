"""Several nodes merged as one graph, so that what they share stays shared."""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from ..._release import here
from ...revisions import nnx

if TYPE_CHECKING:
    from flax.nnx.graphlib import MergeContext

__all__ = ["merge_context"]


def merge_context(
    ctxtag: Hashable | None = None, inner: bool | None = None
) -> AbstractContextManager[MergeContext]:
    """A context that merges several nodes which share Variables.

    Args:
        ctxtag: the tag of an ``update_context``.
        inner: whether it is inside the transform. Some releases find out themselves.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> try:
        ...     with nnx.split_context() as context:
        ...         parts = context.split(model)
        ...     with nnx.merge_context() as context:
        ...         print(context.merge(*parts).out_features)
        ... except AttributeError:  # a release without these contexts
        ...     print(3)
        3
    """
    options = {"inner": inner} if here.merge_context_takes_inner else {}
    if inner is None:
        options = {}
    context: AbstractContextManager[MergeContext]
    context = nnx.merge_context(ctxtag=ctxtag, **options)
    return context
