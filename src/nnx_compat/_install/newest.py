"""Names of ``flax.nnx`` that mean less here than on the newest release: replaced.

The namespace itself stays the module that it is, and gets the objects of the drop-in
namespace. Flax's own files look names up in it, too, and rely on what they were written
for, as do the backports here: those get a view of the namespace as it was. The files of
Flax, with what is private in them, are left alone; the names of ``flax.nnx`` that stand
for them stand for views.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .._nnx import resolve
from .._release import here, native
from ..errors import RefusedNameError
from ..revisions import bound, nnx
from .jax_views import View

if TYPE_CHECKING:
    from flax.nnx import Variable

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
    if here.hooks_are_lists:
        yield nnx.Variable, "__init__", _taking_hooks(nnx.Variable.__init__)


def _taking_hooks(before: Callable[..., None]) -> Callable[..., None]:
    """A constructor that calls the hooks it is given by their names of today."""
    from .._nnx.variablelib.metadata import take_hooks, with_hooks

    metadata_type: Any = resolve("VariableMetadata")[0]

    @functools.wraps(before)
    def __init__(self: Variable[Any], value: Any, *args: Any, **kwargs: Any) -> None:
        if hooks := take_hooks(kwargs):
            if not isinstance(value, metadata_type):
                value = metadata_type(value)
            value = with_hooks(value, hooks)
        before(self, value, *args, **kwargs)

    return __init__


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
