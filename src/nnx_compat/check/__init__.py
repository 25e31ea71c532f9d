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

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from . import declared, releases, sources
from .declared import Declared
from .findings import Finding
from .sources import SourceError

__all__ = ["Declared", "Finding", "Report", "SourceError", "check", "check_source"]


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
    """

    findings: list[Finding] = field(default_factory=list)
    files: int = 0
    lines: int = 0
    declared: Declared | None = None
    strict: bool = False
    unread: list[str] = field(default_factory=list)

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
        """Whether it runs on every release of the declared range, or on some at all."""
        if self.declared is None:
            return bool(self.runs)
        return not self.declared.mask & ~self.runs


def check(
    paths: Iterable[str],
    *,
    target: str = "",
    strict: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    r"""Check files and folders.

    Args:
        paths: Python sources, notebooks and folders of them.
        target: a PEP 440 specifier of Flax, in place of what the project declares.
        strict: let what is only likely weigh in the verdict.
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
    listed = [str(path) for path in paths]
    report = Report(strict=strict)
    report.declared = declared.target(target) if target else declared.around(listed)
    wanted = list(sources.files(listed))
    for done, path in enumerate(wanted):
        if progress is not None:
            progress(done, len(wanted))
        _check_file(path, report)
    if progress is not None:
        progress(len(wanted), len(wanted))
    return report


def _check_file(path: Path, report: Report) -> None:
    try:
        source = sources.read(path)
        report.findings += check_source(source)
    except SourceError as error:
        report.unread.append(str(error))
        return
    report.files += 1
    report.lines += source.text.count("\n")


def check_source(source: sources.Source) -> list[Finding]:
    """What is found in one module.

    Raises:
        SourceError: it is no Python.
    """
    from .reader import read

    if not source.speaks_of_nnx():
        return []
    try:
        reading = read(source.path, source.tree())
    except RecursionError:
        raise SourceError(f"{source.path}: it is nested too deeply") from None
    return source.reported(reading.findings)
