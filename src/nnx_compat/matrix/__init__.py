"""The matrix: which pairs are run, and what came of it. Imports no flax.

A *pair* is one Flax release beside one jax. For each release there are up to three: its
dated pair, on which the whole suite runs, and the oldest and newest jax on which the
contract holds. ``results/`` has one small JSON a pair, written by the test run;
``compat_matrix.md`` is rendered from them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from .. import facts

__all__ = [
    "CHECKPOINTS",
    "CONFORMANCE",
    "EXAMPLES",
    "RESULTS",
    "Pair",
    "conformance",
    "dated",
    "pair",
    "pairs",
    "results",
    "summary",
]

RESULTS = Path(__file__).parent / "results"

#: What came of Flax's own tests, one JSON for the tests of a release on another.
CONFORMANCE = Path(__file__).parent / "conformance"
EXAMPLES = CONFORMANCE / "examples"

#: What checkpoints of every release came to on one that read them, one JSON a reader.
CHECKPOINTS = Path(__file__).parent / "checkpoints"

#: The CPython that has wheels of every jax, but for those the facts list.
_PYTHON = "3.11"


class Pair(NamedTuple):
    """One Flax release beside one jax.

    Attributes:
        flax: a release.
        jax: a version of jax and jaxlib.
        python: the CPython to run it on, ``"3.11"``.
        constraints: exact versions of both and bounds on what they need besides, for
            the command line of an installer or for a constraints file.
    """

    flax: str
    jax: str
    python: str
    constraints: tuple[str, ...]

    @property
    def id(self) -> str:
        """A name without commas: ``flax-0.8.5__jax-0.4.30``."""
        return f"flax-{self.flax}__jax-{self.jax}"

    @property
    def uploaded_before(self) -> str:
        """For the dated pair, the date that its companions must not be newer than."""
        row = facts.release(self.flax)
        return _days_later(row.date, 21) if self.jax == row.jax_dated else ""


def _days_later(date: str, days: int) -> str:
    import datetime

    later = datetime.date.fromisoformat(date) + datetime.timedelta(days)
    return later.isoformat()


def pair(flax: str, jax: str) -> Pair:
    """The pair of these two, with its Python and its companions.

    Example:
        >>> from nnx_compat import matrix
        >>> matrix.pair("0.8.5", "0.4.30").constraints
        ('flax==0.8.5', 'jax==0.4.30', 'jaxlib<=0.4.30')
    """
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

    floors = [_PYTHON, facts.release(flax).python]
    floors += [
        row.python
        for row in facts.interpreters()
        if SpecifierSet(row.jax).contains(jax)
    ]
    companions = [
        row.requires
        for row in facts.companions()
        if SpecifierSet(row.jax).contains(jax)
    ]
    # an old jax takes any later jaxlib by its metadata and refuses it at import; and
    # not every jax has a jaxlib of its own version
    requirements = (f"flax=={flax}", f"jax=={jax}", f"jaxlib<={jax}", *companions)
    return Pair(flax, jax, max(floors, key=Version), requirements)


def dated(flax: str) -> Pair:
    """The dated pair of a release: the newest jax 21 days after it."""
    return pair(flax, facts.release(flax).jax_dated)


def pairs() -> tuple[Pair, ...]:
    """All pairs of the matrix, by release, from the oldest jax to the newest.

    Example:
        >>> from nnx_compat import facts, matrix
        >>> {pair.flax for pair in matrix.pairs()} == {
        ...     release.version for release in facts.releases()
        ... }
        True
    """
    from packaging.version import Version

    return tuple(
        pair(row.version, jax)
        for row in facts.releases()
        for jax in sorted({row.jax_dated, *row.jax_ends}, key=Version)
    )


def conformance() -> list[dict[str, Any]]:
    """What came of Flax's own tests: by release of the tests, then of Flax."""
    from packaging.version import Version

    found: list[dict[str, Any]] = [
        json.loads(file.read_text(encoding="utf-8"))
        for file in CONFORMANCE.glob("*.json")
    ]
    return sorted(found, key=lambda r: (Version(r["tests_of"]), Version(r["flax"])))


def examples() -> list[dict[str, Any]]:
    """What came of the examples of Flax releases, on every release."""
    from packaging.version import Version

    found: list[dict[str, Any]] = [
        json.loads(file.read_text(encoding="utf-8")) for file in EXAMPLES.glob("*.json")
    ]
    return sorted(found, key=lambda record: Version(record["tests_of"]))


def checkpoints() -> list[dict[str, Any]]:
    """What checkpoints of every release came to, by the release that read them."""
    found: list[dict[str, Any]] = [
        json.loads(file.read_text(encoding="utf-8"))
        for file in CHECKPOINTS.glob("*.json")
    ]
    order = [release.version for release in facts.releases()]
    return sorted(found, key=lambda record: order.index(record["reader"]))


def summary(record: dict[str, Any]) -> str:
    """One line on what came of one release's tests on another."""
    judged = sum(row["judged"] for row in record["files"].values())
    parts = [
        f"{way} {sum(row[way] for row in record['files'].values()) / judged:.1%}"
        for way in ("native", "drop-in", "install")
    ]
    text = f"tests of {record['tests_of']} on flax {record['flax']}: "
    return text + f"{judged} judged, " + ", ".join(parts)


def results() -> dict[str, dict[str, Any]]:
    """What the runs recorded, by pair id."""
    return {
        file.stem: json.loads(file.read_text(encoding="utf-8"))
        for file in sorted(RESULTS.glob("*.json"))
    }
