"""The Variables of a node by attribute, also where reading an attribute unwraps them.

On the first releases ``module.kernel`` is the array and has no setter of its own, so
what is built here reads and writes the Variable in ``vars(module)``, which is the same
object on every release.
"""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..errors import RemovedNameWarning
from ..functional import Path, get_value, is_variable, set_value
from ..revisions import bound, nnx
from ..revisions.get_value import nested, plain_key


def read(node: Any, name: str) -> Any:
    """The value of an attribute, that of the Variable if it is one, or None."""
    return get_value(vars(node)[name])


def write(node: Any, name: str, value: Any) -> None:
    """Replace the value of a Variable attribute: no broadcast, no cast."""
    set_value(vars(node)[name], value)


def holds(node: Any, name: str) -> bool:
    """Whether there is a Variable at an attribute, and something in it."""
    found = vars(node)[name]
    return is_variable(found) and get_value(found) is not None


def held(leaves: Mapping[Path, Any]) -> Any:
    """A State of these leaves for a node to hold; on the first releases nested dicts.

    There a State can neither be a node nor hold bare arrays.
    """
    return bound.unflatten(leaves) if hasattr(nnx, "split") else nested(leaves)


def held_leaves(tree: Any) -> dict[Path, Any]:
    """The leaves of what ``held`` made, or of another State, by path."""
    if isinstance(tree, dict):
        tree = nnx.State(tree)
    return bound.flatten(tree)


class _Form(NamedTuple):
    """What a pytree is rebuilt from besides its leaves."""

    tree: Any
    paths: tuple[Path, ...]


class _PytreeAttribute:
    """Shows a pytree that is stored as nested dicts of Variables, which are nodes."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, node: Any, owner: type) -> Any:
        if node is None:
            return self
        form, nodes = vars(node)[f"_{self._name}_form"], vars(node)[self._name]
        return form.tree.unflatten(_at(nodes, path) for path in form.paths)

    def __set__(self, node: Any, value: Any) -> None:
        hold(node, self._name, value)


def _at(nodes: Any, path: Path) -> Any:
    for key in path:
        nodes = nodes[key]
    return nodes


#: Only lists, tuples and dicts are nodes on the very first releases, and a NamedTuple
#: of optax is none of them.
_stores_pytrees = bound.name != "methods_unwrapped"


def pytree_attribute() -> Any:
    """A class attribute for a pytree of Variables, to be set with ``hold``."""
    return None if _stores_pytrees else _PytreeAttribute()


def hold(node: Any, name: str, tree: Any) -> None:
    """Set an attribute to a pytree of Variables, which ``split`` finds there."""
    if _stores_pytrees:
        setattr(node, name, tree)
        return
    pairs, form = jax.tree_util.tree_flatten_with_path(tree, is_leaf=is_variable)
    flat = {tuple(str(plain_key(k)) for k in path): leaf for path, leaf in pairs}
    vars(node)[name] = nested(flat)
    vars(node)[f"_{name}_form"] = _Form(form, tuple(flat))


def result_dtype(*values: Any, dtype: Any = None) -> Any:
    """``dtype``, or the one that the values have together; always a floating one.

    Raises:
        ValueError: ``dtype`` is neither a floating nor a complex type.
    """
    if dtype is None:
        dtype = jnp.result_type(*(jnp.asarray(v) for v in values if v is not None))
        if not jnp.issubdtype(dtype, jnp.inexact):
            dtype = jnp.promote_types(jnp.float32, dtype)
    if not jnp.issubdtype(dtype, jnp.inexact):
        raise ValueError(f"Dtype must be inexact: {dtype}")
    return dtype


def promoted(values: tuple[Any, ...], /, *, dtype: Any = None) -> tuple[Any, ...]:
    """The values as arrays of one dtype, ``None`` staying ``None``."""
    dtype = result_dtype(*values, dtype=dtype)
    return tuple(None if v is None else jnp.asarray(v, dtype) for v in values)


def warn_removed(text: str) -> None:
    """Warn of an old spelling where the caller wrote it, not where Flax passed it on.

    A constructor is reached through the metaclass of NNX, by another number of calls on
    each release, so the frames of both packages are counted.
    """
    level, frame = 1, sys._getframe()
    while frame is not None and _is_inside(frame.f_globals.get("__name__", "")):
        level, frame = level + 1, frame.f_back  # type: ignore[assignment]
    warnings.warn(text, RemovedNameWarning, stacklevel=level)


def _is_inside(module: str) -> bool:
    return module.split(".")[0] in ("flax", "nnx_compat")


class _MethodNode(nnx.Module):  # type: ignore[misc, name-defined]
    """A Module whose ``update`` is its own, though NNX's transforms call it.

    They write a result back with ``module.update((state, graphdef))`` on the first
    releases; such a call is told from ours by its graphdef.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = vars(cls).get("update")
        if own is None:
            return

        @functools.wraps(own)
        def update(self: Any, *args: Any, **kwargs: Any) -> Any:
            if args and _is_graph_update(args):
                return nnx.Module.update(self, *args, **kwargs)
            return own(self, *args, **kwargs)

        cls.update = update


def _is_graph_update(args: tuple[Any, ...]) -> bool:
    last = args[-1][-1] if isinstance(args[-1], tuple) and args[-1] else args[-1]
    return isinstance(last, nnx.GraphDef)


#: What a node that is not a Module derives from: Object, Pytree or how it is called on
#: this release; a Module where nothing else can be split.
Node: Any = nnx.Module.__mro__[1] if hasattr(nnx, "split") else _MethodNode
