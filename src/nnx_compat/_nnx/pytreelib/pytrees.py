"""The base classes of NNX's objects, and which of them are pytrees of jax."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

import jax

from ..._release import here, native
from ...errors import RefusedArgumentError
from ...revisions import bound, flax_version, nnx
from .._native_classes import standing_in_for
from ..graphlib._walk import OBJECT

if TYPE_CHECKING:
    from flax.nnx import GraphDef

__all__ = ["Object", "Pytree"]

Key: TypeAlias = "str | int"
Entry: TypeAlias = "jax.tree_util.SequenceKey | jax.tree_util.GetAttrKey"


class JaxPytree:
    """Makes its subclasses pytrees of jax where NNX can cope with that.

    Where Module is none, their leaves are the arrays of their state, those of Modules
    inside included, and the rest is the graphdef.
    """

    def __init_subclass__(cls, *, pytree: bool | None = None, **kwargs: Any) -> None:
        if here.module_is_a_pytree and pytree is not None:
            kwargs["pytree"] = pytree  # Flax itself does it
        super().__init_subclass__(**kwargs)
        if here.module_is_a_pytree or pytree is False:
            return
        if here.class_takes_pytree:
            jax.tree_util.register_pytree_with_keys(cls, _flatten, _unflatten)
        elif pytree:
            raise RefusedArgumentError(
                f"class {cls.__name__} was given pytree=True, and the transforms of "
                f"flax {flax_version} would not see that it is a node",
                instead="nnx.split, jax's transform over the state, nnx.merge",
            )


_Static: TypeAlias = "tuple[GraphDef[Any], tuple[Key, ...]]"


def _flatten(node: Any) -> tuple[list[tuple[Entry, Any]], _Static]:
    graphdef, state = bound.split(node)
    mapping = state.raw_mapping
    keys = tuple(sorted(mapping, key=by_number))
    return [(path_entry(key), mapping[key]) for key in keys], (graphdef, keys)


def _unflatten(static: _Static, children: Iterable[Any]) -> Any:
    graphdef, keys = static
    return bound.adopt(graphdef, nnx.State(dict(zip(keys, children, strict=True))))


def by_number(key: Key) -> tuple[bool, int, str]:
    """Sorts ints and their names in their order, then other names in theirs."""
    text = str(key)
    return not text.isdigit(), int(text) if text.isdigit() else 0, text


def path_entry(key: Key) -> Entry:
    """What jax calls an element with this index, or an attribute with this name."""
    if str(key).isdigit():
        return jax.tree_util.SequenceKey(int(key))
    return jax.tree_util.GetAttrKey(key)


_Metaclass: Any = standing_in_for(OBJECT, type(nnx.Module))


class _Pytree(JaxPytree, OBJECT, metaclass=_Metaclass):  # type: ignore[misc, metaclass]
    """The base class of NNX's objects, and a pytree of jax where Variables are such.

    On older releases it is a leaf of jax, as a Module still is on the first of those
    with it. A Module is an ``nnx.Pytree`` for ``isinstance`` on every release.

    Args:
        pytree: of the class statement: whether it is a pytree of jax.

    Raises:
        RefusedArgumentError: ``pytree=True`` where it is a leaf.

    Example:
        >>> import nnx_compat as nc
        >>> from nnx_compat import nnx
        >>> class Point(nnx.Pytree):
        ...     def __init__(self, x):
        ...         self.x = nnx.Variable(x)
        >>> nc.to_pure_dict(nc.state(Point(1.0)))
        {'x': 1.0}
        >>> issubclass(nnx.Module, nnx.Pytree)
        True
    """


_Pytree.__name__ = _Pytree.__qualname__ = "Pytree"

#: The base class of NNX's objects; Flax's own where that is a pytree of jax.
Pytree: Any = OBJECT if here.module_is_a_pytree else _Pytree

#: The base class of NNX's objects that are no pytrees of jax.
Object: Any = native.get("Object", OBJECT)
