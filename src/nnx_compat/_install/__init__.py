"""The one door that touches ``flax``: additive, explicit, and undone without a trace.

``install`` adds to ``flax.nnx``, to its Variable, State and Rngs classes, and to
``sys.modules`` what is absent. Nothing that is present is replaced, but for what the
facts list as ``patched``, or as a fault that ``install`` repairs: calls that are an
error today. Names that Flax misses in jax are put back there first, so this package
imports no Flax: on some pairs ``install`` is what makes it importable.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING

from .jax_names import restored

if TYPE_CHECKING:
    from .additions import Addition, Owner

__all__ = ["install", "installed", "installed_names", "uninstall"]

_lock = threading.RLock()
_ABSENT = object()
#: What was done, in order, each with what was there before.
_done: list[Addition] = []
#: How many blocks of ``installed`` are open, of whichever thread.
_blocks = 0
#: Whether ``install`` was called: then it stays when the last block ends.
_explicit = False


def install(*, fast: bool = False) -> None:
    """Give the installed Flax what it lacks, until ``uninstall``.

    Adds names to ``flax.nnx``, methods to its classes, settings about NNX to
    ``flax.config``, module paths that vanished to ``sys.modules``, and to jax the names
    without which the installed Flax does not import. Never replaces
    what is there, except where the facts say that a call is an error today. Calling it
    again does nothing more; any thread may. Processes that ``multiprocessing`` starts
    from here on get it, too.

    Args:
        fast: put ``nnx_compat.jit`` in the place of ``nnx.jit``, too: the same meaning
            without a walk over the model at every call. Functions that are decorated
            from then on have it.

    Example:
        >>> import nnx_compat as nc
        >>> nc.install()
        >>> nc.nnx.Param(2.0).get_value()
        2.0
        >>> nc.uninstall()
    """
    from . import workers

    global _explicit
    with _lock:
        _add_lacking()
        if fast and not any(name == "jit" for _, name, _ in _done):
            from .fast import replacements

            _add(replacements)
        workers.tell(fast)
        _explicit = True


def _add_lacking() -> None:
    if not _done:
        _add(_lacking)


def _lacking() -> Iterator[Addition]:
    """All that the installed Flax lacks, in an order in which it can be had."""
    yield from restored()
    # only now, as on some pairs Flax does not import without; and it imports the
    # backports, which few need installed
    from .additions import additions

    yield from additions()


def _add(what: Callable[[], Iterable[Addition]]) -> None:
    """All of them or, after an error, nothing at all."""
    try:
        for owner, name, value in what():
            _set(owner, name, value)
    except BaseException:
        _remove()
        raise


def uninstall() -> None:
    """Undo ``install``: every attribute is as it was before.

    Where Flax could be imported only with names put back into jax, it stays imported.

    Example:
        >>> import nnx_compat as nc
        >>> nc.uninstall()  # nothing was installed: nothing happens
        >>> nc.installed_names()
        ()
    """
    global _explicit
    with _lock:
        _explicit = False
        _remove()


def _remove() -> None:
    from . import workers

    workers.tell_no_more()
    while _done:
        _restore(*_done.pop())


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """``install`` for the length of a ``with`` block.

    Blocks are counted over all threads: the last one to end uninstalls, unless
    ``install`` was called, before or inside.

    Example:
        >>> import nnx_compat as nc
        >>> with nc.installed():
        ...     nc.nnx.Param(2.0).get_value()
        2.0
    """
    from . import workers

    global _blocks
    with _lock:
        _add_lacking()
        workers.tell()
        _blocks += 1
    try:
        yield
    finally:
        with _lock:
            _blocks -= 1
            if not (_blocks or _explicit):
                _remove()


def installed_names() -> tuple[str, ...]:
    """What ``install`` added, sorted: dotted names, ``"flax.nnx.Variable.get_value"``.

    Example:
        >>> import nnx_compat as nc
        >>> nc.installed_names()
        ()
    """
    with _lock:
        return tuple(sorted({_dotted(owner, name) for owner, name, _ in _done}))


def _dotted(owner: Owner, name: str) -> str:
    if isinstance(owner, ModuleType):
        return f"{owner.__name__}.{name}"
    if not isinstance(owner, type):
        return name  # of sys.modules
    if owner.__module__ == "flax.configurations":
        return f"flax.config.{name}"
    from ..revisions import nnx

    return f"{nnx.__name__}.{owner.__name__}.{name}"


def _set(owner: Owner, name: str, value: object) -> None:
    if isinstance(owner, (type, ModuleType)):
        _done.append((owner, name, vars(owner).get(name, _ABSENT)))
        setattr(owner, name, value)
    else:
        _done.append((owner, name, owner.get(name, _ABSENT)))
        owner[name] = value


def _restore(owner: Owner, name: str, before: object) -> None:
    if isinstance(owner, (type, ModuleType)):
        if before is _ABSENT:
            delattr(owner, name)
        else:
            setattr(owner, name, before)
    elif before is _ABSENT:
        owner.pop(name, None)
    else:
        owner[name] = before
