"""``dataclass`` for NNX's objects, and its fields of data and of static values."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, overload

import jax

from ... import facts
from ..._release import here, native
from ...errors import ArgumentTypeError, ArgumentValueError, RefusedArgumentError
from ...revisions import flax_version, nnx
from .pytrees import Pytree
from .questions import has_data, is_data, is_refused, leaves_of, shown

__all__ = ["dataclass"]

_T = TypeVar("_T")


@overload
def dataclass(cls: type[_T], /) -> type[_T]: ...
@overload
def dataclass(  # with some of the options that are listed below
    cls: None = None, /, **options: bool
) -> Callable[[type[_T]], type[_T]]: ...
def dataclass(  # type: ignore[misc]
    cls: type[_T] | None = None,
    /,
    *,
    init: bool = True,
    eq: bool = True,
    order: bool = False,
    unsafe_hash: bool = False,
    match_args: bool = True,
    kw_only: bool = False,
    slots: bool = False,
    weakref_slot: bool = False,
) -> type[_T] | Callable[[type[_T]], type[_T]]:
    """``dataclasses.dataclass`` for Modules and other objects of NNX.

    Args:
        cls: the class, or None to give arguments first.
        init: whether to add ``__init__``.
        eq: whether to add ``__eq__``.
        order: whether to add ``__lt__`` and the like.
        unsafe_hash: whether to add ``__hash__``.
        match_args: whether to add ``__match_args__``.
        kw_only: whether all parameters of ``__init__`` are keyword-only.
        slots: not for NNX's objects, whose attributes are in a ``__dict__``.
        weakref_slot: likewise.

    Raises:
        TypeError: ``slots`` or ``weakref_slot`` is True.

    Example:
        >>> import jax.numpy as jnp
        >>> from nnx_compat import nnx
        >>> @nnx.dataclass
        ... class Scale(nnx.Module):
        ...     factor: nnx.Param
        ...     axes: tuple = nnx.static(default=(0,))
        >>> Scale(nnx.Param(jnp.ones(3))).axes
        (0,)
    """
    if slots or weakref_slot:
        raise ArgumentTypeError(
            "nnx.dataclass was told to make slots, and objects of NNX have none",
            instead="leave slots and weakref_slot out",
        )
    return dataclasses.dataclass(
        cls,
        init=init,
        eq=eq,
        order=order,
        unsafe_hash=unsafe_hash,
        match_args=match_args,
        kw_only=kw_only,
    )


class _Field(dataclasses.Field):  # type: ignore[type-arg]
    """A dataclass field that tells the class what it is, before NNX looks at it."""

    __slots__ = ()

    def __set_name__(self, owner: type, name: str) -> None:
        super().__set_name__(owner, name)
        if not issubclass(owner, Pytree):
            return
        static = self.metadata["static"]
        if "data" in native:
            usual = type(getattr(nnx.Module, here.data_names))(())
            declared = getattr(owner, here.data_names, usual)
            if isinstance(declared, Mapping):
                setattr(owner, here.data_names, {**declared, name: not static})
            elif not static:
                setattr(owner, here.data_names, declared | {name})
        if static:
            _check_assigned(owner, name, check_static)
        elif "data" not in native:
            _check_assigned(owner, name, check_data)


def field(mark: str, options: dict[str, Any], *, static: bool) -> Any:
    """A dataclass field whose values are data, or static.

    Args:
        mark: the name of the function, for errors.
        options: of ``dataclasses.field``.
        static: which.
    """
    metadata = dict(options.pop("metadata", None) or {})
    if "static" in metadata:
        raise ArgumentValueError(
            f"nnx.{mark} was given metadata with the key 'static', which is its own",
            instead="another key",
        )
    new = dataclasses.field(metadata={**metadata, "static": static}, **options)
    new.__class__ = _Field  # its arguments differ between the releases of Python
    return new


def _check_assigned(
    owner: Any, name: str, check: Callable[[str, object], None]
) -> None:
    """Check what is assigned to an attribute of the instances of a class."""
    if "_nnx_compat_checks" not in vars(owner):
        owner._nnx_compat_checks = dict(getattr(owner, "_nnx_compat_checks", {}))
        assign = owner.__setattr__

        def __setattr__(self: object, key: str, value: object) -> None:
            if key in owner._nnx_compat_checks:
                owner._nnx_compat_checks[key](f"{owner.__name__}.{key}", value)
            assign(self, key, value)

        owner.__setattr__ = __setattr__
    owner._nnx_compat_checks[name] = check


def check_data(mark: str, value: object) -> None:
    """Refuse what would not be in the state, on releases where the value decides."""
    for leaf in leaves_of(value):
        # an abstract array stands for one
        if not (is_data(leaf) or isinstance(leaf, jax.ShapeDtypeStruct)):
            why = "is static, for its value decides there"
        elif is_refused(leaf):
            why = "is refused in a Module"
        else:
            continue
        since = facts.name("nnx.data").intervals[0].first
        raise RefusedArgumentError(
            f"{mark} was given {shown(leaf)}, which in flax {flax_version} {why}",
            instead="nnx.Variable(value), and variable.value to read it",
            otherwise=f"pip install 'flax>={since}'",
        )


def check_static(mark: str, value: object) -> None:
    """Refuse data."""
    if found := has_data(value):
        where = "in value" if mark == "nnx.static" else "on value"
        raise ArgumentValueError(
            f"Found {'' if mark == 'nnx.static' else 'unexpected '}data {where} of "
            f"type {type(value).__name__!r} that {mark} makes static: "
            f"{shown(found[0])}",
            instead="leave nnx.static out, or nnx.data",
        )
