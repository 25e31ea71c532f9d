"""Whether jax is tracing."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import jax
import jax.extend.core

__all__ = ["at_top"]


def _found() -> Callable[[], bool]:
    """Whether no transformation is under way: asked of jax in the way that it has."""
    homes = [jax.core, jax.extend.core]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for home in homes:
            if hasattr(home, "trace_state_clean"):
                clean: Callable[[], bool] = home.trace_state_clean
                return clean
        state = next(
            home.get_opaque_trace_state
            for home in homes
            if hasattr(home, "get_opaque_trace_state")
        )
    # were this imported under a trace, whose state never comes again, all would take
    # the slow way
    top = state(convention="nnx")
    return lambda: bool(state(convention="nnx") == top)


at_top = _found()
