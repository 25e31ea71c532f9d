"""What ``install`` adds on the installed release, and where."""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import flax

from .. import facts
from .._nnx import _modules, resolve
from .._release import members, native, native_settings
from ..revisions import bound, flax_version, nnx
from . import state_methods, variable_methods
from .call_shapes import stream_methods, widened
from .jax_views import views
from .patches import is_patched, patches

#: What has attributes, or ``sys.modules``.
Owner = type | ModuleType | dict[str, Any]

#: Who gets it, the name and the object.
Addition = tuple[Owner, str, Any]


def additions() -> Iterator[Addition]:
    """Each addition in turn; the names of ``flax.nnx`` may need the methods."""
    yield from views()
    patched = list(patches())
    yield from _methods({(owner, name) for owner, name, _ in patched})
    yield from patched
    yield from stream_methods()
    yield from _names()
    yield from ((nnx, name, function) for name, function in widened())
    yield nnx, "__getattr__", _refusals()
    yield from _settings()
    yield from _module_paths()


#: What every class body has, and a table has not to give away.
_ORDINARY = frozenset(vars(type("_", (), {}))) | {"__annotations__"}


def _methods(patched: set[tuple[type, str]]) -> Iterator[tuple[type, str, Any]]:
    tables: dict[type, type] = {nnx.State: state_methods.State}
    tables |= dict.fromkeys(bound.variable_types, variable_methods.Variable)
    for kind, table in tables.items():
        for name, value in vars(table).items():
            if name in _ORDINARY or (kind, name) in patched:
                continue
            if name not in members(kind) or is_patched(f"nnx.Variable.{name}"):
                yield kind, name, value


def _names() -> Iterator[tuple[ModuleType, str, Any]]:
    for name in facts.backports():
        if name in native and not is_patched(f"nnx.{name}"):
            continue
        row = facts.treatment(f"nnx.{name}", flax_version)
        if row is None or row.treatment != "refused":
            yield nnx, name, resolve(name, warn=False)[0]


def _refusals() -> Callable[[str], Any]:
    """What says of a name that cannot be had why, and of others what Flax would."""
    before = vars(nnx).get("__getattr__")

    def __getattr__(name: str) -> Any:
        try:
            if before is not None:
                return before(name)
        except AttributeError:
            pass
        row = facts.treatment(f"nnx.{name}", flax_version)
        if row is not None and row.treatment == "refused":
            resolve(name, warn=False)
        raise AttributeError(f"module {nnx.__name__!r} has no attribute {name!r}")

    return __getattr__ if before is None else functools.wraps(before)(__getattr__)


def _settings() -> Iterator[tuple[type, str, Any]]:
    """Settings that the release lacks: to be read, and to be set to what they are."""
    kind = type(flax.config)
    lacking = {n: v for n, v, _ in facts.settings() if n not in native_settings}
    yield from ((kind, name, value) for name, value in lacking.items())
    before = kind.update

    @functools.wraps(before)
    def update(self: Any, name: Any, value: Any) -> None:
        if name not in lacking:
            before(self, name, value)
        elif value is not lacking[name]:
            warnings.warn(
                f"flax {flax_version} has no setting {name}: it stays {lacking[name]}\n"
                f"  instead: leave {name}={value!r} out",
                stacklevel=2,
            )

    if lacking:
        yield kind, "update", update


def _module_paths() -> Iterator[Addition]:
    """Modules of NNX under the paths they have or had on other releases."""
    own = {
        name.removeprefix(f"{nnx.__name__}.").removeprefix("nnx."): module
        for name, module in list(sys.modules.items())
        if name.startswith(f"{nnx.__name__}.") and module is not None
    }
    for old, new in _modules.MOVED.items():
        for one, other in ((new, old), (old, new)):
            if one not in own and other in own:
                own[one] = own[other]
    own["nnx"] = _modules.at("nnx")
    if "flax.nnx" not in sys.modules:
        yield sys.modules, "flax.nnx", nnx
        yield flax, "nnx", nnx
    for root in ("flax.nnx", "flax.nnx.nnx"):
        for name, module in own.items():
            path = f"{root}.{name}"
            if path not in sys.modules and path != "flax.nnx.nnx.nnx":
                yield sys.modules, path, module
