"""Errors of NNX that have moved."""

from __future__ import annotations

import flax.errors

from .._release import native, native_in

__all__ = ["TraceContextError"]

#: Raised where a Variable is written to inside a transform that it came from outside
#: of. It has moved twice: ``flax.errors`` has it today.
TraceContextError: type[Exception] = (
    native.get("TraceContextError")
    or native_in("errors", "TraceContextError")
    or flax.errors.TraceContextError
)
