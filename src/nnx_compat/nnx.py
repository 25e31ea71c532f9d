"""The drop-in namespace: the installed ``flax.nnx`` plus what it lacks.

    from nnx_compat import nnx      # instead of: from flax import nnx

    >>> from nnx_compat import nnx
    >>> class Block(nnx.Module):
    ...     def __init__(self, rngs):
    ...         self.layers = nnx.List([nnx.Linear(2, 2, rngs=rngs) for _ in range(3)])
    >>> len(Block(nnx.Rngs(0)).layers)
    3

A name that Flax has with the meaning of the newest release is Flax's own object. A name
that came later is built here from what the release has, one that was removed is kept
with a ``DeprecationWarning``, and any other is an ``AttributeError`` that
says since when it exists and what to write instead. ``flax`` itself is never touched:
methods of its classes that came later are functions of ``nnx_compat`` (``get_value``)
or come with ``nnx_compat.install()``.
"""

from typing import Any as _Any

from . import _nnx


def __getattr__(name: str) -> _Any:
    value, keep = _nnx.resolve(name)
    if keep:  # the next access is that of a plain module attribute
        globals()[name] = value
    return value


def __dir__() -> list[str]:
    return _nnx.public()
