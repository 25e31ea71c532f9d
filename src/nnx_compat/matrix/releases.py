"""One row a release: its facts, and what the records of its test runs say."""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any

from .. import facts
from . import dated, pair, results, source

__all__ = ["count", "of", "recorded", "rows"]

#: A record, None of what was not measured.
Record = dict[str, Any] | None


def recorded(
    release: facts.Release, found: Mapping[str, dict[str, Any]]
) -> dict[str, Record]:
    """The records of a release by jax: the whole suite's first, then the contract's."""
    ends = (jax for jax in release.jax_ends if jax != release.jax_dated)
    pairs = {release.jax_dated: dated(release.version)}
    pairs |= {jax: pair(release.version, jax) for jax in ends}
    return {jax: found.get(one.id) for jax, one in pairs.items()}


def rows(beside: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """One row a release, oldest first; machine-readable.

    Args:
        beside: the source that records are of, or older; the one that is here.
    """
    beside = source.digests(*source.FOLDERS) if beside is None else beside
    every = results()
    groups = _groups(every)
    found = []
    previous: set[str] = set()
    for release in facts.releases():
        holds = {b.id for b in facts.behaviours(release.version)}
        begins = sorted(holds - previous) if previous else []
        ends = sorted(previous - holds)
        previous = holds
        records = list(recorded(release, every).values())
        found.append(
            {
                "flax": release.version,
                "date": release.date,
                "python": f">={release.python}",
                "jax": f"{release.jax_oldest or '?'} - {release.jax_newest or '?'}",
                "contract": " - ".join(release.jax_ends),
                "jax_dated": release.jax_dated,
                "revision": release.revision,
                "tests": _counts(records, beside),
                "passed": _passed(records),
                "older": any(r and not source.is_of(r, beside) for r in records),
                "weights": "".join(groups.get(release.version, "?")),
                "names": str(len(facts.resolved(release.version))),
                "begins": begins,
                "ends": ends,
            }
        )
    return found


def _counts(records: list[Record], beside: Mapping[str, str]) -> str:
    """``2,252 of 2,252; 235 of 235, this source``, said once where all are of one."""
    texts, sources = [], []
    for record in records:
        texts.append(count(record))
        if record is None or not any(beside.values()):
            sources.append("")  # around an installed package there is no source
        else:
            sources.append(f", {of(record, beside)}")
    if len(set(sources)) == 1:
        return "; ".join(texts) + sources[0]
    return "; ".join(map("".join, zip(texts, sources, strict=True)))


def of(record: Mapping[str, Any], beside: Mapping[str, str]) -> str:
    """Whether a record is of the source that is given, in words."""
    return "this source" if source.is_of(record, beside) else "of an older source"


def count(record: Record) -> str:
    """How many tests passed, of how many, as ``2,240 of 2,252 (12 skipped)``."""
    if record is None:
        return "untested"
    text = f"{record['passed']:,}"
    if "collected" in record:
        text += f" of {record['collected']:,}"
    for key in ("failed", "skipped"):
        if record[key]:
            text += f" ({record[key]} {key})"
    return text


def _passed(records: list[Record]) -> str:
    """``2,240; 235; 235``, or ``2 failed``: as short as a row of a terminal is."""
    if failed := sum(record["failed"] for record in records if record):
        return f"{failed:,} failed"
    return "; ".join(f"{r['passed']:,}" if r else "untested" for r in records)


def _groups(recorded: dict[str, dict[str, Any]]) -> dict[str, list[str]]:
    """For each release the letters of its weights, default and reproducible.

    Two releases are in one group when the layers that both have agree.
    """
    letters: dict[str, list[str]] = {}
    for kind in ("default", "reproducible"):
        known: list[dict[str, list[float]]] = []
        for release in facts.releases():
            record = recorded.get(dated(release.version).id)
            if record is None:
                continue
            layers = record["weights"][kind]
            weights = {name: row["rounded"] for name, row in layers.items()}
            letter = string.ascii_uppercase[_group_of(weights, known)]
            letters.setdefault(release.version, []).append(letter)
    return letters


def _group_of(
    weights: dict[str, list[float]], known: list[dict[str, list[float]]]
) -> int:
    """The index of the group that agrees with these weights, a new one if none does."""
    for index, group in enumerate(known):
        if all(_close(group[n], weights[n]) for n in group.keys() & weights):
            group.update({n: w for n, w in weights.items() if n not in group})
            return index
    known.append(dict(weights))
    return len(known) - 1


def _close(one: list[float], two: list[float]) -> bool:
    # both were rounded to 5 digits, so a last bit may show as one unit of the fifth
    return all(abs(a - b) < 1.5e-5 for a, b in zip(one, two, strict=True))
