"""States already share the model's Variables, whose value is still ``.value``.

``VariableState`` is gone: a state's leaf is the Variable itself. ``Variable.get_value``
is not there yet, and metadata are plain attributes that can be set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from types import ModuleType
from typing import TYPE_CHECKING, Any

import jax

from . import get_value as newer
from .get_value import Node

if TYPE_CHECKING:
    from .get_value import Leaf


class Revision(newer.Revision):
    """Spelled with ``.value`` and attribute metadata."""

    name = "shared_variables"
    storage = "raw_value"

    @staticmethod
    def matches(nnx: ModuleType) -> bool:
        """A split without ``get_value`` whose ``VariableState`` is just an alias."""
        return (
            hasattr(nnx, "split")
            and not hasattr(nnx.Variable, "get_value")
            and nnx.VariableState is nnx.Variable
        )

    def __init__(self, nnx: ModuleType) -> None:
        super().__init__(nnx)
        self.reference_types = (getattr(nnx, "ArrayRef", None) or nnx.MutableArray,)
        self._new_ref = getattr(nnx, "array_ref", None) or nnx.mutable_array

    def detached_by_one(self, state: Any) -> Any:
        """A ``tree_map`` does it all here."""
        return jax.tree_util.tree_map(self._own, state)

    def _own(self, leaf: Any) -> Any:
        # isinstance would ask a metaclass, and a merge take a fifth longer
        return self._new_ref(leaf[...]) if type(leaf) in self.reference_types else leaf

    def clone(self, node: Node) -> Node:
        """By hand: the native one shares what a Variable refers to."""
        copied: Node = self.nnx.merge(*self.split(node))
        return copied

    def reader(self, kind: type) -> Callable[[Any], Any]:
        """The getter of ``.value``; VariableState has a plain attribute there."""
        value = getattr(kind, "value", None)
        if isinstance(value, property) and value.fget is not None:
            return value.fget
        return attrgetter("value")

    def raw(self, variable: Leaf) -> Any:
        """The value as it is stored, hooks not applied."""
        return variable.raw_value

    def write(self, variable: Leaf, value: object) -> None:
        """Replace the value: the setter of ``.value`` neither broadcasts nor casts."""
        variable.value = value

    def with_value(self, leaf: Leaf, value: object) -> Leaf:
        """A new leaf of the same type and metadata that holds ``value``."""
        made: Leaf = leaf.replace(value=value)
        return made

    def set_metadata(self, variable: Leaf, metadata: Mapping[str, object]) -> None:
        """Metadata are attributes here."""
        for key, value in metadata.items():
            setattr(variable, key, value)
