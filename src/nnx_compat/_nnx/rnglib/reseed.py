"""``reseed``: new keys for the random streams of a node."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import jax

from ... import functional
from ...errors import ArgumentValueError
from ...functional import Path
from ._nodes import streams, write
from .rngs import Rngs
from .streams import tag_of

if TYPE_CHECKING:
    from flax.nnx import RngStream as NativeStream

__all__ = ["reseed"]

#: From the path to a stream, its new key and the shape of its old one to its new keys.
Policy = Callable[[Path, jax.Array, tuple[int, ...]], jax.Array]


def reseed(
    node: object,
    /,
    *,
    graph: bool | None = None,
    policy: str | Policy = "scalars_only",
    **stream_keys: int | jax.Array,
) -> None:
    """Give the streams of a node new keys, and start their counts anew.

    A model draws afterwards what one made with ``Rngs`` of these seeds would. So the
    new key is the first of such a ``Rngs``: a Dropout forks the stream it is given.

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
    new: list[tuple[NativeStream, jax.Array]] = []
    for path, stream in streams(node):
        if tag_of(stream) in stream_keys:
            seeded = rngs[tag_of(stream)]
            key = seeded()
            new.append(
                (stream, shaped(path, key, functional.get_value(stream.key).shape))
            )
    for stream, key in new:  # once nothing can fail any more
        write(stream, key)


def _scalars_only(path: Path, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    if shape != ():
        raise ArgumentValueError(
            f"Cannot reseed stream at path {path!r}: it has a non-scalar key, an array "
            f"of keys of shape {shape}",
            instead='policy="match_shape", which splits the new key',
        )
    return key


def _match_shape(path: Path, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    return key if shape == () else jax.random.split(key, shape)


_POLICIES: dict[str, Policy] = {
    "scalars_only": _scalars_only,
    "match_shape": _match_shape,
}
