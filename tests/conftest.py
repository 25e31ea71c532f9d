"""Fixtures, and the record that a matrix run leaves behind."""

from __future__ import annotations

import collections
import datetime
import json
import os
import platform
import time
from pathlib import Path

import hypothesis
import pytest

hypothesis.settings.register_profile(
    "matrix", deadline=None, max_examples=25, derandomize=True
)
hypothesis.settings.load_profile("matrix")


def pytest_addoption(parser):
    parser.addoption(
        "--record", metavar="FILE", help="write the result of this run as JSON"
    )
    parser.addoption("--suite", default="full", help="what to call this selection")


START = pytest.StashKey[tuple[float, dict[str, str]]]()
COLLECTED = pytest.StashKey[int]()


def pytest_sessionstart(session):
    session.config.stash[START] = time.time(), _source()


def _source():
    from nnx_compat.matrix import source

    return source.digests("src", "tests")


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    """A worker of xdist says how many tests it collected: all of them, as each does."""
    collected = getattr(node, "workeroutput", {}).get("collected", 0)
    stash = node.config.stash
    stash[COLLECTED] = max(collected, stash.get(COLLECTED, 0))


def pytest_sessionfinish(session, exitstatus):
    config = session.config
    if hasattr(config, "workerinput"):
        config.workeroutput["collected"] = session.testscollected
        return  # it leaves the record to its controller
    file = config.getoption("--record")
    if file is None:
        return
    import jaxlib
    import numpy

    import nnx_compat as nc

    from .weights import initial_weights

    stats = config.pluginmanager.get_plugin("terminalreporter").stats
    count = {key: len(reports) for key, reports in stats.items()}
    reasons = collections.Counter(
        report.longrepr[2].removeprefix("Skipped: ")
        for report in stats.get("skipped", ())
    )
    start, source = config.stash[START]
    record = {
        "flax": nc.flax_version,
        "jax": nc.jax_version,
        "jaxlib": jaxlib.__version__,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
        "revision": nc.revision,
        "suite": config.getoption("--suite"),
        # of no known source when it changed while it was measured
        "source": source if source == _source() else {},
        "collected": config.stash.get(COLLECTED, session.testscollected),
        "passed": count.get("passed", 0),
        "failed": count.get("failed", 0) + count.get("error", 0),
        "skipped": count.get("skipped", 0),
        "reasons": dict(sorted(reasons.items())),
        "seconds": round(time.time() - start),
        "date": datetime.date.today().isoformat(),
        "weights": initial_weights(),
    }
    scratch = Path(f"{file}.{os.getpid()}")
    scratch.write_text(json.dumps(record, indent=1) + "\n")
    scratch.replace(file)


@pytest.fixture
def rngs():
    import nnx_compat as nc

    return nc.nnx.Rngs(0)
