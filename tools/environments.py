"""Environments for the matrix: interpreters wherever they are, uv or virtualenv."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nnx_compat.matrix import Pair

ROOT = Path(__file__).parent.parent
#: What our tests need besides a pair; the last is the extra ``checkpoint``.
TOOLS = ("pytest>=8", "pytest-xdist>=3.5", "hypothesis>=6.100", "safetensors>=0.5")
#: Test files that are not about a release: `nox` alone runs them, and no pair does.
ABOUT_THE_REPOSITORY = (
    "band", "check", "conformance", "corpus", "design", "matrix", "settings",
    "site", "standalone", "tools", "upgrade",
)  # fmt: skip


@cache
def interpreter(version: str) -> str | None:
    """The path of a CPython, or None: on PATH, in pyenv's folder, or one that uv knows.

    Args:
        version: ``"3.12"``.
    """
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        return sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [shutil.which(f"python{version}")]
    found += [str(p) for p in sorted(pyenv.glob(f"{version}.*/bin/python"))[::-1]]
    uv = shutil.which("uv")
    if uv:
        command = [uv, "python", "find", "--no-python-downloads", version]
        ran = subprocess.run(command, capture_output=True, text=True)
        found.append(ran.stdout.strip() or None)
    for candidate in found:
        if candidate and _answers(candidate, version):
            return candidate
    return None


def _answers(candidate: str, version: str) -> bool:
    """Whether it really runs: a pyenv shim may exist for a version that does not."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        ran = subprocess.run([candidate, "-c", code], capture_output=True, text=True)
    except OSError:
        return False
    return ran.stdout.strip() == version


def create(folder: Path, version: str) -> Path:
    """Make an environment with this CPython and return its interpreter."""
    found = interpreter(version)
    if found is None:
        raise LookupError(f"needs CPython {version}")
    if uv := shutil.which("uv"):
        command = [uv, "venv", "-q", "--clear", "-p", found, str(folder)]
    else:
        command = [found, "-m", "venv", "--clear", str(folder)]
    subprocess.run(command, check=True)
    return _python_in(folder)


def ensure(folder: Path, pair: Pair, tools: Sequence[str]) -> Path:
    """The environment of a pair, made when it is not there or was made otherwise.

    Args:
        folder: where it is.
        pair: what to install; a dated pair takes nothing newer than its date.
        tools: what to install besides, of any date.

    Returns:
        Its interpreter.

    Raises:
        RuntimeError: the installer failed; the message is its own.
    """
    made, wanted = folder / "made.txt", "\n".join([*pair.constraints, *tools])
    if made.exists() and made.read_text() == wanted:
        return _python_in(folder)
    python = create(folder, pair.python)
    for requirements, before in (
        (pair.constraints, pair.uploaded_before),
        (tools, ""),
    ):
        ran = install(python, *requirements, before=before)
        if ran.returncode:
            raise RuntimeError(f"{pair.id}: {ran.stderr}")
    made.write_text(wanted)
    return python


def _python_in(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def install(
    python: Path, *requirements: str, before: str = ""
) -> subprocess.CompletedProcess[str]:
    """Install into an environment with uv, or with its own pip.

    Args:
        python: the interpreter of the environment.
        *requirements: as for pip.
        before: a date; nothing uploaded later is taken (uv only).
    """
    if uv := shutil.which("uv"):
        command = [uv, "pip", "install", "-q", "-p", str(python)]
        command += ["--exclude-newer", before] if before else []
    else:
        command = [str(python), "-m", "pip", "install", "-q"]
    return subprocess.run(
        [*command, *requirements], capture_output=True, text=True, env=certificates()
    )


def certificates() -> dict[str, str]:
    """The environment, with pip's certificates handed to uv too."""
    env = dict(os.environ)
    if "PIP_CERT" in env:
        env.setdefault("SSL_CERT_FILE", env["PIP_CERT"])
    return env


def source_on_path() -> dict[str, str]:
    """The environment in which our source is imported without being installed."""
    env = certificates()
    env.update(PYTHONPATH=str(ROOT / "src"))
    # the environments are ours: without bytecode each run compiles all of jax again
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    return env


def write_atomically(file: Path, text: str) -> None:
    """Write a file whole or not at all."""
    scratch = file.with_name(f".{file.name}.{os.getpid()}")
    scratch.write_text(text, encoding="utf-8")
    scratch.replace(file)
