"""Types of the arguments that many layers take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import jax
    from jax.typing import ArrayLike, DTypeLike

Axes = int | Sequence[int]
Metadata = Mapping[str, Any]
NO_METADATA: Metadata = MappingProxyType({})


class PromoteDtype(Protocol):
    """What casts arrays to one dtype."""

    def __call__(
        self, values: tuple[ArrayLike | None, ...], /, *, dtype: DTypeLike | None = None
    ) -> tuple[jax.Array, ...]:
        """The values as arrays of one dtype, ``None`` staying ``None``."""
        ...
