"""The pages of the documentation run, block after block, on the installed release."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import nnx_compat as nc
from nnx_compat import cli

DOCS = Path(__file__).parent.parent / "docs"
GUIDES = ("explanation", "jit", "notebooks", "stability", "tutorial", "upgrading")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder to be in; what a page installs is undone."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    nc.uninstall()


@pytest.mark.parametrize("guide", GUIDES)
def test_every_block_of_a_guide_runs(guide, folder, capsys):
    text = (DOCS / f"{guide}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```(\w+)\n(.*?)```", text, re.DOTALL)
    assert {"python"} <= {kind for kind, _ in blocks} <= {"python", "sh"}
    names: dict[str, object] = {"__name__": guide}
    for kind, block in blocks:
        if kind == "sh":
            _run(block, capsys)
        elif file := re.match(r"# (\w+\.py)\n", block):  # it is to be read, not run
            (folder / file[1]).write_text(block, encoding="utf-8")
        else:
            exec(compile(block, f"{guide}.md", "exec"), names)


def _run(block, capsys):
    """Its lines, but for the one that installs what the tests have installed."""
    for line in block.splitlines():
        program, *arguments = shlex.split(line, comments=True)
        assert program == "nnx-compat" or line == "pip install ."
        if program == "nnx-compat":
            stated = int("# exits with 1" in line)
            assert cli.main(arguments) == stated, (line, capsys.readouterr())
