"""Inputs that nobody would write, and programs whose sense ``fix`` must not change.

    python tools/fuzz.py inputs 10000      # check and fix: no traceback, no hang
    python tools/fuzz.py programs 200      # run before and after, on the installed Flax
    python tools/fuzz.py ranges 2000       # on the ends of the range of each

Each input is a source of the tests with a few mutations; each program is put together
from scenes (``programs.py``) that print what they compute. ``ranges`` runs them in the
environments of the matrix, ``--pairs``. The seed is printed, and ``--seed`` repeats it.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import functools
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from nnx_compat.check import SourceError, check_source, releases  # noqa: E402
from nnx_compat.check.fixing import fix_source  # noqa: E402
from nnx_compat.check.sources import Source  # noqa: E402
from tools import programs  # noqa: E402

_ODD = [
    "\f",
    "\v",
    "\r",
    "\r\n",
    "\u2028",
    "\x85",
    "\x1c",
    "\t",
    "\\\n",
    ";",
    "é",
    "\U0001d499",
    "(",
    ")",
    "[",
    "{",
    "'",
    '"""',
    "#",
    "=",
    ":",
    "*",
    "lambda: ",
    "await ",
    "\n",
]
_WORDS = [
    "nnx.Optimizer(m, tx)",
    ".update(grads)",
    "w.value",
    "self.blocks = [m]",
    "super().__init__()",
    "from flax.nnx import *",
    "import flax.nnx as nnx",
    "nnx.jit(lambda m: m)",
    "x: 'nnx.Param'",
    "del w",
    "global w",
    "[*w, **w]",
    "w.value, z = 1, 2",
    "match w:\n  case nnx.Param(): pass\n",
    "w = w = w",
]


def inputs(count: int, seed: int) -> Iterator[str]:
    """Sources with mutations."""
    chance = random.Random(seed)
    files = sorted((ROOT / "tests" / "fixtures").glob("*/*.py"))
    texts = [file.read_text() for file in files]
    for _ in range(count):
        text = chance.choice(texts)
        for _ in range(chance.randint(1, 6)):
            at = chance.randrange(len(text) + 1)
            # what cuts through tokens is rarely Python: most mutations are of lines
            kind = chance.choice((0, 1, 2, 2, 2, 2, 2, 3))
            if kind == 0:
                text = text[:at] + chance.choice(_ODD) + text[at:]
            elif kind == 1:
                text = text[:at] + text[at + chance.randint(1, 9) :]
            elif kind == 2:
                lines = text.split("\n")
                lines.insert(chance.randrange(len(lines)), chance.choice(_WORDS))
                text = "\n".join(lines)
            else:
                other = chance.choice(texts)
                text = text[:at] + "\n" + other[chance.randrange(len(other)) :]
        yield text


def is_python(text: str) -> bool:
    """Whether it can be parsed."""
    with warnings.catch_warnings(), contextlib.suppress(SourceError):
        Source("input.py", text).tree()
        return True
    return False


def tried(text: str) -> float:
    """Check and fix one source; how long it took, in seconds.

    Raises:
        Exception: whatever is no SourceError is a fault of the checker.
    """
    begun = time.process_time()
    source = Source("input.py", text)
    for command in (check_source, fix_source):
        with contextlib.suppress(SourceError):
            command(source)
    return time.process_time() - begun


# -- programs -----------------------------------------------------------------------

#: How long one program may take, in seconds, before it is said to hang.
_SECONDS = 60


def printed(program: str) -> str:
    """What a program prints, and the class of the error that it ends with."""
    out, module = io.StringIO(), types.ModuleType("__main__")
    code = compile(program, "program", "exec", dont_inherit=True)
    before, sys.modules["__main__"] = sys.modules["__main__"], module
    with contextlib.redirect_stdout(out), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            exec(code, vars(module))
        except Exception as error:
            return f"{out.getvalue()}{_RAISED}{type(error).__name__}: {error}"
        finally:
            sys.modules["__main__"] = before
    return out.getvalue()


_RAISED = "raised "


def portable(program: str) -> str:
    """A program after ``fix``."""
    return fix_source(Source("program.py", program)).text


def differing(program: str, before: str, after: str, fixed: str) -> str:
    """What differs between a program and its fixed form, ``""`` if nothing does.

    What raised before may come to its end: that is what it is fixed for.
    """
    if before == after or _RAISED in before:
        return ""
    return f"{program}\n--- prints\n{before}\n--- fixed\n{fixed}\n--- prints\n{after}"


def compared(program: str) -> str:
    """What differs on the installed Flax."""
    fixed = portable(program)
    return differing(program, printed(program), printed(fixed), fixed)


class Ranged(NamedTuple):
    """A program, its fixed form, and the releases at the ends of its range."""

    program: str
    fixed: str
    ends: tuple[str, ...]


def ranged(program: str) -> Ranged:
    """A program with the first and the last release on which the checker has it run."""
    excluded = 0
    for finding in check_source(Source("program.py", program)):
        excluded |= finding.excluded
    runs = releases.listed(releases.ALL & ~excluded)
    ends = tuple(dict.fromkeys((runs[0], runs[-1]))) if runs else ()
    return Ranged(program, portable(program), ends)


def on_pairs(
    some: list[Ranged], folder: Path, progress: Callable[[str], None]
) -> dict[str, list[tuple[int, str, str]]]:
    """What programs print before and after, by release, in the pairs' environments."""
    wanted: dict[str, list[int]] = {}
    for index, one in enumerate(some):
        for flax in one.ends:
            wanted.setdefault(flax, []).append(index)
    found = {}
    with tempfile.TemporaryDirectory() as name:
        for flax, indices in sorted(wanted.items()):
            job = Path(name, f"{flax}.json")
            texts = [[some[i].program, some[i].fixed] for i in indices]
            job.write_text(json.dumps(texts))
            (pair,) = folder.glob(f"flax-{flax}__jax-*")
            command = [str(pair / "bin" / "python"), __file__, "run", str(job)]
            # quick to compile: it is the meaning that counts
            env = {**os.environ, "XLA_FLAGS": "--xla_backend_optimization_level=0",
                   "JAX_PLATFORMS": "cpu"}  # fmt: skip
            ran = subprocess.run(command, env=env, capture_output=True, text=True)
            lines = [json.loads(line) for line in ran.stdout.splitlines()]
            found[flax] = [
                (i, before, after)
                for i, (before, after) in zip(indices, lines, strict=False)
            ]
            hang = "" if len(lines) == len(indices) else f", then {ran.stderr[-300:]}"
            progress(f"{flax}: {len(lines)} of {len(indices)} programs{hang}")
    return found


def _run(job: str) -> int:
    """Run the programs of a job, before and after; one line each."""
    for both in json.loads(Path(job).read_text()):
        said = []
        for program in both:
            faulthandler.dump_traceback_later(_SECONDS, exit=True)
            said.append(printed(program))
            faulthandler.cancel_dump_traceback_later()
        print(json.dumps(said), flush=True)
    return 0


# -- the command line ---------------------------------------------------------------


def _inputs(count: int, seed: int) -> tuple[list[str], str]:
    faults, slowest, parsed = [], 0.0, 0
    for text in inputs(count, seed):
        parsed += is_python(text)
        try:
            slowest = max(slowest, tried(text))
        except Exception as error:
            faults.append(f"{type(error).__name__}: {error}\n{text}")
    return faults, f"{parsed} of them Python, slowest {slowest:.2f} s"


def _programs(count: int, seed: int) -> tuple[list[str], str]:
    found = [compared(one) for one in programs.programs(count, seed)]
    return [one for one in found if one], "on the installed Flax"


def _ranges(count: int, seed: int, folder: Path) -> tuple[list[str], str]:
    some = [ranged(one) for one in programs.programs(count, seed)]
    found = on_pairs(some, folder, functools.partial(print, flush=True))
    faults, ran, changed = [], 0, sum(one.fixed != one.program for one in some)
    for flax, results in found.items():
        for index, before, after in results:
            one = some[index]
            ran += _RAISED not in before
            if said := differing(one.program, before, after, one.fixed):
                faults.append(f"on {flax}:\n{said}")
    runs = sum(len(one.ends) for one in some)
    lost = runs - sum(map(len, found.values()))
    faults += ["a release's programs did not all come to an end"] * bool(lost)
    return faults, f"{changed} changed; of {runs} runs {ran} came to their end before"


def main(arguments: list[str]) -> int:
    """Run one of the three, and say what was found."""
    parser = argparse.ArgumentParser(prog="fuzz.py", description=__doc__)
    parser.add_argument("kind", choices=("inputs", "programs", "ranges", "run"))
    parser.add_argument("what", help="how many; of run, a file")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--pairs", type=Path, default=ROOT / ".nox" / "pairs")
    options = parser.parse_args(arguments)
    if options.kind == "run":
        return _run(options.what)
    count, seed = int(options.what), options.seed
    if options.kind == "ranges":
        faults, said = _ranges(count, seed, options.pairs)
    else:
        kinds = {"inputs": _inputs, "programs": _programs}
        faults, said = kinds[options.kind](count, seed)
    print(f"seed {seed}: {count} {options.kind} ({said}), {len(faults)} faults")
    print("\n\n".join(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
