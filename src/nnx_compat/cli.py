"""The command line, ``nnx-compat``: check, fix, upgrade, explain, doctor, run, ..."""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from . import __version__, _checking, facts
from .checkpoint import _command

if TYPE_CHECKING:
    from . import doctor

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        0 when all is well, 1 when there is a problem, 2 for wrong usage.
    """
    parser = _parser()
    if "_ARGCOMPLETE" in os.environ:  # the shell asks what comes next
        import argcomplete

        argcomplete.autocomplete(parser)
    options = parser.parse_args(arguments)
    try:
        code: int = options.run(options)
    except BrokenPipeError:
        # the reader has seen enough, as in `nnx-compat matrix | head`
        sys.stderr.close()
        return 0
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nnx-compat",
        description="One piece of code, on every Flax release that ships NNX.",
    )
    parser.add_argument(
        "--version", action="version", version=f"nnx-compat {__version__}"
    )
    commands = parser.add_subparsers(required=True, metavar="command")

    demo = commands.add_parser(
        "demo", help="split, scale and merge a layer on the installed Flax"
    )
    demo.add_argument("--seed", type=float, default=0.0, help="a whole number")
    demo.add_argument("--features", type=float, default=2.0, help="a whole number")
    demo.add_argument("--scale", type=float, default=2.0)
    demo.add_argument("--size", type=int, default=3, help="the length of the input")
    demo.set_defaults(run=_demo)

    doctor = commands.add_parser(
        "doctor", help="what is installed, and whether it fits together"
    )
    doctor.add_argument("--json", action="store_true", help="for a machine to read")
    doctor.add_argument(
        "--audit", metavar="MODULE:FACTORY",
        help="call a function of yours and look at the model that it returns",
    )  # fmt: skip
    doctor.add_argument(
        "--checkpoint", metavar="PATH", action="append", default=[],
        help="say whether the installed Flax restores this file or folder by itself",
    )  # fmt: skip
    doctor.add_argument(
        "--probe", action="store_true",
        help="run the probes on what is installed, which takes a few minutes",
    )  # fmt: skip
    doctor.add_argument(
        "--cap", type=float, metavar="SECONDS", default=900.0,
        help="after which the probes are stopped",
    )  # fmt: skip
    doctor.add_argument(
        "--target", metavar="SPEC", default="",
        help="with --audit: only the notes that matter there, as '>=0.10'",
    )  # fmt: skip
    doctor.add_argument(
        "--verbose", "-v", action="store_true",
        help="also what native calls mean on the installed release",
    )  # fmt: skip
    doctor.set_defaults(run=_doctor)

    matrix = commands.add_parser("matrix", help="what was measured on every release")
    matrix.add_argument("--flax", metavar="SPEC", default="", help="as '>=0.10,<0.12'")
    matrix.add_argument("--json", action="store_true", help="for a machine to read")
    matrix.add_argument(
        "--github", metavar="SPEC",
        help="the pairs to test on as JSON, for fromJSON in the matrix of a workflow",
    )  # fmt: skip
    matrix.add_argument(
        "--per", choices=("release", "minor", "revision"), default="release",
        help="with --github: which releases",
    )  # fmt: skip
    matrix.set_defaults(run=_matrix)

    _checking.add_to(commands)

    upgrade = commands.add_parser(
        "upgrade",
        help="what changes from one Flax to another, or what code meets of it",
    )
    for name, text in (("old", "a release of Flax"), ("new", "a release, or newest")):
        release = upgrade.add_argument(name, metavar=name.upper(), help=text)
        _offer(release, lambda: ["newest", *(r.version for r in facts.releases())])
    upgrade.add_argument("paths", nargs="*", metavar="PATH", help="files and folders")
    upgrade.add_argument(
        "--format", choices=("text", "markdown", "json"), default="text"
    )
    upgrade.set_defaults(run=_upgrade)

    explain = commands.add_parser(
        "explain", help="a rule, a name, a change of meaning, or the text of an error"
    )
    anything = explain.add_argument(
        "asked", metavar="ANYTHING", nargs="*",
        help="as NC101, nnx.List, 'nnx.scan in_axes', or an error's text in quotes; "
        "without it, all codes and changes",
    )  # fmt: skip
    _offer(anything, _known)
    explain.set_defaults(run=_explain)

    _command.add_to(commands)

    run = commands.add_parser(
        "run", help="run a script or a module with the newest meaning of flax.nnx",
        usage="nnx-compat run [-h] [--fast] [--native-meaning] [-m] "
        "script.py|module [argument ...]",
    )  # fmt: skip
    run.add_argument(
        "--fast", action="store_true", help="with nnx_compat.jit as its nnx.jit"
    )
    run.add_argument(
        "--native-meaning", action="store_true",
        help="add what the installed Flax lacks, and replace nothing that it has",
    )  # fmt: skip
    run.add_argument("-m", dest="module", action="store_true", help="run a module")
    run.add_argument("target", metavar="script.py|module")
    run.add_argument("arguments", nargs=argparse.REMAINDER, help="passed on to it")
    run.set_defaults(run=_run)
    return parser


def _offer(argument: argparse.Action, words: Callable[[], Iterable[str]]) -> None:
    """Let a shell complete the argument, with the extra ``completion``."""
    argument.completer = lambda **_: words()  # type: ignore[attr-defined]


def _known() -> Iterable[str]:
    from . import explain

    return explain.known()


def _print_table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    narrow: bool = False,
) -> None:
    """With rich, which comes with Flax; aligned text where there is no Flax.

    Args:
        title: in the line above.
        columns: the heads.
        rows: the cells.
        narrow: whether all of it fits 80 columns and no cell is ever folded.
    """
    listed = [[str(cell) for cell in row] for row in rows]
    try:
        from rich import box
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        table_rows = [list(columns), *listed]
        widths = [max(map(len, cells)) for cells in zip(*table_rows, strict=True)]
        print(f"\n{title}")
        for row in table_rows:
            print(
                "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip()
            )
        return
    table = Table(title=title, title_justify="left", title_style="bold")
    if narrow:
        table.box, table.show_edge, table.pad_edge = box.SIMPLE_HEAD, False, False
        table.padding = (0, 1, 0, 0)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=narrow)
    for row in listed:
        table.add_row(*row)
    console = Console(width=None if sys.stdout.isatty() else 110)
    console.print(table, markup=False)


# -- demo ---------------------------------------------------------------------------


def _demo(options: argparse.Namespace) -> int:
    from .errors import NnxCompatError

    try:
        return _run_demo(options)
    except NnxCompatError as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, (TypeError, ValueError)) else 1


def _run_demo(options: argparse.Namespace) -> int:
    import jax.numpy as jnp
    import numpy as np

    import nnx_compat as nc

    x = jnp.arange(1.0, options.size + 1)
    result = nc.pure_state_update(options.seed, x, options.features, options.scale)

    rngs = nc.nnx.Rngs(int(options.seed))
    model = nc.nnx.Linear(x.shape[-1], int(options.features), rngs=rngs)
    before = np.asarray(nc.get_value(model.kernel))
    graphdef, state = nc.split(model)
    scaled = nc.map_state(lambda _, leaf: nc.get_value(leaf) * options.scale, state)
    merged = nc.merge(graphdef, scaled)
    after = np.asarray(nc.get_value(model.kernel))
    same = bool((after == before).all())

    print(f"flax {nc.flax_version}, jax {nc.jax_version}, revision {nc.revision}")
    print(f"kernel of the original\n{before}")
    print(f"kernel of the merged model, scaled by {options.scale}")
    print(np.asarray(nc.get_value(merged.kernel)))
    print(f"the original is {'untouched' if same else 'CHANGED'}")
    seed, features = int(options.seed), int(options.features)
    print(f"pure_state_update({seed}, {x}, {features}, {options.scale}) = {result}")
    return 0 if same else 1


# -- doctor -------------------------------------------------------------------------


def _doctor(options: argparse.Namespace) -> int:
    from . import doctor
    from .errors import NnxCompatError

    if options.target and not options.audit:
        text = f"--target {options.target} narrows an audit, and there is none"
        print(
            f"nnx-compat doctor: {text}\n  instead: doctor --audit MODULE:FACTORY "
            f"--target '{options.target}'\n  or:      check --target "
            f"'{options.target}' PATH",
            file=sys.stderr,
        )
        return 2
    probe = None
    waited: contextlib.AbstractContextManager[object] = contextlib.nullcontext()
    if options.probe:
        from .probing import probed, waiting

        probe = functools.partial(probed, cap=options.cap)
        waited = waiting(options.cap)
    try:
        with waited:
            report = doctor.examine(probe, options.checkpoint)
    except NnxCompatError as error:
        print(f"nnx-compat doctor: {error}", file=sys.stderr)
        return 2
    # where nothing could be bound there is no model to look at, only the cause to tell
    if options.audit and report.revision:
        return _audit(options, doctor.as_json(report))
    if options.json:
        print(json.dumps(doctor.as_json(report), indent=2))
    else:
        _print_report(report, verbose=options.verbose)
    misread = any(one["misread"] for one in report.checkpoints)
    return 1 if report.verdict == "broken" or misread else 0


def _print_report(report: doctor.Report, *, verbose: bool) -> None:
    """The verdict, what is wrong and every way out; then what is installed."""
    from .doctor import told

    print("\n".join(told(report)))
    versions = report.versions.items()
    print("installed  " + ", ".join(f"{name} {v or 'none'}" for name, v in versions))
    print(f"revision   {report.revision or 'none could be bound'}")
    if report.release:
        inside = "inside" if report.measured else "outside"
        where = f"{inside} the range of flax {report.release}"
        print(f"measured   {where}: jax {report.jax_range}")
    if report.behaviours and not verbose:
        count = len(report.behaviours)
        print(f"meanings   {count} that another release has not: doctor --verbose")
    elif report.behaviours:
        rows = [facts.behaviour(id) for id in report.behaviours]
        _print_table(
            "what native calls mean here (see compat_matrix.md)",
            ("behaviour", "what happens"),
            [(row.id, row.text) for row in rows],
        )


def _audit(options: argparse.Namespace, report: dict[str, Any]) -> int:
    import contextlib

    from . import auditing
    from .auditing.target import load
    from .check import SourceError, declared
    from .errors import NnxCompatError

    try:
        # what a factory prints is not to come before JSON
        with contextlib.redirect_stdout(sys.stderr):
            model = load(options.audit)
        found = auditing.audit(model)
        if options.target:
            found = auditing.narrowed(found, declared.target(options.target).mask)
    except (NnxCompatError, SourceError) as error:
        print(f"nnx-compat doctor --audit: {error}", file=sys.stderr)
        return 2
    counts = {s: sum(one.severity == s for one in found) for s in auditing.SEVERITIES}
    sound = report["verdict"] != "broken" and not counts["lost"] + counts["wrong"]
    if options.json:
        plain = [one.as_json() for one in found]
        audit = {"target": options.audit, "findings": plain, **counts}
        print(json.dumps({**report, "audit": audit}, indent=2))
        return 0 if sound else 1
    versions = report["versions"]
    print(
        f"flax {versions['flax']}, jax {versions['jax']}, revision {report['revision']}"
    )
    for problem in report["problems"]:
        print(f"problem    {problem['found']}\n  run:     {problem['run']}")
    if found:
        _print_table(
            options.audit,
            ("severity", "what was found", "instead"),
            [(one.severity, one.text, one.remedy) for one in found],
        )
    print(f"{counts['lost']} lost, {counts['wrong']} wrong, {counts['note']} note(s)")
    return 0 if sound else 1


# -- matrix -------------------------------------------------------------------------


def _matrix(options: argparse.Namespace) -> int:
    if options.github is not None:
        return _github_matrix(options)
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    from .matrix import render

    try:
        wanted = SpecifierSet(options.flax)
    except InvalidSpecifier:
        print(
            f"nnx-compat matrix: {options.flax!r} is not a version specifier\n"
            "  instead: --flax '>=0.10,<0.12'",
            file=sys.stderr,
        )
        return 2
    rows: list[dict[str, Any]] = [r for r in render.rows() if r["flax"] in wanted]
    if options.json:
        print(json.dumps(rows, indent=2))
        return 0
    _print_table(
        "measured, one row a Flax release",
        ("flax", "python", "jax", "revision", "tests passed", "names"),
        [
            (r["flax"], r["python"], r["jax"], r["revision"], r["passed"], r["names"])
            for r in rows
        ],
        narrow=True,
    )
    if older := sum(r["older"] for r in rows):
        print(f"{older} of {len(rows)} were measured on an older source")
    return 0


def _github_matrix(options: argparse.Namespace) -> int:
    """One line, as ``{"include": [{"flax": ..., "jax": ..., "install": ...}]}``."""
    from . import nox
    from .errors import ArgumentValueError

    try:
        chosen = nox.pairs(options.github, per=options.per)
    except ArgumentValueError as error:
        print(f"nnx-compat matrix: {error}", file=sys.stderr)
        return 2
    include = [
        {
            "flax": pair.flax, "jax": pair.jax, "python": pair.python,
            "install": " ".join(f"'{one}'" for one in pair.constraints),
        }
        for pair in chosen
    ]  # fmt: skip
    print(json.dumps({"include": include}))
    return 0


# -- upgrade and explain ------------------------------------------------------------


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[int, int], None] | None]:
    """A bar on the terminal, for a reader who waits; nothing in a pipe."""
    if not sys.stderr.isatty():
        yield None
        return
    try:
        from rich.progress import Progress
    except ImportError:
        yield lambda done, of: print(f"\r{done} of {of}", end="", file=sys.stderr)
        print("\r", end="", file=sys.stderr)
        return
    from rich.console import Console

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("files")
        yield lambda done, of: bar.update(task, completed=done, total=of)


def _upgrade(options: argparse.Namespace) -> int:
    from . import upgrade
    from .check import SourceError
    from .errors import ArgumentValueError

    try:
        if options.paths:
            with _progress() as progress:
                found = upgrade.of_code(
                    options.old, options.new, options.paths, progress
                )
        else:
            found = upgrade.between(options.old, options.new)
    except (ArgumentValueError, SourceError) as error:
        print(f"nnx-compat upgrade: {error}", file=sys.stderr)
        return 2
    print(upgrade.FORMATS[options.format](found))
    return 1 if any(part.key == "change" for part in found.parts) else 0


def _explain(options: argparse.Namespace) -> int:
    from . import explain
    from .errors import UnknownFactError

    if not options.asked:
        _print_table("what can be explained", ("what", "in a line"), explain.index())
        return 0
    try:
        print(explain.explain(" ".join(options.asked)), end="")
    except UnknownFactError as error:
        print(f"nnx-compat explain: {error}", file=sys.stderr)
        return 2
    return 0


# -- run ----------------------------------------------------------------------------


def _run(options: argparse.Namespace) -> int:
    """As ``python script.py`` does, or ``python -m module``, after ``install()``."""
    import nnx_compat as nc

    from . import _running

    script = options.target
    if not options.module and script != "-" and not os.path.exists(script):
        print(
            f"nnx-compat run: there is no file {script!r}\n"
            f"  instead: nnx-compat run -m {script.removesuffix('.py')}, for a module",
            file=sys.stderr,
        )
        return 2
    nc.install(
        fast=options.fast, meaning="native" if options.native_meaning else "newest"
    )
    run = _running.run_module if options.module else _running.run_script
    try:
        run(script, options.arguments)
    except Exception as error:
        from . import explain

        # also a BrokenPipeError: it is the script's own
        explain.annotate(error, nc.flax_version)
        _running.show(error)
        return 1
    return 0
