"""``nc.jit``: the meaning of ``nnx.jit`` without its walk at every call."""

from ._jit import jit

__all__ = ["jit"]
