"""Calls that are an error on the installed release and mean something on another.

``install`` replaces the methods named here, each by one that first does what the native
one does. Which of them on which releases: rows with the treatment ``mended`` in
``facts/namespace.toml``.
"""

from __future__ import annotations

import contextlib
import functools
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from .. import facts
from ..errors import ArgumentTypeError
from ..revisions import bound, flax_version, nnx
from .constructors import LAYERS, taking_later_arguments
from .members import with_item

Make = Callable[[Any], Any]

_ABSENT: Any = object()


def mends() -> Iterator[tuple[type, str, Any]]:
    """The class, the name and the new method of each mend that holds here."""
    for name, make in _MENDS.items():
        row = facts.treatment(name, flax_version)
        if row is None or row.treatment != "mended":
            continue
        _, kind, method = name.split(".")
        owner = getattr(nnx, kind, None)
        if owner is None:  # ours are of today
            continue
        native = getattr(owner, method)
        yield owner, method, functools.wraps(native)(make(native))


def _get_value(native: Any) -> Any:
    def get_value(self: Any, *, index: Any = _ABSENT) -> Any:
        return native(self) if index is _ABSENT else native(self)[index]

    return get_value


def _set_value(native: Any) -> Any:
    def set_value(self: Any, value: Any, *, index: Any = _ABSENT) -> None:
        if index is not _ABSENT:
            value = with_item(self.get_value(), index, value)
        native(self, value)

    return set_value


def _assign_data(native: Any) -> Any:
    def __setattr__(self: Any, name: str, value: Any) -> None:
        try:
            native(self, name, value)
        except ValueError as refused:
            if not nnx.is_data(value) and not _holds_data(value):
                raise
            try:
                native(self, name, nnx.data(value))
            except ValueError:
                raise refused from None

    return __setattr__


def _check_value(native: Any) -> Any:
    def _check_value(self: Any, key: str, value: Any, new_status: Any) -> None:
        try:
            native(self, key, value, new_status)
        except ValueError:
            # without a status it is the check after __init__: what was put into a
            # plain list or dict meanwhile
            if new_status is not None or not _holds_data(value):
                raise
            setattr(self, key, nnx.data(value))

    return _check_value


def _holds_data(value: Any) -> bool:
    import jax

    return any(map(nnx.is_data, jax.tree_util.tree_leaves(value, is_leaf=nnx.is_data)))


def _get_metadata(native: Any) -> Any:
    def get_metadata(self: Any, *asked: Any, **kwargs: Any) -> Any:
        name, *default = (*asked, *kwargs.values()) or (None,)
        found = native(self)
        if name is None:
            return found
        return found.get(name, *default) if default else found[name]

    return get_metadata


def _copy(native: Any) -> Any:
    def copy(self: Any, *value: Any, **updates: Any) -> Any:
        if "value" in updates:
            value = (updates.pop("value"),)
        made = bound.with_value(self, *value) if value else native(self)
        if updates:
            bound.set_metadata(made, updates)
        return made

    return copy


#: The models of optimizers that were made with ``wrt=``, should ``update(grads)`` ask.
_models: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()


def _make_optimizer(native: Any) -> Any:
    def __init__(self: Any, model: Any, tx: Any, *wrt: Any, **kwargs: Any) -> None:
        # the spelling of ModelAndOptimizer, from when there was only that
        old = "wrt" not in kwargs
        if old:
            kwargs["wrt"] = wrt[0] if wrt else nnx.Param
            wrt = ()
        native(self, model, tx, *wrt, **kwargs)
        if old:
            self.model = model
        else:
            with contextlib.suppress(TypeError):  # a tuple of Modules
                _models[self] = weakref.ref(model)

    return __init__


def _model_of(optimizer: Any) -> Any:
    if "model" in vars(optimizer):
        return vars(optimizer)["model"]
    reference = _models.get(optimizer)
    return None if reference is None else reference()


def _update_optimizer(native: Any) -> Any:
    def update(self: Any, *args: Any, **kwargs: Any) -> Any:
        if len(args) + ("grads" in kwargs) == 2:
            return native(self, *args, *_taken(kwargs), **kwargs)
        (grads,) = args or _taken(kwargs)
        model = _model_of(self)
        if model is None:
            raise ArgumentTypeError(
                "update(grads) was called, and the optimizer does not know its model: "
                "it is a copy, as nnx.jit and merge make them",
                instead="update(model, grads)",
                otherwise="nnx.ModelAndOptimizer(model, tx), which holds its model",
            )
        return native(self, model, grads, **kwargs)

    return update


def _taken(kwargs: dict[str, Any]) -> tuple[Any, ...]:
    return (kwargs.pop("grads"),) if "grads" in kwargs else ()


def _model_of_an_optimizer(native: Any) -> Any:
    def __getattribute__(self: Any, name: str) -> Any:
        if name == "model" and (model := _model_of(self)) is not None:
            return model
        return native(self, name)

    return __getattribute__


_MENDS: dict[str, Make] = {
    **{
        f"nnx.{layer}.__init__": functools.partial(taking_later_arguments, layer)
        for layer in LAYERS
    },
    "nnx.Variable.get_value": _get_value,
    "nnx.Variable.set_value": _set_value,
    "nnx.Variable.get_metadata": _get_metadata,
    "nnx.VariableState.get_metadata": _get_metadata,
    "nnx.Variable.copy": _copy,
    "nnx.VariableState.copy": _copy,
    "nnx.Optimizer.__init__": _make_optimizer,
    "nnx.Optimizer.update": _update_optimizer,
    "nnx.Optimizer.__getattribute__": _model_of_an_optimizer,
    "nnx.Pytree.__setattr__": _assign_data,
    "nnx.Pytree._check_value": _check_value,
}
