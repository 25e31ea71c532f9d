"""One process a release: imports jax and Flax once, and forks a child for each job.

    python -m tools.corpus.host FOLDER

reads one job a line from its input (a path of a JSON file) and answers each with one
line when it is over. No backend of jax is there when it forks: a child makes its own.
Inside FOLDER is all that a package may write: the children's home, temporary files and
working folder. Where the system permits it they are without a network.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import runpy
import signal
import sys
import time
from pathlib import Path
from typing import Any

_PROBE = str(Path(__file__).with_name("probe.py"))
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000


def _without_network() -> bool:
    """Leave the network, for good; not every system lets a process do that."""
    libc = ctypes.CDLL(None, use_errno=True)
    unshare = getattr(libc, "unshare", None)
    if unshare is None:
        return False
    return not (unshare(_CLONE_NEWNET) and unshare(_CLONE_NEWUSER | _CLONE_NEWNET))


def _child(file: str, job: dict[str, Any], folder: Path) -> None:
    """What the child does; it does not return."""
    code = 1
    try:
        log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.chdir(folder / "work")
        if job["way"] == "native":
            sys.argv[:] = [_PROBE, file]
            runpy.run_path(_PROBE, run_name="__main__")
        else:
            sys.path.insert(0, job["source"])
            _ours(file, job)
        code = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def _ours(file: str, job: dict[str, Any]) -> None:
    """A fixed copy imports us itself; ``run`` is the command that people use."""
    if job["way"] == "fix":
        sys.argv[:] = [_PROBE, file]
        runpy.run_path(_PROBE, run_name="__main__")
    else:
        from nnx_compat.cli import main

        main(["run", _PROBE, file])


def _waited(child: int, seconds: float) -> tuple[str, float]:
    """Wait for a child, and end it when it takes too long; its CPU time with it."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        ended, status, used = os.wait4(child, os.WNOHANG)
        if ended:
            how = "ended" if not status else f"status {status}"
            return how, used.ru_utime + used.ru_stime
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    _, _, used = os.wait4(child, 0)
    return "stopped", used.ru_utime + used.ru_stime


def main(folder: Path) -> None:
    """Serve jobs until the input ends."""
    for name in ("home", "tmp", "work"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    _without_network()
    import flax
    import jax

    importlib.import_module("optax")
    print(json.dumps([flax.__version__, jax.__version__]), flush=True)
    for line in sys.stdin:
        file = line.strip()
        job = json.loads(Path(file).read_text())
        child = os.fork()
        if not child:
            os.setsid()
            _child(file, job, folder)
        how, used = _waited(child, job["seconds"])
        print(json.dumps({"how": how, "seconds": used}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
