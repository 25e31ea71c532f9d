"""States already share the model's Variables, whose value is still ``.value``.

``VariableState`` is gone: a state's leaf is the Variable itself. ``Variable.get_value``
is not there yet, and metadata are plain attributes that can be set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any

import jax

from . import get_value as newer


class Revision(newer.Revision):
    """Spelled with ``.value`` and attribute metadata."""

    name = "shared_variables"

    @staticmethod
    def matches(nnx: Any) -> bool:
        """A split without ``get_value`` whose ``VariableState`` is just an alias."""
        return (
            hasattr(nnx, "split")
            and not hasattr(nnx.Variable, "get_value")
            and nnx.VariableState is nnx.Variable
        )

    def __init__(self, nnx: Any) -> None:
        super().__init__(nnx)
        self.reference_types = (getattr(nnx, "ArrayRef", None) or nnx.MutableArray,)
        self._new_ref = getattr(nnx, "array_ref", None) or nnx.mutable_array

    def detached(self, state: Any) -> Any:
        """A ``tree_map`` is as fast as anything here."""
        return jax.tree_util.tree_map(self._own, state)

    def _own(self, leaf: Any) -> Any:
        # isinstance would ask a metaclass, and a merge take a fifth longer
        return self._new_ref(leaf[...]) if type(leaf) in self.reference_types else leaf

    def clone(self, node: Any) -> Any:
        """By hand: the native one shares what a Variable refers to."""
        return self.nnx.merge(*self.split(node))

    def reader(self, kind: type) -> Callable[[Any], Any]:
        """The getter of ``.value``; VariableState has a plain attribute there."""
        value = getattr(kind, "value", None)
        if isinstance(value, property) and value.fget is not None:
            return value.fget
        return attrgetter("value")

    def raw(self, variable: Any) -> Any:
        """The value as it is stored, hooks not applied."""
        return variable.raw_value

    def write(self, variable: Any, value: Any) -> None:
        """Replace the value: the setter of ``.value`` neither broadcasts nor casts."""
        variable.value = value

    def with_value(self, leaf: Any, value: Any) -> Any:
        """A new leaf of the same type and metadata that holds ``value``."""
        return leaf.replace(value=value)

    def set_metadata(self, variable: Any, metadata: Mapping[str, Any]) -> None:
        """Metadata are attributes here."""
        for key, value in metadata.items():
            setattr(variable, key, value)
