"""Marks of an attribute: its value is data, or it is static."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from ..._release import here, native
from ...errors import ArgumentTypeError
from .dataclass import check_data, check_static, field

__all__ = ["Static", "data", "static"]

_A = TypeVar("_A")
_MISSING: Any = object()

#: Says in an annotation, ``a: nnx.Static[int]``, that an attribute is static. On
#: older releases its value decides that, and data in it is no error.
Static = Annotated[_A, "__static__"]


def data(value: _A = _MISSING, /, **options: Any) -> _A:
    """Mark the value of an attribute as data: ``self.a = nnx.data([])``.

    Without a value it is a dataclass field whose values are data.

    Where the value decides, on older releases, data is returned as it is, and so is a
    list, tuple or dict of it or without elements; the check of a field is at
    assignment.

    Args:
        value: what is assigned.
        **options: arguments of ``dataclasses.field``.

    Raises:
        RefusedArgumentError: it is static on the installed release (``nnx.data(5)``).
        TypeError: there is both a value and an argument of a field.
        ValueError: ``metadata`` has the key ``"static"``.

    Example:
        >>> from nnx_compat import nnx
        >>> class Block(nnx.Module):
        ...     def __init__(self, rngs):
        ...         self.layers = nnx.data([])
        ...         self.layers.append(nnx.Linear(2, 3, rngs=rngs))
        >>> import nnx_compat as nc
        >>> list(nc.variables(Block(nnx.Rngs(0))))
        [('layers', 0, 'bias'), ('layers', 0, 'kernel')]
    """
    if value is _MISSING:
        marked: _A = field("data", options, static=False)
        return marked
    _check_alone("data", options)
    if "data" in native:
        value = native["data"](value)
    else:
        check_data("nnx.data", value)
    return value


def static(value: _A = _MISSING, /, **options: Any) -> _A:
    """Mark the value of an attribute as static: ``self.a = nnx.static((1, 2))``.

    Without a value it is a dataclass field whose values are static.

    Where the value decides, on older releases, it is returned as it is; and where only
    data can be marked, an attribute marked so stays data: assign to another one.

    Args:
        value: what is assigned, without data in it.
        **options: arguments of ``dataclasses.field``.

    Raises:
        TypeError: there is both a value and an argument of a field.
        ValueError: there is data in the value, or ``metadata`` has a key ``"static"``.

    Example:
        >>> from nnx_compat import nnx
        >>> class Scale(nnx.Module):
        ...     def __init__(self):
        ...         self.axes = nnx.static((0, 1))
        >>> Scale().axes
        (0, 1)
    """
    if value is _MISSING:
        marked: _A = field("static", options, static=True)
        return marked
    _check_alone("static", options)
    check_static("nnx.static", value)
    if here.static_marks_values:
        value = native["static"](value)
    return value


def _check_alone(mark: str, options: Mapping[str, Any]) -> None:
    if options:
        raise ArgumentTypeError(
            f"nnx.{mark} was given a value and {', '.join(sorted(options))}",
            instead=f"nnx.{mark}(value) in a method, nnx.{mark}(default=value) for a "
            "dataclass field",
        )
