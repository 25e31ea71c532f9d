"""The random streams of a node: found, written to, and put in the place of others."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, TypeVar

import jax
import jax.numpy as jnp

from ... import functional
from ...functional import Path, Predicate
from ..graphlib._rewiring import rewired
from ..graphlib._walk import paths
from .streams import is_stream

if TYPE_CHECKING:
    from flax.nnx import RngStream as NativeStream

_N = TypeVar("_N")
_P = ParamSpec("_P")
_R = TypeVar("_R")


class Backup(NamedTuple):
    """A stream, and the key and the count that it had."""

    stream: NativeStream
    key: jax.Array
    count: jax.Array


def backup(stream: NativeStream) -> Backup:
    key, count = stream.key, stream.count
    return Backup(stream, functional.get_value(key), functional.get_value(count))


def write(stream: NativeStream, key: jax.Array, count: jax.Array | None = None) -> None:
    """Give a stream another key, and a count: zeros when not given."""
    functional.set_value(stream.key, key)
    zeros = jnp.zeros(key.shape, jnp.uint32)
    functional.set_value(stream.count, zeros if count is None else count)


def streams(node: object) -> Iterator[tuple[Path, NativeStream]]:
    """The streams of a node, or of a pytree of nodes, each once."""
    seen: set[int] = set()
    for path, value in paths(node):
        if is_stream(value) and id(value) not in seen:
            seen.add(id(value))
            yield path, value


def selected(node: object, selects: Predicate) -> list[NativeStream]:
    """The streams whose key and count a filter both selects."""
    return [
        stream
        for path, stream in streams(node)
        if selects((*path, "key"), stream.key)
        and selects((*path, "count"), stream.count)
    ]


def with_streams(
    node: _N, fresh: Callable[[Path, NativeStream], NativeStream | None]
) -> _N:
    """A copy of a pytree of nodes with other streams; all its Variables are the same.

    Args:
        node: a node, or a pytree of nodes and other things.
        fresh: from the path and a stream of ``node`` to a stream, or to ``None`` for
            one that stays as it is.
    """
    new = {id(stream): fresh(path, stream) for path, stream in streams(node)}
    return rewired(node, standing={k: s for k, s in new.items() if s is not None})


def in_place(graph: bool | None, graph_updates: bool | None) -> bool:
    """Whether the streams themselves are changed, as by default, or those of a copy."""
    return graph is not False and graph_updates is not False


def decorator(
    change: Callable[[Any], Any], in_place: bool
) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """A decorator that changes the streams of the arguments, for the call.

    Args:
        change: given the arguments, to their copy; in place, to a context manager.
        in_place: whether.
    """

    def decorate(function: Callable[_P, _R]) -> Callable[_P, _R]:
        @functools.wraps(function)
        def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            if in_place:
                with change((args, kwargs)):
                    return function(*args, **kwargs)
            args, kwargs = change((args, kwargs))
            return function(*args, **kwargs)

        return call

    return decorate
