"""Runs the jobs of the corpus: a package on a release in one way, each in a child.

The child's process is forked by ``host.py``, which is started once for a release and
imports jax and Flax once. What it answers is put into the form of a record
(``nnx_compat.matrix.corpus``).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from nnx_compat.check.fixing import files as fixing
from nnx_compat.matrix import corpus, source

from . import pins, places

ROOT = places.ROOT
#: How long a job may take in all, by the clock.
SECONDS = 420
#: What decides the outcome of an item, besides the package and Flax.
_PROBES = ("probe.py", "arguments.py", "outcomes.py", "lines.py", "host.py")


def sources(package: pins.Package, way: str, src: str = "") -> dict[str, str]:
    """What a result in this way is of; the native one is not of our own source.

    Args:
        package: that is measured.
        way: in which it is.
        src: the digest of our source, where it is known already.
    """
    found = {"tools/corpus": _digest(), "pin": package.digest}
    return found if way == "native" else {**found, "src": src or source.digest("src")}


def _digest() -> str:
    """Of the code that decides outcomes."""
    here = Path(__file__).parent
    texts = [f"{name}\0{(here / name).read_text('utf-8')}" for name in _PROBES]
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


class Host:
    """A process of a release, which forks one child a job."""

    def __init__(self, flax: str, folder: Path) -> None:
        python = places.ensure(flax)
        env = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "tmp"),
            "PYTHONPATH": str(ROOT),
            "PYTHONHASHSEED": "0",
            "JAX_PLATFORMS": "cpu",
            "JAX_TRACEBACK_FILTERING": "off",
            "HF_HUB_OFFLINE": "1",
            "MPLBACKEND": "agg",
            "WANDB_MODE": "disabled",
            "OMP_NUM_THREADS": "1",
            # what is compiled once serves all packages and ways of a release
            "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            "XLA_FLAGS": "--xla_backend_optimization_level=0",
        }
        env.update({k: v for k, v in os.environ.items() if k.startswith("OPENBLAS")})
        self._process = subprocess.Popen(
            [str(python), "-m", "tools.corpus.host", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=env,
        )
        self.flax, self.jax = self._answer()
        self._folder = folder

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process ended with {self._process.wait()}")
        return json.loads(line)

    def run(self, package: pins.Package, way: str, paths: list[Path]) -> dict[str, Any]:
        """One job; what came of it, in the form of a record."""
        out, log = self._folder / "out.jsonl", self._folder / "log.txt"
        job = {
            "way": way, "path": str(paths[0]), "on_path": [str(p) for p in paths],
            "modules": package.modules, "skip": package.skip, "share": package.share,
            "env": package.env, "out": str(out), "log": str(log), "seconds": SECONDS,
            "source": str(ROOT / "src"), "lines": way == "native",
            "tests": package.tests,
        }  # fmt: skip
        file = self._folder / "job.json"
        file.write_text(json.dumps(job))
        out.unlink(missing_ok=True)
        assert self._process.stdin is not None
        self._process.stdin.write(f"{file}\n")
        self._process.stdin.flush()
        answer = self._answer()
        rows = [json.loads(line) for line in _whole_lines(out)]
        found = corpus.outcome(rows)
        found["seconds"] = round(answer["seconds"])
        if not any("done" in row for row in rows):
            found["ended"] = f"{answer['how']}: {_last(log)}"
        return found

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def _whole_lines(file: Path) -> list[str]:
    if not file.exists():
        return []
    return [line for line in file.read_text().split("\n")[:-1] if line]


def _last(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1][:160] if lines else "it said nothing"


def fixed(package: pins.Package, plain: Path, folder: Path) -> Path:
    """A copy of a package that ``nnx-compat fix`` has rewritten."""
    at = folder / package.id
    if not at.exists():
        scratch = folder / f".{package.id}"
        shutil.copytree(plain, scratch)
        fixing.rewrite([str(file) for file in of_package(package, scratch)])
        scratch.replace(at)
    return at


def of_package(package: pins.Package, path: Path) -> list[Path]:
    """The files of the modules that are run."""
    from . import probe

    job = {"path": str(path), "modules": package.modules, "skip": package.skip}
    found = []
    for name in probe.modules(job):
        file = path.joinpath(*name.split("."))
        found.append(file / "__init__.py" if file.is_dir() else file.with_suffix(".py"))
    found += [path / file for file in package.tests]
    return [file for file in found if file.exists()]
