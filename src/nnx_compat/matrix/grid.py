"""The band as a grid: flax down, jax across, and below it what breaks where."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from .. import band, facts
from ..band import BESIDES_NNX, Measured

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

**drop-in**, **install()**: on how many of these pairs the same probe passes that way.
The last two probes are about companions and not about NNX; they leave no sign above.
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


def render(table: Callable[[tuple[str, ...], list[list[str]]], str]) -> str:
    """The section of ``compat_matrix.md``.

    Args:
        table: what makes a table of Markdown from heads and rows.
    """
    every = _served()
    names = ("probe", "error", "pairs", "flax: jax", "drop-in", "install()")
    parts = [
        _TEXT.format(probes=len(band.PROBES) - len(BESIDES_NNX), counts=_sentence()),
        f"```text\n{grid()}```\n",
        _BREAKS,
        table(names, breaks(every, "native")),
    ]
    ours = [pair for pair in every if _imports(pair, "drop-in")]
    alone = breaks(ours, "drop-in", but="native")
    if alone:
        parts += [_US, table(names[:4], [row[:4] for row in alone])]
    bounds = [
        [f"jax{row.jax}", f"`{row.requires}`", row.because]
        for row in facts.companions()
    ]
    bounds += [
        [f"jax{row.jax}", f"CPython >= {row.python}", "no wheels for an older one"]
        for row in facts.interpreters()
    ]
    parts += [_BOUNDS, table(("with", "needs", "because"), bounds)]
    return "\n".join(parts)


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
    width = max(map(len, patches), default=1) + 1
    flax = max(len(release.version) for release in facts.releases())
    head = ""
    for at, name in enumerate(series):
        if name != (series[at - 1] if at else ""):
            head = head.ljust(at * width + 1) + f"{name}."
    lines = [" " * flax + head]
    lines += [" " * flax + "".join(patch.rjust(width) for patch in patches)]
    for release in facts.releases():
        signs = [
            sign(pair) if (pair := band.measured(release.version, jax)) else ""
            for jax in columns
        ]
        lines.append(
            release.version.ljust(flax) + "".join(sign.rjust(width) for sign in signs)
        )
    return "".join(f"{line.rstrip()}\n" for line in lines)


def breaks(every: Iterable[Measured], way: str, but: str = "") -> list[list[str]]:
    """A row for each error of a probe: where it is, and where it is not with us.

    Args:
        every: the pairs to look at.
        way: in which it fails.
        but: a way in which it does not fail, or ``""``.
    """
    found: dict[tuple[str, str], list[Measured]] = {}
    for pair in every:
        beyond = pair.failing(but) or {} if but else {}
        for probe, text in (pair.failing(way) or {}).items():
            if probe not in beyond:
                found.setdefault((probe, text), []).append(pair)
    order = {probe: at for at, probe in enumerate(band.PROBES)}
    return [
        [
            probe,
            f"`{text}`",
            str(len(pairs)),
            _where(pairs),
            *(_passing(pairs, probe, other) for other in band.WAYS[1:]),
        ]
        for (probe, text), pairs in sorted(found.items(), key=lambda i: order[i[0][0]])
    ]


def _passing(pairs: list[Measured], probe: str, way: str) -> str:
    asked = [found for pair in pairs if (found := pair.failing(way)) is not None]
    if not asked:
        return "not measured"
    passing = sum(probe not in found and "import" not in found for found in asked)
    return f"{passing} of {len(asked)}"


def _where(pairs: list[Measured]) -> str:
    """``0.10.0-0.10.6: 0.8.3-0.10.2``, releases that break alike together."""
    columns = jax_versions()
    by_flax: dict[str, str] = {}
    for flax in dict.fromkeys(pair.flax for pair in pairs):
        there = [pair.jax for pair in pairs if pair.flax == flax]
        by_flax[flax] = ", ".join(_runs(there, columns))
    alike: dict[str, list[str]] = {}
    for flax, text in by_flax.items():
        alike.setdefault(text, []).append(flax)
    releases = [release.version for release in facts.releases()]
    return "; ".join(
        f"{', '.join(_runs(flax, releases))}: {text}" for text, flax in alike.items()
    )


def _runs(some: list[str], every: list[str]) -> list[str]:
    """The runs of some of a list, each as ``first-last``."""
    runs: list[list[str]] = []
    at = -2
    for version in some:
        index = every.index(version)
        if index != at + 1:
            runs.append([])
        runs[-1].append(version)
        at = index
    return [run[0] if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
