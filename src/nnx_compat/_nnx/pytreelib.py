"""What an attribute of a Module is: data, in the state, or static, in the graphdef.

There are three ways in which Flax decides it:

- at first by the value, each time a Module is split: Variables, Modules, arrays and
  what contains them in lists, tuples and dicts are data, all else is static;
- later likewise, once, when it is assigned; and it can be marked as data;
- today by the value itself, not by what it contains, and it can be marked as
  data or static.

A mark that asks for what a release does anyway is the value itself; one that asks for
something else is an error.
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, TypeVar

import jax
import numpy as np

from .. import facts
from ..errors import ArgumentTypeError, ArgumentValueError, RefusedArgumentError
from ..functional import is_variable
from ..revisions import bound, flax_version, nnx

__all__ = [
    "Object",
    "Pytree",
    "Static",
    "check_pytree",
    "data",
    "dataclass",
    "has_data",
    "is_data",
    "is_data_type",
    "register_data_type",
    "static",
]

_A = TypeVar("_A")
_T = TypeVar("_T", bound=type)
_MISSING: Any = object()

#: NNX's module with the registry of node types.
_graph = sys.modules[nnx.GraphDef.__module__]

# What the installed release has of its own, before anything is added to it.
_native_data: Any = getattr(nnx, "data", None)
_native_static: Any = getattr(nnx, "static", None)
_native_is_data: Any = getattr(nnx, "is_data", getattr(nnx, "is_data_type", None))
_native_register: Any = getattr(nnx, "register_data_type", None)
_native_check: Any = getattr(nnx, "check_pytree", None)

#: Whether its ``static`` takes a value: the first one only made dataclass fields.
_marks_static = _native_static is not None and (
    "value" in inspect.signature(_native_static).parameters
)

#: Where a class keeps which of its attributes are data, on releases with such marks.
_NODES = "_pytree__nodes" if hasattr(nnx.Module, "_pytree__nodes") else "_object__nodes"

#: What Module derives from, whatever its name; at first that is no node, Module is.
_node: Any = nnx.Module.__mro__[1]
if not hasattr(_node, "_graph_node_flatten"):
    _node = nnx.Module

#: Before NNX shared Variables with its states a Module is a leaf for jax, ...
_is_leaf = jax.tree_util.all_leaves([nnx.Module()])
#: ... and before that one, NNX's transforms take what jax looks into for plain data:
#: ``nnx.jit`` would run a pytree that is a node, and lose all updates of it.
_may_be_pytree = "pytree" in inspect.signature(_node.__init_subclass__).parameters


class JaxPytree:
    """Makes its subclasses pytrees of jax where NNX can cope with that.

    Where Module is none, their leaves are the arrays of their state, those of Modules
    inside included, and the rest is the graphdef.
    """

    def __init_subclass__(cls, *, pytree: bool | None = None, **kwargs: Any) -> None:
        if not _is_leaf and pytree is not None:
            kwargs["pytree"] = pytree  # Flax itself does it
        super().__init_subclass__(**kwargs)
        if not _is_leaf or pytree is False:
            return
        if _may_be_pytree:
            jax.tree_util.register_pytree_with_keys(cls, _flatten, _unflatten)
        elif pytree:
            raise RefusedArgumentError(
                f"class {cls.__name__} was given pytree=True, and the transforms of "
                f"flax {flax_version} would not see that it is a node",
                instead="nnx.split, jax's transform over the state, nnx.merge",
            )


def _flatten(node: Any) -> tuple[Any, Any]:
    graphdef, state = bound.split(node)
    mapping = state.raw_mapping
    keys = tuple(sorted(mapping, key=by_number))
    return [(path_entry(key), mapping[key]) for key in keys], (graphdef, keys)


def _unflatten(static: tuple[Any, Any], children: Iterable[Any]) -> Any:
    graphdef, keys = static
    return bound.adopt(graphdef, nnx.State(dict(zip(keys, children, strict=True))))


def by_number(key: Any) -> tuple[bool, int, str]:
    """Sorts ints and their names in their order, then other names in theirs."""
    text = str(key)
    return not text.isdigit(), int(text) if text.isdigit() else 0, text


def path_entry(key: Any) -> Any:
    """What jax calls an element with this index, or an attribute with this name."""
    if str(key).isdigit():
        return jax.tree_util.SequenceKey(int(key))
    return jax.tree_util.GetAttrKey(key)


class _PytreeType(type(nnx.Module)):  # type: ignore[misc]
    """Every object of NNX is a Pytree, also one that does not derive from it."""

    # by __mro__: issubclass(_, Object) would ask Pytree, which is a subclass of it
    def __instancecheck__(cls, instance: Any) -> bool:
        return cls.__subclasscheck__(type(instance))

    def __subclasscheck__(cls, subclass: type) -> bool:
        return (_node if cls is Pytree else cls) in subclass.__mro__


class _Pytree(JaxPytree, _node, metaclass=_PytreeType):  # type: ignore[misc]
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
Pytree: Any = _Pytree if _is_leaf else _node

#: The base class of NNX's objects that are no pytrees of jax.
Object: Any = getattr(nnx, "Object", _node)

#: Says in an annotation, ``a: nnx.Static[int]``, that an attribute is static. On
#: older releases its value decides that, and data in it is no error.
Static = Annotated[_A, "__static__"]


def is_data(value: Any, /) -> bool:
    """Whether a value is data as an attribute: a Variable, a Module, an array.

    Lists, tuples and dicts are not, whatever they contain (``has_data``). A ``Rngs`` is
    not where it is static, on the first releases.

    Example:
        >>> import jax.numpy as jnp
        >>> from nnx_compat import nnx
        >>> nnx.is_data(nnx.Param(1)), nnx.is_data(jnp.ones(2)), nnx.is_data([1, 2])
        (True, True, False)
    """
    if _native_is_data is not None:
        return bool(_native_is_data(value))
    return (
        is_variable(value)
        or isinstance(value, (jax.Array, np.ndarray, Pytree))
        # other types that somebody told NNX to walk over
        or (hasattr(_graph, "is_graph_node") and _graph.is_graph_node(value))
    )


def is_data_type(value: Any, /) -> bool:
    """What ``is_data`` was called in flax 0.11.

    Example:
        >>> import warnings
        >>> from nnx_compat import nnx
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore", DeprecationWarning)
        ...     nnx.is_data_type(nnx.Param(1))
        True
    """
    return is_data(value)


def has_data(value: Any, /) -> list[Any]:
    """The data in a value: itself, or what is in lists, tuples, dicts, pytrees.

    Example:
        >>> import jax.numpy as jnp
        >>> from nnx_compat import nnx
        >>> len(nnx.has_data({"a": [nnx.Param(1), 2], "b": jnp.ones(2)}))
        2
    """
    return [leaf for leaf in _leaves(value) if is_data(leaf)]


def _leaves(value: Any) -> list[Any]:
    met: set[int] = set()

    def is_leaf(node: Any) -> bool:
        if id(node) in met:  # a container that contains itself
            return True
        met.add(id(node))
        return is_data(node)

    leaves: list[Any] = jax.tree_util.tree_leaves(value, is_leaf=is_leaf)
    return leaves


def register_data_type(type_: _T, /) -> _T:
    """Make values of a class data, as attributes. Also a decorator.

    Args:
        type_: a class; classes that derive from it are not meant.

    Returns:
        The class.

    Example:
        >>> from nnx_compat import nnx
        >>> class Token:
        ...     pass
        >>> try:
        ...     found = nnx.is_data(nnx.register_data_type(Token)())
        ... except AttributeError:  # refused before there are marks
        ...     found = True
        >>> found
        True
    """
    _native_register(type_)
    return type_


def check_pytree(pytree: Any) -> None:
    """Look for data in attributes of an object where NNX does not see it.

    Where the newest checks are missing that is data which was put into a list or dict
    after this was assigned, bare arrays on the releases that refuse them, and data in
    objects that ``split`` does not walk into.

    Raises:
        TypeError: it is no ``nnx.Pytree``.
        ValueError: there is such data; the message names the attribute.

    Example:
        >>> from nnx_compat import nnx
        >>> nnx.check_pytree(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
    """
    if _native_check is not None:
        _native_check(pytree)
        return
    if not isinstance(pytree, Pytree):
        raise ArgumentTypeError(
            f"check_pytree was given a {type(pytree).__name__}",
            instead="a Module or another nnx.Pytree",
        )
    seen = {id(value) for _, value in bound.iter_graph(pytree)}
    data_names = vars(pytree).get(_NODES) if _native_data else None
    for name, value in vars(pytree).items():
        found = has_data(value)
        lost = [leaf for leaf in found if id(leaf) not in seen or _is_refused(leaf)]
        if found and (lost or not (data_names is None or name in data_names)):
            raise ArgumentValueError(
                f"attribute {name!r} of {type(pytree).__name__} has data in it that "
                f"flax {flax_version} does not see: {_shown((lost or found)[0])}",
                instead=f"nnx.List or nnx.Dict, or assign self.{name} again",
            )


def _is_refused(value: Any) -> bool:
    """Whether it is a bare array where NNX takes none."""
    return isinstance(value, (jax.Array, np.ndarray)) and _refuses_arrays


_refuses_arrays = facts.behaviour("split-refuses-raw-arrays").holds(flax_version)


# -- marks --------------------------------------------------------------------------


def data(value: Any = _MISSING, /, **field: Any) -> Any:
    """Mark the value of an attribute as data: ``self.a = nnx.data([])``.

    Without a value it is a dataclass field whose values are data.

    Where the value decides, on older releases, data is returned as it is, and so is a
    list, tuple or dict of it or without elements; the check of a field is at
    assignment.

    Args:
        value: what is assigned.
        **field: arguments of ``dataclasses.field``.

    Raises:
        RefusedArgumentError: it is static on the installed release (``nnx.data(5)``).
        TypeError: there is both a value and an argument of a field.
        ValueError: ``metadata`` has the key ``"static"``.

    Example:
        >>> from nnx_compat import nnx
        >>> class Block(nnx.Module):
        ...     def __init__(self, rngs):
        ...         self.layers = nnx.data([])
        ...         self.layers.append(nnx.Linear(2, 3, rngs=rngs))
        >>> import nnx_compat as nc
        >>> list(nc.variables(Block(nnx.Rngs(0))))
        [('layers', 0, 'bias'), ('layers', 0, 'kernel')]
    """
    if value is _MISSING:
        return _field("data", field, static=False)
    _check_alone("data", field)
    if _native_data is not None:
        return _native_data(value)
    _check_data("nnx.data", value)
    return value


def static(value: Any = _MISSING, /, **field: Any) -> Any:
    """Mark the value of an attribute as static: ``self.a = nnx.static((1, 2))``.

    Without a value it is a dataclass field whose values are static.

    Where the value decides, on older releases, it is returned as it is; and where only
    data can be marked, an attribute marked so stays data: assign to another one.

    Args:
        value: what is assigned, without data in it.
        **field: arguments of ``dataclasses.field``.

    Raises:
        TypeError: there is both a value and an argument of a field.
        ValueError: there is data in the value, or ``metadata`` has a key ``"static"``.

    Example:
        >>> from nnx_compat import nnx
        >>> class Scale(nnx.Module):
        ...     def __init__(self):
        ...         self.axes = nnx.static((0, 1))
        >>> Scale().axes
        (0, 1)
    """
    if value is _MISSING:
        return _field("static", field, static=True)
    _check_alone("static", field)
    _check_static("nnx.static", value)
    return _native_static(value) if _marks_static else value


def _check_alone(asked: str, field: Mapping[str, Any]) -> None:
    if field:
        raise ArgumentTypeError(
            f"nnx.{asked} was given a value and {', '.join(sorted(field))}",
            instead=f"nnx.{asked}(value) in a method, nnx.{asked}(default=value) for a "
            "dataclass field",
        )


def _check_data(asked: str, value: Any) -> None:
    """Refuse what would not be in the state, on releases where the value decides."""
    for leaf in _leaves(value):
        # an abstract array stands for one
        if not (is_data(leaf) or isinstance(leaf, jax.ShapeDtypeStruct)):
            why = "is static, for its value decides there"
        elif _is_refused(leaf):
            why = "is refused in a Module"
        else:
            continue
        raise RefusedArgumentError(
            f"{asked} was given {_shown(leaf)}, which in flax {flax_version} {why}",
            instead="nnx.Variable(value), and variable.value to read it",
            otherwise=f"pip install 'flax>={_marks_since}'",
        )


_marks_since = facts.name("nnx.data").intervals[0].first


def _shown(value: Any) -> str:
    if isinstance(value, (bool, int, float, complex, str)):
        return repr(value)
    return f"a {type(value).__name__}"


def _check_static(asked: str, value: Any) -> None:
    """Refuse data."""
    if found := has_data(value):
        where = "in value" if asked == "nnx.static" else "on value"
        raise ArgumentValueError(
            f"Found {'' if asked == 'nnx.static' else 'unexpected '}data {where} of "
            f"type {type(value).__name__!r} that {asked} makes static: "
            f"{_shown(found[0])}",
            instead="leave nnx.static out, or nnx.data",
        )


# -- dataclasses --------------------------------------------------------------------


class _Field(dataclasses.Field):  # type: ignore[type-arg]
    """A dataclass field that tells the class what it is, before NNX looks at it."""

    __slots__ = ()

    def __set_name__(self, owner: type, name: str) -> None:
        super().__set_name__(owner, name)
        if not issubclass(owner, Pytree):
            return
        static = self.metadata["static"]
        if _native_data:
            declared = getattr(owner, _NODES, type(getattr(nnx.Module, _NODES))(()))
            if isinstance(declared, Mapping):
                setattr(owner, _NODES, {**declared, name: not static})
            elif not static:
                setattr(owner, _NODES, declared | {name})
        if static:
            _check_assigned(owner, name, _check_static)
        elif not _native_data:
            _check_assigned(owner, name, _check_data)


def _field(asked: str, options: dict[str, Any], *, static: bool) -> Any:
    metadata = dict(options.pop("metadata", None) or {})
    if "static" in metadata:
        raise ArgumentValueError(
            f"nnx.{asked} was given metadata with the key 'static', which is its own",
            instead="another key",
        )
    made = dataclasses.field(metadata={**metadata, "static": static}, **options)
    made.__class__ = _Field  # its arguments differ between the releases of Python
    return made


_Check = Callable[[str, Any], None]


def _check_assigned(owner: Any, name: str, check: _Check) -> None:
    """Check what is assigned to an attribute of the instances of a class."""
    if "_nnx_compat_checks" not in vars(owner):
        owner._nnx_compat_checks = dict(getattr(owner, "_nnx_compat_checks", {}))
        assign = owner.__setattr__

        def __setattr__(self: Any, key: str, value: Any) -> None:
            if key in owner._nnx_compat_checks:
                owner._nnx_compat_checks[key](f"{owner.__name__}.{key}", value)
            assign(self, key, value)

        owner.__setattr__ = __setattr__
    owner._nnx_compat_checks[name] = check


def dataclass(
    cls: type | None = None,
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
) -> Any:
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
        TypeError: ``slots`` or ``weakref_slot`` is asked for.

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
            "nnx.dataclass was asked for slots, and objects of NNX have none",
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
