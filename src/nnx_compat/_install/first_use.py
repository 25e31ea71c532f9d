"""The first use of a name of ``flax.nnx`` that means less here warns.

Such a name is taken out of the namespace until somebody asks for it: Python then asks
the module's ``__getattr__``, which warns and puts the name back. From then on it is a
plain attribute again, so that no later use costs anything. Who writes
``from flax.nnx import *`` gets all of them.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .._nnx import _older
from .._nnx._warnings import is_inside
from ..revisions import nnx
from .absent import ABSENT

if TYPE_CHECKING:
    from .additions import Addition

_waiting: dict[str, Any] = {}


def watched(door: str) -> Iterator[Addition]:
    """What has the first uses of names warn that a door leaves as they are."""
    # by its name: a layer below may have given this package a view of it
    namespace = importlib.import_module(nnx.__name__)
    names = vars(namespace)
    _waiting.clear()
    _waiting.update({n: v for n, v in names.items() if _older.of(n, door)})
    if not _waiting:
        return
    # a name may wait that was imported before: what holds it is not asked
    getter, lister, public = _watchers(
        namespace, door, names["__getattr__"], tuple(sorted(dir(namespace)))
    )
    yield namespace, "__getattr__", getter
    yield namespace, "__dir__", lister
    if "__all__" not in names:
        yield namespace, "__all__", public
    for name in tuple(_waiting):
        yield namespace, name, ABSENT


@functools.cache  # when the layer is put on again, the very same is there again
def _watchers(
    namespace: ModuleType,
    door: str,
    before: Callable[[str], Any],
    shown: tuple[str, ...],
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    @functools.wraps(before)
    def __getattr__(name: str) -> Any:
        if name not in _waiting:
            return before(name)
        value = _waiting[name]
        if not is_inside(sys._getframe(1).f_globals.get("__name__", "")):
            setattr(namespace, name, value)
            _older.warn_of(name, door)
        return value

    public = [name for name in shown if not name.startswith("_")]
    return __getattr__, lambda: list(shown), public


def wait_again() -> None:
    """Have the next use of each name be a first one again: for who counts warnings."""
    _older.forget()
    for name in _waiting:
        vars(importlib.import_module(nnx.__name__)).pop(name, None)
