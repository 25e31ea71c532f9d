"""``Optimizer`` called as before and as since it does not hold its model."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._nnx.training.optimizer.models import model_of, recall, remember
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


def update(native: Callable[..., None]) -> Callable[..., None]:
    """An ``update`` that takes the gradients alone, too."""

    def update(self: Optimizer[Any], *args: Any, **kwargs: Any) -> None:
        if len(args) + ("grads" in kwargs) == 2:
            native(self, *args, *_grads(kwargs), **kwargs)
            return
        (grads,) = args or _grads(kwargs)
        native(self, model_of(self), grads, **kwargs)

    return update


def _grads(kwargs: dict[str, Any]) -> tuple[Any, ...]:
    return (kwargs.pop("grads"),) if "grads" in kwargs else ()


def attribute_getter(native: Callable[..., Any]) -> Callable[..., Any]:
    """What finds the ``model`` that an optimizer was made with or first updated."""

    def __getattribute__(self: Optimizer[Any], name: str) -> Any:
        if name == "model" and (model := recall(self)) is not None:
            return model
        return native(self, name)

    return __getattribute__
