"""``Rngs`` of the first releases, whose streams hash their counts: with today's keys.

A stream there is static and has a list of counts, of which it makes a hash to fold into
its key. Ours folds in the count itself, so that the same seed gives the weights that it
gives on every later release.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax

from ..._release import here
from ...revisions import nnx
from .._native_classes import standing_in_for

if TYPE_CHECKING:
    from flax.nnx import Rngs as NativeRngs
    from flax.nnx import RngStream as NativeStream
else:
    NativeRngs, NativeStream = nnx.Rngs, nnx.RngStream


class _Stream(NativeStream):  # type: ignore[misc]
    """A stream that folds its count into its key."""

    def make_rng(self) -> jax.Array:
        """The next key."""
        if len(self.counts) > 1:  # of a broadcast in a transform of Flax's own
            made: jax.Array = super().make_rng()
            return made
        self.counts[-1] += 1
        return jax.random.fold_in(self.key, self.counts[-1] - 1)

    def copy(self) -> _Stream:
        """One of the same key and counts."""
        return _Stream(self.key, self.counts.copy())


if here.streams_hash_their_counts:  # else its base registers what derives from it
    jax.tree_util.register_pytree_node(
        _Stream,
        lambda stream: ((stream.key,), tuple(stream.counts)),
        lambda counts, keys: _Stream(keys[0], list(counts)),
    )


class HashedRngs(
    NativeRngs,  # type: ignore[misc]
    metaclass=standing_in_for(NativeRngs),  # type: ignore[metaclass]
):
    """Random streams by name: ``rngs.params()`` gives a new key of "params".

    A name that was not given stands for the stream "default".

    Args:
        default: a seed, a key or a stream for "default"; or a dict of such by name.
        **rngs: seeds, keys or streams by name.
    """

    __slots__ = ()

    def __init__(self, default: Any = None, /, **rngs: Any) -> None:
        super().__init__(default, **rngs)
        streams: dict[str, Any] = self._rngs
        for name, stream in streams.items():
            streams[name] = _Stream(stream.key, stream.counts)


HashedRngs.__name__ = HashedRngs.__qualname__ = "Rngs"
