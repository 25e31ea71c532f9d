"""``with_rngs``: a copy of a node whose random streams are others."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ... import functional
from ...errors import ArgumentValueError, NnxCompatError
from ...functional import Filter, Path
from ..filterlib import to_predicate
from ._nodes import decorator, in_place, with_streams
from .rngs import Rule, Shapes, by_filter, chosen
from .streams import RngStream, broadcast_stream, fork_stream, split_stream, tag_of

if TYPE_CHECKING:
    from flax.nnx import RngStream as NativeStream

__all__ = ["with_rngs"]

_ABSENT = object()


def with_rngs(
    node: object = _ABSENT,
    /,
    *,
    split: Shapes = None,
    fork: Filter = None,
    broadcast: Shapes = None,
    only: Filter = True,
    graph: bool | None = None,
    graph_updates: bool | None = None,
) -> Any:
    """A copy of a node with other streams: split, forked or broadcast.

    The streams of ``node`` count on; the Variables besides are the same in the copy. It
    needs ``graph_updates=False`` or ``graph=False``, as on the newest releases. What
    occurs twice occurs twice in the copy, where ``graph=False`` may natively refuse.

    Args:
        node: a node, or a pytree of nodes and other things. Left out, this is a
            decorator that does it to the arguments.
        split: how many keys or the shape of an array of them, or such by filter.
        fork: a filter, or several, of the streams to fork.
        broadcast: how many copies of one key or a shape, or such by filter.
        only: a filter of the streams that are changed at all.
        graph: ``False``, or
        graph_updates: ``False``.

    Raises:
        ArgumentValueError: two rules select a stream, each by more than ``...``.
        NotImplementedError: neither ``graph`` nor ``graph_updates`` is ``False``.

    Example:
        >>> from nnx_compat import nnx
        >>> rngs = nnx.Rngs(params=0, dropout=1)
        >>> if hasattr(nnx, "with_rngs"):
        ...     new = nnx.with_rngs(rngs, split={"params": 4}, graph_updates=False)
        ...     assert new.params.key[...].shape == (4,)
        ...     assert rngs.params.key[...].shape == ()
    """
    if in_place(graph, graph_updates):
        raise _InPlaceError(
            "graph=True and graph_updates=True is not supported for `with_rngs`, "
            "which gives a changed copy",
            instead="nnx.with_rngs(..., graph_updates=False)",
            otherwise="nnx.split_rngs or nnx.fork_rngs, which change the node itself",
        )
    if node is _ABSENT:
        change: Callable[..., Any] = functools.partial(
            with_rngs, split=split, fork=fork, broadcast=broadcast, only=only,
            graph_updates=False,
        )  # fmt: skip
        return decorator(change, in_place=False)
    if fork is None:
        fork = ()
    elif isinstance(fork, str) or not isinstance(fork, Sequence):
        fork = (fork,)
    rules: dict[str, list[Rule]] = {
        "split": by_filter(split),
        "broadcast": by_filter(broadcast),
        "fork": [(wanted, to_predicate(wanted), None) for wanted in fork],
    }
    concerns = to_predicate(only)

    def fresh(path: Path, stream: NativeStream) -> NativeStream | None:
        return _by_rule(path, stream, rules) if chosen(concerns, path, stream) else None

    return with_streams(node, fresh)


class _InPlaceError(NnxCompatError, NotImplementedError):
    """Asked to change in place what is made for copies."""

    code = "NC030"


_NEW: dict[str, Callable[[NativeStream, Any], RngStream]] = {
    "split": split_stream,
    "broadcast": broadcast_stream,
    "fork": lambda stream, _: fork_stream(stream),
}


def _by_rule(
    path: Path, stream: NativeStream, rules: dict[str, list[Rule]]
) -> RngStream | None:
    """The stream that the first matching rule of each kind gives for a stream.

    Raises:
        ArgumentValueError: rules of two kinds select it by more than ``...``.
    """
    matching = {}
    for kind, some in rules.items():
        for wanted, selects, shape in some:
            if chosen(selects, path, stream):
                matching[kind] = wanted, shape
                break
    special = [
        kind for kind, (w, _) in matching.items() if w is not ... and w is not True
    ]
    if len(special) > 1:
        raise ArgumentValueError(
            f"the stream {tag_of(stream)!r} at {functional.show(path)} matches "
            f"multiple rules: {' and '.join(special)}",
            instead="filters that leave it to one of them",
        )
    for kind, (_, shape) in matching.items():
        return _NEW[kind](stream, shape)
    return None
