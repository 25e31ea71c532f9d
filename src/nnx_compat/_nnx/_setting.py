"""Settings, each of them a statement, a context manager and a decorator."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Setting:
    """A setting that was just made, which is also a context manager and a decorator.

    It holds from the call on; as a context, until its end; as a decorator, while the
    function runs, and only then.

    Args:
        change: makes it, and gives a function that puts back what was there.
    """

    def __init__(self, change: Callable[[], Callable[[], None]]) -> None:
        self._change = change
        self._undo = change()

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exception: object) -> None:
        self._undo()

    def __call__(self, function: Callable[_P, _R]) -> Callable[_P, _R]:
        self._undo()

        @functools.wraps(function)
        def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            undo = self._change()
            try:
                return function(*args, **kwargs)
            finally:
                undo()

        return call
