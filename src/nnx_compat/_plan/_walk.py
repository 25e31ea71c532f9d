"""One walk over nodes, to note what a plan has to look at."""

from __future__ import annotations

import copy
import enum
from collections.abc import Hashable
from types import (
    BuiltinFunctionType,
    FunctionType,
    MethodType,
    ModuleType,
)
from typing import Any, NamedTuple

import jax
import numpy as np

from .._release import here, registry
from ..revisions import bound, nnx
from ..revisions.get_value import Path, plain_key

#: The class of objects that have attributes that are children.
OBJECT: type = nnx.Module if here.only_modules_are_nodes else nnx.Module.__mro__[1]

#: What stood for a Variable in a state, once, and so in that of an optimizer.
_COPIES = tuple(kind for kind in bound.variable_types if kind is not nnx.Variable)
_CONTAINERS = (tuple, nnx.State, *_COPIES)

#: What NNX keeps of an object for itself: whether and where it is being made.
INSTANCE_STATE = frozenset(
    f"_{kind}__state" for kind in ("object", "pytree", "module", "graph_node")
)


class Unplanned(Exception):
    """The nodes hold something that only a walk by Flax itself can judge."""


class Step(NamedTuple):
    """How a container is found: in which one, at which key, and where its items are."""

    depth: int
    parent: int
    key: Hashable
    attribute: str | None


class Seen(NamedTuple):
    """Something that a container holds."""

    path: Path
    value: Any


class Walk:
    """What was met on a walk, each thing with its number among all that was met.

    Args:
        nodes: as they are given to ``split`` together.

    Attributes:
        steps: to each container but the first, which is the tuple of the nodes.
        containers: the tuple of the nodes, then those.
        contents: what holds the items of each of them.
        met: all that they hold.
        where: the container of each of these, and its key there.
        inside: the numbers of the containers, in the order of the steps.
        objects: the numbers of the objects of NNX among them.
        again: ``(number, first number)`` of objects and Variables that are met again.
        variables: the numbers of Variables.
        bare: the numbers of leaves that are no Variables.
        statics: the numbers of all else.

    Raises:
        Unplanned: they hold something that is not known here.
    """

    def __init__(self, nodes: tuple[Any, ...]) -> None:
        self.steps: list[Step] = []
        self.containers: list[Any] = [nodes]
        self.contents: list[Any] = [nodes]
        self.where: list[tuple[int, Hashable]] = []
        self.met: list[Seen] = []
        self.inside: list[int] = []
        self.objects: list[int] = []
        self.again: list[tuple[int, int]] = []
        self.variables: list[int] = []
        self.bare: list[int] = []
        self.statics: list[int] = []
        self._first: dict[int, int] = {}
        self._number_all(nodes)

    def _number_all(self, nodes: tuple[Any, ...]) -> None:
        # breadth first: a container is numbered when it is met, and the things in it
        # when its turn comes, so that the numbers follow the containers
        where: list[Path] = [()]
        at = 0
        while at < len(self.contents):
            container, path = self.containers[at], where[at]
            content = self.contents[at]
            static = _static_names(container)
            keyed = isinstance(content, dict)
            for key in list(content) if keyed else range(len(content)):
                value = content[key]
                number = len(self.met)
                self.where.append((at, key))
                there = (*path, name_in(container, key))
                self.met.append(Seen(there, value))
                if keyed and key in INSTANCE_STATE:
                    continue
                if key in static:
                    self.statics.append(number)
                    continue
                if self._is_container(number, value):
                    self.steps.append(Step(len(there), at, key, _holder(value)))
                    self.inside.append(number)
                    self.contents.append(_content(value))
                    self.containers.append(value)
                    where.append(there)
            at += 1

    def _is_container(self, number: int, value: Any) -> bool:
        """Note what a thing is; whether there is more in it."""
        kind = type(value)
        if isinstance(value, OBJECT) or is_live(kind):
            if id(value) in self._first:
                self.again.append((number, self._first[id(value)]))
                return False
            self._first[id(value)] = number
            if isinstance(value, OBJECT):
                self.objects.append(number)
                return True
            self.variables.append(number)
            return False
        if value is not None and registry.is_node(value) and not is_leaf(value):
            if kind in (list, dict) or isinstance(value, _CONTAINERS):
                return True
            raise Unplanned(f"{kind.__name__} is a pytree of its own")
        if is_leaf(value):
            self.bare.append(number)
        else:
            self.statics.append(number)
        return False


def is_live(kind: type) -> bool:
    """Whether objects of a class are Variables that a model has."""
    return nnx.Variable in kind.__mro__


def is_leaf(value: object) -> bool:
    """Whether NNX takes it for a leaf though it is no Variable."""
    if isinstance(value, bound.reference_types):
        raise Unplanned("a reference to an array")
    if isinstance(value, nnx.Variable):
        raise Unplanned("a Variable of jax's own kind")
    return isinstance(value, (jax.Array, np.ndarray, jax.ShapeDtypeStruct))


def _holder(value: Any) -> str | None:
    """The attribute that holds what is in a container; None if it does so itself."""
    if isinstance(value, (OBJECT, _COPIES)):
        return "__dict__"
    return "_mapping" if isinstance(value, nnx.State) else None


def _content(value: Any) -> Any:
    holder = _holder(value)
    return value if holder is None else getattr(value, holder)


def name_in(container: Any, key: Any) -> Any:
    """How Flax names an item in a path."""
    if isinstance(container, _COPIES) and key == "value":
        ((found, _),), _ = jax.tree_util.tree_flatten_with_path(container)
        return plain_key(found[-1])
    if isinstance(container, tuple):
        return getattr(container, "_fields", range(len(container)))[key]
    items = getattr(type(container), "_pytree__has_int_keys", False)  # a List
    return int(key) if items and key.isdigit() else key


def _static_names(value: Any) -> frozenset[str]:
    """The attributes that an object says are no data."""
    data = vars(value).get(here.data_names) if isinstance(value, OBJECT) else None
    if data is None or not getattr(type(value), "_pytree__is_pytree", True):
        return frozenset()
    if isinstance(data, frozenset):
        return frozenset(vars(value).keys() - data)
    return frozenset(key for key in vars(value) if not data.get(key, False))


#: Values of these types are what they are, or equal by identity.
ATOMS: tuple[type, ...] = (
    bool, int, float, complex, str, bytes, type(None), type(...), type, FunctionType,
    BuiltinFunctionType, MethodType, ModuleType, enum.Enum, np.dtype, np.generic,
    jax.sharding.Sharding, jax.sharding.Mesh, jax.sharding.PartitionSpec,
)  # fmt: skip


def frozen(value: Any) -> Any:
    """What a static value is compared with later: itself unless it can change.

    Raises:
        Unplanned: nobody can tell whether it will have changed.
    """
    kind = type(value)
    if here.rngs_are_static and isinstance(value, nnx.Rngs):
        raise Unplanned("a static Rngs, which counts")
    if isinstance(value, ATOMS) or getattr(kind, "__eq__", None) is object.__eq__:
        return value
    if kind is list:
        return [frozen(item) for item in value]
    if kind is dict:  # its keys are hashed by what they are
        return {key: frozen(item) for key, item in value.items()}
    if isinstance(value, tuple):
        inside = [frozen(item) for item in value]
        if all(new is old for new, old in zip(inside, value, strict=True)):
            return value
        if kind is tuple:
            return tuple(inside)
    try:
        copied = copy.deepcopy(value)
        same = copied == value
    except Exception as error:
        raise Unplanned(f"a static {kind.__name__} that cannot be copied") from error
    if same is not True:
        raise Unplanned(f"a static {kind.__name__} that does not equal its copy")
    return copied
