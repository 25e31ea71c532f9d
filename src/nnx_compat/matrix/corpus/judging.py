"""What follows from a record of the corpus: whose fault a failure is, and the rates.

An item fails *because of Flax* when its error ends in Flax, in the package or in one
that it stands on, and either passes on another release or names NNX. What fails for
want of another library, for another jax or for the syntax of a newer Python is not
judged, and neither is what passes on no release without naming NNX: there the harness
did not know how to call it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from packaging.specifiers import SpecifierSet

__all__ = ["Alarm", "Cell", "Rates", "cells", "rates"]

#: Findings about a change of meaning, or a warning: to run is no proof against them.
_OF_MEANING = ("NC110", "NC4", "NC5")
_STAGES = ("build", "split", "call", "step")
_JAX = re.compile(
    r"(from|module) '?(jax|jaxlib)\b|\bjax\.\w+.* has no attribute"
    r"|^TypeError: register_dataclass\(\)"
)
_LINK = re.compile(r"https?://\S+")
#: A class of another library may begin with Flax, and is none of Flax.
_NNX = re.compile(r"\b(flax|nnx)\b")
#: What is refused when a Module has been made: nothing of the package is on the stack.
_ATTRIBUTE = re.compile(r"static attribute '(\w+)' of Pytree type")
_MISSING = re.compile(r"(No module named|cannot import name .* from) '([\w.]+)'?")


@dataclass(frozen=True)
class Alarm:
    """A finding on a line that ran on a release that it excludes.

    Attributes:
        at: ``file:line``.
        code: of the rule.
        flax: the release.
        true: whether an error that is Flax's passed through it; else nothing came.
    """

    at: str
    code: str
    flax: str
    true: bool


@dataclass
class Cell:
    """A package on a release.

    Attributes:
        package: its id.
        flax: the release.
        passed: the items that pass natively.
        failing: those that fail because of Flax natively, with the error of each.
        after: of each other way, the items that pass there; absent if not measured.
        errors: of each other way, the error of each item that has one.
        uncertain: of each way, the items of which nothing is known: out of time.
        said: whether the checker says that the package runs here; None if not asked,
            and where it says that it is not judged.
        open: whether the checker says of this release that it is not judged.
        declared: whether the package's metadata admit this release.
        missed: of the failing items with an error of their own, those of which the
            checker says nothing in the file that it comes from.
        own: how many failing items have an error of their own, from this package or
            Flax.
        alarms: the checker's findings that can be judged.
    """

    package: str
    flax: str
    passed: set[str]
    failing: dict[str, str]
    after: dict[str, set[str]] = field(default_factory=dict)
    errors: dict[str, dict[str, str]] = field(default_factory=dict)
    uncertain: dict[str, set[str]] = field(default_factory=dict)
    said: bool | None = None
    open: bool = False
    declared: bool = False
    missed: dict[str, str] = field(default_factory=dict)
    own: int = 0
    alarms: list[Alarm] = field(default_factory=list)

    @property
    def judged(self) -> bool:
        """Whether anything can be said: something passes, or fails because of Flax."""
        return bool(self.passed or self.failing)

    def left(self, way: str) -> set[str]:
        """What fails because of Flax natively, and still does not pass in a way."""
        return self.failing.keys() - self.after[way] - self.uncertain[way]

    def broken(self, way: str) -> set[str]:
        """What passes natively and does not in a way."""
        return self.passed - self.after[way] - self.uncertain[way]


def cause(error: Mapping[str, Any], passes_elsewhere: bool) -> str:
    """Whose fault an error is.

    Returns:
        ``"flax"``, or why it is not judged: ``"jax"``, ``"dependency"``, ``"python"``,
        ``"other"``.
    """
    text = error["error"]
    # that an error of Flax links to its own documentation says nothing
    said = _LINK.sub("", text).lower()
    names_nnx = "nnx" in said or "flax" in said
    if error["ends"] == "syntax":
        return "python"
    if not names_nnx and _JAX.search(text):
        return "jax"
    missing = _MISSING.search(text)
    if missing and not (names_nnx and _NNX.search(text)):
        return "dependency"
    if error["ends"] not in ("flax", "package", "beside", "ours"):
        return "other"
    if text.startswith("AssertionError") and not names_nnx:
        return "other"  # of a package's own test: numbers are jax's too
    return "flax" if names_nnx or passes_elsewhere else "other"


def cells(record: Mapping[str, Any]) -> list[Cell]:
    """All cells of a record that were measured natively, by release."""
    native = {
        flax: ways["native"]
        for flax, ways in record["cells"].items()
        if "native" in ways
    }
    where: dict[str, set[str]] = {}
    for flax, cell in native.items():
        for item in cell["passed"]:
            where.setdefault(item, set()).add(flax)
    package = f"{record['package']}-{record['version']}"
    found = []
    for flax in sorted(native, key=_version):
        one = _cell(package, flax, native[flax], where, record["items"])
        declared = record.get("declared", "").removeprefix("flax")
        one.declared = bool(declared) and SpecifierSet(declared).contains(flax)
        for way, cell in record["cells"][flax].items():
            if way != "native":
                one.after[way] = set(cell["passed"])
                one.errors[way] = {
                    item: e["error"] for e in cell["errors"] for item in e["items"]
                }
                one.uncertain[way] = _uncertain(cell, record["items"])
        if "check" in record:
            _checked(one, record["check"], native[flax])
        found.append(one)
    return found


def _version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


def _uncertain(cell: Mapping[str, Any], items: Iterable[str]) -> set[str]:
    """What ran out of time, and what was not come to when the whole was stopped."""
    if "ended" not in cell:
        return set(cell["timed"])
    failing = {item for error in cell["errors"] for item in error["items"]}
    return set(items) - set(cell["passed"]) - failing


def _cell(
    package: str,
    flax: str,
    cell: Mapping[str, Any],
    where: Mapping[str, set[str]],
    items: list[str],
) -> Cell:
    whose: dict[str, tuple[str, str]] = {}  # of items with an error: cause and text
    for error in cell["errors"]:
        for item in error["items"]:
            why = cause(error, bool(where.get(item, set()) - {flax}))
            whose[item] = (why, error["error"])
    failing = {item: text for item, (why, text) in whose.items() if why == "flax"}
    own = len(failing.keys() - _elsewhere(cell))
    known = set(cell["passed"]) | whose.keys() | _uncertain(cell, items)
    for item in items:  # those that were not reached, for the reason of another's
        if item not in known and item in where:
            why, text = next((whose[b] for b in _before(item) if b in whose), ("", ""))
            if why == "flax":
                failing[item] = text
    return Cell(package, flax, set(cell["passed"]), failing, own=own)


def _elsewhere(cell: Mapping[str, Any]) -> set[str]:
    """The items whose errors come from another package that this one imports."""
    errors = (error for error in cell["errors"] if error["ends"] == "beside")
    return {item for error in errors for item in error["items"]}


def _before(item: str) -> Iterable[str]:
    """The items that have to pass for one to be reached, the nearest first."""
    kind, _, name = item.partition(" ")
    if kind in _STAGES:
        for stage in reversed(_STAGES[: _STAGES.index(kind)]):
            yield f"{stage} {name}"
    if kind == "test":
        yield f"test {name.partition('::')[0]}"
    while "." in name:
        name = name.rpartition(".")[0]
        yield f"import {name}"


def _checked(one: Cell, check: Mapping[str, Any], native: Mapping[str, Any]) -> None:
    """Put beside a cell what the checker says of it."""
    here = [f for f in check["findings"] if one.flax in f["excluded"].split()]
    certain = [finding for finding in here if finding["certain"]]
    one.said = one.flax in check["runs"].split()
    if one.said and here:
        one.said = None
    one.open = one.said is None
    files = {finding["at"].rpartition(":")[0] for finding in certain}
    through: set[str] = set()
    for error in native["errors"]:
        frames = error["frames"]
        blamed = [item for item in error["items"] if item in one.failing]
        if blamed:
            through |= set(frames)
        if error["ends"] == "beside":
            continue  # the checker was not given the file that this comes from
        named = _ATTRIBUTE.search(error["error"])
        known = named and any(named[1] == f.get("about") for f in certain)
        for item in blamed:
            if not known and not _files_of(item, frames) & files:
                one.missed[item] = error["error"]
    for finding in certain:
        provable = finding["runs_with_line"]
        if finding["code"].startswith(_OF_MEANING) or not provable:
            continue
        file, _, line = finding["at"].rpartition(":")
        true = finding["at"] in through
        if true or (file, int(line)) in native["clean"]:
            one.alarms.append(Alarm(finding["at"], finding["code"], one.flax, true))


def _files_of(item: str, frames: list[str]) -> set[str]:
    """Where the cause of a failing item may be: the innermost file, its own module."""
    found = {frame.rpartition(":")[0] for frame in frames[-1:]}
    kind, _, name = item.partition(" ")
    if kind in _STAGES:
        stem = name.rpartition(".")[0].replace(".", "/")
        found |= {f"{stem}.py", f"{stem}/__init__.py"}
    return found


@dataclass
class Rates:
    """The sums over all cells.

    Attributes:
        cells: measured natively.
        judged: of these, those of which anything can be said.
        failing: of these, those in which something fails because of Flax.
        missed: of these, those of which the checker says that they run.
        declared: of the judged cells, those that the packages' metadata admit.
        declared_failing: of these, those in which something fails because of Flax.
        refused: judged cells without a failure of which it says that they do not run.
        open: of the failing cells, those of which it says that they are not judged.
        passing_open: and of those without a failure.
        items: that pass or fail because of Flax.
        own: that fail because of Flax with an error of their own, from the package or
            Flax.
        missed_items: of these, those of which the checker says nothing.
        alarms: findings on lines that ran on a release that they exclude.
        false: of these, those of which nothing came.
        ways: for each way, its own counts.
    """

    cells: int = 0
    judged: int = 0
    failing: int = 0
    missed: int = 0
    declared: int = 0
    declared_failing: int = 0
    refused: int = 0
    open: int = 0
    passing_open: int = 0
    items: int = 0
    own: int = 0
    missed_items: int = 0
    alarms: int = 0
    false: int = 0
    ways: dict[str, dict[str, int]] = field(default_factory=dict)


def rates(found: Iterable[Cell]) -> Rates:
    """Sum cells up.

    Example:
        >>> from nnx_compat.matrix.corpus import judging
        >>> judging.rates([]).cells
        0
    """
    total = Rates()
    for cell in found:
        total.cells += 1
        if not cell.judged:
            continue
        total.judged += 1
        total.failing += bool(cell.failing)
        total.missed += bool(cell.failing) and cell.said is True
        total.declared += cell.declared
        total.declared_failing += cell.declared and bool(cell.failing)
        total.refused += not cell.failing and cell.said is False
        total.open += bool(cell.failing) and cell.open
        total.passing_open += not cell.failing and cell.open
        total.items += len(cell.passed) + len(cell.failing)
        total.own += cell.own
        total.missed_items += len(cell.missed)
        total.alarms += len(cell.alarms)
        total.false += sum(not alarm.true for alarm in cell.alarms)
        for way in cell.after:
            counts = total.ways.setdefault(way, dict.fromkeys(_COUNTS, 0))
            broken, left = cell.broken(way), cell.left(way)
            counts["cells"] += 1
            counts["failing"] += bool(cell.failing)
            counts["repaired"] += bool(cell.failing) and not left
            counts["items"] += len(cell.passed)
            counts["broken"] += len(broken)
            counts["cells broken"] += bool(broken)
            counts["items failing"] += len(cell.failing)
            counts["items repaired"] += len(cell.failing) - len(left)
    return total


_COUNTS = ("cells", "failing", "repaired", "items", "broken", "cells broken",
           "items failing", "items repaired")  # fmt: skip
