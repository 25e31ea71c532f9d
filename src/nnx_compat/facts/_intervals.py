"""Intervals of releases: how they are noted in the data, and how messages word them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from ._releases import position, releases


class Interval(NamedTuple):
    """The releases ``first`` to ``last``, both included; ``last=None`` has no end yet.

    Example:
        >>> from nnx_compat.facts import Interval
        >>> str(Interval("0.9.0", "0.10.7")), "0.11.2" in Interval("0.9.0", None)
        ('0.9.0-0.10.7', True)
    """

    first: str
    last: str | None

    def __str__(self) -> str:
        oldest, newest = position(releases()[0].version), releases()[-1].version
        to_the_end = self.last is None or position(self.last) >= position(newest)
        from_the_start = position(self.first) <= oldest
        if to_the_end:
            return "every release" if from_the_start else f"from {self.first}"
        if self.first == self.last:
            return self.first
        return f"up to {self.last}" if from_the_start else f"{self.first}-{self.last}"

    def __contains__(self, version: object) -> bool:
        at = position(str(version))
        return position(self.first) <= at and (
            self.last is None or at <= position(self.last)
        )


def parsed(notation: Iterable[str]) -> tuple[Interval, ...]:
    """The intervals that the data note: ``0.9.0-0.10.7``, ``0.12.0-`` or ``0.10.7``."""
    found = []
    for one in notation:
        first, dash, last = one.partition("-")
        found.append(Interval(first, (last or None) if dash else first))
    return tuple(found)


def within(version: str, intervals: Iterable[Interval]) -> bool:
    """Whether a release is in one of the intervals."""
    return any(version in interval for interval in intervals)


def spanning(versions: Collection[str]) -> tuple[Interval, ...]:
    """The fewest intervals with these releases, of those that are served.

    Example:
        >>> from nnx_compat import facts
        >>> newest = facts.releases()[-1].version
        >>> facts.spanning(["0.9.0", "0.10.0", newest])[0]
        Interval(first='0.9.0', last='0.10.0')
        >>> facts.spanning([newest])[0].last is None
        True
    """
    runs: list[list[str]] = []
    before = ""
    for version in (release.version for release in releases()):
        if version in versions:
            if before in versions:
                runs[-1].append(version)
            else:
                runs.append([version])
        before = version
    return tuple(
        Interval(run[0], None if run[-1] == before else run[-1]) for run in runs
    )


def worded(intervals: Iterable[Interval]) -> str:
    """Intervals as every message, page and table of ours writes them.

    Example:
        >>> from nnx_compat import facts
        >>> facts.worded(facts.spanning(["0.9.0", "0.10.7"]))
        '0.9.0 and 0.10.7'
        >>> facts.worded(facts.behaviour("merge-shares-variables").intervals)
        'from 0.11.2'
        >>> facts.worded(facts.name("nnx.Linear").intervals), facts.worded(())
        ('every release', 'no release')
    """
    *others, last = list(map(str, intervals)) or ["no release"]
    return f"{', '.join(others)} and {last}" if others else last
