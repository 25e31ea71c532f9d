"""Names that are modules: NNX's own files, by the names they have today.

Where Flax has the file under an older name, the module here shows what is in it. A
public function that was looked up through it, ``nnx.graphlib.split``, is that of the
drop-in namespace, so that it means what it means on the newest release. What is private
to a file of Flax's is shown as it is, with the meaning of the installed release.
"""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType
from typing import Any

import flax.errors

from .. import facts, revisions
from . import resolve

__all__ = [
    "bridge",
    "compat",
    "compatibility",
    "errors",
    "filterlib",
    "graph",
    "graph_utils",
    "graphlib",
    "helpers",
    "module",
    "nn",
    "nnx",
    "object",
    "proxy_caller",
    "pytreelib",
    "reprlib",
    "rnglib",
    "spmd",
    "statelib",
    "tracers",
    "training",
    "transforms",
    "variablelib",
    "visualization",
    "wrappers",
]


class RenamedModule(ModuleType):
    """A module of NNX by its newest name.

    Args:
        name: without ``nnx.``.
        homes: where Flax has or had it, first choice first, without ``nnx.``.
        names: public names that belong to it on the newest release, whether or not
            Flax has them here.
        renamed: names that are found under another one.

    Example:
        >>> from nnx_compat import nnx
        >>> nnx.graphlib.GraphDef is nnx.GraphDef
        True
    """

    def __init__(
        self,
        name: str,
        homes: tuple[str, ...] = (),
        names: tuple[str, ...] = (),
        renamed: dict[str, str] | None = None,
    ) -> None:
        super().__init__(f"nnx_compat.nnx.{name}")
        home = _home(homes)
        self.__dict__.update(_home=home, _names=names, _renamed=renamed or {})
        if home is not None:
            self.__doc__ = home.__doc__
            self.__file__ = getattr(home, "__file__", None)
            self.__path__ = getattr(home, "__path__", [])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        name = self._renamed.get(name, name)
        native = getattr(self._home, name, _ABSENT)
        public = f"nnx.{name}" in facts.names()
        if public and (native is not _ABSENT or name in self._names):
            return resolve(name, warn=False)[0]
        if native is _ABSENT:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return native

    def __dir__(self) -> list[str]:
        shown = set(self._names) | set(self._renamed)
        return sorted(shown | set(dir(self._home) if self._home else ()))


_ABSENT: Any = type("Absent", (), {})()


def _home(names: tuple[str, ...]) -> ModuleType | None:
    """The first of these files that Flax has, in its namespace or in the one within."""
    outer = revisions.nnx.__name__
    for name in names:
        for root in (outer, f"{outer}.nnx"):
            try:
                if importlib.util.find_spec(f"{root}.{name}") is not None:
                    return importlib.import_module(f"{root}.{name}")
            except ModuleNotFoundError:  # there is no namespace within
                continue
    return None


def _of(*places: str) -> tuple[str, ...]:
    found = facts.backports().items()
    return tuple(name for name, at in found if at.partition(".")[0] in places)


graphlib = RenamedModule(
    "graphlib", ("graphlib", "graph", "graph_utils"), _of("graphlib")
)
graph = RenamedModule("graph", ("graph", "graph_utils"), _of("graphlib"))
graph_utils = graphlib
statelib = RenamedModule("statelib", ("statelib", "state"), _of("statelib"))
variablelib = RenamedModule("variablelib", ("variablelib", "variables"))
rnglib = RenamedModule("rnglib", ("rnglib",), _of("rnglib"))
pytreelib = RenamedModule("pytreelib", ("pytreelib", "object"), _of("pytreelib"))
object = RenamedModule("object", ("object",), _of("pytreelib"))
module = RenamedModule(
    "module",
    ("module",),
    (*_of("module"), "iter_children", "iter_module_children", "iter_modules"),
)
helpers = RenamedModule("helpers", ("helpers",), _of("helpers"))
filterlib = RenamedModule("filterlib", ("filterlib",))
proxy_caller = RenamedModule("proxy_caller", ("proxy_caller",))
reprlib = RenamedModule("reprlib", ("reprlib",))
tracers = RenamedModule("tracers", ("tracers",))
nn = RenamedModule("nn", ("nn",))
transforms = RenamedModule("transforms", ("transforms",), _of("transforms"))
spmd = RenamedModule(
    "spmd", ("spmd",), ("abstract_with_sharding", "as_abstract", "get_abstract_model")
)
visualization = RenamedModule("visualization", ("visualization",), ("display",))
training = RenamedModule("training", ("training",), ("metrics", "optimizer"))

#: The wrappers around Linen, which have moved twice.
_BRIDGES = ("bridge", "compatibility", "compat")
bridge = RenamedModule("bridge", _BRIDGES)
wrappers = RenamedModule("wrappers", ("bridge.wrappers", "compat.wrappers", *_BRIDGES))
compatibility = bridge

#: The functions in graph mode, which before there was another are the usual ones.
compat = RenamedModule(
    "compat",
    (),
    (
        "cached_partial",
        "checkify",
        "clone",
        "cond",
        "custom_vjp",
        "eval_shape",
        "flatten",
        "fori_loop",
        "fork_rngs",
        "get_abstract_model",
        "grad",
        "graphdef",
        "iter_children",
        "iter_graph",
        "iter_modules",
        "jit",
        "jvp",
        "pmap",
        "recursive_map",
        "remat",
        "reseed",
        "scan",
        "shard_map",
        "split",
        "split_rngs",
        "state",
        "switch",
        "value_and_grad",
        "view",
        "view_info",
        "vjp",
        "vmap",
        "while_loop",
    ),
)

errors = _home(("errors",)) or flax.errors

#: The package that once held all files; they moved up into ``flax.nnx``.
nnx = RenamedModule(
    "nnx",
    (),
    tuple(n for n in __all__ if n not in ("compat", "nnx")),
    {"graph": "graphlib", "state": "statelib", "variables": "variablelib"},
)
