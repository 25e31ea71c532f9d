"""The one door that touches ``flax``: explicit, and undone without a trace.

``install`` adds to ``flax.nnx``, to its Variable, State and Rngs classes, and to
``sys.modules`` what is absent. Nothing that is present is replaced, but for what the
facts list as ``patched``, or as a fault that ``install`` repairs: calls that are an
error today. With ``meaning="newest"`` the names that mean less here than on the newest
release are replaced, too. Names that Flax misses in jax are put back first, so this
package imports no Flax: on some pairs ``install`` is what makes it importable.

What is done lies in layers, each undone by what was there before it: what is lacking,
the newest meaning, warnings at the first use of what means less, a fast ``jit``. Which
layers there are follows from what was asked for and not yet taken back.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Literal

from ..errors import ArgumentValueError
from .absent import ABSENT
from .jax_names import restored

if TYPE_CHECKING:
    from .additions import Addition, Owner

__all__ = ["install", "installed", "installed_names", "uninstall"]

#: Whose meaning a name has that the installed Flax has, too.
Meaning = Literal["native", "newest"]

_lock = threading.RLock()
_ABSENT: object = ABSENT
#: What was done, by layer, in order, each with what was there before.
_layers: dict[str, list[Addition]] = {}
#: The layers that ``install`` was asked for: they stay when the last block ends.
_explicit: set[str] = set()
#: The layers that each open block of ``installed`` needs, of whichever thread.
_blocks: list[set[str]] = []


def install(*, fast: bool = False, meaning: Meaning = "native") -> None:
    """Give the installed Flax what it lacks, until ``uninstall``.

    Adds names to ``flax.nnx``, methods to its classes, settings about NNX to
    ``flax.config``, module paths that vanished to ``sys.modules``, and to jax the names
    without which the installed Flax does not import. Never replaces what is there,
    except where the facts say that a call is an error today, and with
    ``meaning="newest"``. The first use of a name that gives another result than on the
    newest release is warned of (``errors.OlderMeaningWarning``), where it is written.
    Calling it again does nothing more; any thread may. Processes
    that ``multiprocessing`` starts from here on get it, too.

    Args:
        fast: put ``nnx_compat.jit`` in the place of ``nnx.jit``, too: the same meaning
            without a walk over the model at every call. Functions that are decorated
            from then on have it.
        meaning: ``"newest"`` makes ``flax.nnx`` the drop-in namespace: a name that the
            installed Flax has, and that means something else on the newest release,
            means what it means there. For code that is written for the newest release
            and not to be changed. What Flax's own files call stays what it was.

    Raises:
        ArgumentValueError: ``meaning`` is neither of the two.

    Example:
        >>> import nnx_compat as nc
        >>> nc.install(meaning="newest")
        >>> nc.nnx.Param(2.0).get_value()
        2.0
        >>> nc.uninstall()
    """
    asked = _layers_of(meaning) | ({"fast"} if fast else set())
    with _lock:
        before = set(_explicit)
        _explicit.update(asked)
        try:
            _settle()
        except BaseException:
            _explicit.intersection_update(before)
            _settle()
            raise


def _layers_of(meaning: str) -> set[str]:
    if meaning not in ("native", "newest"):
        raise ArgumentValueError(
            f"meaning={meaning!r} is none that install knows",
            instead='meaning="newest", the meaning of the newest release',
            otherwise='meaning="native", which leaves alone what is there',
        )
    asked = {"lacking", "uses"}
    return asked | {"newest"} if meaning == "newest" else asked


def _lacking() -> Iterator[Addition]:
    """All that the installed Flax lacks, in an order in which it can be had."""
    yield from restored()
    # only now, as on some pairs Flax does not import without; and it imports the
    # backports, which few need installed
    from .additions import additions

    yield from additions()


def _newest() -> Iterator[Addition]:
    from .newest import replacements

    yield from replacements()


def _uses() -> Iterator[Addition]:
    from .first_use import watched

    yield from watched("newest" if "newest" in _layers else "native")


def _fast() -> Iterator[Addition]:
    from .fast import replacements

    yield from replacements()


#: From the bottom up; a layer may cover what one below it has set.
_MAKE: dict[str, Callable[[], Iterable[Addition]]] = {
    "lacking": _lacking,
    "newest": _newest,
    "uses": _uses,
    "fast": _fast,
}


def _settle() -> None:
    """Have the layers that somebody asks for, and no others."""
    from . import workers

    asked = set[str]().union(_explicit, *_blocks)
    wanted = [layer for layer in _MAKE if layer in asked]
    while list(_layers) != wanted[: len(_layers)]:
        _take_off()
    for layer in wanted[len(_layers) :]:
        _put_on(layer)
    if wanted:
        workers.tell(asked)
    else:
        workers.tell_no_more()


def _put_on(layer: str) -> None:
    """All of it or, after an error, nothing at all."""
    _layers[layer] = []
    try:
        for owner, name, value in _MAKE[layer]():
            _set(_layers[layer], owner, name, value)
    except BaseException:
        _take_off()
        raise


def _take_off() -> None:
    """Undo the uppermost layer."""
    _, done = _layers.popitem()
    while done:
        _restore(*done.pop())


def uninstall() -> None:
    """Undo ``install``: every attribute is as it was before.

    Where Flax could be imported only with names put back into jax, it stays imported.

    Example:
        >>> import nnx_compat as nc
        >>> nc.uninstall()  # nothing was installed: nothing happens
        >>> nc.installed_names()
        ()
    """
    with _lock:
        _explicit.clear()
        for block in _blocks:
            block.clear()
        _settle()


@contextlib.contextmanager
def installed(*, meaning: Meaning = "native") -> Iterator[None]:
    """``install`` for the length of a ``with`` block.

    Blocks are counted over all threads: what a block asks for is there until the last
    one that asks for it ends, unless ``install`` was called for it, before or inside.

    Args:
        meaning: as ``install`` takes it.

    Raises:
        ArgumentValueError: ``meaning`` is neither of the two.

    Example:
        >>> import nnx_compat as nc
        >>> with nc.installed():
        ...     nc.nnx.Param(2.0).get_value()
        2.0
    """
    block = _layers_of(meaning)
    with _lock:
        _blocks.append(block)
        try:
            _settle()
        except BaseException:
            _end(block)
            raise
    try:
        yield
    finally:
        with _lock:
            _end(block)


def _end(block: set[str]) -> None:
    # by identity: two blocks may ask for the same
    _blocks[:] = [other for other in _blocks if other is not block]
    _settle()


def installed_names() -> tuple[str, ...]:
    """What ``install`` added, sorted: dotted names, ``"flax.nnx.Variable.get_value"``.

    With ``meaning="newest"`` also what it replaced.

    Example:
        >>> import nnx_compat as nc
        >>> nc.installed_names()
        ()
    """
    with _lock:
        done = [
            (owner, name)
            for layer, additions in _layers.items()
            if layer != "uses"  # which only waits for what is there
            for owner, name, _ in additions
        ]
        named = {_dotted(owner, name) for owner, name in done if not _is_own(owner)}
        return tuple(sorted(named))


def _is_own(owner: Owner) -> bool:
    """Whether it is part of this package, and what it gets is nobody's business."""
    if isinstance(owner, ModuleType):
        return owner.__name__.partition(".")[0] == __name__.partition(".")[0]
    return not isinstance(owner, type) and owner is not sys.modules


def _dotted(owner: Owner, name: str) -> str:
    if isinstance(owner, ModuleType):
        return f"{owner.__name__}.{name}"
    if not isinstance(owner, type):
        return name  # of sys.modules
    if owner.__module__ == "flax.configurations":
        return f"flax.config.{name}"
    from ..revisions import nnx

    return f"{nnx.__name__}.{owner.__name__}.{name}"


def _set(done: list[Addition], owner: Owner, name: str, value: object) -> None:
    if isinstance(owner, (type, ModuleType)):
        done.append((owner, name, vars(owner).get(name, _ABSENT)))
        if value is _ABSENT:
            delattr(owner, name)
        else:
            setattr(owner, name, value)
    else:
        done.append((owner, name, owner.get(name, _ABSENT)))
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
