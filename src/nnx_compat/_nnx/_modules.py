"""Names that are modules: the files of NNX, by the paths they have today.

The tree of the newest Flax is the map: ``nnx.transforms.iteration.scan`` is
``nnx.scan`` on every release, since the facts know the home of each public name. What
is private to a file of Flax's is shown as it is, with the meaning of the installed
release; where Flax has the file under an older path, from there.
"""
# ruff: noqa: F822  (the names are given by __getattr__)

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Callable, Iterator
from types import ModuleType

import flax.errors

from .. import facts, revisions
from .._release import native
from . import _parameters, is_ours, resolve

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

#: Files that were renamed or moved, and paths that are short for longer ones.
MOVED = {
    "graph": "graphlib",
    "graph_utils": "graphlib",
    "state": "statelib",
    "variables": "variablelib",
    "object": "pytreelib",
    "compatibility": "bridge",
    "wrappers": "bridge.wrappers",
}

#: The wrappers around Linen were in ``compat`` for a while, which is another file now.
_BRIDGES = {
    "bridge": ("compat", "compatibility"),
    "bridge.wrappers": ("compat.wrappers", "compatibility"),
}

#: Names that the newest Flax also has in a file where they are not at home. Those of
#: ``compat`` are in graph mode there, as they are anyway where there is no other.
_ALSO = {
    "compat": (
        "cached_partial", "checkify", "clone", "cond", "custom_vjp", "eval_shape",
        "flatten", "fori_loop", "fork_rngs", "get_abstract_model", "grad", "graphdef",
        "iter_children", "iter_graph", "iter_modules", "jit", "jvp", "pmap",
        "recursive_map", "remat", "reseed", "scan", "shard_map", "split", "split_rngs",
        "state", "switch", "value_and_grad", "view", "view_info", "vjp", "vmap",
        "while_loop",
    ),
    "module": ("iter_children", "iter_module_children"),
}  # fmt: skip

#: The package that once held all files; they moved up into ``flax.nnx``.
_ROOT = "nnx"


def __getattr__(name: str) -> ModuleType:
    if name not in __all__:
        raise AttributeError(name)
    return at(name)


@functools.cache
def at(path: str) -> ModuleType:
    """The module of NNX at a path, ``"transforms.iteration"``: Flax's own or a view."""
    path = MOVED.get(path, path)
    short = path.rpartition(".")[2]
    if is_ours(short) and facts.backports()[short] == path:
        # nnx.metrics is a file of ours
        file: ModuleType = resolve(short, warn=False)[0]
        return file
    files = () if _is_another(path) else tuple(_files(path))
    if path == "errors" and not files:
        moved: ModuleType = flax.errors
        return moved
    if files and _path(files[0]) == path and _is_native(path):
        return files[0]
    return NnxModule(path, files)


def shown(file: ModuleType, name: str = "") -> ModuleType:
    """What stands for a module of Flax's; one that is not of NNX is itself.

    Args:
        file: the module.
        name: its name in ``flax.nnx``, which once had its errors as ``helpers``.
    """
    path = name if name in _homes().keys() - MOVED.keys() else _path(file)
    view = at(path) if path and not _is_another(path) else file
    return view if isinstance(view, NnxModule) else file


class NnxModule(ModuleType):
    """A module of NNX that shows the public names of the drop-in namespace.

    Args:
        path: of it on the newest release, without ``nnx.``.
        files: what Flax has in its place.

    Example:
        >>> from nnx_compat import nnx
        >>> nnx.graphlib.GraphDef is nnx.GraphDef
        True
    """

    def __init__(self, path: str, files: tuple[ModuleType, ...] = ()) -> None:
        super().__init__(f"nnx_compat.nnx.{path}")
        self._path, self._files = path, files
        if files:
            self.__doc__ = files[0].__doc__
            self.__file__ = getattr(files[0], "__file__", None)
            self.__path__ = getattr(files[0], "__path__", [])

    def __reduce__(self) -> tuple[Callable[[str], ModuleType], tuple[str]]:
        """By its path: cloudpickle stores the modules that a function mentions."""
        return at, (self._path,)

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        value = self._find(name)
        vars(self)[name] = value  # the next look is that of a plain module attribute
        return value

    def _find(self, name: str) -> object:
        if name in self._inner():
            return at(name if self._path == _ROOT else f"{self._path}.{name}")
        if name in self._names():
            return resolve(name, warn=False)[0]
        for file in self._files:
            if name not in vars(file):
                continue
            value = vars(file)[name]
            if isinstance(value, ModuleType):
                return shown(value)
            # Flax's file has it, though it is at home elsewhere: nnx.graph.State
            public = f"nnx.{name}" in facts.names() and native.get(name) is value
            return resolve(name, warn=False)[0] if public else value
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def _names(self) -> tuple[str, ...]:
        return (*_homes().get(self._path, ()), *_ALSO.get(self._path, ()))

    def _inner(self) -> set[str]:
        """The modules in this one, by their last names."""
        if self._path == _ROOT:
            return {*_homes(), *__all__, *MOVED} - {_ROOT, "compat"}
        above, depth = f"{self._path}.", self._path.count(".") + 1
        return {p.split(".")[depth] for p in _homes() if p.startswith(above)}

    def __dir__(self) -> list[str]:
        shown = {*self._names(), *self._inner()}
        return sorted(shown.union(*map(dir, self._files)))


@functools.cache
def _homes() -> dict[str, tuple[str, ...]]:
    """The public names that are at home in each module."""
    found: dict[str, tuple[str, ...]] = {}
    for path in facts.names():
        if path.count(".") == 1 and (home := facts.name(path).home):  # no member
            found[home] = (*found.get(home, ()), path[4:])
    return found


def _files(path: str) -> Iterator[ModuleType]:
    """What Flax has for a module of today, by the newest of its paths that it has."""
    older = _BRIDGES.get(path) or [old for old, new in MOVED.items() if new == path]
    outer = revisions.nnx.__name__
    for place in (path, *older):
        for root in (outer, f"{outer}.nnx"):
            try:
                found = importlib.util.find_spec(f"{root}.{place}")
            except (ModuleNotFoundError, ValueError):
                continue  # no package within, or a path that install() has added
            if found is not None:
                yield importlib.import_module(found.name)
                return


def _path(file: ModuleType) -> str:
    """Where a module of Flax's is, below ``nnx``; empty for others."""
    above, _, path = file.__name__.partition(f"{revisions.nnx.__name__}.")
    return "" if above else path.removeprefix("nnx.")


def _is_another(path: str) -> bool:
    """Whether the installed release has another file at this path than the newest."""
    row = facts.treatment(f"nnx.{path}", revisions.flax_version)
    return row is not None and row.treatment == "replaced"


def _is_native(path: str) -> bool:
    """Whether every name at home in a module is Flax's own object on this release."""
    newest = facts.releases()[-1].version
    return not any(
        name not in native  # ours, or refused with a reason
        or is_ours(name)
        or _parameters.accepting(name, native[name]) is not native[name]
        for home, names in _homes().items()
        if home == path or home.startswith(f"{path}.")
        for name in names
        if facts.name(f"nnx.{name}").on(newest)
    )
