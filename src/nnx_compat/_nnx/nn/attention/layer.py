"""``MultiHeadAttention`` with a stream of its own for what it drops."""

from __future__ import annotations

import functools
import types
from typing import TYPE_CHECKING, Any

import jax

from ...._release import native
from ... import newest
from ..._native_classes import standing_in_for
from ...rnglib.streams import fork_stream, is_stream
from .._absent import drop_absent

if TYPE_CHECKING:
    from flax.nnx import MultiHeadAttention as NativeAttention
else:
    NativeAttention = native["MultiHeadAttention"]

__all__ = ["MultiHeadAttention"]


class MultiHeadAttention(
    NativeAttention,  # type: ignore[misc]
    metaclass=standing_in_for(NativeAttention),  # type: ignore[metaclass]
):
    """Attention of several heads; its arguments are those of Flax's own.

    With a dropout rate it forks a stream from the Rngs that it is given, when it is
    made, and draws what it drops from that; without one it keeps none.

    Example:
        >>> from nnx_compat import nnx
        >>> if hasattr(nnx, "split_rngs"):  # random streams are state
        ...     layer = nnx.MultiHeadAttention(
        ...         2, 4, dropout_rate=0.5, decode=False, rngs=nnx.Rngs(0)
        ...     )
        ...     assert isinstance(layer.rngs, nnx.RngStream)
    """

    @functools.wraps(NativeAttention.__init__)  # type: ignore[misc]
    def __init__(self, *args: Any, rngs: Any, **usual: Any) -> None:
        super().__init__(*args, rngs=rngs, **usual)
        own: dict[str, Any] = self.__dict__
        own.update({name: _in_place_of(layer) for name, layer in own.items()})
        # the first releases keep none, and are not asked to
        kept = usual.get("keep_rngs", True) and self.dropout_rate > 0
        self.rngs = fork_stream(rngs["dropout"]) if kept else None

    @functools.wraps(NativeAttention.__call__)
    def __call__(self, *args: Any, rngs: Any = None, **kwargs: Any) -> jax.Array:
        stream = self.rngs if rngs is None else rngs
        if is_stream(stream):
            # which Flax's own looks up by this name
            stream = types.SimpleNamespace(dropout=stream)
        out: jax.Array = super().__call__(*args, rngs=stream, **kwargs)
        return out


def _in_place_of(layer: object) -> Any:
    """Ours for a layer inside, if it is one of Flax's: without a Param of None."""
    for name in ("LinearGeneral", "LayerNorm"):
        ours = newest(name)
        if type(layer) is native[name] and ours is not native[name]:
            new = object.__new__(ours)  # a class of two bases cannot be assigned to
            vars(new).update(vars(layer))
            drop_absent(new)
            return new
    return layer
