"""The static checker: which Flax releases a piece of code runs on, and why.

``check`` reads Python sources and notebooks; nothing is imported or run, and neither
Flax nor jax has to be installed. The flow: ``sources`` -> ``reader`` (what is known of
values, and on which releases a line is reached) -> ``rules`` (what differs between
releases, from the facts) -> ``Report`` (the verdict), which ``output`` prints. What the
rules propose to write instead, ``rewrites``, is applied by ``fixing``.

Shared by all: ``syntax`` and ``values`` (what an expression is), ``kinds`` (which class
of NNX), ``modules`` (what a path names), ``masks`` and ``releases`` (the facts as sets
of releases), ``events`` (what the reader shows to the rules).
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import baseline, declared, releases, sources
from .declared import Declared
from .findings import Finding, quoted
from .program import Program
from .settings import Settings
from .settings import found as found_settings
from .sources import Source, SourceError

if TYPE_CHECKING:
    from .reader import Reading

__all__ = [
    "Declared", "Finding", "Report", "Settings", "SourceError", "check", "check_source",
]  # fmt: skip


@dataclass
class Report:
    """What was found in all files, and what follows.

    Attributes:
        findings: in the order of files and lines.
        files: how many were read.
        lines: how many they have.
        declared: the range that the project declares, or that was given.
        strict: whether what is only likely counts.
        unread: the files that could not be read, and why.
        met: at how many places code meets NNX.
        lost: those of them that could not be followed, and why.
        undeclared: the files of the project in which no range of Flax was found.
        share: with ``strict``, how much of ``met`` has to be followed, 0 to 1.
        aside: how many findings the settings leave aside.
        ignored: how many comments in the code leave aside.
        known: how many findings are in the baseline; None without one.
        gone: how many of the baseline are there no more.
        unused: comments that ignore what is not found there: place, what they name.
    """

    findings: list[Finding] = field(default_factory=list)
    files: int = 0
    lines: int = 0
    declared: Declared | None = None
    strict: bool = False
    unread: list[str] = field(default_factory=list)
    met: int = 0
    lost: list[tuple[str, str]] = field(default_factory=list)
    undeclared: list[str] = field(default_factory=list)
    share: float = 0.0
    aside: int = 0
    ignored: int = 0
    known: int | None = None
    gone: int = 0
    unused: list[tuple[str, str]] = field(default_factory=list)

    @property
    def followed(self) -> int:
        """At how many of the places where code meets NNX it is known what is met."""
        return self.met - len(self.lost)

    @property
    def judged(self) -> bool:
        """Whether there was something to judge, and enough of it could be followed."""
        enough = self.followed >= self.share * self.met
        return bool(self.met) and not self.unread and (enough or not self.strict)

    @property
    def likely(self) -> int:
        """The releases that only a likely finding excludes, as bits: not judged."""
        mask = 0
        for finding in self.findings:
            if not self.counts(finding):
                mask |= finding.excluded
        return mask & self.runs

    def note(self, reading: Reading) -> None:
        """Count where a file meets NNX, and where that could not be followed."""
        lost = {
            place: why
            for place, why in reading.lost.items()
            if place not in reading.met
        }
        self.met += len(reading.met) + len(lost)
        for (line, column), why in sorted(lost.items()):
            where = reading.unit.source.place(line, column + 1)
            self.lost.append((where, why))

    def counts(self, finding: Finding) -> bool:
        """Whether a finding weighs in the verdict."""
        return bool(finding.excluded) and (finding.certain or self.strict)

    def concerns(self, finding: Finding) -> bool:
        """Whether a finding is about a release of the declared range."""
        inside = releases.ALL if self.declared is None else self.declared.mask
        return bool((finding.excluded | finding.warns) & inside)

    @property
    def runs(self) -> int:
        """The releases on which the code runs, as bits."""
        return self.without()

    def without(self, code: str = "") -> int:
        """The releases on which it would run without the findings of a code."""
        mask = releases.ALL
        for finding in self.findings:
            if self.counts(finding) and finding.code != code:
                mask &= ~finding.excluded
        return mask

    @property
    def holds(self) -> bool:
        """Whether it runs on every release of the declared range, or on some at all.

        A range without a release, and code that could not be judged, do not hold; and
        with a baseline nothing that is not in it.
        """
        if self.unread or (self.strict and not self.judged):
            return False
        if self.known is not None:
            concerned = filter(self.concerns, self.findings)
            return not any(map(self.counts, concerned))
        if self.declared is None:
            return bool(self.runs) and bool(self.met)
        return (
            bool(self.met and self.declared.mask)
            and not self.declared.mask & ~self.runs
        )


def check(
    paths: Iterable[str],
    *,
    target: str = "",
    strict: bool = False,
    share: float = 0.0,
    settings: Settings | None = None,
    piped: Mapping[str, str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    r"""Check files and folders.

    Args:
        paths: Python sources, notebooks and folders of them.
        target: a PEP 440 specifier of Flax, in place of what the project declares.
        strict: let what is only likely weigh in the verdict.
        share: with ``strict``, how much of the uses of NNX has to be followed, 0 to 1.
        settings: what to leave aside; what the nearest pyproject.toml has under
            ``[tool.nnx-compat]``, when they are not given.
        piped: text that is no file, by the name that it is to have.
        progress: told how many files are done, and of how many.

    Raises:
        SourceError: a path is not there, or the range is none. A file that cannot be
            read is in the report's ``unread``.

    Example:
        >>> import pathlib, tempfile
        >>> from nnx_compat.check import check
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = pathlib.Path(folder, "model.py")
        ...     _ = file.write_text("from flax import nnx\nview = nnx.view\n")
        ...     report = check([str(file)])
        >>> [finding.code for finding in report.findings]
        ['NC104', 'NC101']
        >>> from nnx_compat import facts
        >>> facts.name("nnx.view").on(releases.listed(report.runs)[0])
        True
    """
    piped = piped or {}
    given = [str(path) for path in paths]
    listed = [*given, *piped]
    report = Report(strict=strict, share=share)
    if settings is None:
        settings = found_settings(listed)
    if target:
        report.declared = declared.target(target)
    elif settings.target:
        where = "[tool.nnx-compat] target"
        report.declared = declared.target(settings.target, where)
    else:
        looked = declared.search(listed)
        report.declared, report.undeclared = looked.declared, looked.looked
        report.unread += looked.unread
    found = [Source(name, text) for name, text in piped.items()]
    wanted = list(filter(settings.reads, sources.files(given, report.unread)))
    for done, path in enumerate(wanted):
        if progress is not None:
            progress(done, len(wanted))
        try:
            found.append(sources.read(path))
        except SourceError as error:
            report.unread.append(str(error))
    _check_program(found, report)
    _leave_aside(report, settings)
    if progress is not None:
        progress(len(wanted), len(wanted))
    return report


def _leave_aside(report: Report, settings: Settings) -> None:
    """Take out what the settings ignore, and what the baseline has."""
    kept = list(filter(settings.keeps, report.findings))
    report.aside = len(report.findings) - len(kept)
    report.findings = kept
    file = settings.baseline_file
    if file is not None:
        report.findings, report.known, report.gone = baseline.new(kept, file)


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Look for no garbage: trees hold none, and looking through them is not linear."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _check_program(found: list[Source], report: Report) -> None:
    with _uncollected():
        _report_on(found, report)


def _report_on(found: list[Source], report: Report) -> None:
    from .reader import read

    program = Program(found)
    readings = {reading.path: reading for reading in read(program)}
    report.unread += program.unread.values()
    for source in found:
        if source.path in program.unread:
            continue
        report.files += 1
        report.lines += source.text.count("\n")
        for cell, why in source.bad:
            report.met += 1
            report.lost.append((f"{quoted(source.path)}:cell {cell}", why))
        reading = readings.get(source.path)
        if reading is not None:
            kept = source.reported(reading.findings)
            report.findings += kept
            report.ignored += len(set(reading.findings)) - len(kept)
            report.unused += source.unused(reading.findings)
            report.note(reading)


def check_source(source: Source) -> list[Finding]:
    """What is found in one module.

    Raises:
        SourceError: it is no Python.
    """
    report = Report()
    _check_program([source], report)
    for error in report.unread:
        raise SourceError(error)
    return report.findings
