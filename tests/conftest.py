"""Fixtures, and the record that a matrix run leaves behind."""

from __future__ import annotations

import datetime
import json
import os
import platform
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


def pytest_sessionfinish(session, exitstatus):
    file = session.config.getoption("--record")
    if file is None or hasattr(session.config, "workerinput"):
        return  # a worker of xdist leaves the record to its controller
    import jaxlib
    import numpy

    import nnx_compat as nc

    from .weights import initial_weights

    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    count = {key: len(reports) for key, reports in reporter.stats.items()}
    record = {
        "flax": nc.flax_version,
        "jax": nc.jax_version,
        "jaxlib": jaxlib.__version__,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
        "revision": nc.revision,
        "suite": session.config.getoption("--suite"),
        "passed": count.get("passed", 0),
        "failed": count.get("failed", 0) + count.get("error", 0),
        "skipped": count.get("skipped", 0),
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
