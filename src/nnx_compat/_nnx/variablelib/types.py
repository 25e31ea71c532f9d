"""Types of Variables that came later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...revisions import nnx

if TYPE_CHECKING:
    from flax.nnx import Intermediate
else:
    Intermediate = nnx.Intermediate

__all__ = ["Perturbation"]


class Perturbation(Intermediate):  # type: ignore[misc]
    """The type of what ``Module.perturb`` stores: zeros to take a gradient by.

    Example:
        >>> from nnx_compat import nnx
        >>> issubclass(nnx.Perturbation, nnx.Intermediate)
        True
    """
