"""Hooks in the metadata of Variables, by the names they have and had."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from ..._release import here

if TYPE_CHECKING:
    from flax.nnx import Variable, VariableMetadata

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


def with_hooks(metadata: VariableMetadata, hooks: Hooks) -> VariableMetadata:
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
