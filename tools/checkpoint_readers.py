"""The file of nnx_compat.checkpoint.save, opened as it stands by other tools' readers.

    python tools/checkpoint_readers.py [--environment FOLDER]

Makes an environment of the newest Flax with the safetensors library and torch (some
gigabytes), saves one model, and asks each reader for all arrays: names, dtypes, bits.
Exit code 1 when one of them differs or raises. ``nox -s readers`` calls this.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


def main() -> int:
    """Make the environment, then run this file in it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    at = ROOT / ".nox" / "readers"
    parser.add_argument("--environment", type=Path, default=at)
    parser.add_argument("--inside", type=Path, help="of the environment: read FOLDER")
    options = parser.parse_args()
    if options.inside:
        return inside(options.inside)
    sys.path[:0] = [str(ROOT), str(ROOT / "src")]
    from nnx_compat import facts, matrix
    from tools import environments

    pair = matrix.dated(facts.releases()[-1].version)
    python = environments.ensure(options.environment, pair, ["safetensors[torch]"])
    folder = options.environment / "files"
    folder.mkdir(exist_ok=True)
    command = [str(python), __file__, "--inside", str(folder)]
    env = environments.source_on_path()
    return subprocess.run(command, env=env).returncode


def inside(folder: Path) -> int:
    """Save, open with every reader, and print a line for each."""
    import jax.numpy as jnp
    import numpy as np

    import nnx_compat as nc

    file = folder / "weights.safetensors"
    arrays = {
        "layer": {"kernel": jnp.arange(6.0).reshape(2, 3), "bias": jnp.zeros(3)},
        "half": jnp.array([1.5, -2.0], jnp.bfloat16),
        "small": jnp.ones((2, 2), jnp.float16),
        "count": jnp.array(3, jnp.int32),
        "mask": jnp.array([True, False]),
        "bytes": jnp.arange(4, dtype=jnp.uint8),
    }
    nc.checkpoint.save(file, overwrite=True, model=arrays)
    wanted = {
        ".".join(map(str, entry.path)): np.asarray(entry.read())
        for entry in nc.checkpoint.read(file)["model"].values()
    }
    failed = 0
    for name, reader in READ.items():
        try:
            wrong = _compared(reader(file), wanted)
        except Exception as error:
            wrong = [f"{type(error).__name__}: {error}"[:300]]
        failed += bool(wrong)
        print(f"{name:<28} {'; '.join(wrong) or f'{len(wanted)} arrays, bit for bit'}")
    return 1 if failed else 0


def _compared(found: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    wrong = [f"{name} is not there" for name in wanted.keys() ^ found.keys()]
    for name in wanted.keys() & found.keys():
        dtype, bits = found[name]
        if (dtype, bits) != (str(wanted[name].dtype), wanted[name].tobytes()):
            wrong.append(f"{name} is {dtype}, not {wanted[name].dtype}")
    return wrong


# -- readers: each gives the dtype and the bytes of every array ------------------------


def _plain(arrays: Any) -> dict[str, Any]:
    import numpy as np

    return {name: (str(a.dtype), np.asarray(a).tobytes()) for name, a in arrays.items()}


def _numpy(file: Path) -> dict[str, Any]:
    importlib.import_module("ml_dtypes")  # numpy learns bfloat16 from it
    from safetensors.numpy import load_file

    return _plain(load_file(file))


def _flax(file: Path) -> dict[str, Any]:
    from safetensors.flax import load_file

    return _plain(load_file(file))


def _torch(file: Path) -> dict[str, Any]:
    torch = importlib.import_module("torch")
    from safetensors.torch import load_file

    return {
        name: (
            str(tensor.dtype).removeprefix("torch."),
            bytes(tensor.contiguous().reshape(-1).view(torch.uint8).numpy()),
        )
        for name, tensor in load_file(file).items()
    }


def _orbax(file: Path) -> dict[str, Any]:
    from orbax.checkpoint.experimental import v1

    layout = v1.options.CheckpointLayout.SAFETENSORS
    with v1.Context(checkpoint_layout=layout):
        return _plain(v1.load(file))


READ: dict[str, Callable[[Path], dict[str, Any]]] = {
    "safetensors.numpy": _numpy,
    "safetensors.flax": _flax,
    "safetensors.torch": _torch,
    "orbax.checkpoint v1": _orbax,
}


if __name__ == "__main__":
    sys.exit(main())
