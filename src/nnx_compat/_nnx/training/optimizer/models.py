"""Which model an optimizer is for, where it does not hold it.

Code for older releases calls ``optimizer.update(grads)`` and reads ``optimizer.model``.
"""

from __future__ import annotations

import contextlib
import weakref
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from ....errors import ArgumentTypeError

if TYPE_CHECKING:
    from .classes import Optimizer

M = TypeVar("M")

#: The models of optimizers, for ``update(grads)``: outside of the graph, for there the
#: model would be part of the optimizer's state, and weak, for it is not ours to keep.
_models: weakref.WeakKeyDictionary[Optimizer[Any], weakref.ref[Any]]
_models = weakref.WeakKeyDictionary()


def remember(optimizer: Optimizer[M], model: M) -> None:
    """Note the model of an optimizer that does not hold it."""
    with contextlib.suppress(TypeError):  # a tuple has no weak references
        _models[optimizer] = weakref.ref(model)


def recall(optimizer: Optimizer[M]) -> M | None:
    """The model of an optimizer: the one it holds, or was made for; else None."""
    reference = _models.get(optimizer)
    noted = None if reference is None else reference()
    model: M | None = vars(optimizer).get("model", noted)
    return model


def model_of(optimizer: Optimizer[M]) -> M:
    """The model of an optimizer, for ``update(grads)``.

    Raises:
        ArgumentTypeError: it does not know it.
    """
    found = recall(optimizer)
    if found is None:
        refuse(
            "update was given gradients without a model, and this optimizer does not "
            "know its model (it came out of merge, clone or a transform)"
        )
    return found


def refuse(found: str) -> NoReturn:
    """Raise the error about a call of ``update``, with both spellings of today."""
    raise ArgumentTypeError(
        found,
        instead="optimizer.update(model, grads)",
        otherwise="nnx.ModelAndOptimizer(model, tx), which holds its model",
    )
