"""Types of Variables that came later."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ...revisions import nnx

if TYPE_CHECKING:
    from flax.nnx import Intermediate
else:
    Intermediate = nnx.Intermediate

__all__ = ["Perturbation", "identity"]

_T = TypeVar("_T")


class Perturbation(Intermediate):  # type: ignore[misc]
    """The type of what ``Module.perturb`` stores: zeros to take a gradient by.

    Example:
        >>> from nnx_compat import nnx
        >>> issubclass(nnx.Perturbation, nnx.Intermediate)
        True
    """


def identity(x: _T) -> _T:
    """Give back what is given.

    Args:
        x: anything.

    Example:
        >>> from nnx_compat import nnx
        >>> float(nnx.identity(1.0))
        1.0
    """
    return x
