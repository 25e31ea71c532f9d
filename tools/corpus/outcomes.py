"""What came of an item: its error in a form that is the same at each run."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: How many frames of a package are noted, the innermost last.
_FRAMES = 6


_PYTHON = str(Path(traceback.__file__).parent)
#: Where this repository is, whose own file a function of the harness is named after.
_HERE = str(Path(__file__).parents[2])


class OutOfTime(BaseException):
    """An item took longer than it may: nothing is said about it."""


def place(file: str, roots: Mapping[str, str]) -> tuple[str, str]:
    """Whose file this is, and its path there.

    Args:
        file: of a frame.
        roots: folders, and whose each is; ``"package"`` is the one that is judged.

    Example:
        >>> place("/site/flax/nnx/graph.py", {"/site/flax": "flax"})
        ('flax', 'nnx/graph.py')
        >>> place("<string>", {})
        ('other', '<string>')
    """
    for root, owner in roots.items():
        if file.startswith(root + "/"):
            return owner, file[len(root) + 1 :]
    return "other", Path(file).name


def failure(error: BaseException, roots: Mapping[str, str]) -> dict[str, Any]:
    """An error as it is recorded: its text, where it ended, what it passed through."""
    frames = []
    owner = "other"
    for frame, line in traceback.walk_tb(error.__traceback__):
        path = frame.f_code.co_filename
        if path.startswith((_PYTHON, "<frozen")):
            continue  # abc, dataclasses, importlib: called by whoever was wrong
        owner, file = place(path, roots)
        if owner == "package":
            frames.append(f"{file}:{line}")
    if isinstance(error, SyntaxError) and error.filename:
        owner = "syntax"
    return {
        "error": f"{type(error).__name__}: {said(str(error), roots)}".strip(),
        "ends": owner,
        "frames": frames[-_FRAMES:],
    }


def said(text: str, roots: Mapping[str, str]) -> str:
    r"""The first line of a message without what differs from run to run.

    Example:
        >>> said("<A object at 0x7f00>\nmore", {})
        '<A object at 0x>'
    """
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    # the longest first: an environment may be inside of the repository
    for root in sorted([*roots, _HERE, sys.prefix], key=len, reverse=True):
        line = line.replace(root, "")
    line = re.sub(r"0x[0-9a-f]+", "0x", line)
    line = re.sub(r"\d{5,}", "N", line)
    line = re.sub(r"/tmp/\S+", "/tmp", line)
    return line[:160]
