"""Names of types of Variables: of the collections of Linen that they stand for."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from ..._release import native, variable_names
from ...errors import ArgumentValueError
from ...revisions import nnx
from .types import Perturbation

if TYPE_CHECKING:
    from flax.nnx import Variable
else:
    Variable = nnx.Variable

__all__ = [
    "register_variable_name",
    "register_variable_name_type_pair",
    "variable_name_from_type",
    "variable_type_from_name",
]

_V = TypeVar("_V", bound="type[Variable[Any]]")

#: Names of types: those registered, then the ones that are known from the start.
_NAMES: ChainMap[str, type[Variable[Any]]] = ChainMap(
    variable_names,
    {
        "params": nnx.Param,
        "batch_stats": nnx.BatchStat,
        "cache": nnx.Cache,
        "intermediates": nnx.Intermediate,
        "perturbations": native.get("Perturbation", Perturbation),
    },
)


def variable_type_from_name(
    name: str,
    /,
    *,
    base: type[Variable[Any]] = Variable,
    allow_register: bool = False,
) -> type[Variable[Any]]:
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


def variable_name_from_type(
    typ: type[Variable[Any]], /, *, allow_register: bool = False
) -> str:
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
    register_variable_name(typ.__name__, typ)
    return typ.__name__


@overload
def register_variable_name(name: str, typ: _V, *, overwrite: bool = False) -> _V: ...
@overload
def register_variable_name(
    name: str, typ: None = None, *, overwrite: bool = False
) -> Callable[[_V], _V]: ...
def register_variable_name(
    name: str, typ: _V | None = None, *, overwrite: bool = False
) -> _V | Callable[[_V], _V]:
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
        return lambda typ: register_variable_name(name, typ, overwrite=overwrite)
    if name in _NAMES and not overwrite:
        raise ArgumentValueError(
            f"Name {name} already mapped to type {_NAMES[name]}",
            instead=f"register_variable_name({name!r}, type, overwrite=True)",
        )
    _NAMES[name] = typ
    return typ


def register_variable_name_type_pair(
    name: str, typ: type[Variable[Any]], overwrite: bool = False
) -> None:
    """The first name of ``register_variable_name``.

    Args:
        name: of the collection.
        typ: the Variable class.
        overwrite: whether the name may be taken from another type.
    """
    register = native.get("register_variable_name", register_variable_name)
    register(name, typ, overwrite=overwrite)
