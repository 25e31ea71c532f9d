"""Initializers that carry metadata of the Variables to be made of their arrays.

The hooks of ``with_metadata`` are called ``on_get_value`` and so on. They were called
``get_value_hooks``, and for a while were natively taken under that name and never
called. Here both names work, and all of them are called.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from ..._release import here, native
from ...errors import ArgumentTypeError
from ...revisions import nnx
from .._native_classes import standing_in_for

if TYPE_CHECKING:
    from flax.nnx import Variable
    from flax.nnx import VariableMetadata as NativeMetadata
else:
    NativeMetadata = nnx.VariableMetadata

__all__ = ["VariableMetadata", "with_metadata"]

Hook = Callable[..., Any]
Hooks = Mapping[str, tuple[Hook, ...]]

_P = ParamSpec("_P")
_R = TypeVar("_R")

#: Each hook by its name today and the name it had.
HOOKS = {
    "on_set_value": "set_value_hooks",
    "on_get_value": "get_value_hooks",
    "on_create_value": "create_value_hooks",
    "on_add_axis": "add_axis_hooks",
    "on_remove_axis": "remove_axis_hooks",
}


def take_hooks(metadata: dict[str, Any]) -> Hooks:
    """The hooks among keyword arguments, by either name, taken out of them."""
    found: dict[str, tuple[Hook, ...]] = {}
    for name, old in HOOKS.items():
        given = [metadata.pop(key) for key in (name, old) if key in metadata]
        hooks = [h for some in given for h in ((some,) if callable(some) else some)]
        if name.endswith("_axis") and here.axis_hooks_take_the_name_first:
            hooks = [_index_first(hook) for hook in hooks]
        if hooks:
            found[name] = tuple(hooks)
    return found


def _index_first(hook: Hook) -> Hook:
    @functools.wraps(hook)
    def call(variable: Variable[Any], name: str, index: int) -> None:
        hook(variable, index, name)

    return call


def _chained(hooks: tuple[Hook, ...]) -> Hook:
    """One hook that calls all in turn, each with the value that the last one gave."""
    if len(hooks) == 1:
        return hooks[0]

    def call(variable: Variable[Any], value: Any, *axis: str) -> Any:
        for hook in hooks:
            result = hook(variable, value, *axis)
            value = value if axis else result  # an axis hook gives nothing
        return value

    return call


def with_hooks(metadata: NativeMetadata, hooks: Hooks) -> NativeMetadata:
    """Flax's VariableMetadata with more hooks, where this release looks for them."""
    if not hooks:
        return metadata
    if here.hooks_are_lists:
        added = {
            HOOKS[name]: (*some, *getattr(metadata, HOOKS[name]))
            for name, some in hooks.items()
        }
        return dataclasses.replace(metadata, **added)
    chained = {name: _chained(some) for name, some in hooks.items()}
    return dataclasses.replace(metadata, metadata={**metadata.metadata, **chained})


def hooked(initializer: Callable[_P, _R], hooks: Hooks) -> Callable[_P, _R]:
    """An initializer whose VariableMetadata have more hooks."""
    if not hooks:
        return initializer

    @functools.wraps(initializer)
    def initialize(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        metadata: Any = initializer(*args, **kwargs)  # which is typed as the array
        return cast("_R", with_hooks(metadata, hooks))

    return initialize


# -- Initializers that carry metadata of the Variables to be made of their arrays ---


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
