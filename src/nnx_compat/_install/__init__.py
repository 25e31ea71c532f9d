"""The one door that touches ``flax``: additive, explicit, and undone without a trace.

``install`` adds to ``flax.nnx``, to its Variable, State and Rngs classes, and to
``sys.modules`` what is absent. Nothing that is present is replaced, but for what the
facts list as ``patched``: calls that are an error today.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import Any

from .. import facts
from .._release import native
from ..revisions import flax_version, nnx

__all__ = ["install", "installed", "installed_names", "uninstall"]

_lock = threading.RLock()
_ABSENT = object()
#: What was done, in order: owner (a module, a class or sys.modules), name, what was.
_done: list[tuple[Any, str, Any]] = []


def install() -> None:
    """Give the installed Flax what it lacks, until ``uninstall``.

    Adds names to ``flax.nnx``, methods to its classes, settings about NNX to
    ``flax.config``, and module paths that vanished to ``sys.modules``. Never replaces
    what is there, except where the facts say that a call is an error today. Calling it
    again does nothing; any thread may.

    Example:
        >>> import nnx_compat as nc
        >>> nc.install()
        >>> nc.nnx.Param(2.0).get_value()
        2.0
        >>> nc.uninstall()
    """
    with _lock:
        if _done:
            return
        try:
            for owner, name, value in _additions():
                _set(owner, name, value)
        except BaseException:
            uninstall()
            raise


def uninstall() -> None:
    """Undo ``install``: every attribute is as it was before.

    Example:
        >>> import nnx_compat as nc
        >>> nc.uninstall()  # nothing was installed: nothing happens
        >>> nc.installed_names()
        ()
    """
    with _lock:
        while _done:
            _restore(*_done.pop())


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """``install`` for the length of a ``with`` block.

    Inside another such block, or after ``install``, it changes nothing.

    Example:
        >>> import nnx_compat as nc
        >>> with nc.installed():
        ...     nc.nnx.Param(2.0).get_value()
        2.0
    """
    with _lock:
        first = not _done
        install()
    try:
        yield
    finally:
        if first:
            uninstall()


def installed_names() -> tuple[str, ...]:
    """What ``install`` added, sorted: dotted names, ``"flax.nnx.Variable.get_value"``.

    Example:
        >>> import nnx_compat as nc
        >>> nc.installed_names()
        ()
    """
    with _lock:
        return tuple(sorted({_dotted(owner, name) for owner, name, _ in _done}))


def _dotted(owner: Any, name: str) -> str:
    if owner is sys.modules:
        return name
    if getattr(owner, "__module__", "") == "flax.configurations":
        return f"flax.config.{name}"
    if isinstance(owner, type):
        return f"{nnx.__name__}.{owner.__name__}.{name}"
    return f"{owner.__name__}.{name}"


def _set(owner: Any, name: str, value: Any) -> None:
    if owner is sys.modules:
        _done.append((owner, name, sys.modules.get(name, _ABSENT)))
        sys.modules[name] = value
    else:
        _done.append((owner, name, vars(owner).get(name, _ABSENT)))
        setattr(owner, name, value)


def _restore(owner: Any, name: str, before: Any) -> None:
    if owner is sys.modules:
        if before is _ABSENT:
            sys.modules.pop(name, None)
        else:
            sys.modules[name] = before
    elif before is _ABSENT:
        delattr(owner, name)
    else:
        setattr(owner, name, before)


# -- what is added ------------------------------------------------------------------


def _additions() -> Iterator[tuple[Any, str, Any]]:
    from .replacements import mends

    mended = list(mends())
    yield from _methods({(owner, name) for owner, name, _ in mended})
    yield from mended
    yield from _names()
    yield from _settings()
    yield from _paths()


def _methods(mended: set[tuple[type, str]]) -> Iterator[tuple[type, str, Any]]:
    from . import methods as members

    for kind, table in members.tables().items():
        for name, value in vars(table).items():
            if name in _ORDINARY or (kind, name) in mended:
                continue
            if _lacks(kind, name) or _mended(f"nnx.Variable.{name}"):
                yield kind, name, value


#: What every class body has, and a table has not to give away.
_ORDINARY = frozenset(vars(type("_", (), {}))) | {"__annotations__"}


def _lacks(kind: type, name: str) -> bool:
    """Whether the class has it neither of its own, nor forwards it to its value.

    What it has from ``object`` alone, like a comparison by identity, is not its own.
    """
    from . import methods as members

    if any(name in vars(base) for base in kind.__mro__[:-1]):
        return False
    return hasattr(object, name) or not members.has(kind, name)


def _mended(name: str) -> bool:
    row = facts.treatment(name, flax_version)
    return row is not None and row.treatment == "patched"


def _names() -> Iterator[tuple[Any, str, Any]]:
    from .._nnx import resolve

    for name in facts.backports():
        if name in native and not _mended(f"nnx.{name}"):
            continue
        row = facts.treatment(f"nnx.{name}", flax_version)
        if row is None or row.treatment != "refused":
            yield nnx, name, resolve(name, warn=False)[0]


def _settings() -> Iterator[tuple[Any, str, Any]]:
    """Settings to be read; setting one that the release lacks stays an error."""
    import flax

    for name, value, _ in facts.settings():
        if not hasattr(flax.config, name):
            yield type(flax.config), name, value


#: Files of NNX by their newest name, and by the one they had before.
_RENAMED = {
    "graphlib": "graph",
    "statelib": "state",
    "variablelib": "variables",
    "pytreelib": "object",
}


def _paths() -> Iterator[tuple[Any, str, Any]]:
    """Modules of NNX under the paths they have or had on other releases."""
    import flax

    from .._nnx import resolve

    own = {
        name.removeprefix(f"{nnx.__name__}.").removeprefix("nnx."): module
        for name, module in list(sys.modules.items())
        if name.startswith(f"{nnx.__name__}.") and module is not None
    }
    for new, old in _RENAMED.items():
        for one, other in ((new, old), (old, new)):
            if one not in own and other in own:
                own[one] = own[other]
    own["nnx"] = resolve("nnx", warn=False)[0]
    if "flax.nnx" not in sys.modules:
        yield sys.modules, "flax.nnx", nnx
        yield flax, "nnx", nnx
    for root in ("flax.nnx", "flax.nnx.nnx"):
        for name, module in own.items():
            path = f"{root}.{name}"
            if path not in sys.modules and path != "flax.nnx.nnx.nnx":
                yield sys.modules, path, module
