"""``Optimizer`` called as before and as since it does not hold its model."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._nnx.training.optimizer.models import model_of, recall, remember
from .._release import parameters_of
from ..revisions import nnx

if TYPE_CHECKING:
    from flax.nnx import Module, Optimizer


def constructor(native: Callable[..., None]) -> Callable[..., None]:
    """A constructor that takes ``wrt`` by position or not at all, too."""

    def __init__(
        self: Optimizer[Any],
        model: Module,
        tx: object,
        *wrt: object,
        **kwargs: Any,
    ) -> None:
        # the spelling of ModelAndOptimizer, from when there was only that
        old = "wrt" not in kwargs
        if old:
            kwargs["wrt"] = wrt[0] if wrt else nnx.Param
            wrt = ()
        native(self, model, tx, *wrt, **kwargs)
        if old:
            self.model = model
        else:
            remember(self, model)

    return __init__


def update(native: Callable[..., None]) -> Callable[..., Any]:
    """An ``update`` that takes the gradients alone, and the model before them."""
    takes_model = "model" in parameters_of("Optimizer.update")
    return _taking_grads(native) if takes_model else _taking_model(native)


def _taking_model(native: Callable[..., Any]) -> Callable[..., Any]:
    """Where an optimizer holds its model: the one that is given is updated."""

    def update(self: Optimizer[Any], *args: Any, **kwargs: Any) -> Any:
        if not _has_both(args, kwargs):
            return native(self, *args, **kwargs)
        model, grads = _both(args, kwargs)
        held = self.model
        if model is held:
            return native(self, grads, **kwargs)
        self.model = model
        try:
            return native(self, grads, **kwargs)
        finally:
            self.model = held

    return update


def _taking_grads(native: Callable[..., Any]) -> Callable[..., Any]:
    def update(self: Optimizer[Any], *args: Any, **kwargs: Any) -> Any:
        if _has_both(args, kwargs):
            return native(self, *_both(args, kwargs), **kwargs)
        grads = kwargs.pop("grads") if "grads" in kwargs else args[0]
        return native(self, model_of(self), grads, **kwargs)

    return update


def _has_both(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a call of ``update`` names the model and the gradients."""
    return len(args) + ("model" in kwargs) + ("grads" in kwargs) == 2


def _both(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
    """The model and the gradients, taken out of the keywords: natively by position."""
    model = kwargs.pop("model") if "model" in kwargs else args[0]
    return model, kwargs.pop("grads") if "grads" in kwargs else args[-1]


def attribute_getter(native: Callable[..., Any]) -> Callable[..., Any]:
    """What finds the ``model`` that an optimizer was made with or first updated."""

    def __getattribute__(self: Optimizer[Any], name: str) -> Any:
        if name == "model" and (model := recall(self)) is not None:
            return model
        return native(self, name)

    return __getattribute__
