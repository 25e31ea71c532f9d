"""The random streams of a node: split, forked, reseeded, all at once.

Splitting a stream makes one key into an array of them, for ``vmap``; forking makes a
stream that draws on its own. Done in place, it can be undone: what the streams were is
given back, and is a context manager.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ... import facts, functional
from ...errors import ArgumentTypeError, ArgumentValueError, NnxCompatError
from ...functional import Path, Predicate
from ...revisions import flax_version, nnx
from ..filterlib import to_predicate
from .rngs import (
    Rngs,
    RngStream,
    Shape,
    broadcast_stream,
    by_filter,
    chosen,
    fork_stream,
    is_stream,
    split_stream,
    tag_of,
)

__all__ = [
    "ForkStates",
    "fork",
    "fork_rngs",
    "reseed",
    "restore_rngs",
    "split_rngs",
    "with_rngs",
]

#: What Module and Rngs both derive from: Object, Pytree or how it is called.
_Node: Any = next(c for c in nnx.Rngs.__mro__ if issubclass(nnx.Module, c))
#: Flax's own, asked for now: ``install`` puts ours there where there is none.
_native_split_rngs: Any = getattr(nnx, "split_rngs", None)
_ABSENT: Any = object()
#: Whether a Dropout draws from a fork of the stream that it is given.
_LAYERS_FORK = facts.behaviour("dropout-forks-its-rngs").holds(flax_version)


class _Backup(NamedTuple):
    stream: Any
    key: Any
    count: Any


class SplitBackups(Sequence[Any]):
    """What streams were before: to give to ``restore_rngs``, or a context manager.

    Args:
        backups: streams with their keys and counts.
    """

    def __init__(self, backups: Iterable[_Backup]) -> None:
        self.backups = list(backups)

    def __getitem__(self, index: Any) -> Any:
        return self.backups[index]

    def __len__(self) -> int:
        return len(self.backups)

    def __enter__(self) -> SplitBackups:
        return self

    def __exit__(self, *exception: object) -> None:
        restore_rngs(self)


def _is_node(value: Any) -> bool:
    return isinstance(value, _Node)


def _streams(node: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """The streams of a node, or of a pytree of nodes, each once.

    Args:
        node: anything; what is not a node and holds none is passed over.
        path: of it.
    """
    seen: set[int] = set()
    for at, part in _nodes(node, path):
        for inside, value in functional.iter_graph(part):
            if is_stream(value) and id(value) not in seen:
                seen.add(id(value))
                yield (*at, *inside), value


def _nodes(tree: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    if _is_node(tree):
        yield path, tree
    elif isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from _nodes(value, (*path, key))
    elif isinstance(tree, (list, tuple)):
        for index, value in enumerate(tree):
            yield from _nodes(value, (*path, index))


def _chosen(node: Any, selects: Predicate) -> list[Any]:
    """The streams whose key and count a filter both selects."""
    return [
        stream
        for path, stream in _streams(node)
        if selects((*path, "key"), stream.key)
        and selects((*path, "count"), stream.count)
    ]


def _write(stream: Any, key: Any, count: Any = None) -> None:
    functional.set_value(stream.key, key)
    zeros = jnp.zeros(key.shape, jnp.uint32)
    functional.set_value(stream.count, zeros if count is None else count)


def _values(stream: Any) -> _Backup:
    return _Backup(
        stream, functional.get_value(stream.key), functional.get_value(stream.count)
    )


def _in_place(graph: bool | None, graph_updates: bool | None) -> bool:
    """Whether the streams themselves are changed, as by default, or those of a copy."""
    return graph is not False and graph_updates is not False


def _decorated(
    change: Callable[[Any], Any], in_place: bool
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator that changes the streams of the arguments, for the call."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            if in_place:
                with change((args, kwargs)):
                    return function(*args, **kwargs)
            args, kwargs = change((args, kwargs))
            return function(*args, **kwargs)

        return call

    return decorate


def _rewired(node: Any, fresh: Callable[[Path, Any], Any]) -> Any:
    """A copy of a pytree of nodes with other streams; all its Variables are the same.

    Args:
        node: a node, or a pytree of nodes and other things.
        fresh: from the path and a stream of ``node`` to a stream, or to ``None`` for
            one that stays as it is.
    """
    made = {
        id(stream): (fresh(path, stream), stream) for path, stream in _streams(node)
    }
    copies = {key: new for key, (new, _) in made.items() if new is not None}
    leaves, tree = jax.tree_util.tree_flatten(node, is_leaf=_is_node)
    return tree.unflatten(_copied(leaf, copies) for leaf in leaves)


def _copied(value: Any, copies: dict[int, Any]) -> Any:
    """A node, or a container in one, made anew around the same Variables.

    Args:
        value: what to copy.
        copies: what was copied already, by the id of the original.
    """
    if id(value) in copies:
        return copies[id(value)]
    if _is_node(value):
        made = copies[id(value)] = object.__new__(type(value))
        vars(made).update({k: _copied(v, copies) for k, v in vars(value).items()})
        return made
    if type(value) in (list, tuple):
        return type(value)(_copied(v, copies) for v in value)
    if type(value) is dict:
        return {k: _copied(v, copies) for k, v in value.items()}
    return value


def split_rngs(
    node: Any = _ABSENT,
    /,
    *,
    splits: Shape,
    only: Any = ...,
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
    in_place = _in_place(graph, graph_updates)
    options = {"splits": splits, "only": only, "squeeze": squeeze}
    options |= {"graph": graph, "graph_updates": graph_updates}
    if node is _ABSENT:
        return _decorated(functools.partial(split_rngs, **options), in_place)
    if squeeze and splits != 1:
        raise ArgumentValueError(
            f"squeeze=True is only supported for splits=1, and splits is {splits!r}",
            instead="splits=1, or leave squeeze= out",
        )
    if in_place and _native_split_rngs is not None and not squeeze:
        return _native_split_rngs(node, splits=splits, only=only)
    streams = _chosen(node, to_predicate(only))
    if not in_place:
        ids = set(map(id, streams))
        return _rewired(
            node, lambda _, s: _split_in(s, splits, squeeze) if id(s) in ids else None
        )
    return _changed(streams, lambda stream: _split_in(stream, splits, squeeze))


def _split_in(stream: Any, splits: Shape, squeeze: bool) -> RngStream:
    made = split_stream(stream, splits)
    if squeeze:
        return RngStream(functional.get_value(made.key)[0], tag=tag_of(stream))
    return made


def _changed(streams: list[Any], fresh: Callable[[Any], Any]) -> SplitBackups:
    """Give streams the keys and counts of others made of them; what they were."""
    backups = []
    for stream in streams:
        made = fresh(stream)  # takes a key, so what is restored has counted on
        backups.append(_values(stream))
        _write(stream, *_values(made)[1:])
    return SplitBackups(backups)


def fork_rngs(
    node: Any = _ABSENT,
    /,
    *,
    split: Any = None,
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
    in_place = _in_place(graph, graph_updates)
    if node is _ABSENT:
        options = {"split": split, "graph": graph, "graph_updates": graph_updates}
        return _decorated(functools.partial(fork_rngs, **options), in_place)
    rules = by_filter({...: None} if split is None else split)
    shapes: dict[int, Any] = {}
    for _, selects, shape in rules:
        for stream in _chosen(node, selects):
            shapes.setdefault(id(stream), shape)
    streams = [stream for _, stream in _streams(node) if id(stream) in shapes]

    def fresh(stream: Any) -> Any:
        shape = shapes[id(stream)]
        return fork_stream(stream) if shape is None else split_stream(stream, shape)

    if not in_place:
        return _rewired(node, lambda _, s: fresh(s) if id(s) in shapes else None)
    return _changed(streams, fresh)


def restore_rngs(backups: Iterable[Any], /) -> None:
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
    for stream, key, *count in backups:
        functional.set_value(stream.key, key)
        if count:
            functional.set_value(stream.count, count[0])


def with_rngs(
    node: Any = _ABSENT,
    /,
    *,
    split: Any = None,
    fork: Any = None,
    broadcast: Any = None,
    only: Any = True,
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
    if _in_place(graph, graph_updates):
        raise _InPlaceError(
            "graph=True and graph_updates=True is not supported for `with_rngs`, "
            "which gives a changed copy",
            instead="nnx.with_rngs(..., graph_updates=False)",
            otherwise="nnx.split_rngs or nnx.fork_rngs, which change the node itself",
        )
    if node is _ABSENT:
        options = {"split": split, "fork": fork, "broadcast": broadcast, "only": only}
        change = functools.partial(with_rngs, **options, graph_updates=False)
        return _decorated(change, in_place=False)
    if fork is None:
        fork = ()
    elif isinstance(fork, str) or not isinstance(fork, Sequence):
        fork = (fork,)
    rules: dict[str, list[tuple[Any, Predicate, Any]]] = {
        "split": by_filter(split),
        "broadcast": by_filter(broadcast),
        "fork": [(wanted, to_predicate(wanted), None) for wanted in fork],
    }
    concerns = to_predicate(only)

    def fresh(path: Path, stream: Any) -> Any:
        return _by_rule(path, stream, rules) if chosen(concerns, path, stream) else None

    return _rewired(node, fresh)


class _InPlaceError(NnxCompatError, NotImplementedError):
    """Asked to change in place what is made for copies."""

    code = "NC030"


_MADE: dict[str, Callable[[Any, Any], Any]] = {
    "split": split_stream,
    "broadcast": broadcast_stream,
    "fork": lambda stream, _: fork_stream(stream),
}


def _by_rule(
    path: Path, stream: Any, rules: dict[str, list[tuple[Any, Predicate, Any]]]
) -> Any:
    """The stream that the first matching rule of each kind makes of a stream.

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
        return _MADE[kind](stream, shape)
    return None


def reseed(
    node: Any,
    /,
    *,
    graph: bool | None = None,
    policy: Any = "scalars_only",
    **stream_keys: Any,
) -> None:
    """Give the streams of a node new keys, and start their counts anew.

    A model draws afterwards what one made with ``Rngs`` of these seeds would. So the
    new key is the one that a layer has of such a ``Rngs``: its first, where a Dropout
    forks the stream that it is given, and the seed's own on the older releases, where
    it draws from that stream itself.

    Args:
        node: a node or a pytree of nodes.
        graph: either: what is shared is reseeded once.
        policy: what to do with a stream of an array of keys: ``"scalars_only"``
            refuses, ``"match_shape"`` splits the new key into its shape; or a function
            ``(path, new_key, shape) -> keys``.
        **stream_keys: seeds or keys by the name of the stream.

    Raises:
        ArgumentValueError: a stream has an array of keys, or the policy is unknown.

    Example:
        >>> from nnx_compat import nnx
        >>> rngs = nnx.Rngs(0)
        >>> if hasattr(nnx, "reseed"):
        ...     _ = rngs()
        ...     nnx.reseed(rngs, default=5)
        ...     assert rngs.default.count[...] == 0
    """
    shaped = _POLICIES.get(policy, policy) if isinstance(policy, str) else policy
    if not callable(shaped):
        raise ArgumentValueError(
            f"policy is {policy!r}",
            instead='"scalars_only", "match_shape" or a function',
        )
    rngs = Rngs(**stream_keys)
    new: list[tuple[Any, Any]] = []
    for path, stream in list(_streams(node)):
        if tag_of(stream) in stream_keys:
            seeded = rngs[tag_of(stream)]
            key = seeded() if _LAYERS_FORK else functional.get_value(seeded.key)
            new.append(
                (stream, shaped(path, key, functional.get_value(stream.key).shape))
            )
    for stream, key in new:  # once nothing can fail any more
        _write(stream, key)


def _scalars_only(path: Path, key: Any, shape: tuple[int, ...]) -> Any:
    if shape != ():
        raise ArgumentValueError(
            f"Cannot reseed stream at path {path!r}: it has a non-scalar key, an array "
            f"of keys of shape {shape}",
            instead='policy="match_shape", which splits the new key',
        )
    return key


def _match_shape(path: Path, key: Any, shape: tuple[int, ...]) -> Any:
    return key if shape == () else jax.random.split(key, shape)


_POLICIES: dict[str, Callable[..., Any]] = {
    "scalars_only": _scalars_only,
    "match_shape": _match_shape,
}

# -- the states of streams, as they were split once ---------------------------------


class ForkStates(NamedTuple):
    """The four parts of a state that ``nnx.fork`` gives.

    Attributes:
        split_keys: keys that were split.
        split_counts: the counts that go with them.
        broadcast_keys: the other keys.
        broadcast_counts: the other counts.
    """

    split_keys: Any
    split_counts: Any
    broadcast_keys: Any
    broadcast_counts: Any


def fork(state: Any, split_filter: Any, split_pattern: Any) -> ForkStates:
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
    shape = split_pattern
    if not isinstance(shape, int):
        shape = tuple(1 if size is None else size for size in shape)
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
