"""What is installed, whether it fits together, and what to run if it does not.

Imports neither flax nor jax before it has to: a broken pair is what it is here to
explain.
"""

from __future__ import annotations

import functools
import importlib.metadata
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import facts
from .diagnosis import Diagnosis, diagnose
from .errors import NnxCompatError, UnknownFactError

__all__ = ["Report", "examine"]

Results = Mapping[str, Mapping[str, str]]


@dataclass
class Report:
    """What ``examine`` found.

    Attributes:
        versions: of flax, jax, jaxlib, numpy, python; ``None`` where not installed.
        release: the known release that the installed Flax is or belongs to.
        revision: the API revision that serves it, ``""`` when it cannot be bound.
        diagnosis: what is known of the pair, None where one of the two is missing.
        measured: whether the pair is inside the measured range.
        jax_range: the jax versions measured to work with the release.
        behaviours: ids of the changes of meaning that hold here.
        problems: what is off, each with what to run.
        notes: what is worth knowing and not wrong.
        checkpoints: those that it was pointed at: path, form, layout, and what the
            installed Flax would misread.
    """

    versions: dict[str, str | None]
    release: str = ""
    revision: str = ""
    diagnosis: Diagnosis | None = None
    measured: bool = False
    jax_range: str = ""
    behaviours: list[str] = field(default_factory=list)
    problems: list[dict[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    checkpoints: list[dict[str, Any]] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """``"healthy"``, ``"broken"``, or ``"not judged"``: nobody has measured it."""
        if self.problems:
            return "broken"
        return self.diagnosis.verdict if self.diagnosis else "not judged"

    @property
    def healthy(self) -> bool:
        """Whether it was measured and nothing is wrong."""
        return self.verdict == "healthy"

    def problem(self, found: str, run: str) -> None:
        """Add a problem and the command that solves it."""
        self.problems.append({"found": found, "run": run})


def examine(
    probe: Callable[[str], Results] | None = None, checkpoints: Sequence[str] = ()
) -> Report:
    """Look at the installed packages and at what is known of them.

    Args:
        probe: what runs the probes on what is installed, given the release of Flax:
            ``probing.probed``. Without it, what the record and the facts say is told.
        checkpoints: files and folders of any form, to tell whether the installed Flax
            restores them by itself.

    Raises:
        CheckpointNotFoundError: there is nothing at a path.
        CheckpointFormError: what is there is of no known form, or damaged.
    """
    names = ("flax", "jax", "jaxlib", "numpy")
    report = Report({name: _version(name) for name in names})
    report.versions["python"] = platform.python_version()
    for look in (functools.partial(_compare_with_facts, probe=probe), _bind):
        try:
            look(report)
        except Exception as error:  # whatever is installed, it is told of and not shown
            found = f"{type(error).__name__}: {error}".splitlines()[0]
            report.problem(f"what is installed cannot be read: {found}", _REINSTALL)
    report.checkpoints = [_checkpoint(path, report) for path in checkpoints]
    return report


def _checkpoint(path: str, report: Report) -> dict[str, Any]:
    from .checkpoint import read
    from .checkpoint._layout import REMEDY, layout, misread

    contents = read(path)
    found = layout(contents)
    rows = misread(found, report.release) if report.release else []
    return {
        "path": path,
        "form": contents.form,
        "layout": str(found),
        "misread": [{"behaviour": id, "text": text} for id, text in rows],
        "run": REMEDY.replace("PATH", repr(path)) if rows else "",
    }


_REINSTALL = "pip install --force-reinstall flax jax"


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _compare_with_facts(report: Report, probe: Callable[[str], Results] | None) -> None:
    flax, jax = report.versions["flax"], report.versions["jax"]
    served = facts.releases()
    newest = f"pip install --upgrade 'flax>={served[0].version}' jax"
    if flax is None:
        report.problem("flax is not installed", newest)
        return
    try:
        report.release = facts.nearest(flax)
    except UnknownFactError as error:
        report.problem(str(error).splitlines()[0], newest)
        return
    row = facts.release(report.release)
    if row.yanked:
        report.problem(
            f"flax {flax} was yanked from PyPI by its authors ({row.yanked})", newest
        )
        return
    report.jax_range = f"{row.jax_oldest} to {row.jax_newest}"
    if report.release != flax:
        report.notes.append(
            f"flax {flax} is no release that was measured; read as {report.release}"
        )
    if jax is None:
        report.problem("jax is not installed", f"pip install 'jax=={row.jax_dated}'")
        return
    report.behaviours = [b.id for b in facts.behaviours(flax, jax)]
    _diagnose(report, row.version, jax, probe)
    _compare_jax(report, row, jax)


def _compare_jax(report: Report, row: facts.Release, jax: str) -> None:
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

    if row.jax_oldest:
        report.measured = row.measured(jax)
        _compare_range(report, row, jax)
    for companion in facts.companions():
        needed = Requirement(companion.requires)
        found = _version(needed.name)
        if (
            found
            and SpecifierSet(companion.jax).contains(jax)
            and not needed.specifier.contains(found)
        ):
            report.problem(
                f"jax {jax} does not work with {needed.name} {found}: "
                f"{companion.because}",
                f"pip install '{companion.requires}'",
            )


def _compare_range(report: Report, row: facts.Release, jax: str) -> None:
    """Say that jax is outside the range, where nothing more exact is known."""
    from packaging.version import Version

    found = report.diagnosis
    run = f"pip install 'jax>={row.jax_oldest},<={row.jax_newest}'"
    if found is None or found.failing or found.verdict != "broken":
        return
    if Version(jax) < Version(row.jax_oldest):
        which = f"older than {row.jax_oldest}, the oldest"
    else:
        which = f"newer than {row.jax_newest}, the newest"
    report.problem(f"jax {jax} is {which} that works with flax {row.version}", run)


def _diagnose(
    report: Report, flax: str, jax: str, probe: Callable[[str], Results] | None
) -> None:
    results = None
    if probe is not None:
        try:
            results = probe(flax)
        except NnxCompatError as error:
            report.problem(*_parts(error))
    found = diagnose(flax, jax, results)
    report.diagnosis = found
    if found.verdict == "broken" and found.failing:
        report.problem(
            f"flax {flax} does not work with jax {jax}: {', '.join(found.failing)}",
            next((out.run for out in found.ways_out), ""),
        )
    if found.verdict == "not judged":
        report.notes.append(
            f"flax {flax} beside jax {jax} was not measured; "
            "nnx-compat doctor --probe measures it here"
        )
    for id in found.faults:
        fault = facts.fault(id)
        if not {*fault.breaks} & {*found.failing} and found.verdict != "broken":
            doors = " and ".join(fault.repaired) or "nothing of ours"
            report.notes.append(f"{fault.text} ({id}) {doors} repairs it")


def _bind(report: Report) -> None:
    if report.versions["flax"] is None:
        return
    try:
        from . import revisions
    except Exception as error:
        if not report.problems:  # else the cause is listed already
            report.problem(*_parts(error))
    else:
        report.revision = revisions.revision


def _parts(error: Exception) -> tuple[str, str]:
    """What an error found, and what it says to run instead."""
    found, *rest = str(error).splitlines() or [type(error).__name__]
    run = next((x.split(": ", 1)[1] for x in rest if "instead:" in x), "")
    return found, run.strip() or "pip install --upgrade flax jax"


_SOURCES = {
    "probes": "by the probes, run here",
    "record": "by the record of nox -s band",
    "facts": "by the facts",
}


def told(report: Report) -> list[str]:
    """The verdict in a line, then what is wrong, why, and every way out."""
    pair = report.diagnosis
    by = _SOURCES.get(pair.source) if pair else None
    lines = [f"{report.verdict}, {by}" if by else report.verdict]
    for problem in report.problems:
        lines += [f"problem    {problem['found']}", f"  run:     {problem['run']}"]
    if pair and pair.verdict == "broken":
        lines += [f"fails      {name}: {said}" for name, said in pair.failing.items()]
        if pair.source != "facts":  # those have said it already
            lines += [f"because    {facts.fault(id).text}" for id in pair.faults]
        for out in pair.ways_out:
            lines += [f"way out    {out.way}: {out.run}", f"           {out.why}"]
    lines += [f"note       {note}" for note in report.notes]
    for one in report.checkpoints:
        lines.append(f"checkpoint {one['path']}: {one['form']}, {one['layout']}")
        lines += [f"  misread: {row['text']}" for row in one["misread"]]
        lines += [f"  instead: {one['run']}"] if one["run"] else []
    return lines


def as_json(report: Report) -> dict[str, Any]:
    """The report as plain data."""
    pair = report.diagnosis
    return {
        "healthy": report.healthy,
        "verdict": report.verdict,
        "source": pair.source if pair else "",
        "failing": dict(pair.failing) if pair else {},
        "faults": list(pair.faults) if pair else [],
        "ways_out": [out._asdict() for out in pair.ways_out] if pair else [],
        "versions": report.versions,
        "release": report.release,
        "revision": report.revision,
        "measured": report.measured,
        "jax_range": report.jax_range,
        "behaviours": report.behaviours,
        "problems": report.problems,
        "notes": report.notes,
        "checkpoints": report.checkpoints,
        "executable": sys.executable,
    }
