"""Whether jax is tracing."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import jax
import jax.extend.core

from .._release import registry

__all__ = ["at_top", "in_native_context"]


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

_context = getattr(registry, "GRAPH_CONTEXT", None)


def in_native_context() -> bool:
    """Whether ``nnx.cached_partial`` has a cache for the ``nnx.jit`` of this call."""
    return getattr(_context, "tmp_static_cache", None) is not None
