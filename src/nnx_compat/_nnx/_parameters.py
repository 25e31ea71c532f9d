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
from collections.abc import Callable
from typing import Any

from .. import facts
from ..errors import RefusedArgumentError
from ..revisions import flax_version


def accepting(name: str, native: Any) -> Any:
    """``native``, or a function around it that takes the newest's arguments too."""
    if not isinstance(native, types.FunctionType):
        return native
    taken = inspect.signature(native).parameters  # ours too, where install added it
    missing = {k: row for k, row in _missing(name).items() if k not in taken}
    if not missing:
        return native

    follows_setting = any(key in _Stacks.names for key in missing)

    @functools.wraps(native)
    def call(*args: Any, **kwargs: Any) -> Any:
        if kwargs or (follows_setting and _stacks.used):
            for key, parameter in missing.items():
                if key in kwargs or key in _Stacks.names:
                    drop(name, parameter, kwargs.pop(key, None))
        return native(*args, **kwargs)

    call.__signature__ = _signature(native, missing)  # type: ignore[attr-defined]
    return call


def check(name: str, **given: Any) -> None:
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


def drop(name: str, parameter: facts.Parameter, value: Any) -> None:
    """Say nothing when ``value`` asks for what the release does anyway.

    Raises:
        RefusedArgumentError: it asks for something else.
    """
    if value is None:
        value = _stacks.current(parameter.name)
    neutral = value is None or any(value is v for v in parameter.neutral)
    if not neutral:
        since = facts.name(f"nnx.{name}").parameters[parameter.name][-1].first
        raise RefusedArgumentError(
            f"nnx.{name} was given {parameter.name}={value!r}, which flax "
            f"{flax_version} cannot do: {parameter.why}",
            instead=parameter.instead,
            otherwise=f"pip install 'flax>={since}'",
        )


class _Stacks(threading.local):
    """What the settings of this thread are, by the parameter that they stand for."""

    names = ("graph", "graph_updates")

    def __init__(self) -> None:
        self.used = False
        self.values: dict[str, list[Any]] = {name: [None] for name in self.names}

    def current(self, name: str) -> Any:
        """None while nothing was set."""
        return self.values[name][-1] if name in self.values else None


_stacks = _Stacks()


class Setting:
    """The value of a parameter that a function is not given: for the functions here.

    It counts from the statement that makes it; as a context, until its end; as a
    decorator, while the function runs.
    """

    parameter = ""

    def __init__(self, value: bool, /) -> None:
        stack = self._stack()
        self._before, self._value = stack[-1], value
        stack[-1] = value

    @classmethod
    def _stack(cls) -> list[Any]:
        _stacks.used = True
        return _stacks.values[cls.parameter]

    @classmethod
    def current_value(cls) -> bool:
        """What was set last, or True."""
        return _stacks.current(cls.parameter) is not False

    def __enter__(self) -> None:
        self._stack().insert(-1, self._before)

    def __exit__(self, *_: object) -> None:
        self._stack().pop()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        self._stack()[-1] = self._before

        @functools.wraps(function)
        def within(*args: Any, **kwargs: Any) -> Any:
            self._stack().append(self._value)
            try:
                return function(*args, **kwargs)
            finally:
                self._stack().pop()

        return within


def _signature(
    native: types.FunctionType, missing: dict[str, facts.Parameter]
) -> inspect.Signature:
    signature = inspect.signature(native)
    kept = list(signature.parameters.values())
    added = [
        inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=None)
        for key in missing
    ]
    at = next(
        (i for i, p in enumerate(kept) if p.kind is inspect.Parameter.VAR_KEYWORD),
        len(kept),
    )
    return signature.replace(parameters=[*kept[:at], *added, *kept[at:]])
