"""How the time of ``nnx-compat check`` grows with what is checked.

    python benchmarks/check.py [--sizes 1000 3000 ...] [--rounds N] [--json FILE]
                               [--kinds real small dense ...] [--path FOLDER ...]

Each tree is made of so many lines and checked in a process of its own. ``real`` has the
packages beside the installed Flax, Flax's own among them, under new names once there
are no more; ``plain`` has those of them that never speak of Flax; ``dense`` has Modules
and training steps in files that import one another; ``small`` the same in many files of
a few lines. The time is that of the processor, in seconds: that of the check itself,
and in ``start`` that of Python and of what it imports, before a file is read.

The exponent is that of a power of the lines, fitted to all sizes: 1 is linear.
``--path`` checks folders as they are, besides.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import flax
from measure import heading, write

SIZES = (1_000, 3_000, 10_000, 30_000, 100_000, 200_000)

#: What the process that is measured runs.
_CHECK = """
import json, resource, sys, time
from nnx_compat import check
start = time.process_time()
report = check.check(sys.argv[1:])
taken = time.process_time() - start
try:  # of this process alone: the other one begins with what its parent had
    status = open("/proc/self/status").read()
    peak = int(status.partition("VmHWM:")[2].split()[0])
except (OSError, IndexError):
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"start": start, "seconds": taken, "peak_mb": peak / 1024,
                  "lines": report.lines, "files": report.files, "uses": report.met}))
"""

_PACKAGES = ("flax", "optax", "orbax", "jax", "scipy", "numpy")

_DENSE = '''
class Block{n}(nnx.Module):
    """A layer, its norm, and the layer of the file before it."""

    def __init__(self, width, *, rngs):
        self.linear = nnx.Linear(width, width, rngs=rngs)
        self.norm = nnx.BatchNorm(width, rngs=rngs)
        self.scale = nnx.Param(jnp.ones(width))
        self.inner = {inner}(width, rngs=rngs)
        self.layers = [nnx.Linear(width, width, rngs=rngs) for _ in range(3)]

    def __call__(self, x):
        x = self.inner(x) + self.norm(self.linear(x)) * self.scale.value
        for layer in self.layers:
            x = nnx.relu(layer(x))
        return x


@nnx.jit
def step{n}(model, optimizer, x, y):
    def loss_of(model):
        return ((model(x) - y) ** 2).mean()

    loss, grads = nnx.value_and_grad(loss_of)(model)
    optimizer.update(grads)
    return loss


def main{n}(x, y):
    model = Block{n}(8, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(1e-3))
    for _ in range(3):
        step{n}(model, optimizer, x, y)
    graphdef, state = nnx.split(model)
    return nnx.merge(graphdef, jax.tree.map(lambda x: x * 2, state))
'''


def real(lines):
    """The sources of packages, whole, as often as it takes."""
    return _copies(lines, lambda text: True)


def plain(lines):
    """Those of them that never speak of Flax, and one file that does."""
    yield (
        "main.py",
        "from flax import nnx\n\nmodel = nnx.Linear(2, 3, rngs=nnx.Rngs(0))\n",
    )
    yield from _copies(lines, lambda text: "flax" not in text and "nnx" not in text)


def dense(lines, per_file=20):
    """Modules that derive from and hold those of other files."""
    count = max(1, lines // _DENSE.count("\n"))
    for first in range(0, count, per_file):
        number = first // per_file
        head = "import jax, optax\nimport jax.numpy as jnp\nfrom flax import nnx\n"
        if first % 6:
            head += f"from .part{number - 1} import Block{first - 1}\n"
        texts = (
            _DENSE.format(n=n, inner=f"Block{n - 1}" if n % 6 else "nnx.Linear")
            for n in range(first, min(first + per_file, count))
        )
        inner = "nnx.Linear(width, width, rngs=rngs)"
        text = head + "".join(texts)
        yield f"part{number}.py", text.replace("nnx.Linear(width, rngs=rngs)", inner)


def small(lines):
    """The same, one to a file."""
    return dense(lines, per_file=1)


def _copies(lines, wanted):
    folder, had = Path(flax.__file__).parents[1], 0
    found = [
        (path, text)
        for package in _PACKAGES
        for path in sorted((folder / package).rglob("*.py"))
        if wanted(text := path.read_text(encoding="utf-8", errors="replace"))
    ]
    if not found:
        raise SystemExit(f"{folder} has none of {', '.join(_PACKAGES)}")
    copy = 0
    while had < lines:
        for path, text in found:
            if had >= lines:
                break
            had += text.count("\n")
            yield f"copy{copy}/{path.relative_to(folder)}", text
        copy += 1


def checked(paths):
    """What a check of these paths takes, in a process of its own."""
    command = [sys.executable, "-c", _CHECK, *map(str, paths)]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(ran.stdout)


def row(kind, size, paths, rounds):
    """The least of several rounds: others on the machine only ever add to it."""
    found = [checked(paths) for _ in range(rounds)]
    best = min(found, key=lambda one: one["seconds"])
    per = best["seconds"] / max(1, best["lines"]) * 100_000
    new = {"kind": kind, "size": size, **best, "seconds_per_100000": round(per, 2)}
    print(
        f"{kind:<8} {new['lines']:>8} lines {new['files']:>5} files {new['uses']:>7} "
        f"uses  {new['seconds']:7.2f} s  {per:6.2f} s for 100,000  "
        f"start {new['start']:.2f} s  {new['peak_mb']:6.0f} MB",
        flush=True,
    )
    return new


def exponent(rows):
    """The power of the lines that the seconds follow: a line through logarithms."""
    x = [math.log(one["lines"]) for one in rows]
    y = [math.log(one["seconds"]) for one in rows]
    return statistics.linear_regression(x, y).slope


KINDS = {"real": real, "plain": plain, "dense": dense, "small": small}


def main():
    """Run all, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--path", nargs="+", default=[], metavar="FOLDER")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    print(heading())
    rows, exponents = [], {}
    for kind in options.kinds:
        new = []
        for size in options.sizes:
            with tempfile.TemporaryDirectory() as folder:
                for name, text in KINDS[kind](size):
                    file = Path(folder, name)
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_text(text, encoding="utf-8")
                new.append(row(kind, size, [folder], options.rounds))
        rows += new
        if len(new) > 1:
            exponents[kind] = round(exponent(new), 3)
            print(f"{kind:<8} exponent {exponents[kind]:.2f}", flush=True)
    rows += [row(Path(p).name, None, [p], options.rounds) for p in options.path]
    write(options.json, rows, exponents=exponents)


if __name__ == "__main__":
    main()
