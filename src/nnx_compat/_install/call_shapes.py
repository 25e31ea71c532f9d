"""Calls that the installed release refuses and another one takes.

A function of ``flax.nnx`` that the drop-in namespace replaces or widens is put behind
one that calls Flax's own first, and ours only where Flax's signature refuses the call:
nothing that works today means anything else. Streams get the methods of the newest
release in the same way: ``rngs.normal()`` stays a key of the stream "normal", and
``rngs.normal((2, 3))``, an error natively, is a sample.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp

from .. import facts
from .._nnx import resolve
from .._release import here, native, taking
from ..errors import RefusedNameError

if TYPE_CHECKING:
    from flax.nnx import Rngs, RngStream


def widened() -> Iterator[tuple[str, Callable[..., Any]]]:
    """The name and the function of each public function that ours widens."""
    for name, before in native.items():
        if not isinstance(before, FunctionType) or f"nnx.{name}" not in facts.names():
            continue
        try:
            ours, _ = resolve(name, warn=False)
        except RefusedNameError:
            continue
        if ours is not before and callable(ours):
            yield name, taking_over(before, ours)


def taking_over(
    before: Callable[..., Any], ours: Callable[..., Any]
) -> Callable[..., Any]:
    """``before``, and ``ours`` for a call that the signature of ``before`` refuses."""
    takes = taking(before)

    @functools.wraps(before)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return before(*args, **kwargs)
        except TypeError:  # which costs nothing where there is none
            if takes(*args, **kwargs):
                raise
        return ours(*args, **kwargs)

    return call


def stream_methods() -> Iterator[tuple[type, str, Any]]:
    """The class, the name and the descriptor of each method that streams lack."""
    if here.rngs_are_static:
        return  # there is no class of ours to take them from
    from .._nnx.rnglib import rngs, streams

    stream = native["RngStream"]
    for kind, ours in ((native["Rngs"], rngs.Rngs), (stream, streams.RngStream)):
        present = dir(kind)
        for name, method in _methods(ours):
            if name not in present:
                yield kind, name, _Method(kind, name, method)
    if not taking(stream.__init__)(None, 0, tag=""):
        yield stream, "__init__", _constructor(stream.__init__)


def _constructor(before: Callable[..., None]) -> Callable[..., None]:
    """One that takes ``(key, *, tag)``, the key first as on the newest release."""

    def key_first(self: RngStream, key: Any, *, tag: str) -> None:
        from .._nnx.rnglib.streams import as_key

        key = as_key(key)
        more = {"count": jnp.zeros(key.shape, jnp.uint32)}
        before(self, tag=tag, key=key, **(more if here.stream_takes_count else {}))
        self.tag = tag

    return taking_over(before, key_first)


def _methods(ours: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    for kind in ours.__mro__[:2]:  # itself and the samplers
        for name, value in vars(kind).items():
            if isinstance(value, FunctionType) and not name.startswith("_"):
                yield name, value


class _Method:
    """A method, unless the name is that of a stream and the call a stream's.

    No data descriptor: a stream that is an attribute goes before it.
    """

    def __init__(self, kind: type, name: str, method: Callable[..., Any]) -> None:
        self._name, self._method = name, method
        self._find = getattr(kind, "__getattr__", None)

    def __get__(self, owner: Rngs | None, kind: type | None = None) -> Any:
        if owner is None:
            return self._method
        method = types.MethodType(self._method, owner)
        if self._find is None:
            return method
        try:
            stream = self._find(owner, self._name)
        except (AttributeError, KeyError):
            return method
        return _StreamOrMethod(stream, method)


class _StreamOrMethod:
    """A stream that takes the arguments of a method, too."""

    def __init__(self, stream: RngStream, method: Callable[..., Any]) -> None:
        self._stream, self._method = stream, method

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        called = self._method if args or kwargs else self._stream
        return called(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
