"""Which step of a folder of steps is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ...errors import CheckpointNotFoundError


def chosen(place: Path, step: int | None, steps: Mapping[int, object]) -> int:
    """The step that was asked for, or the newest.

    Raises:
        CheckpointNotFoundError: it is not there, or not finished.
    """
    newest = max(steps)
    if step is None:
        return newest
    if step in steps:
        return step
    shown = ", ".join(map(str, sorted(steps)[-10:]))
    raise CheckpointNotFoundError(
        f"{place} has no finished step {step}; it has {shown}",
        instead=f"step={newest}, or none for the newest",
    )
