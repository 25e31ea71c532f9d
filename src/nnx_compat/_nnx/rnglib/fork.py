"""The state of random streams, split as it was once: ``nnx.fork``."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import jax

from ... import functional
from ...errors import ArgumentTypeError
from ...functional import Filter
from ...revisions import nnx
from ..filterlib import to_predicate
from .streams import Shape

if TYPE_CHECKING:
    from flax.nnx import State

__all__ = ["ForkStates", "fork"]


class ForkStates(NamedTuple):
    """The four parts of a state that ``nnx.fork`` gives.

    Attributes:
        split_keys: keys that were split.
        split_counts: the counts that go with them.
        broadcast_keys: the other keys.
        broadcast_counts: the other counts.
    """

    split_keys: State
    split_counts: State
    broadcast_keys: State
    broadcast_counts: State


def fork(
    state: State,
    split_filter: Filter,
    split_pattern: int | tuple[int | None, ...] | None,
) -> ForkStates:
    """Split some of the keys in a state of streams.

    Args:
        state: keys and counts only, ``nnx.state(model, nnx.RngState)``.
        split_filter: which keys to split.
        split_pattern: how many, or a shape, in which ``None`` stands for 1.

    Raises:
        ArgumentTypeError: ``split_pattern`` is ``None``.

    Example:
        >>> import warnings
        >>> from nnx_compat import nnx
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")  # newer releases do not have it
        ...     fork = getattr(nnx, "fork", None)
        >>> if fork is not None:
        ...     states = fork(nnx.state(nnx.Rngs(0), nnx.RngState), ..., 4)
        ...     assert jax.tree_util.tree_leaves(states[0])[0].shape == (4,)
    """
    if split_pattern is None:
        raise ArgumentTypeError(
            "fork was given no split_pattern", instead="how many keys, or a shape"
        )
    shape: Shape
    if isinstance(split_pattern, int):
        shape = split_pattern
    else:
        shape = tuple(1 if size is None else size for size in split_pattern)
    selects = to_predicate(split_filter)
    key, count = to_predicate(nnx.RngKey), to_predicate(nnx.RngCount)
    parts = functional.split_state(
        state,
        lambda path, leaf: selects(path, leaf) and key(path, leaf),
        lambda path, leaf: selects(path, leaf) and count(path, leaf),
        key,
        count,
    )
    split = jax.tree_util.tree_map(lambda k: jax.random.split(k, shape), parts[0])
    return ForkStates(split, *parts[1:])
