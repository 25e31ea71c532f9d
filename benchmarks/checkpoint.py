"""What a checkpoint costs, reads and survives.

    python benchmarks/checkpoint.py [--mib N] [--kills N] [--json FILE]

Speed: saving against the safetensors library with the same sync, loading against the
installed orbax, interleaved in one process; medians of ratios, and the peak of memory
beyond the state. Leaves: a file of 10,000 arrays read as a table. Shards: written on 8
virtual devices and read on 2 and on 1, what was read of the file against what the
devices hold. Kills: a save over an older one, ended by SIGKILL at random moments; what
is at its path afterwards has to be one of the two.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

ROOT = Path(__file__).parent.parent
LIBRARY = ROOT / ".nox" / "checkpoints" / "library"
sys.path += [str(LIBRARY)] if LIBRARY.is_dir() else []

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from bandwidth import peak_beyond, wait  # noqa: E402
from measure import heading, write  # noqa: E402

import nnx_compat as nc  # noqa: E402
from nnx_compat import nnx  # noqa: E402

_ROUNDS = 5


class Stack(nnx.Module):
    """Square kernels of random numbers, which do not compress."""

    def __init__(self, mib, seed=0):
        numbers = np.random.default_rng(seed)
        self.kernels = nnx.List(
            [
                nnx.Param(jnp.asarray(numbers.random((512, 1024), "float32")))
                for _ in range(mib // 2)
            ]
        )


def speed(folder, mib):
    """Ratios to the library and to orbax, and memory beyond the state."""
    import orbax.checkpoint as ocp
    import safetensors.numpy

    model = wait(Stack(mib))
    names = {
        ".".join(map(str, path)): np.asarray(nc.get_value(v))
        for path, v in nc.variables(model).items()
    }
    ours, theirs, tree = folder / "ours", folder / "theirs", folder / "tree"

    def library():
        safetensors.numpy.save_file(names, str(theirs))
        descriptor = os.open(theirs, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)

    def save():
        nc.checkpoint.save(ours, overwrite=True, model=model)

    saves = ratios(save, library)
    plain = nc.checkpoint.tree(model=model)
    checkpointer = ocp.Checkpointer(ocp.PyTreeCheckpointHandler())
    checkpointer.save(tree, plain)
    shapes = jax.eval_shape(lambda: plain)
    arguments = jax.tree_util.tree_map(
        lambda shape: ocp.ArrayRestoreArgs(
            sharding=jax.sharding.SingleDeviceSharding(jax.devices()[0])
        ),
        shapes,
    )

    def load(target=model, place=ours):
        nc.checkpoint.load(place, model=target)
        wait(target)

    def restore():
        restored = checkpointer.restore(tree, item=shapes, restore_args=arguments)
        jax.block_until_ready(restored)

    loads = ratios(load, restore)
    size = sum(array.nbytes for array in names.values())
    return {
        "mib": mib,
        "save / library": saves,
        "load / orbax": loads,
        "save: peak memory / state": 1 + _alone("save", folder, mib) / size,
        "load: peak memory / state": _alone("load", folder, mib) / size,
    }


def _alone(what, folder, mib):
    """The peak of memory beyond what was held, in a process that did nothing before.

    One that has freed memory would take it again and seem to need none.
    """
    command = [sys.executable, __file__, "--memory", what, "--at", str(folder)]
    ran = subprocess.run(
        [*command, "--mib", str(mib)], capture_output=True, text=True, check=True
    )
    return int(ran.stdout.splitlines()[-1])


def memory(what, folder, mib):
    """Print the bytes that a save or a load needs beyond what was held before."""
    small = Stack(2)
    nc.checkpoint.save(folder / "small", overwrite=True, model=small)  # imports, too
    nc.checkpoint.load(folder / "small", model=small)
    if what == "save":
        model = wait(Stack(mib))
        call = functools.partial(
            nc.checkpoint.save, folder / "ours", overwrite=True, model=model
        )
    else:
        model = nnx.eval_shape(lambda: Stack(mib))

        def call():
            nc.checkpoint.load(folder / "ours", model=model)
            wait(model)

    print(peak_beyond(call))


def ratios(ours, theirs):
    """The median of the ratios of two calls that take turns."""
    found = []
    for call in (ours, theirs):
        call()  # what it compiles and imports, and memory that is new to the process
    for _ in range(_ROUNDS):
        spent = []
        for call in (ours, theirs):
            begin = time.perf_counter()
            call()
            spent.append(time.perf_counter() - begin)
        found.append(spent[0] / spent[1])
    return round(statistics.median(found), 3)


def leaves(folder):
    """Seconds to read the table of 10,000 arrays."""
    arrays = {f"layer{n}": {"kernel": np.ones(3, "float32")} for n in range(10_000)}
    nc.checkpoint.save(folder / "many", model=arrays)
    took = min(_seconds(lambda: nc.checkpoint.read(folder / "many")) for _ in range(3))
    assert len(nc.checkpoint.read(folder / "many")["model"]) == 10_000
    return {"seconds": round(took, 3)}


# -- devices -------------------------------------------------------------------------

_CHILD = """
import sys; sys.path += {paths!r}
import os; os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count={devices}"
os.environ["JAX_PLATFORMS"] = "cpu"
import json, jax, jax.numpy as jnp, numpy as np, nnx_compat as nc
from nnx_compat.checkpoint.forms import _orbax_tree, _spans
mesh = jax.sharding.Mesh(np.array(jax.devices()), ("d",))
rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("d"))
columns = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(None, "d"))
values = np.arange(64 * 32, dtype="float32").reshape(64, 32)
read = []
def counted(inner):
    def reader(*arguments):
        load = inner(*arguments)
        def counting(index):
            part = load(index); read.append(part.nbytes); return part
        return counting
    return reader
_spans.Span.reader = counted(_spans.Span.reader)
_orbax_tree.Tree._reader = counted(_orbax_tree.Tree._reader)
def given(factor):
    return {{"rows": jax.device_put(values * factor, rows),
             "columns": jax.device_put(values * factor + 1, columns)}}
{what}
"""
_WRITE = """
for form in ("safetensors", "orbax"):
    nc.checkpoint.save({folder!r} + "/" + form, format=form, overwrite=True, x=given(1))
print("{{}}")
"""
_READ = """
found = {{}}
for form in ("safetensors", "orbax"):
    target = given(0); read.clear()
    nc.checkpoint.load({folder!r} + "/" + form, x=target)
    held = sum(s.data.nbytes for a in target.values() for s in a.addressable_shards)
    wanted = given(1)
    right = all((np.asarray(target[k]) == np.asarray(wanted[k])).all() for k in wanted)
    same = all(target[k].sharding == given(0)[k].sharding for k in target)
    found[form] = {{"right": right, "same sharding": same, "held": held,
                    "read": sum(read)}}
print(json.dumps(found))
"""


def shards(folder):
    """Written on 8 devices, read on 2 and on 1."""
    _child(8, _WRITE, folder)
    found = {str(devices): _child(devices, _READ, folder) for devices in (2, 1)}
    for forms in found.values():
        for row in forms.values():
            assert row["right"], found
            assert row["same sharding"], found
            assert row["read"] == row["held"], found
    return found


def _child(devices, what, folder):
    paths = [str(ROOT / "src"), str(LIBRARY)]
    inside = what.format(folder=str(folder))
    code = _CHILD.format(paths=paths, devices=devices, what=inside)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if ran.returncode:
        raise RuntimeError(ran.stderr)
    return json.loads(ran.stdout.splitlines()[-1])


# -- kills ---------------------------------------------------------------------------


def kills(folder, number):
    """What is left of a save that is killed: by number of kills, the old or the new."""
    place = folder / "killed"
    warnings.filterwarnings("ignore", "os.fork")  # the child only writes a file
    old, new = (
        {"a": np.full((1 << 22,), fill, "float32"), "b": np.full(7, fill, "float32")}
        for fill in (1, 2)
    )
    count = {"old": 0, "new": 0}

    def begun():
        child = os.fork()
        if child == 0:
            nc.checkpoint.save(place, overwrite=True, x=new)
            os._exit(0)
        return child

    nc.checkpoint.save(place, overwrite=True, x=old)
    took = statistics.median(_seconds(lambda: os.waitpid(begun(), 0)) for _ in range(7))
    delays = random.Random(0)
    for _ in range(number):
        nc.checkpoint.save(place, overwrite=True, x=old)
        child = begun()
        time.sleep(delays.uniform(0, 1.2 * took))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        item = nc.checkpoint.read(place)["x"]
        fills = {float(value) for name in "ab" for value in set(item[name].read())}
        count[{1.0: "old", 2.0: "new"}[fills.pop()]] += 1
        assert not fills
    return count


def _seconds(call):
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def main():
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--json")
    parser.add_argument("--memory", choices=("save", "load"), help=argparse.SUPPRESS)
    parser.add_argument("--at", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory:
        return memory(options.memory, options.at, options.mib)
    print(heading())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = {
            "kills": kills(folder, options.kills),
            "shards": shards(folder),
            "leaves": leaves(folder),
            "speed": speed(folder, options.mib),
        }
    for part, row in found.items():
        print(part, json.dumps(row))
    write(options.json, found)
    return None


if __name__ == "__main__":
    main()
