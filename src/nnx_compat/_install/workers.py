"""Processes that are started anew, which have to install for themselves.

A process of ``multiprocessing`` that is not forked is told how to become like the one
that started it: the arguments, the path, the main module to run. These data are
pickled, and loaded before anything else, so one more thing among them can install.
"""

from __future__ import annotations

import functools
import multiprocessing.spawn
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import Meaning

_native: Callable[[str], dict[str, Any]] | None = None

#: The layers that they are to have.
_layers: frozenset[str] = frozenset()


class _Install:
    """Where it is loaded, it is installed."""

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        from . import install

        meaning: Meaning = "newest" if "newest" in _layers else "native"
        return functools.partial(install, fast="fast" in _layers, meaning=meaning), ()


def tell(layers: Iterable[str]) -> None:
    """Let processes that are started from now on install these layers, too."""
    global _native, _layers
    _layers = frozenset(layers)
    if _native is None:
        _native = multiprocessing.spawn.get_preparation_data
        multiprocessing.spawn.get_preparation_data = _preparation_data


def tell_no_more() -> None:
    """Let them be started as they were."""
    global _native
    if multiprocessing.spawn.get_preparation_data is _preparation_data and _native:
        multiprocessing.spawn.get_preparation_data = _native  # type: ignore[assignment]
        _native = None


def _preparation_data(name: str) -> dict[str, Any]:
    assert _native is not None
    data = dict(_native(name))
    if name == "ignore":
        # of the fork server, which would run the main module before it could install
        data.pop("init_main_from_path", None)
        return data
    # first, since the main module is run while the rest is made use of
    return {"nnx_compat": _Install(), **data}
