"""``Rngs``: random streams by name, with all that it can do today.

Derived from Flax's own, which on some releases lacks ``fork``, ``split`` and the
samplers: it takes any attribute for a stream, so ``rngs.fork()`` was silently a key
there. The keys are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import jax

from ... import functional
from ..._release import here
from ...functional import Path, Predicate
from ...revisions import nnx
from .._native_classes import standing_in_for
from ..filterlib import to_predicate
from .streams import (
    RngStream,
    Samplers,
    Shape,
    broadcast_stream,
    fork_stream,
    is_stream,
    split_stream,
    worded,
)

if TYPE_CHECKING:
    from flax.nnx import Rngs as NativeRngs
    from flax.nnx import RngStream as NativeStream
else:
    NativeRngs = nnx.Rngs

__all__ = ["Rngs"]

#: What a stream is made of.
Seed: TypeAlias = "int | jax.Array | NativeStream"

#: A shape for all streams, or shapes by filter; None leaves a stream as it is.
Shapes = Shape | Mapping[Any, Shape | None] | None

#: A filter, the predicate it stands for, and what is to be done with what it selects.
Rule = tuple[Any, Predicate, Shape | None]


class Rngs(
    Samplers,
    NativeRngs,  # type: ignore[misc]
    metaclass=standing_in_for(NativeRngs),  # type: ignore[metaclass]
):
    """Random streams by name: ``rngs.params()`` gives a new key of the stream "params".

    A name that was not given stands for the stream "default". Samplers of
    ``jax.random`` are methods, of ``rngs`` for the default stream and of each stream.

    Args:
        default: a seed, a key or a stream for "default"; or a mapping of such by name.
        **rngs: seeds, keys or streams by name.

    Raises:
        ArgumentValueError: a value is none of these.

    Example:
        >>> from nnx_compat import nnx
        >>> rngs = nnx.Rngs(0, dropout=1)
        >>> if hasattr(nnx, "split_rngs"):  # random streams are state
        ...     assert rngs.dropout() == jax.random.fold_in(jax.random.key(1), 0)
        ...     assert rngs.normal((2, 3)).shape == (2, 3)
        ...     assert rngs.fork().dropout() != rngs.dropout()
    """

    def __init__(
        self, default: Seed | Mapping[str, Seed] | None = None, **rngs: Seed
    ) -> None:
        if isinstance(default, Mapping) and not is_stream(default):
            rngs = {**default, **rngs}
        elif default is not None:
            rngs["default"] = default
        for name, value in rngs.items():
            if is_stream(value):
                value = functional.get_value(value.key)
            setattr(self, name, RngStream(value, tag=name))

    if TYPE_CHECKING:  # Flax's own, which says nothing of the type

        def __getattr__(self, name: str) -> RngStream: ...

    def _get_stream(self, name: str, error_type: type[Exception]) -> NativeStream:
        if name[:2] == "__" == name[-2:]:
            raise error_type(name)  # Python asks for such names, and means no stream
        try:
            found: NativeStream = super()._get_stream(name, error_type)
        except error_type as error:
            text = f"No RngStream named '{name}' found in Rngs"
            raise error_type(worded(text, error)) from None
        return found

    def items(self) -> list[tuple[str, NativeStream]]:
        """Pairs of a name and its stream."""
        return [(k, v) for k, v in vars(self).items() if is_stream(v)]

    def split(self, k: Shapes) -> Rngs:
        """New streams, each of an array of keys made of its next key.

        Args:
            k: how many keys or the shape of the array; or such by filter, ``None`` to
                take a stream as it is. Streams that no filter selects are taken as
                they are, too; their counts start anew.
        """
        return _each(self, k, split_stream, _same)

    def broadcast(self, k: Shapes) -> Rngs:
        """New streams, each of an array of keys that are all its next key.

        Args:
            k: as in ``split``.
        """
        return _each(self, k, broadcast_stream, _same)

    def fork(self, /, *, split: Shapes = None) -> Rngs:
        """New streams that draw on their own, each starting with a next key.

        Args:
            split: how many, to split them as well; or such by filter.
        """
        return _each(self, split, split_stream, fork_stream)


if here.streams_hash_their_counts:
    from .hashed import HashedRngs as Rngs


def _same(stream: NativeStream) -> NativeStream:
    return stream


def _each(
    rngs: Rngs,
    shapes: Shapes,
    make: Callable[[NativeStream, Shape], NativeStream],
    otherwise: Callable[[NativeStream], NativeStream],
) -> Rngs:
    """A Rngs of streams made by the first rule that selects them.

    Args:
        rngs: any Rngs.
        shapes: a shape, or shapes by filter; where there is none, ``otherwise``.
        make: from a stream and a shape to the new one.
        otherwise: from a stream to the new one.
    """
    rules = by_filter(shapes)
    new = {}
    for name, stream in rngs.items():
        shape = next(
            (s for _, selects, s in rules if chosen(selects, (), stream)), None
        )
        new[name] = otherwise(stream) if shape is None else make(stream, shape)
    return Rngs(new)


def by_filter(shapes: Shapes) -> list[Rule]:
    """Rules from what may be one value for all streams, or values by filter."""
    if shapes is None:
        shapes = {}
    elif not isinstance(shapes, Mapping):
        shapes = {...: shapes}
    return [(wanted, to_predicate(wanted), s) for wanted, s in shapes.items()]


def chosen(selects: Predicate, path: Path, stream: NativeStream) -> bool:
    """Whether a filter selects a stream; without a tag of its own, its key has it."""
    return selects(path, stream if "tag" in vars(stream) else stream.key)
