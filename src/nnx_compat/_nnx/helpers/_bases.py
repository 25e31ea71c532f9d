"""What the containers derive from."""

from __future__ import annotations

from typing import Any

from ...revisions import nnx
from ..pytreelib.pytrees import JaxPytree


def bases(protocol: type, native: type | None) -> tuple[Any, ...]:
    """A protocol, and the native class, which keeps ``isinstance`` true.

    The protocol comes first: a Module has a ``pop`` and an ``update`` of its own once.

    Args:
        protocol: such as ``MutableMapping``.
        native: Flax's own class of the name, or None where there is none.
    """
    native = native or nnx.Module
    if protocol in native.__mro__:  # then it cannot stand before it
        return JaxPytree, native
    return protocol, JaxPytree, native
