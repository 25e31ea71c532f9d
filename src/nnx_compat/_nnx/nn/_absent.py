"""Layers without a bias or a scale: they have a None, and no Param that holds one.

On older releases a layer that is made without a parameter has a Param of None in its
place, which is a leaf more in its state. Flax's own forward pass there reads the value
of that Param, so it is lent one for the length of a call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...functional import is_variable
from ...revisions import bound, nnx

if TYPE_CHECKING:
    from flax.nnx import Module

_NAMES = ("bias", "scale")


class AbsentParameters:
    """To be put before a layer of Flax's as a base class."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        drop_absent(self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return lending(super().__call__, self, *args, **kwargs)  # type: ignore[misc]


def drop_absent(layer: Module | AbsentParameters) -> None:
    """Put a None where a Param holds one."""
    own = vars(layer)
    for name in _NAMES:
        found = own.get(name)
        if is_variable(found) and bound.raw(found) is None:
            own[name] = None


def lending(
    call: Callable[..., Any],
    layer: Module | AbsentParameters,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """Call Flax's own forward pass of a layer, which has what it reads meanwhile."""
    own = vars(layer)
    absent = [name for name in _NAMES if own.get(name, own) is None]
    if not absent:
        return call(*args, **kwargs)
    # by vars: an assignment is refused where the Module is of an outer trace
    own.update(dict.fromkeys(absent, nnx.Param(None)))
    try:
        return call(*args, **kwargs)
    finally:
        own.update(dict.fromkeys(absent))
