"""The design, tested by changing it; and what it must not import.

About this repository rather than about a release of Flax, so one run of it is enough: the
matrix leaves it to ``nox``.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import nnx_compat as nc
from nnx_compat import facts, revisions

from .test_revisions import OURS, SOURCE, run

TESTS = Path(__file__).parent
sys.path.insert(0, str(TESTS.parent))

from tools import promises  # noqa: E402


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
        "nnx_compat.diagnosis",
        "nnx_compat.doctor",
        "nnx_compat.probing",
        "nnx_compat.cli",
        "nnx_compat.check",
        "nnx_compat.checkpoint",
        "nnx_compat.checkpoint._command",
        "nnx_compat.checkpoint._diff",
        "nnx_compat.checkpoint._inspect",
        "nnx_compat.checkpoint._read",
        "nnx_compat.checkpoint._rename",
        "nnx_compat.checkpoint._manifest",
        "nnx_compat.checkpoint.forms.msgpack",
        "nnx_compat.checkpoint.forms.npz",
        "nnx_compat.checkpoint.forms.orbax",
        "nnx_compat.checkpoint.forms.pickles",
        "nnx_compat.checkpoint.forms.safetensors",
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
    """What the whole repository makes of it: `nox -s promises`."""
    oldest = facts.revisions()[0]
    _copied_source(tmp_path / "src")
    assert promises.drop(tmp_path)
    if nc.revision != oldest.name:
        assert _revision_of(tmp_path / "src") == nc.revision
    else:
        _is_refused(tmp_path / "src", facts.revisions()[1].since)


def _is_refused(folder, since):
    ran = run("import nnx_compat; nnx_compat.split", path=[folder], check=False)
    assert "UnsupportedFlaxError" in ran.stderr
    assert f"pip install --upgrade 'flax>={since}'" in ran.stderr


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


# -- what the tests themselves must not be ------------------------------------------


def _of_its_own(node):
    """All there is in a function, but not what is in functions inside it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (ast.FunctionDef, ast.Lambda, ast.ClassDef)):
            yield child
            yield from _of_its_own(child)


def _checks(node):
    text = ast.unparse(node)
    return "assert" in text or "pytest.raises" in text or "pytest.warns" in text


@pytest.mark.parametrize("file", sorted(TESTS.glob("test_*.py")), ids=lambda f: f.stem)
def test_no_test_returns_early_or_asserts_on_some_releases_only(file):
    """Such a test would count as passed: select what it is about, or skip and say why."""
    wrong = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            checking = [part for part in node.body if _checks(part)]
            returns = any(isinstance(part, ast.Return) for part in _of_its_own(node))
            may_be_none = checking and all(
                isinstance(part, ast.If) and not part.orelse for part in checking
            )
            if returns or may_be_none:
                wrong.append(node.name)
    assert wrong == []
