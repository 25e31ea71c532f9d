"""The random streams of a node, split or forked all at once.

Splitting a stream makes one key into an array of them, for ``vmap``; forking makes a
stream that draws on its own. Done in place, it can be undone: what the streams were is
given back, and is a context manager.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, overload

import jax

from ... import functional
from ..._release import native
from ...errors import ArgumentTypeError, ArgumentValueError
from ...functional import Filter
from ...revisions import nnx
from ..filterlib import to_predicate
from ._nodes import (
    Backup,
    backup,
    decorator,
    in_place,
    selected,
    streams,
    with_streams,
    write,
)
from .rngs import Shapes, by_filter
from .streams import RngStream, Shape, fork_stream, split_stream, tag_of

if TYPE_CHECKING:
    from flax.nnx import RngStream as NativeStream
    from flax.nnx import State

__all__ = ["ForkStates", "fork", "fork_rngs", "restore_rngs", "split_rngs"]

F = TypeVar("F", bound=Callable[..., Any])

_ABSENT = object()
_native_split_rngs: Callable[..., Any] | None = native.get("split_rngs")


class SplitBackups(Sequence[Backup]):
    """What streams were before: to give to ``restore_rngs``, or a context manager.

    Args:
        backups: streams with their keys and counts.
    """

    def __init__(self, backups: Iterable[Backup]) -> None:
        self.backups = list(backups)

    @overload
    def __getitem__(self, index: int) -> Backup: ...
    @overload
    def __getitem__(self, index: slice) -> list[Backup]: ...
    def __getitem__(self, index: int | slice) -> Backup | list[Backup]:
        return self.backups[index]

    def __len__(self) -> int:
        return len(self.backups)

    def __enter__(self) -> SplitBackups:
        return self

    def __exit__(self, *exception: object) -> None:
        restore_rngs(self)


@overload
def split_rngs(
    *,
    splits: Shape,
    only: Filter = ...,
    squeeze: bool = ...,
    graph: bool | None = ...,
    graph_updates: bool | None = ...,
) -> Callable[[F], F]: ...
@overload
def split_rngs(
    node: object,
    /,
    *,
    splits: Shape,
    only: Filter = ...,
    squeeze: bool = ...,
    graph: bool | None = ...,
    graph_updates: bool | None = ...,
) -> Any: ...
def split_rngs(
    node: object = _ABSENT,
    /,
    *,
    splits: Shape,
    only: Filter = ...,
    squeeze: bool = False,
    graph: bool | None = None,
    graph_updates: bool | None = None,
) -> Any:
    """Split the streams of a node: each becomes one of an array of keys, for ``vmap``.

    Args:
        node: a node or a pytree of nodes. Left out, this is a decorator that does it to
            the arguments for the length of the call.
        splits: how many keys, or the shape of the array.
        only: a filter of the streams by name, type or path.
        squeeze: with ``splits=1``, a single key rather than an array of one.
        graph: ``False`` for a copy, too.
        graph_updates: ``False`` for a copy: the streams in it are new ones, and all
            Variables besides are those of ``node``.

    Returns:
        What ``restore_rngs`` takes, also a context manager; or the copy.

    Raises:
        ArgumentValueError: ``squeeze`` with more than one.

    Example:
        >>> from nnx_compat import nnx, errors
        >>> rngs = nnx.Rngs(0)
        >>> if hasattr(nnx, "split_rngs"):
        ...     with nnx.split_rngs(rngs, splits=5):
        ...         assert rngs.default.key[...].shape == (5,)
        ...     assert rngs.default.key[...].shape == ()
    """
    changes_node = in_place(graph, graph_updates)
    if node is _ABSENT:
        change: Callable[..., Any] = functools.partial(
            split_rngs, splits=splits, only=only, squeeze=squeeze, graph=graph,
            graph_updates=graph_updates,
        )  # fmt: skip
        return decorator(change, changes_node)
    if squeeze and splits != 1:
        raise ArgumentValueError(
            f"squeeze=True is only supported for splits=1, and splits is {splits!r}",
            instead="splits=1, or leave squeeze= out",
        )
    if changes_node and _native_split_rngs is not None and not squeeze:
        return _native_split_rngs(node, splits=splits, only=only)
    chosen = selected(node, to_predicate(only))
    if changes_node:
        return _changed(chosen, lambda stream: _split_in(stream, splits, squeeze))
    ids = set(map(id, chosen))
    return with_streams(
        node, lambda _, s: _split_in(s, splits, squeeze) if id(s) in ids else None
    )


def _split_in(stream: NativeStream, splits: Shape, squeeze: bool) -> RngStream:
    new = split_stream(stream, splits)
    if squeeze:
        return RngStream(functional.get_value(new.key)[0], tag=tag_of(stream))
    return new


def _changed(
    streams: list[NativeStream], fresh: Callable[[NativeStream], RngStream]
) -> SplitBackups:
    """Give streams the keys and counts of others made of them; what they were."""
    backups = []
    for stream in streams:
        new = fresh(stream)  # takes a key, so what is restored has counted on
        backups.append(backup(stream))
        write(stream, *backup(new)[1:])
    return SplitBackups(backups)


@overload
def fork_rngs(
    *,
    split: Shapes = ...,
    graph: bool | None = ...,
    graph_updates: bool | None = ...,
) -> Callable[[F], F]: ...
@overload
def fork_rngs(
    node: object,
    /,
    *,
    split: Shapes = ...,
    graph: bool | None = ...,
    graph_updates: bool | None = ...,
) -> Any: ...
def fork_rngs(
    node: object = _ABSENT,
    /,
    *,
    split: Shapes = None,
    graph: bool | None = None,
    graph_updates: bool | None = None,
) -> Any:
    """Fork the streams of a node: each starts anew with one of its own next keys.

    Args:
        node: a node or a pytree of nodes. Left out, this is a decorator that does it to
            the arguments for the length of the call.
        split: how many, to split them as well; or such by filter, and streams that no
            filter selects are left alone.
        graph: ``False`` for a copy, too.
        graph_updates: ``False`` for a copy, as in ``split_rngs``.

    Returns:
        What ``restore_rngs`` takes, also a context manager; or the copy.

    Example:
        >>> from nnx_compat import nnx
        >>> rngs = nnx.Rngs(0)
        >>> if hasattr(nnx, "fork_rngs"):
        ...     with nnx.fork_rngs(rngs):
        ...         assert rngs.default.key[...] == nnx.Rngs(0)()
        ...     assert rngs.default.key[...] == jax.random.key(0)
    """
    changes_node = in_place(graph, graph_updates)
    if node is _ABSENT:
        change: Callable[..., Any] = functools.partial(
            fork_rngs, split=split, graph=graph, graph_updates=graph_updates
        )
        return decorator(change, changes_node)
    shapes: dict[int, Shape | None] = {}
    for _, selects, shape in by_filter({...: None} if split is None else split):
        for stream in selected(node, selects):
            shapes.setdefault(id(stream), shape)

    def fresh(stream: NativeStream) -> RngStream:
        shape = shapes[id(stream)]
        return fork_stream(stream) if shape is None else split_stream(stream, shape)

    if changes_node:
        return _changed([s for _, s in streams(node) if id(s) in shapes], fresh)
    return with_streams(node, lambda _, s: fresh(s) if id(s) in shapes else None)


def restore_rngs(backups: Iterable[Backup], /) -> None:
    """Give streams back the keys and counts that they had.

    Args:
        backups: from ``split_rngs`` or ``fork_rngs``.

    Example:
        >>> from nnx_compat import nnx
        >>> rngs = nnx.Rngs(0)
        >>> if hasattr(nnx, "split_rngs"):
        ...     backups = nnx.split_rngs(rngs, splits=5)
        ...     nnx.restore_rngs(backups)
        ...     assert rngs.default.key[...].shape == ()
    """
    for stream, key, *count in backups:  # Flax's own of a split may be without count
        functional.set_value(stream.key, key)
        if count:
            functional.set_value(stream.count, count[0])


# -- The state of random streams, split as it was once: ``nnx.fork`` ----------------


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
