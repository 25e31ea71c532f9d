"""A report as text, JSON, GitHub annotations or SARIF."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .. import __version__
from . import Finding, Report, declared, releases
from .rules import RULES

__all__ = ["FORMATS", "aside", "counted", "runs", "severity", "statistics", "verdict"]


def verdict(report: Report) -> list[str]:
    """What follows from the findings, in a few lines."""
    lines = [*counted(report), *aside(report), runs(report)]
    given = report.declared
    if given is None:
        if report.undeclared:
            lines.append(f"No range of flax found in {', '.join(report.undeclared)}.")
        return lines
    asks = f"{given.where} asks for flax{given.specifier or ' of any version'}: "
    if not given.mask:
        return [*lines, asks + "no release of Flax with NNX is in that"]
    if report.holds:
        open_ones = given.mask & report.likely
        if open_ones:
            left = releases.spelled(open_ones)
            return [*lines, asks + f"holds, but for {left}, where it is only likely"]
        aside_too = report.known or report.aside or report.ignored
        return [
            *lines,
            asks + "holds" + ", but for what is left aside" * bool(aside_too),
        ]
    if not given.mask & ~report.runs:
        return [*lines, asks + "not judged"]
    lines.append(asks + "does not hold")
    fitting = declared.right(report.runs, given)
    if fitting:
        lines.append(f"  instead: flax{fitting}")
    return lines


def severity(report: Report, finding: Finding) -> str:
    """What a finding comes to: it ``breaks``, has another ``meaning``, or ``warns``.

    What breaks only if something is what it seems to be is ``likely``.
    """
    if not finding.excluded:
        return "warns"
    if not finding.error:
        return "meaning"
    return "breaks" if report.counts(finding) else "likely"


#: A verdict never speaks of findings that were taken out as if they were not there.
_BUT = ", but for what is left aside"


def aside(report: Report) -> list[str]:
    """What was left out of the findings, and what a baseline is told too much."""
    lines = []
    parts = [f"{report.known} in the baseline"] if report.known else []
    parts += [f"{report.aside} by the settings"] if report.aside else []
    parts += [f"{report.ignored} by comments"] if report.ignored else []
    if parts:
        lines.append(f"Left aside: {', '.join(parts)}.")
    if report.gone:
        lines.append(
            f"{report.gone} of the baseline are there no more: --write-baseline "
            "writes it anew."
        )
    return lines


def statistics(report: Report) -> str:
    """How many findings each code has, most first."""
    counts = Counter(finding.code for finding in report.findings)
    titles = {rule.code: rule.title for rule in RULES}
    width = len(str(max(counts.values(), default=0)))
    return "\n".join(
        f"{count:>{width}}  {code}  {titles[code]}"
        for code, count in sorted(counts.items(), key=lambda row: (-row[1], row[0]))
    )


_SEVERITIES = {
    "breaks": "breaks", "likely": "likely breaks", "meaning": "changes meaning",
    "warns": "warns",
}  # fmt: skip


def counted(report: Report) -> list[str]:
    """How many findings there are of each severity, when there are several."""
    concerned = list(filter(report.concerns, report.findings))
    counts = Counter(severity(report, finding) for finding in concerned)
    if len(concerned) < 2:
        return []
    parts = [
        f"{counts[key]} {word}" for key, word in _SEVERITIES.items() if counts[key]
    ]
    return [f"{len(concerned)} findings: {', '.join(parts)}."]


def runs(report: Report) -> str:
    """On which releases it runs, as far as it was followed, in a sentence."""
    mask = report.runs
    if not report.met and not report.findings:
        if report.unread:
            return "Not judged: nothing could be read."
        return "Nothing here meets NNX: not judged."
    followed = ""
    if report.lost:
        followed = f", as far as followed ({report.followed} of {report.met} uses)"
    if report.unread:
        n = len(report.unread)
        followed += f", {n} file{'s' if n > 1 else ''} not read"
    if report.known or report.aside or report.ignored:
        followed += _BUT
    if mask == releases.ALL:
        text = f"Runs on every Flax release that has NNX{followed}."
    elif mask:
        text = f"Runs on flax {releases.spelled(mask)}{followed}."
    else:
        text = f"No flax release runs this code{followed}."
    if report.likely:
        text += f" Only likely: not on {releases.spelled(report.likely)}."
    return " ".join([text, *_without(report)])


def _without(report: Report) -> list[str]:
    """What would be gained without the findings of one code, best first."""
    codes = sorted({f.code for f in report.findings if report.counts(f)})
    if len(codes) < 2:
        return []
    gains = {code: report.without(code) for code in codes}
    gained = [
        code for code in sorted(codes, key=lambda c: -gains[c].bit_count())
        if gains[code].bit_count() > report.runs.bit_count()
    ]  # fmt: skip
    return [f"Without {c}: {releases.spelled(gains[c])}." for c in gained[:3]]


def text(
    report: Report,
    everything: bool = False,
    verbose: bool = False,
    quiet: bool = False,
) -> str:
    """A line a finding of the declared range, then the verdict."""
    lines = []
    shown = [f for f in report.findings if everything or report.concerns(f)]
    for finding in shown:
        kind = severity(report, finding)
        likely = "" if finding.certain else " (likely)"
        likely = " (another meaning)" * (kind == "meaning") + likely
        lines.append(f"{finding.where}: {finding.code} {finding.text}{likely}")
        if finding.instead:
            lines.append(f"  instead: {finding.instead}")
    hidden = len(report.findings) - len(shown)
    if quiet:
        return "\n".join(lines)
    lines += [
        f"{where}: unused ignore of {what}: nothing of it is found there"
        for where, what in report.unused
    ]
    if hidden:
        one = hidden == 1
        lines.append(
            f"{hidden} finding{'' if one else 's'} about other releases "
            f"{'is' if one else 'are'} not shown (--all)"
        )
    if verbose:
        lines += [f"{where}: not followed: {why}" for where, why in report.lost]
    return "\n".join([*lines, *verdict(report)])


def _finding(report: Report, finding: Finding) -> dict[str, Any]:
    return {
        "path": finding.path,
        "cell": finding.cell or None,
        "line": finding.line,
        "column": finding.column,
        "end_line": finding.end_line,
        "end_column": finding.end_column,
        "code": finding.code,
        "text": finding.text,
        "certain": finding.certain,
        "severity": severity(report, finding),
        "concerns": report.concerns(finding),
        "excluded": list(releases.listed(finding.excluded)),
        "warns": list(releases.listed(finding.warns)),
        "instead": finding.instead or None,
    }


def as_json(report: Report) -> str:
    """For a machine to read."""
    given = report.declared
    shown: dict[str, Any] = {
        "files": report.files,
        "lines": report.lines,
        "unread": report.unread,
        "findings": [_finding(report, finding) for finding in report.findings],
        "runs": list(releases.listed(report.runs)),
        "likely": list(releases.listed(report.likely)),
        "judged": report.judged,
        "uses": {"met": report.met, "followed": report.followed},
        "not_followed": [{"where": w, "why": why} for w, why in report.lost],
        "aside": {
            "settings": report.aside,
            "comments": report.ignored,
            "baseline": report.known,
            "gone": report.gone,
        },
        "unused_ignores": [{"where": w, "ignores": what} for w, what in report.unused],
        "holds": report.holds,
        "declared": None,
        "right": None,
    }
    if given is not None:
        shown["declared"] = {"where": given.where, "specifier": given.specifier}
        shown["right"] = declared.right(report.runs, given)
    return json.dumps(shown, indent=2)


def github(report: Report) -> str:
    """Workflow commands, which GitHub shows beside the lines of a pull request."""
    lines = []
    for finding in filter(report.concerns, report.findings):
        level = "error" if report.counts(finding) else "warning"
        place = (
            f"file={_property(finding.path)},line={finding.line},col={finding.column},"
            f"endLine={finding.end_line},title={finding.code}"
        )
        more = f"\ninstead: {finding.instead}" if finding.instead else ""
        said = _escaped(finding.text + more)
        lines.append(f"::{level} {place}::{said}")
    return "\n".join([*lines, *verdict(report)])


def _escaped(text: str) -> str:
    """Text of a workflow command, as GitHub's toolkit escapes it."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """A property of a workflow command."""
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")


def _with_remedy(finding: Finding) -> str:
    return finding.text + (f"\ninstead: {finding.instead}" if finding.instead else "")


def _relative(path: str) -> str:
    """A path as the URI of a reference, relative to where the command runs."""
    shown = os.path.relpath(path)
    if shown.startswith(os.pardir):
        return Path(path).resolve().as_uri()
    return quote(shown.replace(os.sep, "/"))


def _fingerprint(finding: Finding) -> str:
    """The same for a finding whose line has moved."""
    known = "\0".join((_relative(finding.path), finding.code, finding.text))
    return hashlib.sha256(known.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def sarif(report: Report) -> str:
    """SARIF 2.1.0, for code scanning (docs.oasis-open.org/sarif)."""
    shown = [finding for finding in report.findings if report.concerns(finding)]
    used = {finding.code for finding in shown}
    rules = [
        {
            "id": rule.code,
            "shortDescription": {"text": rule.title},
            "fullDescription": {"text": rule.why},
            "help": {"text": rule.remedy},
        }
        for rule in RULES
        if rule.code in used
    ]
    results = [
        {
            "ruleId": finding.code,
            "level": "error" if report.counts(finding) else "note",
            "message": {"text": _with_remedy(finding)},
            "partialFingerprints": {"nnxCompat/v1": _fingerprint(finding)},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": _relative(finding.path)},
                        "region": {
                            "startLine": finding.line,
                            "startColumn": finding.column,
                            "endLine": finding.end_line,
                            "endColumn": finding.end_column,
                        },
                    }
                }
            ],
        }
        for finding in shown
    ]
    log = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "nnx-compat",
                        "version": __version__,
                        "rules": rules,
                    }
                },
                "results": results,
                "properties": {"verdict": verdict(report), "holds": report.holds},
            }
        ],
    }
    return json.dumps(log, indent=2)


def badge(report: Report) -> str:
    """What shields.io draws of an endpoint (shields.io/badges/endpoint-badge)."""
    mask = report.runs if report.met and not report.unread else 0
    colour = "brightgreen" if report.holds else "red"
    message = releases.spelled(mask) if mask else "not judged"
    if not report.met or report.unread:
        colour = "lightgrey"
    shown = {"schemaVersion": 1, "label": "flax", "message": message, "color": colour}
    return json.dumps(shown)


FORMATS: dict[str, Callable[..., str]] = {
    "text": text, "json": as_json, "github": github, "sarif": sarif, "badge": badge,
}  # fmt: skip
