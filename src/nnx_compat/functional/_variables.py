"""Variables, and VariableStates, which stand for one: value, type and metadata."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from .._release import here
from ..errors import NotBroadcastWarning, VariableTypeError, kind_of
from ..revisions import bound, nnx

if TYPE_CHECKING:
    from flax.nnx import Variable
    from typing_extensions import TypeIs

    from ..revisions.get_value import Leaf

A = TypeVar("A")

_write = bound.write


def is_variable(value: object, /) -> TypeIs[Variable[Any]]:
    """Whether this is a Variable, or the VariableState that stands for one in a state.

    Example:
        >>> import nnx_compat as nc
        >>> nc.is_variable(nc.nnx.Param(1.0)), nc.is_variable(1.0)
        (True, False)
    """
    return type(value) in _READERS or _is_new_variable(value)


#: How to read a Variable, by its class: isinstance alone takes 0.1 to 0.3 us here, for
#: the metaclass of Variable answers it, and that is more than all the rest of
#: get_value.
_READERS: dict[type, Callable[[Any], Any]] = {}


def _is_new_variable(value: object) -> bool:
    found = isinstance(value, bound.variable_types)
    if found:
        _READERS[type(value)] = bound.reader(type(value))
    return found


def variable_type(variable: object, /) -> type[Variable[Any]]:
    """The class of a Variable, also of one that a VariableState stands for.

    Raises:
        VariableTypeError: it is neither.

    Example:
        >>> import nnx_compat as nc
        >>> model = nc.nnx.BatchNorm(3, rngs=nc.nnx.Rngs(0))
        >>> leaf = nc.to_flat_state(nc.state(model))["mean",]
        >>> nc.variable_type(leaf) is nc.nnx.BatchStat
        True
    """
    if not is_variable(variable):
        raise _not_a_variable("variable_type", variable)
    return bound.variable_type(variable)


@overload
def get_value(variable: Variable[A], /) -> A: ...
@overload
def get_value(variable: A, /) -> A: ...
def get_value(variable: object, /) -> object:
    """The value of a Variable or of a leaf of a state; anything else as it is.

    So ``nc.get_value(self.w)`` is right on every release, also on the first two, where
    ``self.w`` is already the array. Hooks of the Variable (``on_get_value``) apply.

    Raises:
        VariableTypeError: it is a Module or a State, which have no one value.

    Example:
        >>> import nnx_compat as nc
        >>> nc.get_value(nc.nnx.Param(2.0)), nc.get_value(3.0)
        (2.0, 3.0)
    """
    reader = _READERS.get(type(variable))
    if reader is not None:
        return reader(variable)
    if _is_new_variable(variable):
        return get_value(variable)
    if isinstance(variable, _HOLDERS):
        raise _not_a_variable("get_value", variable)
    return variable


_HOLDERS: tuple[type, ...] = (nnx.Module, nnx.State)


def set_value(variable: Variable[Any], value: object, /) -> None:
    """Replace the value of a Variable or of a leaf of a state: no broadcast, no cast.

    Args:
        variable: the Variable itself; ``nc.variables(model)[path]`` reaches it on every
            release.
        value: any value that a Variable may hold, but not a Variable.

    Raises:
        VariableTypeError: ``variable`` is not a Variable, or ``value`` is one.

    Warns:
        NotBroadcastWarning: the value of a Param has another shape, which would
            broadcast to that of the old one, as a number for an array:
            ``variable[...] = 1.0`` of Flax keeps the shape, and this does not.

    Example:
        >>> import jax.numpy as jnp
        >>> import nnx_compat as nc
        >>> weight = nc.nnx.Param(jnp.zeros(3))
        >>> nc.set_value(weight, jnp.ones((2, 2)))
        >>> nc.get_value(weight).shape
        (2, 2)
    """
    new = _shape(value)
    if new is not None and is_variable(variable):
        old = _shape(bound.raw(variable))
        # not of counts, keys and caches, whose shapes do change
        if (
            old
            and new != old
            and issubclass(bound.variable_type(variable), nnx.Param)
            and _would_broadcast(new, old)
        ):
            warnings.warn(
                f"set_value: the value had shape {old} and now has {new}; nothing is "
                "broadcast\n  instead: nnx_compat.set_value(variable, "
                f"jax.numpy.broadcast_to(value, {old}))",
                NotBroadcastWarning,
                stacklevel=2,
            )
    write_value(variable, value)


def write_value(variable: Variable[Any], value: object, /) -> None:
    """The same of a Variable's own method, which says nothing of shapes in Flax."""
    if not is_variable(variable):
        raise _not_a_variable("set_value", variable)
    if is_variable(value):
        raise VariableTypeError(
            f"set_value was given {kind_of(value)} as the value of a Variable",
            instead="set_value(variable, get_value(other))",
        )
    _write(variable, value)


def _shape(value: object) -> tuple[int, ...] | None:
    """Of an array or a number; None for any other pytree."""
    if isinstance(value, (bool, int, float, complex)):
        return ()
    return getattr(value, "shape", None)


def _would_broadcast(new: tuple[int, ...], old: tuple[int, ...]) -> bool:
    ends = zip(reversed(new), reversed(old), strict=False)
    return len(new) <= len(old) and all(n in (1, o) for n, o in ends)


@overload
def get_metadata(variable: Variable[Any], /) -> dict[str, Any]: ...
@overload
def get_metadata(variable: Variable[Any], name: str, default: Any = None, /) -> Any: ...
def get_metadata(
    variable: Variable[Any], name: str = "", default: Any = None, /
) -> Any:
    """The metadata that were given to a Variable, without what Flax keeps for itself.

    The annotation for a mesh is called ``out_sharding`` on every release: earlier ones
    store it as ``sharding``, later as ``sharding_names``.

    Args:
        variable: a Variable, or a leaf of a state that stands for one.
        name: of the one entry that is wanted; of the annotation, any of its names.
        default: what to return where there is no such entry, as ``dict.get`` has it.

    Returns:
        A new dict, or the one entry; hooks and Flax's own settings (``hijax``,
        ``eager_sharding``, ...) are left out, so it is the same on every release.

    Raises:
        VariableTypeError: it is not a Variable.

    Example:
        >>> import nnx_compat as nc
        >>> weight = nc.nnx.Param(1.0, unit="m")
        >>> nc.get_metadata(weight)
        {'unit': 'm'}
        >>> nc.get_metadata(weight, "unit"), nc.get_metadata(weight, "scale", 1)
        ('m', 1)
    """
    if not is_variable(variable):
        raise _not_a_variable("get_metadata", variable)
    named = own_metadata(variable)
    if annotations := [named.pop(called) for called in AXES if called in named]:
        given = (names for names in annotations if names is not None)
        named[AXES[0]] = next(given, None)
    if not name:
        return named
    return named.get(AXES[0] if name in AXES else name, default)


def own_metadata(variable: Leaf) -> dict[str, Any]:
    """The metadata that were given, under the names that the release has for them."""
    return {
        key: value
        for key, value in bound.metadata(variable).items()
        if key not in _BOOKKEEPING and not key.endswith("_hooks")
    }


#: What the annotation of a Variable for a mesh is called, newest first.
AXES = ("out_sharding", "sharding_names", "sharding")
#: What Flax stores among the metadata for itself, on one release or another.
_BOOKKEEPING = frozenset(
    [
        "eager_sharding",
        "has_ref",
        "hijax",
        "is_hijax",
        "is_mutable",
        "mutable",
        "ref",
        "on_add_axis",
        "on_create_value",
        "on_get_value",
        "on_remove_axis",
        "on_set_value",
    ]
)


def set_metadata(variable: Variable[Any], /, **metadata: object) -> None:
    """Add metadata to a Variable, or replace some.

    The annotation for a mesh, by any name it has had, is stored under the one that the
    release reads: ``nnx.get_partition_spec`` sees it.

    Raises:
        VariableTypeError: it is not a Variable.

    Example:
        >>> import nnx_compat as nc
        >>> weight = nc.nnx.Param(1.0, unit="m")
        >>> nc.set_metadata(weight, unit="cm", frozen=True)
        >>> nc.get_metadata(weight) == {"unit": "cm", "frozen": True}
        True
    """
    if not is_variable(variable):
        raise _not_a_variable("set_metadata", variable)
    for name in AXES:
        if name != here.annotation and name in metadata:
            metadata[here.annotation] = metadata.pop(name)
    bound.set_metadata(variable, metadata)


def stored(leaf: object) -> Any:
    """The value of a leaf as it is stored, its hooks not applied."""
    return bound.raw(leaf) if is_variable(leaf) else leaf


def as_leaf(like: Leaf, new: object) -> Leaf:
    """``new`` as a leaf: in a copy of ``like`` unless it is a leaf already."""
    if is_variable(new) or not is_variable(like):
        return new
    return bound.with_value(like, new)


def _not_a_variable(operation: str, found: object) -> VariableTypeError:
    return VariableTypeError(
        f"{operation} needs a Variable and was given {kind_of(found)}",
        instead="nnx_compat.variables(model)[path], with a path like ('kernel',)",
    )
