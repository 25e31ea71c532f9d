"""Run the probes on what is installed: one process that imports, one child a Flax.

    python -m nnx_compat.band.run JOB

``JOB`` is a list in JSON of ``{"path", "forms", "ways"}``, one for each Flax to probe:
the folder that it is in (``""`` when it is on the path already), how this release
writes the probes, and in which ways to run them. For each a line of JSON is printed:
the versions installed and, by way and probe, ``"ok"``, ``"absent"`` or the error.

What all share (jax and the packages that Flax imports) is imported once, each Flax
once, and children are forked before jax has a backend. The ways run one after the
other in one child, as the drop-in namespace touches nothing of Flax's and ``install``
comes last: compiling is half of the time, and the second way finds it done. A child
that crashes or hangs is a result of the probe that it was in, and the rest run in a new
one.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import json
import logging
import multiprocessing
import os
import platform
import re
import sys
import traceback
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, NoReturn

from . import WAYS
from .forms import PROBES, Forms
from .probes import probes

#: Seconds of a probe, after which it counts as hanging: the slowest takes 2.
PATIENCE = 240
#: What a result depends on besides flax and jax.
COMPANIONS = ("jaxlib", "numpy", "ml_dtypes", "scipy", "optax", "orbax-checkpoint")
#: What every Flax imports. An error is Flax's own to meet.
SHARED = ("jax", "orbax.checkpoint", "optax")

#: For jax: the programs are tiny, and compiling them is all that takes time.
ENVIRONMENT = {
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "--xla_force_host_platform_device_count=4 "
    "--xla_backend_optimization_level=0",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}

Results = dict[str, str]


def main(arguments: list[str]) -> None:
    """Print the results of a job."""
    (job,) = arguments
    out, sys.stdout = sys.stdout, sys.stderr
    _prepare()
    for name in SHARED:
        with contextlib.suppress(BaseException):
            importlib.import_module(name)
    for one in json.loads(job):
        out.write(json.dumps(results(**one)) + "\n")
        out.flush()


def _prepare() -> None:
    os.environ.update(ENVIRONMENT)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)


def results(path: str, forms: Forms, ways: list[str]) -> dict[str, Any]:
    """The results of one Flax, by way and probe; a failed import is the only one."""
    child = _Child(_one_flax, path, forms, ways)
    found: dict[str, Any] = {}
    for key, value in child.told(PATIENCE * len(PROBES)):
        found[key] = value
    found.setdefault("with", _versions())
    of = found.setdefault("results", {})
    for way in ways:
        of.setdefault(way, {"import": child.ended})
    return found


def _one_flax(outbox: Connection, path: str, forms: Forms, ways: list[str]) -> None:
    """Import a Flax and run the ways in a child."""
    if path:
        sys.path.insert(1, path)
    outbox.send(("with", _versions()))
    found: dict[str, Results] = {}
    if imported := _imported(forms):
        found["native"] = {"import": imported}
    left = [way for way in WAYS if way in ways and way not in found]
    outbox.send(("results", found | _of_ways(left, forms)))


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in COMPANIONS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _imported(forms: Forms) -> str:
    """Import natively for all ways; an error is told, and undone for those of ours."""
    before = set(sys.modules)
    try:
        importlib.import_module("jax")
        probes("native", forms)
    except BaseException as error:
        for name in set(sys.modules) - before:
            if name.partition(".")[0] == "flax":
                del sys.modules[name]
        return told(error)
    return ""


def _of_ways(ways: list[str], forms: Forms) -> dict[str, Results]:
    found: dict[str, Results] = {way: {} for way in ways}
    left = [(way, name) for way in ways for name in PROBES]
    while left:
        child, current = _Child(_run, forms, left), left[0]
        for current, result in child.told(PATIENCE):
            if result:
                way, name = current
                found[way][name] = result
        if child.ended:
            way, name = current
            found[way][name] = child.ended
        left = [
            (way, name)
            for way, name in left
            if name not in found[way] and found[way].get("import", "ok") == "ok"
        ]
    return found


class _Child:
    """A process that tells pairs of a name and a value until it ends.

    Attributes:
        ended: how, when it did not end well.
    """

    def __init__(self, target: Callable[..., None], *arguments: Any) -> None:
        fork = "fork" in multiprocessing.get_all_start_methods()
        context: Any = multiprocessing.get_context("fork" if fork else "spawn")
        self.inbox, outbox = context.Pipe(duplex=False)
        self.process = context.Process(target=_child, args=(target, outbox, *arguments))
        self.process.start()
        outbox.close()
        self.ended = ""

    def told(self, patience: float) -> Any:
        """What it tells, as long as each comes in time (seconds)."""
        try:
            while self.inbox.poll(patience):
                yield self.inbox.recv()
            self.process.kill()
            self.ended = f"hangs: nothing after {patience} s"
        except EOFError:
            self.process.join()
            if self.process.exitcode:
                self.ended = f"crashes: exit status {self.process.exitcode}"
        self.process.join()


def _child(target: Callable[..., None], outbox: Connection, *args: Any) -> NoReturn:
    _prepare()
    status = 0
    try:
        target(outbox, *args)
    except BaseException:
        traceback.print_exc()
        status = 1
    outbox.close()
    sys.stderr.flush()
    # threads of orbax may be waiting, and what they wait for is of no interest
    os._exit(status)


def _run(outbox: Connection, forms: Forms, names: list[tuple[str, str]]) -> None:
    """Run probes, by way and name, and tell of each when it begins and when it ends."""
    programs: dict[str, Any] = {}
    for way, name in names:
        outbox.send(((way, name), ""))
        if way not in programs:
            try:
                programs[way] = probes(way, forms)
            except BaseException as error:
                programs[way] = {}
                outbox.send(((way, "import"), told(error)))
        if programs[way]:
            program = programs[way][name]
            outbox.send(((way, name), _result(program) if program else "absent"))


def _result(program: Callable[[], None]) -> str:
    try:
        program()
    except BaseException as error:
        if os.environ.get("NNX_COMPAT_BAND_TRACES"):
            traceback.print_exc()
        return told(error)
    return "ok"


def told(error: BaseException) -> str:
    """An error in one line, without what differs from one run to the next."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = f"{type(error).__name__}: {lines[0] if lines else ''}"
    text = re.sub(r" \(/\S+\)", "", text)
    text = re.sub(r"0x[0-9a-f]+", "0x", text)
    text = re.sub(r"/\S*/", "", text)
    return text[:200].rstrip(": ")


if __name__ == "__main__":
    main(sys.argv[1:])
