"""Everything that Python can reach from a model, whether NNX sees it or not.

NNX walks attributes, containers and what jax knows as a pytree. This walk goes on where
that one stops: into sets, closures, bound methods, partials, the attributes of other
objects and of the model's classes. The difference is what a state has lost.
"""

from __future__ import annotations

import functools
import types
from collections import deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import jax
import numpy as np

from .._release import here
from ..functional import INTERNAL
from ..revisions import nnx
from ._finding import Path

if TYPE_CHECKING:
    from flax.nnx import Variable

#: What was met at a path; and what is in something, by its name, key or index.
Place: TypeAlias = tuple[Path, object]
Child: TypeAlias = tuple[Hashable, object]

#: What a walk ends at: values without children, and what is not the model's own.
_ATOMS = (
    str, bytes, bytearray, bool, int, float, complex, type(None), np.ndarray,
    np.generic, jax.Array, type, types.ModuleType,
)  # fmt: skip

#: What NNX walks the attributes of: Modules, and since Rngs are no longer static what
#: Module derives from, as Rngs, optimizers and metrics do.
_OBJECTS: tuple[type, ...] = nnx.Module.__mro__[: 1 if here.rngs_are_static else 2]


@dataclass
class Walked:
    """The NNX objects and Variables of a model.

    Attributes:
        met: each with its path, once for every place that it was met in.
        foreign: the same for what belongs to another model, ``known`` to the walk.
        entered: what was walked through, by its id, which so stays its own.
    """

    met: list[Place] = field(default_factory=list)
    foreign: list[Place] = field(default_factory=list)
    entered: dict[int, object] = field(default_factory=dict)

    def objects(self) -> Iterator[Place]:
        """The NNX objects, each once."""
        return ((path, value) for path, value in self._each() if is_object(value))

    def variables(self) -> Iterator[tuple[Path, Variable[Any]]]:
        """The Variables, each once."""
        for path, value in self._each():
            if isinstance(value, nnx.Variable):
                yield path, value

    def _each(self) -> Iterator[Place]:
        seen: set[int] = set()
        for path, value in self.met:
            if id(value) not in seen:
                seen.add(id(value))
                yield path, value


def is_object(value: object) -> bool:
    """Whether this is a Module, or another object whose attributes NNX walks."""
    return isinstance(value, _OBJECTS)


def is_stock(value: object) -> bool:
    """Whether this is of a class of Flax, or of ours."""
    return type(value).__module__.split(".")[0] in ("flax", "nnx_compat")


def walked(root: object, known: Walked | None = None) -> Walked:
    """Walk a model.

    Args:
        root: a node.
        known: the walk of another model; what belongs to that one is noted as foreign,
            and not entered.
    """
    found = Walked()
    pending: list[Place] = [((), root)]
    while pending:
        path, value = pending.pop()
        if isinstance(value, _ATOMS):
            continue
        is_variable = isinstance(value, nnx.Variable)
        if is_variable or is_object(value):
            if known is not None and id(value) in known.entered:
                found.foreign.append((path, value))
                continue
            found.met.append((path, value))
        if id(value) in found.entered:
            continue
        found.entered[id(value)] = value
        if not is_variable:
            inside = [((*path, key), child) for key, child in _children(value)]
            pending.extend(reversed(inside))
    return found


def attributes(value: object) -> Iterator[Child]:
    """The attributes of an NNX object as they are stored, without NNX's own."""
    for name, child in list(vars(value).items()):
        if not (isinstance(name, str) and name.startswith(INTERNAL)):
            # elements of a List are attributes "0", "1", ..., and 0, 1 in a state
            number = isinstance(name, str) and name.isdigit()
            yield (int(name) if number else name), child


def elements(value: object) -> Iterator[Child] | None:
    """What is in a builtin container, or ``None`` for anything else."""
    if isinstance(value, (dict, types.MappingProxyType)):
        return iter(list(value.items()))
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return zip(value._fields, value, strict=True)
    if isinstance(value, (list, tuple, set, frozenset, deque)):
        return enumerate(list(value))
    return None


def _children(value: object) -> Iterator[Child]:
    inside = elements(value)
    if is_object(value):
        yield from attributes(value)
        yield from _class_attributes(value)
    elif inside is not None:
        yield from inside
    elif isinstance(value, types.MethodType):
        yield "__self__", value.__self__
        yield "__func__", value.__func__
    elif isinstance(value, functools.partial):
        yield from (("func", value.func), ("args", value.args))
        yield "keywords", value.keywords
    else:
        if isinstance(value, types.FunctionType):
            yield from _closure(value)
        yield from _stored(value).items()


def _closure(function: types.FunctionType) -> Iterator[Child]:
    names = function.__code__.co_freevars
    for name, cell in zip(names, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not filled yet
            continue
    yield "__defaults__", function.__defaults__
    yield "__kwdefaults__", function.__kwdefaults__


def _class_attributes(value: object) -> Iterator[Child]:
    """What all instances of a user's class share; what it inherits from Flax is not."""
    for kind in type(value).__mro__:
        if kind.__module__.split(".")[0] in ("flax", "nnx_compat", "builtins"):
            continue
        for name, child in list(vars(kind).items()):
            if name.startswith("__") or name in vars(value):
                continue
            container = isinstance(child, (list, tuple, dict, set))
            if container or is_object(child) or isinstance(child, nnx.Variable):
                yield name, child


def _stored(value: object) -> dict[str, object]:
    try:
        return dict(vars(value))
    except Exception:  # no __dict__, or an object that makes one up and fails
        return {}
