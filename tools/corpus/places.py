"""The environments of the corpus: one a release, with what all packages need together.

A package itself is never installed: it is put on the path from the folder that it was
unpacked into. So an environment is made once, however many packages there are.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from nnx_compat import matrix
from tools import environments

from . import pins

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".nox" / "corpus"
#: What the probes themselves need.
TOOLS = ("pytest>=8",)


def ensure(flax: str) -> Path:
    """The interpreter of a release's environment, made when it is not there.

    What cannot be installed beside that Flax and jax is left out and listed in
    ``left_out.txt``: the modules that import it fail there, and not because of Flax.
    """
    pair = matrix.dated(flax)._replace(python=pins.PYTHON)
    folder = FOLDER / pair.id
    python = environments.ensure(folder, pair, TOOLS)
    wanted, done = pins.needs(), folder / "needs.txt"
    if not done.exists() or done.read_text().split() != wanted:
        left_out = _installed(python, folder, wanted)
        (folder / "left_out.txt").write_text("\n".join(left_out))
        done.write_text("\n".join(wanted))
    return python


def _installed(python: Path, folder: Path, wanted: list[str]) -> list[str]:
    """Install one by one beside what is there, wheels only; say what cannot be."""
    fixed = folder / "fixed.txt"
    fixed.write_text(_frozen(python))
    # wheels only: building one from source would run code of its author's here
    options = ("--only-binary", ":all:", "-c", str(fixed))
    if not environments.install(python, *options, *wanted).returncode:
        return []
    left_out = []
    for need in wanted:
        if environments.install(python, *options, need).returncode:
            left_out.append(need)
        else:
            fixed.write_text(_frozen(python))
    return left_out


def _frozen(python: Path) -> str:
    code = (
        "from importlib import metadata as m\n"
        "print('\\n'.join(f'{d.name}=={d.version}' for d in m.distributions()))"
    )
    command = [str(python), "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
