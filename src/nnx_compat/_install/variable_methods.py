"""Methods that Variable lacks on some releases: what ``install`` adds to it.

The class here is a table: its functions become methods of the native class, where that
one has none. They are written with the stable operations, so that one text serves every
release.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import jax.numpy as jnp

from .. import functional
from ..errors import ArgumentTypeError
from ..revisions import bound

if TYPE_CHECKING:  # what the self of these methods is
    from flax.nnx import Variable as NativeVariable

    Native = NativeVariable[Any]
else:
    Native = object

_ABSENT: Any = object()
_V = TypeVar("_V", bound="NativeVariable[Any]")


def value_getter(read: Callable[[_V], Any]) -> Callable[..., Any]:
    """The method ``get_value`` of today, over what reads the whole value."""

    def get_value(self: _V, *, index: Any = _ABSENT) -> Any:
        """The value, or what is at ``index`` of it."""
        return read(self) if index is _ABSENT else read(self)[index]

    return get_value


def value_setter(write: Callable[[_V, Any], None]) -> Callable[..., None]:
    """The method ``set_value`` of today, over what writes the whole value."""

    def set_value(self: _V, value: Any, *, index: Any = _ABSENT) -> None:
        """Replace the value, or what is at ``index`` of it."""
        if index is not _ABSENT:
            value = _with_item(self.get_value(), index, value)
        write(self, value)

    return set_value


def metadata_getter(read: Callable[[_V], Mapping[str, Any]]) -> Callable[..., Any]:
    """The method ``get_metadata`` of today, over what reads all of it."""

    def get_metadata(self: _V, name: str = _ABSENT, default: Any = _ABSENT) -> Any:
        """All metadata, or the one of this name."""
        found = read(self)
        if name is _ABSENT:
            return found
        return found[name] if default is _ABSENT else found.get(name, default)

    return get_metadata


class Variable(Native):
    """What a Variable of the newest release can do."""

    get_value = value_getter(functional.get_value)
    set_value = value_setter(functional.write_value)
    get_metadata = metadata_getter(bound.metadata)

    def get_raw_value(self) -> Any:
        """The value as it is stored, hooks not applied."""
        return bound.raw(self)

    def set_raw_value(self, value: Any) -> None:
        """Replace what is stored, hooks not applied."""
        self.raw_value = value

    @property
    def raw_value(self) -> Any:
        """The value as it is stored, hooks not applied."""
        return bound.raw(self)

    @raw_value.setter
    def raw_value(self, value: Any) -> None:
        self.value = value

    @property
    def var_type(self) -> type:
        """The class of the Variable, or of the one that a state's leaf stands for."""
        return bound.variable_type(self)

    type = var_type

    def set_metadata(self, *args: Any, **metadata: object) -> None:
        """Set by name, by keyword, or all of it from a mapping."""
        if bool(args) == bool(metadata) or len(args) > 2:
            raise ArgumentTypeError(
                f"set_metadata was given {len(args)} positional and {len(metadata)} "
                "keyword arguments",
                instead="set_metadata(name, value) or set_metadata(name=value)",
                otherwise="set_metadata(mapping), which replaces all of it",
            )
        if len(args) == 2:
            metadata = {args[0]: args[1]}
        elif args:
            metadata = dict(args[0])
            for name in functional.own_metadata(self).keys() - metadata.keys():
                delattr(self, name)
        bound.set_metadata(self, metadata)

    def has_metadata(self, name: str) -> bool:
        """Whether there is metadata of this name."""
        return name in bound.metadata(self)

    def del_metadata(self, name: str) -> None:
        """Take away the metadata of this name."""
        if name not in bound.metadata(self):
            raise KeyError(name)
        delattr(self, name)

    def copy_from(self, other: NativeVariable[Any]) -> None:
        """Take over value and metadata of another Variable of this type."""
        self.update_from_state(other)

    def update_from_state(self, variable_state: NativeVariable[Any]) -> None:
        """Take over the value and the metadata of a state's leaf."""
        bound.write(self, bound.raw(variable_state))
        bound.set_metadata(self, bound.metadata(variable_state))

    def to_state(self) -> NativeVariable[Any]:
        """The leaf that stands for this Variable in a state."""
        return bound.with_value(self, bound.raw(self))

    @classmethod
    def state(cls, value: object, **metadata: object) -> NativeVariable[Any]:
        """What was a leaf for a state, and is a Variable now."""
        variable: NativeVariable[Any] = cls(value, **metadata)
        return variable

    to_variable = to_state

    def __getitem__(self, index: Any) -> Any:
        return functional.get_value(self)[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        old = functional.get_value(self)
        functional.write_value(self, _with_item(old, index, value))

    def __iter__(self) -> Iterator[Any]:
        return iter(functional.get_value(self))

    def __jax_array__(self) -> Any:
        return functional.get_value(self)


def _with_item(old: Any, index: Any, value: Any) -> Any:
    """``old`` with an item replaced: shape and dtype of an array are kept."""
    if not hasattr(old, "at"):
        if isinstance(old, (int, float, complex, bool)):
            return value
        old[index] = value
        return old
    new = jnp.asarray(functional.get_value(value))
    return old.at[index].set(new.astype(old.dtype))


_Apply = Callable[..., Any]


def _binary(apply: _Apply) -> _Apply:
    return lambda self, other: apply(
        functional.get_value(self), functional.get_value(other)
    )


def _reflected(apply: _Apply) -> _Apply:
    return lambda self, other: apply(
        functional.get_value(other), functional.get_value(self)
    )


def _unary(apply: _Apply) -> _Apply:
    return lambda self: apply(functional.get_value(self))


def _in_place(apply: _Apply) -> _Apply:
    def method(self: _V, other: object) -> _V:
        value = apply(functional.get_value(self), functional.get_value(other))
        functional.write_value(self, value)
        return self

    return method


def _operator(name: str, method: Callable[[_Apply], _Apply], prefix: str = "") -> None:
    new = method(getattr(operator, name))
    new.__name__ = new.__qualname__ = f"__{prefix}{name}__"
    setattr(Variable, new.__name__, new)


# where a Variable has no comparison of its own, what it has is object's: identity
_operator("eq", _binary)
for _name in (
    "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul",
    "lshift", "rshift",
):  # fmt: skip
    _operator(_name, _binary)
    _operator(_name, _reflected, "r")
    _operator(_name, _in_place, "i")
for _name in ("neg", "pos", "abs", "invert"):
    _operator(_name, _unary)


def _of_the_array(name: str) -> property:
    def read(self: Any) -> Any:
        return getattr(functional.get_value(self), name)

    read.__name__ = name
    return property(read, doc=f"``{name}`` of the value.")


# By name and not by __getattr__: Flax asks Variables of some releases whether they have
# a ``sharding``, and the array's would be the answer.
for _name in (
    "shape", "dtype", "ndim", "size", "T", "at", "astype", "reshape", "transpose",
    "sum", "mean", "min", "max", "std", "var", "all", "any", "ravel", "flatten",
    "squeeze", "item", "tolist",
):  # fmt: skip
    setattr(Variable, _name, _of_the_array(_name))
