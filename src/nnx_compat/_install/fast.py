"""``nc.jit`` in the place of ``nnx.jit``, for ``install(fast=True)``."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from .. import nnx as drop_in
from .._jit import jit
from .._release import native
from ..revisions import nnx

_OPTIONS = frozenset(inspect.signature(jit).parameters) - {"fun"}


@functools.wraps(native["jit"])
def _fast_jit(*args: Any, **options: Any) -> Any:
    """``nc.jit``, or Flax's own with an option that only older releases have."""
    if len(args) > 1 or not _OPTIONS.issuperset(options.keys() - {"fun"}):
        return native["jit"](*args, **options)
    return jit(*args, **options)


def replacements() -> Iterator[tuple[ModuleType, str, Any]]:
    """The namespaces with a ``jit`` of NNX's: Flax's public and private, and ours."""
    root = nnx.__name__
    for name, module in list(sys.modules.items()):
        inside = name == root or name.startswith(f"{root}.")
        if inside and (name == root or vars(module).get("jit") is native["jit"]):
            yield module, "jit", _fast_jit
    yield drop_in, "jit", _fast_jit
