"""Names that mean less here than on the newest release: their first use warns.

What cannot have the newest meaning is not to be silently different. A name is looked up
once in the drop-in namespace and then a plain attribute of it, so the first look-up is
the place to warn at, and no later one costs anything.
"""

from __future__ import annotations

import sys
import warnings
from functools import cache

from .. import facts
from .._release import native
from ..errors import OlderMeaningWarning
from ..revisions import flax_version, nnx
from ._warnings import outer_level

#: The names that were warned of, each with what differs.
_warned: set[tuple[str, facts.OlderMeaning]] = set()


@cache
def rows(door: str) -> dict[str, tuple[facts.OlderMeaning, ...]]:
    """What a door cannot give on the installed release, by name without ``nnx.``."""
    return {path[4:]: some for path, some in facts.older(flax_version, door).items()}


def of(name: str, door: str) -> tuple[facts.OlderMeaning, ...]:
    """What differs behind a name; what is said of Module holds for every layer."""
    found = rows(door)
    some = found.get(name, ())
    value = native.get(name)
    if isinstance(value, type) and issubclass(value, nnx.Module) and name != "Module":
        some = (*some, *found.get("Module", ()))
    return some


def warn_of(name: str, door: str) -> None:
    """Warn at the first use of a name, where it is used."""
    for row in of(name, door):
        # of layers once, as of Module
        subject = name if f"nnx.{name}" in row.names else "Module"
        if (subject, row) in _warned:
            continue
        _warned.add((subject, row))
        warnings.warn(
            f"nnx.{name} of flax {flax_version} differs from that of the newest "
            f"release: {row.why}\n  instead: {row.instead}",
            OlderMeaningWarning,
            stacklevel=outer_level(sys._getframe()),
        )


def forget() -> None:
    """Have the next use of every name be the first: for who counts warnings."""
    _warned.clear()
