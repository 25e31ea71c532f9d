"""Warnings of old spellings, at the line of the code that wrote them."""

from __future__ import annotations

import sys
import warnings

from ..errors import RemovedNameWarning


def warn_removed(text: str) -> None:
    """Warn of an old spelling where the caller wrote it, not where Flax passed it on.

    A constructor is reached through the metaclass of NNX, by another number of calls on
    each release, so the frames of both packages are counted.
    """
    level, frame = 1, sys._getframe()
    while frame is not None and _is_inside(frame.f_globals.get("__name__", "")):
        level, frame = level + 1, frame.f_back  # type: ignore[assignment]
    warnings.warn(text, RemovedNameWarning, stacklevel=level)


def _is_inside(module: str) -> bool:
    return module.split(".")[0] in ("flax", "nnx_compat")
