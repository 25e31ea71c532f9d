"""Sets of Flax releases, as bits: bit ``i`` stands for the ``i``-th release.

A finding excludes a set of releases, a guard restricts code to one, and the verdict is
what is left: all of that is ``&``, ``|`` and ``~`` on ints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache

from .. import facts

__all__ = ["ALL", "has", "listed", "of", "spelled", "which"]


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
    return which(lambda version: any(version in i for i in intervals))


def listed(mask: int) -> tuple[str, ...]:
    """The versions in a set, oldest first.

    Example:
        >>> from nnx_compat.check import releases
        >>> releases.listed(0)
        ()
    """
    return tuple(v for i, v in enumerate(_versions()) if mask >> i & 1)


def runs(mask: int) -> list[tuple[str, str]]:
    """The first and the last version of each unbroken run of releases."""
    found: list[tuple[str, str]] = []
    previous = False
    for i, version in enumerate(_versions()):
        inside = bool(mask >> i & 1)
        if inside and previous:
            found[-1] = (found[-1][0], version)
        elif inside:
            found.append((version, version))
        previous = inside
    return found


def spelled(mask: int) -> str:
    """A set in words.

    Example:
        >>> from nnx_compat.check import releases
        >>> releases.spelled(releases.ALL)
        'every release'
        >>> releases.spelled(0)
        'no release'
    """
    if mask == ALL:
        return "every release"
    return _joined(_run(first, last) for first, last in runs(mask)) or "no release"


def _run(first: str, last: str) -> str:
    if last == _versions()[-1]:
        return f"from {first}"
    if first == _versions()[0]:
        return f"up to {last}"
    return first if first == last else f"{first}-{last}"


def _joined(parts: Iterable[str]) -> str:
    listed = list(parts)
    if len(listed) < 2:
        return "".join(listed)
    return f"{', '.join(listed[:-1])} and {listed[-1]}"
