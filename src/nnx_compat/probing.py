"""Run the probes of the band on what is installed here, in a process of their own.

Imports neither flax nor jax: a broken pair is what this is here to look at.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from . import band
from .errors import ProbingError

__all__ = ["CAP", "probed", "waiting"]

#: Seconds for all probes in all ways, of which a few minutes are usual.
CAP = 900


def probed(
    flax: str, ways: Sequence[str] = band.WAYS, *, cap: float = CAP
) -> dict[str, dict[str, str]]:
    """What the probes say of what is installed, by way and probe.

    Args:
        flax: the release that is installed, or that a build belongs to.
        ways: of ``band.WAYS``.
        cap: seconds after which they are stopped.

    Raises:
        ProbingError: they were stopped, or the process did not end well.
    """
    job = [{"path": "", "forms": band.forms(flax), "ways": list(ways)}]
    source = str(Path(__file__).parents[1])
    path = os.pathsep.join(filter(None, (source, os.environ.get("PYTHONPATH", ""))))
    # in a folder of its own: no file of the reader's is imported in place of a package
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "nnx_compat.band.run", json.dumps(job)],
            env={**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"},
            cwd=folder, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        try:
            out, err = process.communicate(timeout=cap)
        except BaseException as error:
            _kill(process)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            raise ProbingError(
                f"the probes were stopped after {cap:.0f} s",
                instead="nnx-compat doctor --probe --cap SECONDS, with more",
            ) from None
    if process.returncode:
        last = err.strip().splitlines()[-1:] or ["no output"]
        raise ProbingError(
            f"the probes ended with exit status {process.returncode}: {last[0]}",
            instead=f"{sys.executable} -c 'import flax.nnx', to see what is wrong",
        )
    answer: dict[str, Any] = json.loads(out)
    results: dict[str, dict[str, str]] = {
        way: {probe: text for probe, text in found.items() if text != "ok"}
        for way, found in answer["results"].items()
    }
    return results


@contextlib.contextmanager
def waiting(cap: float) -> Iterator[None]:
    """Tell on stderr that the probes run: each second on a terminal, once in a pipe."""
    what = "probing what is installed"
    if not sys.stderr.isatty():
        print(f"{what}, for up to {cap:.0f} s", file=sys.stderr)
        yield
        return
    done, start = threading.Event(), time.monotonic()

    def tick() -> None:
        while not done.wait(1):
            passed = f"{time.monotonic() - start:.0f} of up to {cap:.0f} s"
            print(f"\r{what}: {passed}", end="", file=sys.stderr, flush=True)
        print("\r" + " " * 70, end="\r", file=sys.stderr)

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _kill(process: subprocess.Popen[str]) -> None:
    """End the process and the children that it has forked, which are of its group."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.communicate()
