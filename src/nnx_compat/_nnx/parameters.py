"""Functions that Flax has here with fewer parameters than on the newest release.

Code for the newest Flax may pass an argument that asks for what an older release does
anyway (``graph=True``): such a one is taken and dropped. One that asks for something
that the release cannot do is an error that says so.
"""

from __future__ import annotations

import functools
import inspect
import types
from typing import Any

from .. import facts
from ..errors import RefusedArgumentError
from ..revisions import flax_version


def accepting(name: str, native: Any) -> Any:
    """``native``, or a function around it that takes the newest's arguments too."""
    if not isinstance(native, types.FunctionType):
        return native
    missing = _missing(name)
    if not missing:
        return native

    @functools.wraps(native)
    def call(*args: Any, **kwargs: Any) -> Any:
        for key in missing.keys() & kwargs.keys():
            drop(name, missing[key], kwargs.pop(key))
        return native(*args, **kwargs)

    call.__signature__ = _signature(native, missing)  # type: ignore[attr-defined]
    return call


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
    neutral = any(
        value is v or (v is not True and value == v) for v in parameter.neutral
    )
    if not neutral:
        since = facts.name(f"nnx.{name}").parameters[parameter.name][-1].first
        raise RefusedArgumentError(
            f"nnx.{name} was given {parameter.name}={value!r}, which flax "
            f"{flax_version} cannot do: {parameter.why}",
            instead=parameter.instead,
            otherwise=f"pip install 'flax>={since}'",
        )


def _signature(
    native: types.FunctionType, missing: dict[str, facts.Parameter]
) -> inspect.Signature:
    signature = inspect.signature(native)
    kept = list(signature.parameters.values())
    added = [
        inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=row.neutral[0])
        for key, row in missing.items()
    ]
    at = next(
        (i for i, p in enumerate(kept) if p.kind is inspect.Parameter.VAR_KEYWORD),
        len(kept),
    )
    return signature.replace(parameters=[*kept[:at], *added, *kept[at:]])
