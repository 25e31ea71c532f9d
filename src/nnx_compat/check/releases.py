"""Sets of Flax releases, as bits: bit ``i`` stands for the ``i``-th release.

A finding excludes a set of releases, a guard restricts code to one, and the verdict is
what is left: all of that is ``&``, ``|`` and ``~`` on ints.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from .. import facts

__all__ = ["ALL", "has", "listed", "of", "spans", "spelled", "which"]


@cache
def _versions() -> tuple[str, ...]:
    return tuple(release.version for release in facts.releases())


#: Every release.
ALL = (1 << len(_versions())) - 1


def which(holds: Callable[[str], bool]) -> int:
    """The releases for which a question is answered with yes.

    Example:
        >>> from nnx_compat.check import releases
        >>> releases.which(lambda version: True) == releases.ALL
        True
    """
    return sum(1 << i for i, version in enumerate(_versions()) if holds(version))


@cache
def _bits() -> dict[str, int]:
    return {version: 1 << i for i, version in enumerate(_versions())}


def has(mask: int, version: str) -> bool:
    """Whether a release is in a set.

    Example:
        >>> from nnx_compat.check import releases
        >>> releases.has(releases.ALL, releases.listed(releases.ALL)[0])
        True
    """
    return bool(mask & _bits()[version])


@cache
def of(intervals: tuple[facts.Interval, ...]) -> int:
    """The releases in some of the intervals.

    Example:
        >>> from nnx_compat import facts
        >>> from nnx_compat.check import releases
        >>> releases.of(facts.name("nnx.Linear").intervals) == releases.ALL
        True
    """
    return which(lambda version: facts.within(version, intervals))


@cache
def listed(mask: int) -> tuple[str, ...]:
    """The versions in a set, oldest first.

    Example:
        >>> from nnx_compat.check import releases
        >>> releases.listed(0)
        ()
    """
    return tuple(v for i, v in enumerate(_versions()) if mask >> i & 1)


def spans(mask: int) -> tuple[facts.Interval, ...]:
    """A set as the fewest intervals."""
    return facts.spanning(listed(mask))


@cache
def spelled(mask: int) -> str:
    """A set in words.

    Example:
        >>> from nnx_compat.check import releases
        >>> releases.spelled(releases.ALL)
        'every release'
        >>> releases.spelled(0)
        'no release'
    """
    return facts.worded(spans(mask))
