"""Types of Variables that came later, names for types, and ``VariableState``.

The last one changed its meaning: it was what a state held in place of a Variable, and
is another name of Variable since states hold Variables themselves.
"""

from __future__ import annotations

import functools
import sys
import warnings
from collections import ChainMap
from collections.abc import MutableMapping
from typing import Any

import flax.errors

from ...errors import ArgumentTypeError, ArgumentValueError, RemovedNameWarning
from ...revisions import nnx

__all__ = [
    "Perturbation",
    "Rng",
    "RngCount",
    "RngKey",
    "RngState",
    "TraceContextError",
    "VariableState",
    "identity",
    "register_variable_name",
    "register_variable_name_type_pair",
    "variable_name_from_type",
    "variable_type_from_name",
]

_Variable: Any = nnx.Variable
_Intermediate: Any = nnx.Intermediate

# -- types --------------------------------------------------------------------------


class Perturbation(_Intermediate):  # type: ignore[misc]
    """The type of what ``Module.perturb`` stores: zeros to take a gradient by.

    Example:
        >>> from nnx_compat import nnx
        >>> issubclass(nnx.Perturbation, nnx.Intermediate)
        True
    """


class RngState(_Variable):  # type: ignore[misc]
    """The type of what random streams store, keys and counts alike.

    On the first releases a ``Rngs`` is a static attribute: no state of theirs holds
    such Variables, and a filter for them selects nothing.

    Example:
        >>> from nnx_compat import nnx
        >>> issubclass(nnx.RngKey, nnx.RngState), issubclass(nnx.RngCount, nnx.RngState)
        (True, True)
    """


class RngCount(RngState):
    """The type of the Variable that counts the keys that a stream has given."""


class RngKey(RngState):
    """The type of the Variable that holds the key of a stream."""


#: The first name of RngKey.
Rng: Any = getattr(nnx, "RngKey", RngKey)

#: Raised where a Variable is written to inside a transform that it came from outside
#: of. It has moved twice: ``flax.errors`` has it today.
TraceContextError: Any = (
    getattr(flax.errors, "TraceContextError", None)
    or getattr(nnx, "TraceContextError", None)
    or nnx.errors.TraceContextError
)


def identity(x: Any) -> Any:
    """Give back what is given.

    Args:
        x: anything.

    Example:
        >>> from nnx_compat import nnx
        >>> float(nnx.identity(1.0))
        1.0
    """
    return x


# -- VariableState ------------------------------------------------------------------


class _VariableStateMeta(type):
    """Makes ``VariableState`` another name of Variable, with the old call form too."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _Variable)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, _Variable)

    def __getattr__(cls, name: str) -> Any:
        return getattr(_Variable, name)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        kind = kwargs.pop("type", None)
        if kind is None and args and isinstance(args[0], type):
            kind, args = args[0], args[1:]
        if kind is None:
            return _Variable(*args, **kwargs)
        if not issubclass(kind, _Variable):
            raise ArgumentTypeError(
                f"VariableState was given {kind.__name__}, which is not a Variable "
                "type, and a value",
                instead="nnx.VariableState(nnx.Param, value)",
            )
        warnings.warn(
            "nnx.VariableState(type, value) is kept by nnx-compat only\n"
            f"  instead: nnx.{kind.__name__}(value)",
            RemovedNameWarning,
            stacklevel=2,
        )
        return kind(*args, **kwargs)


# not a subclass of Variable: an ABC, as that is on some releases, asks its subclasses
class VariableState(metaclass=_VariableStateMeta):
    """What the leaves of a state are: Variables, here.

    ``isinstance(leaf, nnx.VariableState)`` is true of every Variable, and a call makes
    one: ``VariableState(value)``, or of a type with ``VariableState(type, value)``, the
    form of the releases on which it was a class of its own.

    Args:
        type: a Variable class, in the old form.
        value: what it is to hold.
        **metadata: of the Variable.

    Raises:
        ArgumentTypeError: ``type`` is not a Variable class.

    Example:
        >>> from nnx_compat import nnx
        >>> state = nnx.state(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
        >>> leaf = nnx.to_flat_state(state)[0][1]
        >>> isinstance(leaf, nnx.VariableState)
        True
    """

    def __class_getitem__(cls, item: Any) -> Any:
        return _Variable[item]


# -- names of types -----------------------------------------------------------------


def _native_registry() -> MutableMapping[str, Any]:
    """The table that Flax's bridge to Linen reads, or an empty one before there is."""
    beside = getattr(nnx, "register_variable_name_type_pair", _Variable)
    module = sys.modules[beside.__module__]
    found: MutableMapping[str, Any] = getattr(module, "VariableTypeCache", {})
    return found


#: Names of types: those registered, then the ones that are known from the start.
_NAMES: ChainMap[str, Any] = ChainMap(
    _native_registry(),
    {
        "params": nnx.Param,
        "batch_stats": nnx.BatchStat,
        "cache": nnx.Cache,
        "intermediates": nnx.Intermediate,
        "perturbations": getattr(nnx, "Perturbation", Perturbation),
    },
)


def variable_type_from_name(
    name: str, /, *, base: Any = _Variable, allow_register: bool = False
) -> Any:
    """The Variable type that stands for a collection of Linen.

    Args:
        name: of the collection, ``"params"``.
        base: what a new type derives from.
        allow_register: whether to make and register a type when there is none.

    Raises:
        ArgumentValueError: there is none.

    Example:
        >>> from nnx_compat import nnx
        >>> nnx.variable_type_from_name("batch_stats") is nnx.BatchStat
        True
    """
    if name not in _NAMES:
        if not allow_register:
            raise ArgumentValueError(
                f"Name {name} is not registered in the registry: no Variable type "
                "stands for that collection",
                instead=f"nnx.register_variable_name({name!r}, type)",
                otherwise="allow_register=True, which makes a type",
            )
        _NAMES[name] = type(name, (base,), {})
    return _NAMES[name]


def variable_name_from_type(typ: Any, /, *, allow_register: bool = False) -> str:
    """The name of the collection of Linen that a Variable type stands for.

    Args:
        typ: a Variable class.
        allow_register: whether to register it by its own name when it has none.

    Raises:
        ArgumentValueError: it has none, or the name it would get is another type's.

    Example:
        >>> from nnx_compat import nnx
        >>> nnx.variable_name_from_type(nnx.Param)
        'params'
    """
    for name, known in _NAMES.items():
        if known is typ:
            return name
    if not allow_register:
        raise ArgumentValueError(
            f"Type {typ} is not registered in the registry: no collection is its",
            instead="nnx.register_variable_name(name, type)",
            otherwise="allow_register=True, which takes the name of the class",
        )
    own: str = typ.__name__
    register_variable_name(own, typ)
    return own


def register_variable_name(
    name: str, typ: Any = None, *, overwrite: bool = False
) -> Any:
    """Say which Variable type stands for a collection of Linen.

    Args:
        name: of the collection.
        typ: the Variable class; left out, this is a decorator of it.
        overwrite: whether the name may be taken from another type.

    Returns:
        The class.

    Raises:
        ArgumentValueError: the name is another type's.

    Example:
        >>> from nnx_compat import nnx
        >>> @nnx.register_variable_name("doctest_statistics", overwrite=True)
        ... class Statistics(nnx.Variable):
        ...     pass
        >>> nnx.variable_type_from_name("doctest_statistics") is Statistics
        True
    """
    if typ is None:
        return functools.partial(register_variable_name, name, overwrite=overwrite)
    if name in _NAMES and not overwrite:
        raise ArgumentValueError(
            f"Name {name} already mapped to type {_NAMES[name]}",
            instead=f"register_variable_name({name!r}, type, overwrite=True)",
        )
    _NAMES[name] = typ
    return typ


def register_variable_name_type_pair(
    name: str, typ: Any, overwrite: bool = False
) -> None:
    """The first name of ``register_variable_name``.

    Args:
        name: of the collection.
        typ: the Variable class.
        overwrite: whether the name may be taken from another type.
    """
    register = getattr(nnx, "register_variable_name", register_variable_name)
    register(name, typ, overwrite=overwrite)
