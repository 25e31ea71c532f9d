"""Warnings of old spellings, at the line of the code that wrote them."""

from __future__ import annotations

import sys
import warnings
from types import FrameType

from ..errors import RemovedNameWarning


def warn_removed(text: str) -> None:
    """Warn of an old spelling where the caller wrote it, not where Flax passed it on.

    A constructor is reached through the metaclass of NNX, by another number of calls on
    each release, so the frames of both packages are counted.
    """
    warnings.warn(text, RemovedNameWarning, stacklevel=outer_level(sys._getframe()))


def outer_level(frame: FrameType | None) -> int:
    """The ``stacklevel`` of the nearest frame outside of both packages.

    Args:
        frame: the one that warns.
    """
    level = 1
    while frame is not None and is_inside(frame.f_globals.get("__name__", "")):
        level, frame = level + 1, frame.f_back
    return level


def is_inside(module: str) -> bool:
    """Whether a module is of Flax or of this package."""
    return module.split(".")[0] in ("flax", "nnx_compat")
