"""``Dropout`` with a stream of its own, which it forks from the Rngs it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax

from ..._release import native
from ...errors import ArgumentTypeError, kind_of
from .._native_classes import standing_in_for
from ..rnglib.streams import fork_stream, is_stream

if TYPE_CHECKING:
    from flax.nnx import Dropout as NativeDropout
    from flax.nnx import Rngs, RngStream
else:
    NativeDropout = native["Dropout"]

__all__ = ["Dropout"]


class Dropout(
    NativeDropout,  # type: ignore[misc]
    metaclass=standing_in_for(NativeDropout),  # type: ignore[metaclass]
):
    """A layer that sets a part of its input to zero, another one at every call.

    Args:
        rate: the probability with which an element is set to zero.
        broadcast_dims: dimensions that share a mask.
        deterministic: whether the input is returned as it is.
        rng_collection: the name of the stream that the masks are drawn from.
        rngs: what the layer forks a stream from, when it is made.

    Raises:
        TypeError: ``rngs`` is neither a Rngs nor a stream.

    Example:
        >>> import nnx_compat as nc
        >>> from nnx_compat import nnx
        >>> if hasattr(nnx, "split_rngs"):  # random streams are state
        ...     layer = nnx.Dropout(0.5, rngs=nnx.Rngs(0))
        ...     assert list(nc.variables(layer)) == [("rngs", "count"), ("rngs", "key")]
    """

    def __init__(
        self,
        rate: float,
        *,
        broadcast_dims: tuple[int, ...] = (),
        deterministic: bool | None = False,
        rng_collection: str = "dropout",
        rngs: Rngs | RngStream | None = None,
    ) -> None:
        if isinstance(rngs, native["Rngs"]):
            rngs = fork_stream(rngs[rng_collection])
        elif is_stream(rngs):
            rngs = fork_stream(rngs)
        elif rngs is not None:
            raise ArgumentTypeError(
                f"rngs must be a Rngs, RngStream or None, but got {kind_of(rngs)}",
                instead="nnx.Rngs(0), or None and rngs= at the call",
            )
        super().__init__(rate, broadcast_dims, deterministic, rng_collection, rngs)

    def __call__(
        self,
        inputs: jax.Array,
        *,
        deterministic: bool | None = None,
        rngs: Rngs | RngStream | jax.Array | None = None,
    ) -> jax.Array:
        given: Any = self.rngs if rngs is None else rngs
        if is_stream(given):
            given = {self.rng_collection: given}
        elif isinstance(given, jax.Array):
            given = {self.rng_collection: lambda key=given: key}
        out: jax.Array = super().__call__(
            inputs, deterministic=deterministic, rngs=given
        )
        return out
