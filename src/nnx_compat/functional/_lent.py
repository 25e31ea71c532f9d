"""What stands in a node whose arrays a compiled step has: markers, which say so.

The arrays of a node that a step works on with their memory donated are gone from the
node until the step is synced. A marker is in the place of each, and every use of one is
an error. An operation that would only pass the markers on, so that a copy or a file
without weights came out, looks for them here first.
"""

from __future__ import annotations

import math
import weakref
from typing import TYPE_CHECKING, Any, NoReturn

import jax

from ..errors import DonatedError
from ..revisions import bound
from ..revisions.get_value import Path
from ._fitting import show
from ._variables import stored

if TYPE_CHECKING:
    import numpy as np
    from flax.nnx import State

#: The loans whose markers are still somewhere.
_out: weakref.WeakSet[Loan] = weakref.WeakSet()


class Loan:
    """One time that a node's arrays were given up; its markers refer to it.

    Args:
        borrower: who has the arrays, told apart by identity.
    """

    __slots__ = ("__weakref__", "borrower")

    def __init__(self, borrower: object) -> None:
        self.borrower = borrower
        _out.add(self)


class Donated:
    """In the place of an array that a compiled step has used up; its use is an error.

    Args:
        path: where it is in the nodes of the step.
        like: an array of its shape and dtype, which can still be asked for.
        loan: what it belongs to.
    """

    __slots__ = ("_path", "dtype", "loan", "shape")

    def __init__(self, path: Path, like: jax.ShapeDtypeStruct, loan: Loan) -> None:
        self._path = path
        self.shape: tuple[int, ...] = like.shape
        self.dtype: np.dtype[Any] = like.dtype
        self.loan = loan

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
        raise _given_up(f"the array at {show(self._path)}")

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):  # what Python and jax probe for
            raise AttributeError(name)
        self._refuse()

    # A property: jax.jit is refused when it asks whether there is such a method.
    __jax_array__ = property(_refuse)
    __array__ = __getitem__ = __setitem__ = __len__ = __iter__ = __contains__ = _refuse
    __bool__ = __float__ = __int__ = __index__ = __complex__ = __round__ = _refuse
    __format__ = __copy__ = __deepcopy__ = __reduce__ = __reduce_ex__ = _refuse
    __lt__ = __le__ = __gt__ = __ge__ = __eq__ = __ne__ = _refuse
    __hash__ = object.__hash__  # by identity: to be told apart is no use of the array
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _refuse
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = _refuse
    __mod__ = __rmod__ = __divmod__ = __rdivmod__ = __pow__ = __rpow__ = _refuse
    __matmul__ = __rmatmul__ = __neg__ = __pos__ = __abs__ = __invert__ = _refuse
    __and__ = __rand__ = __or__ = __ror__ = __xor__ = __rxor__ = _refuse
    __lshift__ = __rlshift__ = __rshift__ = __rrshift__ = _refuse


def refuse_lent(operation: str, state: State) -> None:
    """Refuse a state with markers in it, by path; for nothing where no step is at work.

    Args:
        operation: its name, for the error.
        state: a State, or the leaf that is the state of a bare Variable.

    Raises:
        DonatedError: the array of a leaf is given up to a compiled step.
    """
    if not _out:
        return
    for path, leaf in bound.flatten(state).items():
        for value in jax.tree_util.tree_leaves(stored(leaf)):
            if type(value) is Donated:
                raise _given_up(
                    f"{operation} needs the array at {show(path)}, and that"
                )


def is_lent() -> bool:
    """Whether any node is lent to a compiled step just now."""
    return bool(_out)


def _given_up(what: str) -> DonatedError:
    return DonatedError(
        f"{what} was given up to a compiled step, which has used its memory",
        instead="step.sync(), then read the node; or read step.nodes",
        otherwise="compile_step(..., donate=False), with twice the memory",
    )
