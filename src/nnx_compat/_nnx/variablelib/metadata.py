"""Initializers that carry metadata of the Variables to be made of their arrays.

The hooks of ``with_metadata`` are called ``on_get_value`` and so on. They were called
``get_value_hooks``, and for a while were natively taken under that name and never
called. Here both names work, and all of them are called.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from ..._release import native
from ...errors import ArgumentTypeError
from ...revisions import nnx
from .._native_classes import standing_in_for
from ._hooks import HOOKS, Hook, hooked, take_hooks, with_hooks

if TYPE_CHECKING:
    from flax.nnx import VariableMetadata as NativeMetadata
else:
    NativeMetadata = nnx.VariableMetadata

__all__ = ["VariableMetadata", "with_metadata"]

_P = ParamSpec("_P")
_R = TypeVar("_R")


class _MakesFlaxs(type):
    """Makes a call give Flax's own object, with the names of today for its hooks."""

    def __call__(cls, raw_value: object, **kwargs: Any) -> NativeMetadata[Any]:
        metadata = kwargs.pop("metadata", {})
        hooks = take_hooks(kwargs)
        if kwargs:
            raise ArgumentTypeError(
                f"VariableMetadata has no {', '.join(sorted(kwargs))}",
                instead="metadata={...} for what a Variable is to carry",
            )
        none: dict[str, Any] = dict.fromkeys(HOOKS.values(), ())
        # by position: the first releases call it the value
        native = NativeMetadata(raw_value, **none, metadata=dict(metadata))
        return with_hooks(native, hooks)


class VariableMetadata(
    metaclass=standing_in_for(NativeMetadata, _MakesFlaxs)  # type: ignore[metaclass]
):
    """A value and the metadata of the Variable that is to be made of it.

    What an initializer from ``with_metadata`` gives; a Variable made of it takes both.
    The object is Flax's own, so its attributes have the names of the installed release.

    Args:
        raw_value: the value.
        on_set_value: hooks ``(variable, value) -> value`` for when it is set.
        on_get_value: hooks for when it is read.
        on_create_value: hooks for when the Variable is made.
        on_add_axis: hooks ``(variable, index, name)`` for when it is stacked.
        on_remove_axis: hooks for when it is taken apart.
        metadata: a dict.

    Example:
        >>> from nnx_compat import nnx
        >>> nnx.Param(nnx.VariableMetadata(1.0, metadata={"unit": "m"})).unit
        'm'
    """


def with_metadata(
    initializer: Callable[_P, _R],
    on_set_value: Hook | Sequence[Hook] = (),
    on_get_value: Hook | Sequence[Hook] = (),
    on_create_value: Hook | Sequence[Hook] = (),
    on_add_axis: Hook | Sequence[Hook] = (),
    on_remove_axis: Hook | Sequence[Hook] = (),
    **metadata: Any,
) -> Callable[_P, _R]:
    """An initializer whose Variables get metadata and hooks.

    Args:
        initializer: ``(key, shape, dtype) -> array``.
        on_set_value: a hook ``(variable, value) -> value`` for when the value is set,
            or several; ``set_value_hooks`` before, which is taken too, as are the
            others by their old names.
        on_get_value: for when it is read.
        on_create_value: for when the Variable is made.
        on_add_axis: ``(variable, index, name)`` for when it is stacked.
        on_remove_axis: for when it is taken apart.
        **metadata: of the Variable.

    Example:
        >>> import jax.numpy as jnp
        >>> from nnx_compat import nnx
        >>> ones = nnx.with_metadata(nnx.initializers.ones_init(), unit="m")
        >>> nnx.Param(ones(jax.random.key(0), (2,), jnp.float32)).unit
        'm'
    """
    metadata.update(
        on_set_value=on_set_value,
        on_get_value=on_get_value,
        on_create_value=on_create_value,
        on_add_axis=on_add_axis,
        on_remove_axis=on_remove_axis,
    )
    hooks = take_hooks(metadata)
    return hooked(native["with_metadata"](initializer, **metadata), hooks)
