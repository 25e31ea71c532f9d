"""What the drop-in namespace is made of: which object a name stands for.

Four answers, in this order: Flax's own object when it means what it means on the
newest release; ours when Flax has none or one with an older meaning; a refusal with its
reason, from the facts; and Python's usual error for a name that never was.
"""

from __future__ import annotations

import functools
import importlib
import warnings
from types import ModuleType
from typing import Any

from .. import facts
from .._release import native, raising
from ..errors import RefusedNameError, RemovedNameWarning
from ..revisions import flax_version


def resolve(name: str, *, warn: bool = True) -> tuple[Any, bool]:
    """The object that a name stands for, and whether to remember it.

    Args:
        name: without ``nnx.``.
        warn: whether a deprecated name is warned of; it is not to be remembered.

    Raises:
        RefusedNameError: other releases have it, and it is not built for this one.
        AttributeError: no release has it.
    """
    if name.startswith("__"):
        raise AttributeError(f"module 'nnx_compat.nnx' has no attribute {name!r}")
    row = facts.treatment(f"nnx.{name}", flax_version)
    kind = row.treatment if row else ""
    if row and kind == "refused":
        last = facts.name(f"nnx.{name}").intervals[-1]
        raise RefusedNameError(
            f"nnx.{name} is not in flax {flax_version} ({_where(name)}), and "
            f"nnx-compat does not build it: {row.why}",
            instead=row.instead,
            otherwise="" if last.last else f"pip install 'flax>={last.first}'",
        )
    value = _find(name)
    if row is None or kind != "deprecated":
        if warn:
            _warn_of_an_older_meaning(name)
        return value, True
    if not warn:
        return value, False
    warnings.warn(
        f"nnx.{name} ({_where(name)}) is kept by nnx-compat only\n"
        f"  instead: {row.instead}",
        RemovedNameWarning,
        stacklevel=3,
    )
    return value, False


def _warn_of_an_older_meaning(name: str) -> None:
    from . import _older

    _older.warn_of(name, "drop-in")


def newest(name: str) -> Any:
    """What a name stands for: Flax's own object, or ours."""
    return resolve(name, warn=False)[0]


def is_ours(name: str) -> bool:
    """Whether a name stands for what is built here.

    Flax lacks it, means another, or cannot run it on the jax that is installed.
    """
    row = facts.treatment(f"nnx.{name}", flax_version)
    replaced = row is not None and row.treatment == "replaced"
    lacking = replaced or name not in native or name in raising
    return name in facts.backports() and lacking


@functools.cache  # a function that takes later arguments is one object, too
def _find(name: str) -> Any:
    if is_ours(name):
        place = facts.backports()[name]
        return getattr(importlib.import_module(f".{place}", __name__), name)
    if name not in native:
        raise _unknown(name)
    from . import _modules, _parameters

    if isinstance(native[name], ModuleType):
        return _modules.shown(native[name], name)
    return _parameters.accepting(name, native[name])


def _where(name: str) -> str:
    return f"it is in flax {facts.worded(facts.name(f'nnx.{name}').intervals)}"


def _unknown(name: str) -> AttributeError:
    if f"nnx.{name}" in facts.names():
        return RefusedNameError(
            f"nnx.{name} is not in flax {flax_version} ({_where(name)})",
            instead=f"a release that has it: pip install 'flax=={_last(name)}'",
        )
    import difflib

    alike = difflib.get_close_matches(name, public(), n=1)
    hint = f". Did you mean: {alike[0]!r}?" if alike else ""
    return AttributeError(f"module 'nnx_compat.nnx' has no attribute {name!r}{hint}")


def _last(name: str) -> str:
    last = facts.name(f"nnx.{name}").intervals[-1]
    return last.last or facts.releases()[-1].version


def public() -> list[str]:
    """What ``dir`` shows: the names of the newest release that resolve here."""
    newest = facts.releases()[-1].version
    here = {name for name in native if not name.startswith("_")}
    known = [path[4:] for path in facts.names() if path.count(".") == 1]
    backported = facts.backports()
    for name in known:
        row = facts.treatment(f"nnx.{name}", flax_version)
        if row and row.treatment in ("refused", "deprecated"):
            here.discard(name)
        elif name in backported and facts.name(f"nnx.{name}").on(newest):
            here.add(name)
    return sorted(here)
