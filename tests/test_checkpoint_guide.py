"""The guide page runs, block after block, and so do its command lines."""

from __future__ import annotations

import re
import shlex
import warnings
from pathlib import Path

from nnx_compat import cli

GUIDE = Path(__file__).parent.parent / "docs" / "checkpoints.md"


def test_every_block_of_the_guide_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```(\w+)\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert {kind for kind, _ in blocks} == {"python", "sh"}
    names: dict[str, object] = {"__name__": "guide"}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="orbax|jax|asyncio|importlib")
        for kind, text in blocks:
            if kind == "python":
                exec(compile(text, GUIDE.name, "exec"), names)
                continue
            for line in text.splitlines():
                program, *arguments = shlex.split(line)
                assert program == "nnx-compat"
                assert cli.main(arguments) == 0, capsys.readouterr().err
