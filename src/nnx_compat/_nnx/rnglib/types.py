"""Types of the Variables in which random streams are state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..._release import native
from ...revisions import nnx

if TYPE_CHECKING:
    from flax.nnx import Variable

    AnyVariable = Variable[Any]
else:
    AnyVariable = nnx.Variable

__all__ = ["Rng", "RngCount", "RngKey", "RngState"]


class RngState(AnyVariable):
    """The type of what random streams store, keys and counts alike.

    On the first releases a ``Rngs`` is a static attribute: no state of theirs holds
    such Variables, and a filter for them selects nothing.

    Example:
        >>> from nnx_compat import nnx
        >>> issubclass(nnx.RngKey, nnx.RngState), issubclass(nnx.RngCount, nnx.RngState)
        (True, True)
    """


class RngCount(RngState):
    """The type of the Variable that counts the keys that a stream has given."""


class RngKey(RngState):
    """The type of the Variable that holds the key of a stream."""


#: The first name of RngKey.
Rng: type[AnyVariable] = native.get("RngKey", RngKey)
