"""The checker without Flax: what the pre-commit hook and the Action run.

About this repository rather than about a release of Flax: `nox` alone runs it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CODE = "from flax import nnx\nview = nnx.view\n"


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """An interpreter with pip and no other package."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    return folder / ("Scripts" if os.name == "nt" else "bin")


@pytest.fixture
def project(tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / "model.py").write_text(CODE)
    (tmp_path / "pyproject.toml").write_text(
        '[project]\ndependencies = ["flax>=0.10"]\n'
    )
    return tmp_path


def ran(bare, project, *command, **environment):
    path = os.pathsep.join([str(bare), os.environ["PATH"]])
    env = {**os.environ, "PATH": path, **environment}
    env.pop("PYTHONPATH", None)
    return subprocess.run(command, cwd=project, env=env, capture_output=True, text=True)


def test_the_hook_checks_a_project_without_flax(bare, project):
    script = str(ROOT / "tools" / "standalone.py")
    found = ran(bare, project, "python", script, "check", ".")
    assert found.returncode == 1, found.stderr
    assert "model.py:2:8: NC101" in found.stdout
    assert "instead: flax>=" in found.stdout
    none = ran(bare, project, "python", "-c", "import flax")
    assert none.returncode == 1
    assert ran(bare, project, "python", script, "explain", "NC101").returncode == 0
    refused = ran(bare, project, "python", script, "doctor")
    assert refused.returncode == 2
    assert "pip install nnx-compat" in refused.stderr


def test_the_hook_needs_less_than_ten_megabytes():
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
    )
    files = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    beside = [file for file in (ROOT / ".standalone").rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in [*files, *beside] if file.is_file())
    assert size < 10_000_000


def test_the_action_annotates_and_takes_its_inputs(bare, project):
    script = str(ROOT / "tools" / "action.sh")
    found = ran(bare, project, script)
    assert found.returncode == 1, found.stderr
    assert "::error file=model.py,line=2,col=8,endLine=2,title=NC101::" in found.stdout
    newest = ran(bare, project, script, NNX_COMPAT_TARGET="newest")
    assert newest.returncode == 0, newest.stdout
    (project / "other.py").write_text("from flax import nnx\nx = nnx.Linear\n")
    paths = ran(bare, project, script, NNX_COMPAT_PATHS="other.py")
    assert paths.returncode == 0, paths.stdout
    for name in ("NNX_COMPAT_PATHS", "NNX_COMPAT_TARGET", "NNX_COMPAT_BASELINE"):
        assert name in (ROOT / "action.yml").read_text()
        assert name in Path(script).read_text()


def test_a_tree_of_two_thousand_files_with_a_baseline(bare, project):
    """0 with a baseline, and 1 as soon as one new finding comes."""
    for number in range(2000):
        folder = project / f"part{number % 20}"
        folder.mkdir(exist_ok=True)
        (folder / f"m{number}.py").write_text(CODE if number % 10 == 0 else "x = 1\n")
    script = str(ROOT / "tools" / "standalone.py")
    written = ran(
        bare, project, "python", script, "check", "--write-baseline", "known.json"
    )
    assert written.returncode == 0, written.stderr
    before = ran(bare, project, "python", script, "check", "--baseline", "known.json")
    assert before.returncode == 0, before.stdout
    (project / "part3" / "m3.py").write_text(CODE)
    after = ran(bare, project, "python", script, "check", "--baseline", "known.json")
    assert after.returncode == 1
    assert after.stdout.startswith("part3/m3.py:2:8: NC101")
