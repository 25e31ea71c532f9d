"""Functions that Flax has here with fewer parameters than on the newest release.

Code for the newest Flax may pass an argument that asks for what an older release does
anyway (``graph=True``): such a one is taken and dropped. One that asks for something
that the release cannot do is an error that says so.
"""

from __future__ import annotations

import functools
import inspect
import threading
import types
from collections.abc import Callable, Iterable
from typing import TypeVar, cast

from .. import facts
from ..errors import RefusedArgumentError
from ..revisions import flax_version

_F = TypeVar("_F")


def accepting(name: str, native: _F) -> _F:
    """``native``, or a function around it that takes the newest's arguments too."""
    if not isinstance(native, types.FunctionType):
        return native
    missing = _missing(name)
    if not missing:
        return native

    follows_setting = any(key in _Modes.names for key in missing)

    @functools.wraps(native)
    def call(*args: object, **kwargs: object) -> object:
        if kwargs or (follows_setting and _modes.used):
            for key, parameter in missing.items():
                if key in kwargs or key in _Modes.names:
                    drop(name, parameter, kwargs.pop(key, None))
        return native(*args, **kwargs)

    call.__signature__ = _with(missing, inspect.signature(call))  # type: ignore[attr-defined]
    return cast("_F", call)


def check(name: str, **given: object) -> None:
    """For a function of ours: its arguments that may only ask for what is there.

    Args:
        name: of the function, without ``nnx.``.
        **given: their values by name; each has a row in the facts.

    Raises:
        RefusedArgumentError: one asks for something else.
    """
    for parameter in facts.parameters():
        if parameter.name in given:
            drop(name, parameter, given[parameter.name])


def _missing(name: str) -> dict[str, facts.Parameter]:
    """The parameters of the newest that the installed function lacks, by name."""
    try:
        row = facts.name(f"nnx.{name}")
    except LookupError:
        return {}
    newest = facts.releases()[-1].version
    return {
        parameter.name: parameter
        for parameter in facts.parameters()
        if row.on(newest, parameter.name) and not row.on(flax_version, parameter.name)
    }


def drop(name: str, parameter: facts.Parameter, value: object) -> None:
    """Say nothing when ``value`` asks for what the release does anyway.

    Raises:
        RefusedArgumentError: it asks for something else.
    """
    if value is None:
        value = current_mode(parameter.name)
    neutral = value is None or any(value is v for v in parameter.neutral)
    if not neutral:
        since = facts.name(f"nnx.{name}").parameters[parameter.name][-1].first
        raise RefusedArgumentError(
            f"nnx.{name} was given {parameter.name}={value!r}, which flax "
            f"{flax_version} cannot do: {parameter.why}",
            instead=parameter.instead,
            otherwise=f"pip install 'flax>={since}'",
        )


class _Modes(threading.local):
    """What the settings of this thread are, by the parameter that they stand for."""

    names = ("graph", "graph_updates")

    def __init__(self) -> None:
        self.used = False
        #: None while nothing was set.
        self.values: dict[str, bool | None] = dict.fromkeys(self.names)


_modes = _Modes()


def current_mode(parameter: str) -> bool | None:
    """What was set last in this thread for a parameter, or None."""
    return _modes.values.get(parameter)


def set_mode(parameter: str, value: bool) -> Callable[[], None]:
    """Set what a function takes that is not given the parameter, in this thread.

    Returns:
        What puts back the value that was there.
    """
    was = _modes.values[parameter]
    _modes.used, _modes.values[parameter] = True, value
    return lambda: _modes.values.update({parameter: was})


def _with(missing: Iterable[str], signature: inspect.Signature) -> inspect.Signature:
    """A signature with more parameters, of which the default is None."""
    present = list(signature.parameters.values())
    added = [
        inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=None)
        for key in missing
    ]
    at = next(
        (i for i, p in enumerate(present) if p.kind is inspect.Parameter.VAR_KEYWORD),
        len(present),
    )
    return signature.replace(parameters=[*present[:at], *added, *present[at:]])
