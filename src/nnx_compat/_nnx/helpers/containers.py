"""Containers that are Modules: ``List``, ``Dict`` and ``Sequential``.

Here a container is a Module whose attributes are its elements, so ``split``, ``state``
and ``update`` see what is in it on every release, by the paths of the newest:
``("layers", 0, "kernel")``. Elements of a List are attributes called ``"0"``, ``"1"``,
...; that NNX calls them by an int is what the methods ``_graph_node_*`` are for.

Containers are pytrees of jax from the release on that made Variables such, which is one
before all Modules are.
"""

from __future__ import annotations

import inspect
from collections.abc import (
    Callable,
    Iterable,
    Iterator,
    MutableMapping,
    MutableSequence,
)
from typing import Any

from ...errors import ArgumentTypeError, ArgumentValueError
from ...revisions import nnx
from ..pytreelib import JaxPytree, by_number, path_entry

__all__ = ["Dict", "List", "Sequence", "Sequential"]

#: The newest List, where Flax has it; there is nothing to build then.
_newest_list: Any = getattr(nnx, "List", None)
if not hasattr(_newest_list, "append"):
    _newest_list = None

#: The first Sequential was a List, and took one.
_was_list = issubclass(getattr(nnx, "Sequential", object), getattr(nnx, "List", ()))

_native: dict[str, Any] = {
    "Dict": getattr(nnx, "Dict", None),
    "List": None if _newest_list else getattr(nnx, "List", None),
    "Sequential": None if _was_list else getattr(nnx, "Sequential", None),
}


def _bases(protocol: Any, name: str) -> tuple[Any, ...]:
    """A protocol, and the native class of a name, which keeps ``isinstance`` true.

    The protocol comes first: a Module has a ``pop`` and an ``update`` of its own once.
    """
    native = _native[name] or nnx.Module
    known = issubclass(native, protocol)
    return (JaxPytree, native) if known else (protocol, JaxPytree, native)


class _ContainerType(type(nnx.Module)):  # type: ignore[misc]
    """The reverse: what Flax made is an instance of the class that replaces its."""

    def __subclasscheck__(cls, subclass: type) -> bool:
        native = _native.get(cls.__name__) if cls.__module__ == __name__ else None
        return native in subclass.__mro__ or bool(super().__subclasscheck__(subclass))


#: Marks an attribute as data, on the releases that know a mark but no ``List``.
_marked: Callable[[Any], Any] = getattr(nnx, "data", lambda value: value)
#: Where those releases keep the names of the attributes that are data.
_DATA_NAMES = ("_pytree__nodes", "_object__nodes")
#: What NNX keeps for itself on a Module.
_INTERNAL = frozenset(vars(nnx.Module()))


class List(*_bases(MutableSequence, "List"), metaclass=_ContainerType):  # type: ignore[misc]
    """A Module that is a list: of Modules, Variables, arrays and static values.

    On the first releases the keys of a state are strings everywhere, those of a List
    too, and a bare array is refused as an element as it is as any attribute. Indexing
    gives the Variable itself also where an attribute would unwrap it.

    Args:
        it: the elements.

    Raises:
        TypeError: ``it`` cannot be iterated over, or an index is neither an int nor a
            slice.
        IndexError: an index is out of range.

    Example:
        >>> from nnx_compat import nnx
        >>> rngs = nnx.Rngs(0)
        >>> layers = nnx.List([nnx.Linear(2, 3, rngs=rngs)])
        >>> layers.append(nnx.Linear(3, 2, rngs=rngs))
        >>> len(layers), layers[-1].out_features, isinstance(layers, nnx.Module)
        (2, 2, True)
    """

    def __init__(self, it: Iterable[Any] | None = None, /) -> None:
        for index, value in enumerate(() if it is None else it):
            setattr(self, str(index), value)

    def __len__(self) -> int:
        # counted: a stored length would be one more thing in every graphdef
        return sum(map(str.isdigit, vars(self)))

    def __iter__(self) -> Iterator[Any]:
        for index in range(len(self)):
            yield vars(self)[str(index)]

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [vars(self)[str(i)] for i in range(len(self))[index]]
        return vars(self)[str(self._position(index))]

    def __setitem__(self, index: Any, value: Any) -> None:
        elements = self._elements()
        if isinstance(index, slice):
            if not isinstance(value, Iterable):
                raise ArgumentTypeError(
                    f"a slice of a List was given a {type(value).__name__}",
                    instead="as many elements as the slice has, in a list",
                )
            new = list(value)
            if len(new) != len(elements[index]):
                raise ArgumentValueError(
                    f"a slice of {len(elements[index])} elements of a List was given "
                    f"{len(new)}",
                    instead="insert or extend to make a List longer, del to shorten it",
                )
            elements[index] = new
        else:
            elements[self._position(index)] = value
        self._replace(elements)

    def __delitem__(self, index: Any) -> None:
        elements = self._elements()
        del elements[index if isinstance(index, slice) else self._position(index)]
        self._replace(elements)

    def insert(self, index: int, value: Any) -> None:
        """Put ``value`` before the element at ``index``."""
        elements = self._elements()
        elements.insert(index, value)
        self._replace(elements)

    def append(self, value: Any) -> None:
        """Put ``value`` behind the last element."""
        setattr(self, str(len(self)), value)

    def __hash__(self) -> int:
        return id(self)

    def _position(self, index: Any) -> int:
        if not isinstance(index, int):
            raise ArgumentTypeError(
                f"a List was indexed with a {type(index).__name__}",
                instead="an int or a slice",
            )
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} is out of range: {len(self)} elements")
        return index % len(self)

    def _elements(self) -> list[Any]:
        """The elements, marked as data where they were: the mark moves with them."""
        return [
            _marked(value) if str(index) in _data_names(self) else value
            for index, value in enumerate(self)
        ]

    def _replace(self, elements: list[Any]) -> None:
        """Make these the elements: all or nothing, and by ``setattr``, which checks."""
        attributes: dict[str, Any] = self.__dict__
        before = dict(attributes)
        old = {key for key in attributes if key.isdigit()}
        for key in old:  # an attribute that is there may refuse a value of other type
            del attributes[key]
        for name in _DATA_NAMES:
            if name in attributes:
                attributes[name] = attributes[name] - old
        try:
            for index, value in enumerate(elements):
                setattr(self, str(index), value)
        except BaseException:
            attributes.clear()
            attributes.update(before)
            raise

    # -- how NNX sees it: the keys of the elements are ints -------------------------

    def _graph_node_flatten(self) -> Any:
        nodes, static = nnx.Module._graph_node_flatten(self)
        nodes = ((_number(key), value) for key, value in nodes)
        return sorted(nodes, key=lambda node: by_number(node[0])), static

    def _graph_node_set_key(self, key: Any, value: Any) -> None:
        nnx.Module._graph_node_set_key(self, str(key), value)

    def _graph_node_pop_key(self, key: Any) -> Any:
        return nnx.Module._graph_node_pop_key(self, str(key))

    def _graph_node_init(self, attributes: Iterable[tuple[Any, Any]]) -> None:
        self.__dict__.update((str(key), value) for key, value in attributes)

    # -- how jax sees it, on the releases where a Module is a pytree ----------------

    def _pytree__flatten_with_paths(self) -> Any:
        children, (names, static) = _flatten_module(self)
        order = sorted(range(len(names)), key=lambda i: by_number(names[i]))
        return (
            [(path_entry(names[i]), children[i][1]) for i in order],
            (tuple(names[i] for i in order), static),
        )

    def _pytree__flatten(self) -> Any:
        children, static = self._pytree__flatten_with_paths()
        return [child for _, child in children], static

    _object__flatten_with_paths = _pytree__flatten_with_paths
    _object__flatten = _pytree__flatten


#: The same by the two names that it has had.
_flatten_module: Any = getattr(
    nnx.Module,
    "_pytree__flatten_with_paths",
    getattr(nnx.Module, "_object__flatten_with_paths", None),
)


def _data_names(module: Any) -> Any:
    found = (vars(module)[name] for name in _DATA_NAMES if name in vars(module))
    return next(found, ())


def _number(name: Any) -> Any:
    return int(name) if name.isdigit() else name


class Dict(*_bases(MutableMapping, "Dict"), metaclass=_ContainerType):  # type: ignore[misc]
    """A Module that is a dict with names as keys; ``d["a"]`` is ``d.a``.

    Where reading an attribute unwraps a Variable, at the very first, ``d.a`` is the
    array and ``d["a"]`` the Variable.

    Args:
        *args: a mapping, or pairs of keys and values.
        **kwargs: further elements.

    Raises:
        KeyError: there is no such element.

    Example:
        >>> from nnx_compat import nnx
        >>> layers = nnx.Dict(a=nnx.Linear(2, 3, rngs=nnx.Rngs(0)), act=nnx.relu)
        >>> len(layers), layers["a"] is layers.a, layers.get("b")
        (2, True, None)
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        for name, value in dict(*args, **kwargs).items():
            self[name] = value

    def __getitem__(self, key: Any) -> Any:
        if key in _INTERNAL:
            raise KeyError(key)
        return vars(self)[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        if not isinstance(key, str):
            raise ArgumentTypeError(
                f"a key of a Dict is a {type(key).__name__}: {key!r}",
                instead="a str: keys are names of attributes",
            )
        setattr(self, key, value)

    def __delitem__(self, key: Any) -> None:
        self[key]
        delattr(self, key)

    def __iter__(self) -> Iterator[Any]:
        return (key for key in vars(self) if key not in _INTERNAL)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __hash__(self) -> int:
        return id(self)


_List: Any = _newest_list or List


class Sequential(*_bases(Iterable, "Sequential"), metaclass=_ContainerType):  # type: ignore[misc]
    """A Module that calls others, or any callables, one after the other.

    What one returns is the argument of the next: a tuple its arguments, a dict its
    keyword arguments. Keyword arguments of the call go to every layer that takes them.

    Args:
        *fns: callables; they are the ``List`` ``.layers``.

    Raises:
        TypeError: at the call, when one of them cannot be called, or is given an
            argument twice.

    Example:
        >>> import jax.numpy as jnp
        >>> from nnx_compat import nnx
        >>> rngs = nnx.Rngs(0)
        >>> model = nnx.Sequential(
        ...     nnx.Linear(2, 8, rngs=rngs), nnx.relu, nnx.Linear(8, 3, rngs=rngs)
        ... )
        >>> model(jnp.ones((1, 2))).shape, len(model.layers)
        ((1, 3), 3)
    """

    def __init__(self, *fns: Callable[..., Any]) -> None:
        self.layers = _List(fns)

    def __iter__(self) -> Iterator[Callable[..., Any]]:
        return iter(self.layers)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the layers in order."""
        return _in_order(list(self.layers), args, kwargs)


class Sequence(_List):  # type: ignore[misc]
    """A List that can be called like a Sequential, as on the first releases.

    Args:
        layers: callables.

    Example:
        >>> import jax.numpy as jnp
        >>> import warnings
        >>> from nnx_compat import nnx
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore", DeprecationWarning)
        ...     model = nnx.Sequence([nnx.Linear(2, 3, rngs=nnx.Rngs(0)), nnx.relu])
        >>> model(jnp.ones((1, 2))).shape
        (1, 3)
    """

    def __init__(self, layers: Iterable[Callable[..., Any]]) -> None:
        super().__init__(layers)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the elements in order."""
        return _in_order(list(self), args, kwargs)


def _in_order(layers: list[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if not layers:
        return args[0] if len(args) == 1 else args or kwargs or None
    handed: dict[str, Any] = {}  # keyword arguments that come from the layer before
    output: Any = None
    for index, layer in enumerate(layers):
        if not callable(layer):
            raise ArgumentTypeError(
                f"layer {index} of a Sequential is not callable: {layer!r}",
                instead="Modules and functions",
            )
        taken = _accepted(layer, len(args), kwargs) if kwargs else {}
        if twice := sorted(handed.keys() & taken.keys()):
            raise ArgumentTypeError(
                f"layer {index} of a Sequential is given {', '.join(twice)} twice: by "
                "the call and by the layer before",
                instead="other names in the dict that the layer before returns",
            )
        output = layer(*args, **handed, **taken)
        args = output if isinstance(output, tuple) else (output,)
        handed = {}
        if isinstance(output, dict):
            args, handed = (), output
    return output


def _accepted(layer: Any, positional: int, kwargs: dict[str, Any]) -> dict[str, Any]:
    """The keyword arguments that a callable takes besides so many positional ones."""
    try:
        parameters = list(inspect.signature(layer).parameters.values())
    except (TypeError, ValueError):  # a builtin may have no signature
        return {}
    placed = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, _EITHER)]
    filled = {p.name for p in placed[:positional] if p.kind is _EITHER}
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return {key: value for key, value in kwargs.items() if key not in filled}
    named = {p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, _EITHER)}
    return {key: value for key, value in kwargs.items() if key in named - filled}


_EITHER = inspect.Parameter.POSITIONAL_OR_KEYWORD
