"""Calls that are an error on the installed release and mean something on another.

``install`` replaces the methods named here, each by one that first does what the native
one does. Which of them on which releases: rows with the treatment ``patched`` in
``facts/namespace.toml``.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from .. import facts, functional
from .._nnx.training.optimizer.models import model_of, recall, remember
from ..revisions import bound, flax_version, nnx
from . import methods as members
from .constructors import LAYERS, taking_later_arguments

Make = Callable[[Any], Any]


def mends() -> Iterator[tuple[type, str, Any]]:
    """The class, the name and the new method of each mend that holds here."""
    for name, make in _MENDS.items():
        row = facts.treatment(name, flax_version)
        if row is None or row.treatment != "patched":
            continue
        _, kind, method = name.split(".")
        owner = getattr(nnx, kind, None)
        if owner is None:  # ours are of today
            continue
        native = getattr(owner, method)
        yield owner, method, functools.wraps(native)(make(native))


def _assign_data(native: Any) -> Any:
    def __setattr__(self: Any, name: str, value: Any) -> None:
        try:
            native(self, name, value)
        except ValueError as refused:
            if not _holds_data(value) or _is_static(self, name):
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
            late = new_status is None and _holds_data(value)
            if not late or _is_static(self, key):
                raise
            setattr(self, key, nnx.data(value))

    return _check_value


def _is_static(node: Any, name: str) -> bool:
    """Whether the class itself says that an attribute is static."""
    return getattr(type(node), "_pytree__nodes", {}).get(name) is False


def _holds_data(value: Any) -> bool:
    import jax

    leaves = jax.tree_util.tree_leaves(value, is_leaf=nnx.is_data)
    return nnx.is_data(value) or any(map(nnx.is_data, leaves))


def _get_item(native: Any) -> Any:
    def __getitem__(self: Any, index: Any) -> Any:
        try:
            return native(self, index)
        except TypeError:
            value = functional.get_value(self)
            if index is not Ellipsis or hasattr(value, "__getitem__"):
                raise
            return value

    return __getitem__


def _equal(native: Any) -> Any:
    def __eq__(self: Any, other: Any) -> Any:
        try:
            return native(self, other)
        except (TypeError, ValueError):
            return members.Variable.__eq__(self, other)

    return __eq__


def _copy(native: Any) -> Any:
    def copy(self: Any, *value: Any, **updates: Any) -> Any:
        if "value" in updates:
            value = (updates.pop("value"),)
        made = bound.with_value(self, *value) if value else native(self)
        if updates:
            bound.set_metadata(made, updates)
        return made

    return copy


def _initialize_carry(cell: str, native: Any) -> Any:
    parameters = inspect.signature(getattr(nnx, cell).__init__).parameters
    default = parameters["carry_init"].default

    def initialize_carry(
        self: Any, input_shape: Any, rngs: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        # a carry of zeros takes keys and uses none of them
        zeros = self.carry_init is default and not any((*args, *kwargs.values()))
        if rngs is None and self.rngs is None and zeros:
            rngs = nnx.Rngs(0)
        return native(self, input_shape, rngs, *args, **kwargs)

    return initialize_carry


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
            remember(self, model)

    return __init__


def _update_optimizer(native: Any) -> Any:
    def update(self: Any, *args: Any, **kwargs: Any) -> Any:
        if len(args) + ("grads" in kwargs) == 2:
            return native(self, *args, *_taken(kwargs), **kwargs)
        (grads,) = args or _taken(kwargs)
        return native(self, model_of(self), grads, **kwargs)

    return update


def _taken(kwargs: dict[str, Any]) -> tuple[Any, ...]:
    return (kwargs.pop("grads"),) if "grads" in kwargs else ()


def _model_of_an_optimizer(native: Any) -> Any:
    def __getattribute__(self: Any, name: str) -> Any:
        if name == "model" and (model := recall(self)) is not None:
            return model
        return native(self, name)

    return __getattribute__


_MENDS: dict[str, Make] = {
    **{
        f"nnx.{layer}.__init__": functools.partial(taking_later_arguments, layer)
        for layer in LAYERS
    },
    **{
        f"nnx.{cell}.initialize_carry": functools.partial(_initialize_carry, cell)
        for cell in ("GRUCell", "LSTMCell", "OptimizedLSTMCell", "SimpleCell")
    },
    "nnx.Variable.get_value": members.value_getter,
    "nnx.Variable.set_value": members.value_setter,
    "nnx.Variable.get_metadata": members.metadata_getter,
    "nnx.VariableState.get_metadata": members.metadata_getter,
    "nnx.Variable.__getitem__": _get_item,
    "nnx.Variable.__eq__": _equal,
    "nnx.Variable.copy": _copy,
    "nnx.VariableState.copy": _copy,
    "nnx.Optimizer.__init__": _make_optimizer,
    "nnx.Optimizer.update": _update_optimizer,
    "nnx.Optimizer.__getattribute__": _model_of_an_optimizer,
    "nnx.Pytree.__setattr__": _assign_data,
    "nnx.Pytree._check_value": _check_value,
}
