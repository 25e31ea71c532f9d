"""Calls that are an error on the installed release and mean something on another.

``install`` replaces the methods named here, each by one that first does what the native
one does. Which of them on which releases: rows with the treatment ``patched`` in
``facts/namespace.toml``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import jax

from .. import facts, functional
from .._release import native
from ..revisions import bound, flax_version, nnx
from . import optimizer_calls, variable_methods
from .constructors import LAYERS, taking_later_arguments

if TYPE_CHECKING:
    from flax.nnx import Pytree, Rngs, RNNCellBase, Variable


def patches() -> Iterator[tuple[type, str, Callable[..., Any]]]:
    """The class, the name and the new method of each call to patch on this release."""
    for name, make in _PATCHES.items():
        _, kind, method = name.split(".")
        owner = native.get(kind)
        if owner is None or not is_patched(name):  # our own classes are of today
            continue
        before = getattr(owner, method)
        yield owner, method, functools.wraps(before)(make(before))


def is_patched(name: str) -> bool:
    """Whether a call is an error on this release, which ``install`` makes work."""
    row = facts.treatment(name, flax_version)
    return row is not None and row.treatment == "patched"


def _assign_data(native: Callable[..., None]) -> Callable[..., None]:
    def __setattr__(self: Pytree, name: str, value: object) -> None:
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


def _check_value(native: Callable[..., None]) -> Callable[..., None]:
    def _check_value(self: Pytree, key: str, value: object, new_status: object) -> None:
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


def _is_static(node: Pytree, name: str) -> bool:
    """Whether the class itself says that an attribute is static."""
    return getattr(type(node), "_pytree__nodes", {}).get(name) is False


def _holds_data(value: object) -> bool:
    leaves = jax.tree_util.tree_leaves(value, is_leaf=nnx.is_data)
    return nnx.is_data(value) or any(map(nnx.is_data, leaves))


def _get_item(native: Callable[..., Any]) -> Callable[..., Any]:
    def __getitem__(self: Variable[Any], index: Any) -> Any:
        try:
            return native(self, index)
        except TypeError:
            value = functional.get_value(self)
            if index is not Ellipsis or hasattr(value, "__getitem__"):
                raise
            return value

    return __getitem__


def _equal(native: Callable[..., Any]) -> Callable[..., Any]:
    def __eq__(self: Variable[Any], other: object) -> Any:
        try:
            return native(self, other)
        except (TypeError, ValueError):
            return variable_methods.Variable.__eq__(self, other)

    return __eq__


def _copy(native: Callable[..., Any]) -> Callable[..., Any]:
    def copy(self: Variable[Any], *value: Any, **updates: Any) -> Variable[Any]:
        if "value" in updates:
            value = (updates.pop("value"),)
        new: Variable[Any] = bound.with_value(self, *value) if value else native(self)
        if updates:
            bound.set_metadata(new, updates)
        return new

    return copy


def _initialize_carry(native: Callable[..., Any]) -> Callable[..., Any]:
    def initialize_carry(
        self: RNNCellBase,
        input_shape: tuple[int, ...],
        rngs: Rngs | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        # a carry of zeros takes keys and uses none of them
        given = (*args, *kwargs.values())
        zeros = self.carry_init in (None, nnx.initializers.zeros_init())
        if rngs is None and self.rngs is None and zeros and not any(given):
            rngs = nnx.Rngs(0)
        return native(self, input_shape, rngs, *args, **kwargs)

    return initialize_carry


_PATCHES: dict[str, Callable[[Callable[..., Any]], Callable[..., Any]]] = {
    **{
        f"nnx.{layer}.__init__": functools.partial(taking_later_arguments, layer)
        for layer in LAYERS
    },
    **{
        f"nnx.{cell}.initialize_carry": _initialize_carry
        for cell in ("GRUCell", "LSTMCell", "OptimizedLSTMCell", "SimpleCell")
    },
    "nnx.Variable.get_value": variable_methods.value_getter,
    "nnx.Variable.set_value": variable_methods.value_setter,
    "nnx.Variable.get_metadata": variable_methods.metadata_getter,
    "nnx.VariableState.get_metadata": variable_methods.metadata_getter,
    "nnx.Variable.__getitem__": _get_item,
    "nnx.Variable.__eq__": _equal,
    "nnx.Variable.copy": _copy,
    "nnx.VariableState.copy": _copy,
    "nnx.Optimizer.__init__": optimizer_calls.constructor,
    "nnx.Optimizer.update": optimizer_calls.update,
    "nnx.Optimizer.__getattribute__": optimizer_calls.attribute_getter,
    "nnx.Pytree.__setattr__": _assign_data,
    "nnx.Pytree._check_value": _check_value,
}
