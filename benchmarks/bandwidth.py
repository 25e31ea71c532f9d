"""The toolkit on 100 million parameters, against what the memory can do.

    python benchmarks/bandwidth.py [--million N] [--layers N] [--json FILE]

The limit is a jitted, donated, elementwise multiply of one array of the same total
size. What counts is bytes read and written per second. The last part is the memory that
a donated call takes beyond the state itself, from the kernel's own peak.
"""

from __future__ import annotations

import argparse
import functools
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
from measure import contest, heading, write

import nnx_compat as nc
from nnx_compat.revisions import nnx

pure = nc.pure


class Stack(nnx.Module):
    """Square float32 kernels and their biases."""

    def __init__(self, layers, width):
        for i in range(layers):
            setattr(self, f"kernel{i:03d}", nnx.Param(jnp.full((width, width), 0.5)))
            setattr(self, f"bias{i:03d}", nnx.Param(jnp.full(width, 0.5)))


def wait(model):
    """Wait for every array of a model."""
    jax.block_until_ready([nc.get_value(v) for v in nc.variables(model).values()])
    return model


def peak_beyond(fn):
    """How many bytes the process held at most beyond what it held before."""
    status = Path("/proc/self/status")

    def field(name):
        line = next(x for x in status.read_text().splitlines() if x.startswith(name))
        return int(line.split()[1]) * 1024

    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = field("VmRSS")
    fn()
    return field("VmHWM") - before


def main():
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--million", type=float, default=100)
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    width = int((options.million * 1e6 / options.layers) ** 0.5)
    model = Stack(options.layers, width)
    total = sum(nc.get_value(v).size for v in nc.variables(model).values())
    held = {
        "one": jnp.full(total, 0.5),
        "scaled": pure.scale(model, 1.0),
        "average": pure.scale(model, 1.0),
    }

    @functools.partial(jax.jit, donate_argnums=0)
    def multiply(array, factor):
        return array * factor

    def limit():
        held["one"] = multiply(held["one"], 1.0).block_until_ready()

    def scale():
        held["scaled"] = wait(pure.scale(held["scaled"], 1.0, donate=True))

    def ema():
        held["average"] = wait(pure.ema(held["average"], model, 0.9, donate=True))

    def scale_kept():
        wait(pure.scale(model, 2.0))

    def cast():
        wait(pure.cast(model, jnp.bfloat16))

    # bytes read and written for each float32
    traffic = {
        "limit: one donated multiply": (limit, 8),
        "pure.scale(donate=True)": (scale, 8),
        "pure.ema(donate=True)": (ema, 12),
        "pure.scale": (scale_kept, 8),
        "pure.cast to bfloat16": (cast, 6),
    }
    found = contest({name: fn for name, (fn, _) in traffic.items()}, options.rounds)
    limit = found["limit: one donated multiply"]
    speed = {name: total * traffic[name][1] / found[name].median for name in traffic}
    extra = {
        name: peak_beyond(traffic[name][0]) / (4 * total)
        for name in ("pure.scale(donate=True)", "pure.ema(donate=True)")
    }
    rows = [
        {
            "what": name,
            "of_limit": round(traffic[name][1] / 8 / found[name].over(limit), 3),
            "gigabytes_per_s": round(speed[name] / 1e9, 2),
            "extra_memory": round(extra[name], 4) if name in extra else None,
        }
        for name in traffic
    ]
    print(heading())
    print(f"{total / 1e6:.1f} million parameters in {len(nc.variables(model))} arrays")
    for row in rows:
        memory = row["extra_memory"]
        print(
            f"  {row['what']:<28} {row['of_limit']:6.1%} of the limit, "
            f"{row['gigabytes_per_s']:6.2f} GB/s"
            + ("" if memory is None else f", peak {memory:.1%} of the state beyond it")
        )
    write(options.json, rows, parameters=total)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
