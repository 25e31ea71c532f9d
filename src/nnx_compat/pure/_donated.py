"""What stands where an array was that a compiled step has used up."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NoReturn

import jax

from ..errors import DonatedError
from ..functional import Path, show

if TYPE_CHECKING:
    import numpy as np


class Donated:
    """In the place of an array that a compiled step has used up; reading is an error.

    Args:
        path: where it is in the nodes of the step.
        like: an array of its shape and dtype, which can still be asked for.
    """

    __slots__ = ("_path", "dtype", "shape")

    def __init__(self, path: Path, like: jax.ShapeDtypeStruct) -> None:
        self._path = path
        self.shape: tuple[int, ...] = like.shape
        self.dtype: np.dtype[Any] = like.dtype

    def __repr__(self) -> str:
        return f"<{show(self._path)}: given up to a compiled step>"

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise DonatedError(
            f"the array at {show(self._path)} was given up to a compiled step, which "
            "has used its memory",
            instead="step.sync(), then read the node; or read step.nodes",
            otherwise="compile_step(..., donate=False), with twice the memory",
        )

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):  # what Python and jax probe for
            raise AttributeError(name)
        self._refuse()

    # A property: jax.jit is refused when it asks whether there is such a method.
    __jax_array__ = property(_refuse)
    __array__ = __getitem__ = __len__ = __iter__ = _refuse
    __bool__ = __float__ = __int__ = __index__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _refuse
    __truediv__ = __rtruediv__ = __matmul__ = __rmatmul__ = __neg__ = __pow__ = _refuse
