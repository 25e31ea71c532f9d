"""The design, tested by changing it; and what it must not import.

About this repository rather than about a release of Flax, so one run of it is enough: the
matrix leaves it to ``nox``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap

import pytest

import nnx_compat as nc
from nnx_compat import facts, revisions

from .test_revisions import OURS, SOURCE, run


def test_doctor_runs_on_a_machine_without_flax(tmp_path):
    """-S leaves out site-packages: no flax, no jax, no rich, no packaging."""
    _copied_source(tmp_path)
    ran = subprocess.run(
        [sys.executable, "-S", "-m", "nnx_compat", "doctor"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 1
    assert "problem    flax is not installed" in ran.stdout
    assert "run:     pip install" in ran.stdout


@pytest.mark.parametrize(
    "module",
    [
        "nnx_compat",
        "nnx_compat.errors",
        "nnx_compat.facts",
        "nnx_compat.matrix",
        "nnx_compat.matrix.render",
        "nnx_compat.doctor",
        "nnx_compat.cli",
        "nnx_compat.check",
        "nnx_compat.nox",
    ],
)
def test_the_facts_half_imports_neither_flax_nor_jax(module):
    code = (
        f"import json, sys, {module}; "
        "from nnx_compat import facts; facts.behaviours(); facts.names(); "
        "print(json.dumps([m for m in ('flax', 'jax', 'rich') if m in sys.modules]))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert json.loads(ran.stdout) == []


def test_a_plug_in_installed_in_an_environment_of_its_own(tmp_path):
    """A real package, built and installed by pip into a temporary environment."""
    project = tmp_path / "project"
    project.mkdir()
    source = OURS.format(base=nc.revision, releases=">=0.8")
    (project / "nnx_extra.py").write_text(source)
    (project / "setup.py").write_text(
        textwrap.dedent(
            f"""
            from setuptools import setup
            setup(name="nnx-extra", version="1.0", py_modules=["nnx_extra"],
                  entry_points={{"{revisions.GROUP}": ["ours = nnx_extra:Revision"]}})
            """
        )
    )
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    python = venv / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, str(project)], check=True, capture_output=True)
    site = subprocess.run(
        [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    # the environment's packages first, Flax and jax from the one that runs the tests
    ours = [p for p in sys.path if p.endswith("site-packages")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([site, str(SOURCE), *ours])}
    code = "import nnx_compat as nc; nc.split; print(nc.revision)"
    ran = subprocess.run(
        [str(python), "-c", code], env=env, check=True, capture_output=True, text=True
    )
    assert ran.stdout.strip() == "ours"


# -- the design, tested by changing it ----------------------------------------------


def test_a_made_up_future_revision_is_one_file_and_one_row(tmp_path):
    copy = _copied_source(tmp_path)
    (copy / "revisions" / "future.py").write_text(
        f"from . import {nc.revision} as older\n\n"
        "class Revision(older.Revision):\n    name = 'future'\n"
    )
    version = nc.flax_version
    rows = (copy / "facts" / "releases.toml").read_text()
    row = f'[[revision]]\nname = "future"\nsince = "{version}"\n\n'
    (copy / "facts" / "releases.toml").write_text(
        rows.replace("\n[[companion]]", "\n" + row + "[[companion]]", 1)
    )
    assert _revision_of(tmp_path) == "future"


def test_dropping_the_oldest_revision_is_one_file_and_one_row(tmp_path):
    copy = _copied_source(tmp_path)
    oldest = facts.revisions()[0]
    (copy / "revisions" / f"{oldest.name}.py").unlink()
    rows = (copy / "facts" / "releases.toml").read_text()
    row = f'[[revision]]\nname = "{oldest.name}"\nsince = "{oldest.since}"\n'
    assert row in rows
    (copy / "facts" / "releases.toml").write_text(rows.replace(row, ""))
    if nc.revision != oldest.name:
        assert _revision_of(tmp_path) == nc.revision
        return
    ran = run("import nnx_compat; nnx_compat.split", path=[tmp_path], check=False)
    assert "UnsupportedFlaxError" in ran.stderr
    assert f"pip install --upgrade 'flax>={facts.revisions()[1].since}'" in ran.stderr


def _copied_source(tmp_path):
    shutil.copytree(
        SOURCE / "nnx_compat",
        tmp_path / "nnx_compat",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    return tmp_path / "nnx_compat"


def _revision_of(folder):
    code = "import nnx_compat as nc; nc.pure_state_update(0, [1.0], 1, 1.0); print(nc.revision)"
    return run(code, path=[folder]).stdout.strip()
