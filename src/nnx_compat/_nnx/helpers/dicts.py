"""``Dict``, a Module that is a dict."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any, Generic, TypeVar

from ..._release import native
from ...errors import ArgumentTypeError, kind_of
from ...revisions import nnx
from .._native_classes import standing_in_for
from ._bases import bases

__all__ = ["Dict"]

_T = TypeVar("_T")

_native: type | None = native.get("Dict")
_bases = bases(MutableMapping, _native)
_Metaclass: Any = standing_in_for(_native)

#: What is not an element: what NNX keeps for itself on a Module, and what Python keeps
#: on an object that is made by ``Dict[int](...)``.
_INTERNAL = frozenset({*vars(nnx.Module()), "__orig_class__"})


class Dict(*_bases, Generic[_T], metaclass=_Metaclass):  # type: ignore[misc, metaclass]
    """A Module that is a dict with names as keys; ``d["a"]`` is ``d.a``.

    Where reading an attribute unwraps a Variable, at the very first, ``d.a`` is the
    array and ``d["a"]`` the Variable.

    Args:
        *args: a mapping, or pairs of keys and values.
        **kwargs: further elements.

    Raises:
        KeyError: there is no such element.

    Example:
        >>> from nnx_compat import nnx
        >>> layers = nnx.Dict(a=nnx.Linear(2, 3, rngs=nnx.Rngs(0)), act=nnx.relu)
        >>> len(layers), layers["a"] is layers.a, layers.get("b")
        (2, True, None)
    """

    def __init__(
        self, *args: Mapping[str, _T] | Iterable[tuple[str, _T]], **kwargs: _T
    ) -> None:
        for name, value in dict(*args, **kwargs).items():
            self[name] = value

    def __getitem__(self, key: str) -> _T:
        if key in _INTERNAL:
            raise KeyError(key)
        element: _T = vars(self)[key]
        return element

    def __setitem__(self, key: str, value: _T) -> None:
        if not isinstance(key, str):
            raise ArgumentTypeError(
                f"a key of a Dict is {kind_of(key)}: {key!r}",
                instead="a str: keys are names of attributes",
            )
        setattr(self, key, value)

    def __delitem__(self, key: str) -> None:
        self[key]
        delattr(self, key)

    def __iter__(self) -> Iterator[str]:
        return (key for key in vars(self) if key not in _INTERNAL)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __hash__(self) -> int:
        return id(self)
