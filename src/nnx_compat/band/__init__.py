"""The band: on which pairs of Flax and jax NNX works. Imports neither of the two.

``record.jsonl`` has a line for each pair that was measured by ``nox -s band``: beside
which other packages, and what the probes said natively, through the drop-in line
(``from nnx_compat import nnx``) and after ``install()``.

    >>> from nnx_compat import band, facts
    >>> newest = facts.releases()[-1]
    >>> band.measured(newest.version, newest.jax_dated).works("native")
    True
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from .forms import BESIDES_NNX, NEEDS, PROBES, forms

__all__ = [
    "BESIDES_NNX",
    "NEEDS",
    "PROBES",
    "RECORD",
    "WAYS",
    "Measured",
    "around",
    "digest",
    "forms",
    "measured",
    "pairs",
    "read",
]

RECORD = Path(__file__).parent / "record.jsonl"
WAYS = ("native", "drop-in", "install")


class Measured(NamedTuple):
    """What was measured of a pair.

    Attributes:
        flax: a release.
        jax: a version.
        beside: the versions of Python and of what Flax needs, by name.
        results: by way and probe what is not ``ok``: ``absent`` where the release has
            no such name, else the error. After a failed import there is nothing else.
    """

    flax: str
    jax: str
    beside: Mapping[str, str]
    results: Mapping[str, Mapping[str, str]]

    def failing(self, way: str) -> dict[str, str] | None:
        """The error of each probe that fails in a way; None if it was not measured.

        Example:
            >>> from nnx_compat import band, facts
            >>> newest = facts.releases()[-1]
            >>> band.measured(newest.version, newest.jax_dated).failing("native")
            {}
        """
        if way not in self.results:
            return None
        found = self.results[way]
        return {probe: text for probe, text in found.items() if text != "absent"}

    def works(self, way: str) -> bool | None:
        """Whether every probe of NNX passes in a way; None if it was not measured."""
        failing = self.failing(way)
        return None if failing is None else not failing.keys() - set(BESIDES_NNX)


def read(file: Path = RECORD) -> list[dict[str, Any]]:
    """The lines of a record, by release and jax."""
    if not file.exists():
        return []
    lines = file.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@cache
def pairs() -> Mapping[tuple[str, str], Measured]:
    """All pairs that were measured, by release and jax, in the order of both."""
    return {
        (row["flax"], row["jax"]): Measured(
            row["flax"],
            row["jax"],
            row["with"],
            {way: found["results"] for way, found in row["ways"].items()},
        )
        for row in read()
    }


def measured(flax: str, jax: str) -> Measured | None:
    """What was measured of a pair, None if it was not.

    Args:
        flax: a release.
        jax: a version.
    """
    return pairs().get((flax, jax))


def around(flax: str, jax: str, *ways: str) -> tuple[str, str] | None:
    """The run of jax versions that work in one of the ways, of those measured so.

    Args:
        flax: a release.
        jax: the version that the run is around.
        *ways: of which one has to work.

    Returns:
        The oldest and the newest; None when it does not work with ``jax`` itself, or
        was not measured. What the metadata of the release does not admit is not among
        them.

    Example:
        >>> from nnx_compat import band, facts
        >>> newest = facts.releases()[-1]
        >>> ends = band.around(newest.version, newest.jax_dated, "native")
        >>> ends == (newest.jax_oldest, newest.jax_newest)
        True
    """
    from packaging.version import Version

    from .. import facts

    floor = Version(facts.release(flax).jax_declared)
    row = [
        pair
        for pair in pairs().values()
        if pair.flax == flax
        and Version(pair.jax) >= floor
        and any(way in pair.results for way in ways)
    ]
    working = [any(pair.works(way) for way in ways) for pair in row]
    at = next((n for n, pair in enumerate(row) if pair.jax == jax), None)
    if at is None or not working[at]:
        return None
    first, last = at, at
    while first and working[first - 1]:
        first -= 1
    while last + 1 < len(row) and working[last + 1]:
        last += 1
    return row[first].jax, row[last].jax


def digest(flax: str) -> str:
    """A digest of the probes as they are run natively on a release."""
    found = hashlib.sha256(json.dumps(forms(flax)).encode())
    found.update(Path(__file__).with_name("probes.py").read_bytes())
    return found.hexdigest()[:16]
