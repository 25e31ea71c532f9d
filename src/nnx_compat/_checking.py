"""``nnx-compat check`` and ``fix``: their options, and what they print."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .check import Report

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

__all__ = ["add_to"]


def add_to(commands: Commands) -> None:
    """Add both subcommands."""
    check = commands.add_parser(
        "check", help="which Flax releases code runs on, and whether its range holds"
    )
    check.add_argument(
        "paths", nargs="*", metavar="PATH", default=["."],
        help="files and folders, this one by default; - reads standard input",
    )  # fmt: skip
    check.add_argument(
        "--target", metavar="SPEC", default="",
        help="as '>=0.10,<0.13', a version, newest or installed",
    )  # fmt: skip
    _add_settings(check)
    check.add_argument(
        "--strict", action="store_true", help="let what is only likely count too"
    )
    check.add_argument(
        "--followed", type=float, default=0.0, metavar="SHARE",
        help="with --strict: how much of the uses of NNX has to be followed, as 0.9",
    )  # fmt: skip
    check.add_argument(
        "--verbose", action="store_true", help="show where a use could not be followed"
    )
    check.add_argument(
        "--format",
        choices=("text", "json", "github", "sarif", "badge"),
        default="text",
    )
    check.add_argument(
        "--all", action="store_true", help="show findings outside the range as well"
    )
    check.add_argument(
        "--statistics", action="store_true", help="count the findings of each code"
    )
    check.add_argument(
        "--quiet", action="store_true", help="print the findings and nothing else"
    )
    check.add_argument(
        "--output-file", metavar="FILE", help="write there instead of printing"
    )
    check.add_argument(
        "--exit-zero", action="store_true", help="exit with 0 whatever is found"
    )
    check.add_argument(
        "--stdin-filename", metavar="NAME", default="stdin.py",
        help="what standard input is called",
    )  # fmt: skip
    check.set_defaults(run=_check)

    fix = commands.add_parser("fix", help="rewrite code to a form that runs everywhere")
    fix.add_argument("paths", nargs="+", metavar="PATH", help="files and folders")
    fix.add_argument(
        "--to", default="portable", metavar="portable|newest|SPEC",
        help="with nnx_compat on every release; or natively on the newest, or a range",
    )  # fmt: skip
    fix.add_argument(
        "--target", metavar="SPEC", default="",
        help="the releases it is to run on, in place of those the project declares",
    )  # fmt: skip
    fix.add_argument("--diff", action="store_true", help="show it, and write nothing")
    fix.add_argument(
        "--check", action="store_true", help="write nothing; 1 if there is work to do"
    )
    fix.add_argument("--only", default="", metavar="CODES", help="as NC501,GUARD")
    fix.add_argument(
        "--unsafe", action="store_true", help="also what may change a meaning"
    )
    fix.set_defaults(run=_fix)


def _add_settings(check: argparse.ArgumentParser) -> None:
    """What [tool.nnx-compat] has, too (check/settings.py)."""
    check.add_argument(
        "--select", metavar="CODES", default="", help="these alone, as NC1,NC342"
    )
    check.add_argument(
        "--ignore", metavar="CODES", default="", help="leave these aside"
    )
    check.add_argument(
        "--exclude", metavar="PATTERN", action="append", default=[],
        help="read no such files, as 'old/*'",
    )  # fmt: skip
    check.add_argument(
        "--baseline", metavar="FILE", default="", help="only what is not in it counts"
    )
    check.add_argument(
        "--write-baseline", metavar="FILE", default="",
        help="write what is found into a file, for --baseline",
    )  # fmt: skip


def _check(options: argparse.Namespace) -> int:
    from .check import SourceError, baseline, output
    from .check.sources import write_whole

    try:
        report = _checked(options)
        if options.write_baseline:
            file = Path(options.write_baseline)
            number = baseline.write(file, report.findings)
            print(f"{number} findings, written to {file}")
            return 2 if report.unread else 0
        if options.format == "text":
            said = output.text(
                report, everything=options.all, verbose=options.verbose,
                quiet=options.quiet,
            )  # fmt: skip
        else:
            said = output.FORMATS[options.format](report)
        if options.statistics:
            said = "\n".join(filter(None, [output.statistics(report), said]))
        if options.output_file:
            write_whole(Path(options.output_file), said + "\n")
        elif said:
            print(said)
    except SourceError as error:
        print(f"nnx-compat check: {error}", file=sys.stderr)
        return 2
    for unread in report.unread:
        print(f"nnx-compat check: {unread}", file=sys.stderr)
    if options.exit_zero:
        return 0
    if report.unread:
        return 2
    return 0 if report.holds else 1


def _checked(options: argparse.Namespace) -> Report:
    from .check import check, settings
    from .check.sources import from_bytes
    from .cli import _progress

    paths = [path for path in options.paths if path != "-"]
    name = options.stdin_filename
    piped = {} if len(paths) == len(options.paths) else {
        name: from_bytes(sys.stdin.buffer.read(), name)
    }  # fmt: skip
    given = settings.found([*paths, *piped]).with_options(
        select=settings.codes(options.select, "--select"),
        ignore=settings.codes(options.ignore, "--ignore"),
        exclude=tuple(options.exclude),
        baseline=os.path.abspath(options.baseline) if options.baseline else "",
    )
    if options.write_baseline:
        given = replace(given, baseline="")
    with _progress() as progress:
        return check(
            paths, target=options.target, strict=options.strict,
            share=options.followed, settings=given, piped=piped, progress=progress,
        )  # fmt: skip


def _fix(options: argparse.Namespace) -> int:
    from .check import SourceError
    from .check.fixing.files import rewrite
    from .cli import _progress

    try:
        with _progress() as progress:
            rewritten = rewrite(
                options.paths, options.to, progress=progress,
                only=[code for code in options.only.upper().split(",") if code],
                unsafe=options.unsafe, write=not (options.diff or options.check),
                target=options.target,
            )  # fmt: skip
    except SourceError as error:
        print(f"nnx-compat fix: {error}", file=sys.stderr)
        return 2
    if options.diff:
        print(rewritten.diff, end="")
    else:
        said = [*rewritten.lines, *(rewritten.notes if rewritten.lines else ())]
        print("\n".join(said) or "nothing to change")
    for failed in rewritten.failed:
        print(f"nnx-compat fix: {failed}", file=sys.stderr)
    if rewritten.failed:
        return 2
    return 1 if rewritten.breaks or (options.check and rewritten.changed) else 0
