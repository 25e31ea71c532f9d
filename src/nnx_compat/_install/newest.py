"""Names of ``flax.nnx`` that mean less here than on the newest release: replaced.

The namespace itself stays the module that it is, and gets the objects of the drop-in
namespace. Flax's own files look names up in it, too, and rely on what they were written
for, as do the backports here: those get a view of the namespace as it was. The files of
Flax, with what is private in them, are left alone; the names of ``flax.nnx`` that stand
for them stand for views.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .._nnx import resolve
from .._release import native
from ..errors import RefusedNameError
from ..revisions import bound, nnx
from .jax_views import View

if TYPE_CHECKING:
    from .additions import Addition

_PACKAGES = ("flax", __name__.partition(".")[0])


def replacements() -> Iterator[Addition]:
    """The module, the name and the object of each, the views for Flax's files first."""
    namespace = importlib.import_module(nnx.__name__)
    # all of them are made before any name is replaced: making one may run Flax's code
    ours = dict(_of_newest_meaning())
    before = View(namespace, native)
    yield vars(bound), "nnx", before
    for module in list(sys.modules.values()):
        # the packages that hold the namespace by its public name are doors to it
        if isinstance(module, ModuleType) and _is_inside(module):
            for name, value in list(vars(module).items()):
                if value is namespace and f"{module.__name__}.{name}" not in _DOORS:
                    yield module, name, before
    for name, value in ours.items():
        yield namespace, name, value


_DOORS = ("flax.nnx", "flax.experimental.nnx")


def _is_inside(module: ModuleType) -> bool:
    return module.__name__.partition(".")[0] in _PACKAGES


def _of_newest_meaning() -> Iterator[tuple[str, Any]]:
    for name, before in native.items():
        if name.startswith("_"):
            continue
        try:
            value, _ = resolve(name, warn=False)
        except RefusedNameError:
            continue  # Flax's own is better than nothing
        if value is not before:
            yield name, value
