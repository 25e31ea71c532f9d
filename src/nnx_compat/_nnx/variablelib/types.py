"""Types of Variables that came later, and one that changed its meaning."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from ...errors import ArgumentTypeError, RemovedNameWarning
from ...revisions import nnx
from .._native_classes import standing_in_for

if TYPE_CHECKING:
    from flax.nnx import Intermediate, Variable
else:
    Intermediate = nnx.Intermediate
    Variable = nnx.Variable

__all__ = ["Perturbation", "VariableState"]


class Perturbation(Intermediate):  # type: ignore[misc]
    """The type of what ``Module.perturb`` stores: zeros to take a gradient by.

    Example:
        >>> from nnx_compat import nnx
        >>> issubclass(nnx.Perturbation, nnx.Intermediate)
        True
    """


# -- ``VariableState``, which changed its meaning -----------------------------------


class _MakesVariables(type):
    """Makes a call give a Variable, in the old form too."""

    def __getattr__(cls, name: str) -> Any:
        return getattr(Variable, name)

    def __call__(cls, *args: Any, **kwargs: Any) -> Variable[Any]:
        kind = kwargs.pop("type", None)
        if kind is None and args and isinstance(args[0], type):
            kind, args = args[0], args[1:]
        if kind is None:
            return Variable(*args, **kwargs)
        if not issubclass(kind, Variable):
            raise ArgumentTypeError(
                f"VariableState was given {kind.__name__}, which is not a Variable "
                "type, and a value",
                instead="nnx.VariableState(nnx.Param, value)",
            )
        warnings.warn(
            "nnx.VariableState(type, value) is kept by nnx-compat only\n"
            f"  instead: nnx.{kind.__name__}(value)",
            RemovedNameWarning,
            stacklevel=2,
        )
        variable: Variable[Any] = kind(*args, **kwargs)
        return variable


# not a subclass of Variable: an ABC, as that is on some releases, asks its subclasses
class VariableState(
    metaclass=standing_in_for(Variable, _MakesVariables)  # type: ignore[metaclass]
):
    """What the leaves of a state are: Variables, here.

    ``isinstance(leaf, nnx.VariableState)`` is true of every Variable, and a call makes
    one: ``VariableState(value)``, or of a type with ``VariableState(type, value)``, the
    form of the releases on which it was a class of its own.

    Args:
        type: a Variable class, in the old form.
        value: what it is to hold.
        **metadata: of the Variable.

    Raises:
        ArgumentTypeError: ``type`` is not a Variable class.

    Example:
        >>> from nnx_compat import nnx
        >>> state = nnx.state(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
        >>> leaf = nnx.to_flat_state(state)[0][1]
        >>> isinstance(leaf, nnx.VariableState)
        True
    """

    def __class_getitem__(cls, item: type) -> object:
        return Variable[item]  # type: ignore[valid-type]
