"""Types of the arguments that many layers take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import jax
    from flax.nnx import Rngs, RngStream
    from jax.nn.initializers import Initializer
    from jax.typing import ArrayLike, DTypeLike

    #: Random keys for the carry of a recurrent layer.
    Keys = Rngs | RngStream | None
    #: An initializer, or None for the usual one.
    InitOrNone = Initializer | None

Axes = int | Sequence[int]
Shape = tuple[int, ...]
Metadata = Mapping[str, Any]
NO_METADATA: Metadata = MappingProxyType({})


class PromoteDtype(Protocol):
    """What casts arrays to one dtype."""

    def __call__(
        self, values: tuple[ArrayLike | None, ...], /, *, dtype: DTypeLike | None = None
    ) -> tuple[jax.Array, ...]:
        """The values as arrays of one dtype, ``None`` staying ``None``."""
        ...
