"""What is broken on a pair of Flax and jax, why, and every way out of it.

From what was measured: the record of the band, or the probes run here and now; where
neither speaks, from the facts. Imports neither flax nor jax.

    >>> from nnx_compat import facts
    >>> from nnx_compat.diagnosis import diagnose
    >>> release = facts.release(facts.fault("tabulate-compiles").intervals[0].first)
    >>> diagnose(release.version, release.jax_dated).verdict
    'healthy'
    >>> jax = facts.fault("tabulate-compiles").jax.removeprefix(">=")
    >>> [out.way for out in diagnose(release.version, jax).ways_out]
    ['another jax', 'another flax', 'drop-in', 'install']
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from . import band, facts

__all__ = ["Diagnosis", "WayOut", "diagnose"]

Results = Mapping[str, Mapping[str, str]]


class WayOut(NamedTuple):
    """One way out.

    Attributes:
        way: ``"another jax"``, ``"another flax"``, ``"drop-in"`` or ``"install"``.
        run: what to run or to write.
        why: what is known of it.
    """

    way: str
    run: str
    why: str


class Diagnosis(NamedTuple):
    """What is known of a pair.

    Attributes:
        verdict: ``"healthy"``, ``"broken"`` or ``"not judged"``; of NNX, natively.
        source: ``"probes"`` run here, ``"record"`` of the band, ``"facts"``, or ``""``.
        failing: the error of each probe that fails natively, by probe; from the facts
            alone by public name.
        faults: the ids of the facts' faults that this pair has.
        ways_out: empty when nothing of NNX fails.
    """

    verdict: str
    source: str
    failing: Mapping[str, str]
    faults: tuple[str, ...]
    ways_out: tuple[WayOut, ...]


def diagnose(flax: str, jax: str, results: Results | None = None) -> Diagnosis:
    """Say what is broken on a pair.

    Args:
        flax: a release in the facts.
        jax: a version.
        results: of the probes run on it, by way and probe; without it, the record's.
    """
    source = "probes"
    if results is None:
        row = band.measured(flax, jax)
        results, source = (row.results, "record") if row else ({}, "facts")
    pair = band.Measured(flax, jax, {}, results)
    faults = [fault for fault in facts.faults().values() if fault.holds(flax, jax)]
    probed = [fault for fault in faults if _PROBED & {*fault.breaks}]
    failing, works = pair.failing("native"), pair.works("native")
    if failing is None or works is None:
        source = "facts"
        failing = {
            name: fault.text
            for fault in probed
            for name in fault.breaks
            if name in _PROBED
        }
        works = False if probed else _in_range(flax, jax)
    return Diagnosis(
        {True: "healthy", False: "broken", None: "not judged"}[works],
        "" if works is None else source,
        failing,
        tuple(fault.id for fault in faults),
        () if works is not False else tuple(_ways_out(pair, probed)),
    )


#: The public names that the probes try; the facts know faults of others too.
_PROBED = {"import", "nnx.Module", "nnx.Variable", *(f"nnx.{p}" for p in band.PROBES)}


def _in_range(flax: str, jax: str) -> bool | None:
    """Whether it is between versions that work; None when it is newer than all."""
    from packaging.version import Version

    row = facts.release(flax)
    if not row.jax_oldest:
        return None
    if row.measured(jax):
        return True
    newest = max(Version(other.jax_newest) for other in facts.releases())
    return None if Version(jax) > newest else False


def _ways_out(pair: band.Measured, probed: list[facts.Fault]) -> Iterator[WayOut]:
    row = facts.release(pair.flax)
    if row.jax_oldest:
        bounds = f"jax>={row.jax_oldest},<={row.jax_newest}"
        yield WayOut("another jax", f"pip install '{bounds}'", "all probes pass there")
    others = [r.version for r in facts.releases() if _works(r.version, pair.jax)]
    if others:
        worded = facts.worded(facts.spanning(others))
        yield WayOut(
            "another flax",
            f"pip install 'flax=={others[-1]}'",
            f"all probes pass beside jax {pair.jax} on flax {worded}",
        )
    for way, run in (
        ("drop-in", "from nnx_compat import nnx"),
        ("install", "nnx-compat run, or nnx_compat.install() before Flax is imported"),
    ):
        works = pair.works(way)
        if works:
            yield WayOut(way, run, "all probes pass through it here")
        elif works is None and probed and _repairs(way, pair, probed):
            yield WayOut(way, run, "it repairs what the facts name; not measured here")


def _works(flax: str, jax: str) -> bool:
    row = band.measured(flax, jax)
    works = row.works("native") if row else None
    if works is not None:
        return works
    faults = [fault for fault in facts.faults().values() if fault.holds(flax, jax)]
    broken = any(_PROBED & {*fault.breaks} for fault in faults)
    return facts.release(flax).measured(jax) and not broken


def _repairs(way: str, pair: band.Measured, probed: list[facts.Fault]) -> bool:
    """Whether a door repairs every fault, and what fails is of one of them."""
    names = {name.removeprefix("nnx.") for fault in probed for name in fault.breaks}
    failing = {*(pair.failing("native") or {})} - {*band.BESIDES_NNX}
    # where there is no Module, nothing that needs one works
    explained = bool(names & {"import", "Module"}) or failing <= names
    return explained and all(way in fault.repaired for fault in probed)
