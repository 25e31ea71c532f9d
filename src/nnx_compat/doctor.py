"""What is installed, whether it fits together, and what to run if it does not.

Imports neither flax nor jax before it has to: a broken pair is what it is here to
explain.
"""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from dataclasses import dataclass, field
from typing import Any

from . import facts
from .errors import UnknownFactError

__all__ = ["Report", "examine"]


@dataclass
class Report:
    """What ``examine`` found.

    Attributes:
        versions: of flax, jax, jaxlib, numpy, python; ``None`` where not installed.
        release: the known release that the installed Flax is or belongs to.
        revision: the API revision that serves it, ``""`` when it cannot be bound.
        measured: whether the pair is inside the measured range.
        jax_range: the jax versions measured to work with the release.
        behaviours: ids of the changes of meaning that hold here.
        problems: what is off, each with what to run.
        notes: what is worth knowing and not wrong.
    """

    versions: dict[str, str | None]
    release: str = ""
    revision: str = ""
    measured: bool = False
    jax_range: str = ""
    behaviours: list[str] = field(default_factory=list)
    problems: list[dict[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def problem(self, found: str, run: str) -> None:
        """Add a problem and the command that solves it."""
        self.problems.append({"found": found, "run": run})


def examine() -> Report:
    """Look at the installed packages and at what the facts know of them."""
    names = ("flax", "jax", "jaxlib", "numpy")
    report = Report({name: _version(name) for name in names})
    report.versions["python"] = platform.python_version()
    _compare_with_facts(report)
    _bind(report)
    return report


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _compare_with_facts(report: Report) -> None:
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
    _compare_jax(report, row, jax)


def _compare_jax(report: Report, row: facts.Release, jax: str) -> None:
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

    at = Version(jax)
    if not row.jax_oldest:
        return  # not measured yet
    report.measured = row.measured(jax)
    if at < Version(row.jax_oldest):
        report.problem(
            f"jax {jax} is older than {row.jax_oldest}, the oldest that works with "
            f"flax {row.version}",
            f"pip install 'jax>={row.jax_oldest},<={row.jax_newest}'",
        )
    newest_known = max(Version(r.jax_newest) for r in facts.releases())
    if at > Version(row.jax_newest):
        if at > newest_known:
            report.notes.append(f"jax {jax} is newer than every jax that was measured")
        else:
            report.problem(
                f"jax {jax} is newer than {row.jax_newest}, the newest that works with "
                f"flax {row.version}",
                f"pip install 'jax>={row.jax_oldest},<={row.jax_newest}'",
            )
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


def _bind(report: Report) -> None:
    if report.versions["flax"] is None:
        return
    try:
        from . import revisions
    except Exception as error:
        if report.healthy:  # else the cause is listed already
            found = str(error).splitlines()
            run = next((x.split(": ", 1)[1] for x in found if "instead:" in x), "")
            report.problem(found[0], run.strip() or "pip install --upgrade flax jax")
    else:
        report.revision = revisions.revision


def as_json(report: Report) -> dict[str, Any]:
    """The report as plain data."""
    return {
        "healthy": report.healthy,
        "versions": report.versions,
        "release": report.release,
        "revision": report.revision,
        "measured": report.measured,
        "jax_range": report.jax_range,
        "behaviours": report.behaviours,
        "problems": report.problems,
        "notes": report.notes,
        "executable": sys.executable,
    }
