"""The band as a grid: flax down, jax across, and below it what breaks where."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from .. import band, facts
from ..band import BESIDES_NNX, Measured
from .markdown import folded, items, paragraph, runs, table

__all__ = ["render"]

_TEXT = """
## Which jax for which Flax

From `nox -s band` (`src/nnx_compat/band/record.jsonl`): {probes} probes of NNX on each
release beside each jax, natively as the release writes them, through `from nnx_compat
import nnx` and after `install()` as the newest release does.

{counts}
`+` every probe passes natively; `o` not natively, but through the drop-in line; `x` NNX
imports and something breaks, see below; `-` it does not import; a blank was not tried,
being beyond two that do not import. A resolver refuses a jax that is older than the one
that a release declares: the ranges in the table of releases leave it out.
"""

_BREAKS = """
### What breaks natively, and where

By its error: where, in which probes, and on how many of the pairs that were measured
through the drop-in line and after `install()` they pass. The probes orbax and linen are
about companions and not about NNX; they leave no sign above.

"""

_US = """
### What breaks through the drop-in line, and where

Of pairs on which NNX imports; what breaks natively as well is above.

"""

_BOUNDS = """
### Bounds on other packages

Beside each pair are the packages of its day: three weeks after the release of Flax, or
when its jax was the newest. Besides what their metadata says:

"""


def render() -> str:
    """The section of ``compat_matrix.md``."""
    every = _served()
    probes = len(band.PROBES) - len(BESIDES_NNX)
    parts = [_TEXT.format(probes=probes, counts=paragraph(_sentence()))]
    parts += [f"\n```text\n{grid()}```\n", _BREAKS, items(breaks(every, "native"))]
    ours = [pair for pair in every if _imports(pair, "drop-in")]
    if alone := breaks(ours, "drop-in", but="native"):
        parts += [_US, items(alone)]
    bounds = [
        [f"jax{row.jax}", f"`{row.requires}`", row.because]
        for row in facts.companions()
    ]
    bounds += [
        [f"jax{row.jax}", f"CPython >= {row.python}", "no wheels for an older one"]
        for row in facts.interpreters()
    ]
    return "".join([*parts, _BOUNDS, table(("with", "needs", "because"), bounds)])


def _served() -> list[Measured]:
    served = {release.version for release in facts.releases()}
    return [pair for pair in band.pairs().values() if pair.flax in served]


class Counts(NamedTuple):
    """How many pairs work in which way.

    Attributes:
        pairs: that were measured.
        native: on which all of NNX works natively.
        asked: that were measured through the drop-in line as well.
        drop_in: on which all of it works through the drop-in line.
        wider: those of them on which it does not natively.
    """

    pairs: int
    native: int
    asked: int
    drop_in: int
    wider: int


def counts() -> Counts:
    """How many pairs of the served releases work in which way."""
    every = _served()
    native, ours = ([p for p in every if p.works(way)] for way in band.WAYS[:2])
    asked = sum(pair.works("drop-in") is not None for pair in every)
    wider = sum(not pair.works("native") for pair in ours)
    return Counts(len(every), len(native), asked, len(ours), wider)


def _sentence() -> str:
    found = counts()
    text = (
        f"Of {found.pairs} pairs, {found.native} work natively. Of the {found.asked} "
    )
    text += f"that were measured through the drop-in line, {found.drop_in} work so, "
    return text + f"{found.wider} of which do not natively."


def _imports(pair: Measured, way: str) -> bool:
    return "import" not in pair.results.get(way, {"import": ""})


def sign(pair: Measured) -> str:
    """The sign of a pair in the grid: ``+``, ``o``, ``x`` or ``-``."""
    if pair.works("native"):
        return "+"
    if pair.works("drop-in"):
        return "o"
    return "x" if any(_imports(pair, way) for way in band.WAYS) else "-"


def jax_versions() -> list[str]:
    """All jax in the record, oldest first."""
    from packaging.version import Version

    return sorted({pair.jax for pair in _served()}, key=Version)


def grid() -> str:
    """The grid as lines of text: heads of series and patch, then a line a release."""
    columns = jax_versions()
    series = [".".join(version.split(".")[:2]) for version in columns]
    patches = [
        version[len(s) + 1 :] for version, s in zip(columns, series, strict=True)
    ]
    width = 3
    flax = max(len(release.version) for release in facts.releases())
    head = ""
    for at, name in enumerate(series):
        if name != (series[at - 1] if at else ""):
            head = head.ljust(at * width + 1) + f"{name}."
    # a fourth number stands below the third
    below = [patch.partition(".")[::2] for patch in patches]
    lines = [" " * flax + head]
    lines += [" " * flax + "".join(patch.rjust(width) for patch, _ in below)]
    fourth = ((f".{last}" if last else "").rjust(width) for _, last in below)
    lines += [" " * flax + "".join(fourth)]
    for release in facts.releases():
        signs = [
            sign(pair) if (pair := band.measured(release.version, jax)) else ""
            for jax in columns
        ]
        lines.append(
            release.version.ljust(flax) + "".join(sign.rjust(width) for sign in signs)
        )
    return "".join(f"{line.rstrip()}\n" for line in lines)


def breaks(every: Iterable[Measured], way: str, but: str = "") -> list[str]:
    """A sentence for each error: where it is, in which probes, and where not with us.

    Args:
        every: the pairs to look at.
        way: in which it fails.
        but: a way in which it does not fail, or ``""``.
    """
    found: dict[str, dict[str, list[Measured]]] = {}
    for pair in every:
        beyond = pair.failing(but) or {} if but else {}
        for probe, text in (pair.failing(way) or {}).items():
            if probe not in beyond:
                found.setdefault(text, {}).setdefault(probe, []).append(pair)
    told = []
    for text, by_probe in found.items():
        there = {(p.flax, p.jax) for pairs in by_probe.values() for p in pairs}
        where = folded((_where(pairs), probe) for probe, pairs in by_probe.items())
        asked = "; ".join(
            f"{', '.join(sorted(probes, key=list(band.PROBES).index))}: flax {at}"
            for at, probes in where.items()
        )
        also = (_passing(by_probe, other) for other in band.WAYS[1:] if not but)
        told.append(f"`{text}` ({_pairs(len(there))}). {asked}.{''.join(also)}")
    return told


def _pairs(number: int) -> str:
    return f"{number} pair{'s' * (number != 1)}"


def _passing(by_probe: dict[str, list[Measured]], way: str) -> str:
    """On how many of the pairs all that fails natively passes in another way."""
    failing = folded(
        ((pair.flax, pair.jax), probe) for probe, ps in by_probe.items() for pair in ps
    )
    every = {(pair.flax, pair.jax): pair for ps in by_probe.values() for pair in ps}
    asked = {
        key: there
        for key, pair in every.items()
        if (there := pair.failing(way)) is not None
    }
    if not asked:
        return ""
    passing = sum(
        "import" not in there and not set(failing[key]) & there.keys()
        for key, there in asked.items()
    )
    called = "the drop-in line" if way == "drop-in" else "`install()`"
    verb = "passes" if len(asked) == 1 else "pass"
    return f" Through {called} {passing} of {_pairs(len(asked))} {verb}."


def _where(pairs: list[Measured]) -> str:
    """``0.10.0-0.10.6 with jax 0.8.3-0.10.2``, releases that break alike together."""
    columns = jax_versions()
    jax = folded((pair.flax, pair.jax) for pair in pairs)
    alike = folded(
        (", ".join(runs(found, columns)), flax) for flax, found in jax.items()
    )
    releases = [release.version for release in facts.releases()]
    return ", and ".join(
        f"{', '.join(runs(flax, releases))} with jax {text}"
        for text, flax in alike.items()
    )
