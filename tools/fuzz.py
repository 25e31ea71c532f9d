"""Inputs that nobody would write, and programs whose sense ``fix`` must not change.

    python tools/fuzz.py inputs 10000      # check and fix: no traceback, no hang
    python tools/fuzz.py programs 2000     # run before and after, on the installed Flax

Each input is a source of the tests with a few mutations; each program is put
together from statements that print what they see. The seed is printed, and ``--seed``
repeats it.
"""

from __future__ import annotations

import contextlib
import io
import random
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src")]

from nnx_compat.check import SourceError, check_source  # noqa: E402
from nnx_compat.check.fixing import fix_source  # noqa: E402
from nnx_compat.check.sources import Source  # noqa: E402

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

_HEAD = """\
import jax.numpy as jnp
from flax.experimental import nnx
w = nnx.Param(jnp.arange(3.0))
v = nnx.BatchStat(jnp.ones(2))
z = 0.0


class Holder(nnx.Module):
    def __init__(self):
        self.w = w
        self.split_at = 2

"""
_STATEMENTS = (
    "w.value = w.value + {n}", "w.value *= {n}", "v.value = w.value[:2] * {n}",
    "w.value, z = w.value * 2, {n}", "[v.value, z] = [v.value + 1, {n}]",
    "z = z + float(w.value.sum())", "z += float(v.value.mean()) * {n}",
    "if z > {n}:\n    w.value = jnp.zeros(3)\nelse:\n    v.value = -v.value",
    "for i in range({n}):\n    w.value = w.value + i  # each",
    "if hasattr(nnx, 'List'):\n    z += {n}\nelse:\n    z += {n}",
    "def f{n}(x):\n    return x.value * {n}\nz += float(f{n}(w).sum())",
    "z = float((lambda p: p.value.max())(w)) + {n}",
    "w.value = w.value.at[0].set({n})", "m = Holder(); z += m.split_at",
    "print('{n}', z)  # w.value", "s = 'w.value \\f {n}'; print(len(s))",
    "w.value = (\n    w.value  # first\n    + {n}\n)", "a = w.value = w.value * 1",
)  # fmt: skip
_TAIL = "print([float(x) for x in w.value], [float(x) for x in v.value], z)\n"


def programs(count: int, seed: int) -> Iterator[str]:
    """Programs that print what they compute."""
    chance = random.Random(seed)
    for _ in range(count):
        some = chance.choices(_STATEMENTS, k=chance.randint(2, 7))
        body = "\n".join(one.replace("{n}", str(chance.randint(1, 4))) for one in some)
        yield f"{_HEAD}{body}\n{_TAIL}"


def printed(program: str) -> str:
    """What a program prints, or the class of its error."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            exec(compile(program, "program", "exec"), {"__name__": "program"})
        except Exception as error:
            return f"{out.getvalue()}{type(error).__name__}"
    return out.getvalue()


def differing(program: str) -> str:
    """What differs between a program and its fixed form, ``""`` if nothing does."""
    fixed = fix_source(Source("program.py", program)).text
    before, after = printed(program), printed(fixed)
    if before == after:
        return ""
    return f"{program}\n--- prints\n{before}\n--- fixed\n{fixed}\n--- prints\n{after}"


def main(arguments: list[str]) -> int:
    """Run one of the two, and say what was found."""
    seed = random.randrange(10**6)
    if "--seed" in arguments:
        seed = int(arguments[arguments.index("--seed") + 1])
    kind, count = arguments[0], int(arguments[1])
    faults, slowest, parsed = [], 0.0, 0
    if kind == "inputs":
        for text in inputs(count, seed):
            parsed += is_python(text)
            try:
                slowest = max(slowest, tried(text))
            except Exception as error:
                faults.append(f"{type(error).__name__}: {error}\n{text}")
    else:
        faults = [found for one in programs(count, seed) if (found := differing(one))]
        parsed = count
    print(
        f"seed {seed}: {count} {kind} ({parsed} of them Python), {len(faults)} faults, "
        f"slowest {slowest:.2f} s"
    )
    print("\n\n".join(faults[:3]))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
