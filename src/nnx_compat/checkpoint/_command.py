"""``nnx-compat checkpoint``: inspect, convert, diff. Imports neither flax nor jax."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import NnxCompatError

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add_to(commands: Commands) -> None:
    """Add the subcommand and what is below it."""
    parser = commands.add_parser(
        "checkpoint", help="look at, convert and compare checkpoints of any release"
    )
    below = parser.add_subparsers(required=True, metavar="command")

    inspect = below.add_parser(
        "inspect", help="names, shapes, dtypes; no array is read, and nothing is run"
    )
    inspect.add_argument("path", metavar="PATH", help="a file or folder of any form")
    inspect.add_argument("--json", action="store_true", help="for a machine to read")
    inspect.add_argument("--step", type=int, help="of a folder of steps; the newest")
    inspect.set_defaults(run=_named(_inspect))

    convert = below.add_parser(
        "convert", help="write the portable form, which every release reads"
    )
    convert.add_argument("src", metavar="SRC", help="a file or folder of any form")
    convert.add_argument("dst", metavar="DST", help="where to write")
    convert.add_argument(
        "--format", choices=("safetensors", "orbax"), default="safetensors"
    )
    convert.add_argument("--step", type=int, help="of a folder of steps; the newest")
    convert.add_argument(
        "--rename", metavar="FILE",
        help='rules as JSON: {"regex": ["target", [[1, 0], null]]}',
    )  # fmt: skip
    convert.add_argument(
        "--only", metavar="GLOB", action="append", help="as 'model/encoder/*'"
    )
    convert.add_argument(
        "--overwrite", action="store_true", help="replace what is at DST"
    )
    convert.set_defaults(run=_named(_convert))

    diff = below.add_parser("diff", help="in what two checkpoints differ; 1 if they do")
    diff.add_argument("a", metavar="A")
    diff.add_argument("b", metavar="B")
    diff.add_argument(
        "--values", action="store_true", help="compare arrays bit for bit"
    )
    diff.set_defaults(run=_named(_diff))


def _named(
    run: Callable[[argparse.Namespace], int],
) -> Callable[[argparse.Namespace], int]:
    """What is wrong with a file is said in its error, and never as a traceback."""

    def command(options: argparse.Namespace) -> int:
        try:
            return run(options)
        except BrokenPipeError:
            raise
        except NnxCompatError as error:
            print(f"nnx-compat checkpoint: {error}", file=sys.stderr)
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            print(f"nnx-compat checkpoint: not foreseen: {what}", file=sys.stderr)
        return 2

    return command


def _inspect(options: argparse.Namespace) -> int:
    from ..cli import _print_table
    from ._inspect import inspect, size

    found = inspect(options.path, step=options.step)
    if options.json:
        print(json.dumps(found.as_json(), indent=2, default=str))
        return 0
    contents = found.contents
    print(f"{contents.place}\nform     {contents.form}")
    print(f"layout   {found.layout}")
    if contents.steps:
        print(f"step     {contents.step} of {', '.join(map(str, contents.steps))}")
    if contents.writer:
        print(f"writer   {', '.join(f'{k} {v}' for k, v in contents.writer.items())}")
    if contents.metadata:
        print(f"metadata {json.dumps(contents.metadata, default=str)[:1000]}")
    columns = ("array", "shape", "dtype", "size", "Variable")
    _print_table("", columns, found.rows())
    tied = sum(bool(entry.aliases) for _, entry in found.entries())
    print(
        f"{found.arrays:,} arrays, {size(found.nbytes)}"
        + (f", {tied} tied" * bool(tied))
    )
    for text in contents.left_out:
        print(f"no data  {text}")
    return 0


def _convert(options: argparse.Namespace) -> int:
    from ..cli import _progress
    from ._convert import convert
    from ._inspect import Inspection, size
    from ._rename import from_file

    rules: Any = from_file(options.rename) if options.rename else None
    with _progress() as progress:
        written = convert(
            options.src, options.dst, format=options.format, step=options.step,
            rename=rules, only=options.only or "*", overwrite=options.overwrite,
            progress=progress,
        )  # fmt: skip
    found = Inspection(written)
    print(f"{found.arrays:,} arrays, {size(found.nbytes)}, written to {written.place}")
    return 0


def _diff(options: argparse.Namespace) -> int:
    from ..cli import _print_table, _progress
    from ._diff import diff

    with _progress() as progress:
        found = diff(options.a, options.b, values=options.values, progress=progress)
    if found:
        columns = ("array", "what differs", "a", "b")
        _print_table("", columns, [(d.path, d.what, d.a, d.b) for d in found])
        print(f"{len(found):,} differences")
        return 1
    compared = "names, shapes, dtypes and values" if options.values else (
        "names, shapes and dtypes; --values compares the arrays too"
    )  # fmt: skip
    print(f"no differences in {compared}")
    return 0
