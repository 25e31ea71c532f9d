"""``List`` and ``Dict``: Modules that are a list and a dict.

The elements of a List are attributes called ``"0"``, ``"1"``, ...; that NNX calls them
by an int is what the methods ``_graph_node_*`` are for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping, MutableSequence
from typing import Any, Generic, TypeVar, cast, overload

from ..._release import here, native
from ...errors import ArgumentTypeError, ArgumentValueError, kind_of
from ...revisions import nnx
from .. import newest
from .._native_classes import standing_in_for
from ..pytreelib.pytrees import Entry, JaxPytree, Key, by_number, path_entry

__all__ = ["Dict", "List"]


def bases(protocol: type, native: type | None) -> tuple[Any, ...]:
    """A protocol, and the native class, which keeps ``isinstance`` true.

    The protocol comes first: a Module has a ``pop`` and an ``update`` of its own once.

    Args:
        protocol: such as ``MutableMapping``.
        native: Flax's own class of the name, or None where there is none.
    """
    native = native or nnx.Module
    if protocol in native.__mro__:  # then it cannot stand before it
        return JaxPytree, native
    return protocol, JaxPytree, native


# -- ``List``, a Module that is a list ----------------------------------------------


_T = TypeVar("_T")

#: Flax's first one, which could not grow; where it has the newest, ours is not used.
_native: type | None = None if here.list_can_grow else native.get("List")

_bases = bases(MutableSequence, _native)
_Metaclass: Any = standing_in_for(_native)


class List(*_bases, Generic[_T], metaclass=_Metaclass):  # type: ignore[misc, metaclass]
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

    def __init__(self, it: Iterable[_T] | None = None, /) -> None:
        for index, value in enumerate(() if it is None else it):
            setattr(self, str(index), value)

    def __len__(self) -> int:
        # counted: a stored length would be one more thing in every graphdef
        return sum(map(str.isdigit, vars(self)))

    def __iter__(self) -> Iterator[_T]:
        for index in range(len(self)):
            yield vars(self)[str(index)]

    @overload
    def __getitem__(self, index: int) -> _T: ...
    @overload
    def __getitem__(self, index: slice) -> list[_T]: ...
    def __getitem__(self, index: int | slice) -> _T | list[_T]:
        if isinstance(index, slice):
            return [vars(self)[str(i)] for i in range(len(self))[index]]
        element: _T = vars(self)[str(self._position(index))]
        return element

    @overload
    def __setitem__(self, index: int, value: _T) -> None: ...
    @overload
    def __setitem__(self, index: slice, value: Iterable[_T]) -> None: ...
    def __setitem__(self, index: int | slice, value: _T | Iterable[_T]) -> None:
        elements = self._elements()
        if isinstance(index, slice):
            if not isinstance(value, Iterable):
                raise ArgumentTypeError(
                    f"a slice of a List was given {kind_of(value)}",
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
            elements[self._position(index)] = cast("_T", value)
        self._replace(elements)

    def __delitem__(self, index: int | slice) -> None:
        elements = self._elements()
        del elements[index if isinstance(index, slice) else self._position(index)]
        self._replace(elements)

    def insert(self, index: int, value: _T) -> None:
        """Put ``value`` before the element at ``index``."""
        elements = self._elements()
        elements.insert(index, value)
        self._replace(elements)

    def append(self, value: _T) -> None:
        """Put ``value`` behind the last element."""
        setattr(self, str(len(self)), value)

    def __hash__(self) -> int:
        return id(self)

    def _position(self, index: object) -> int:
        if not isinstance(index, int):
            raise ArgumentTypeError(
                f"a List was indexed with {kind_of(index)}",
                instead="an int or a slice",
            )
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} is out of range: {len(self)} elements")
        return index % len(self)

    def _elements(self) -> list[_T]:
        """The elements, marked as data where they were: the mark moves with them."""
        names = vars(self).get(here.data_names, ())
        mark = newest("data")
        return [
            mark(value) if str(index) in names else value
            for index, value in enumerate(self)
        ]

    def _replace(self, elements: list[_T]) -> None:
        """Make these the elements: all or nothing, and by ``setattr``, which checks."""
        attributes: dict[str, Any] = self.__dict__
        before = dict(attributes)
        old = {key for key in attributes if key.isdigit()}
        for key in old:  # an attribute that is there may refuse a value of other type
            del attributes[key]
        if here.data_names in attributes:
            attributes[here.data_names] = attributes[here.data_names] - old
        try:
            for index, value in enumerate(elements):
                setattr(self, str(index), value)
        except BaseException:
            attributes.clear()
            attributes.update(before)
            raise

    # -- how NNX sees it: the keys of the elements are ints -------------------------

    def _graph_node_flatten(self) -> tuple[list[tuple[Key, Any]], Any]:
        nodes, static = nnx.Module._graph_node_flatten(self)
        nodes = [(int(k) if k.isdigit() else k, value) for k, value in nodes]
        return sorted(nodes, key=lambda node: by_number(node[0])), static

    def _graph_node_set_key(self, key: Key, value: object) -> None:
        nnx.Module._graph_node_set_key(self, str(key), value)

    def _graph_node_pop_key(self, key: Key) -> Any:
        return nnx.Module._graph_node_pop_key(self, str(key))

    def _graph_node_init(self, attributes: Iterable[tuple[Key, Any]]) -> None:
        self.__dict__.update((str(key), value) for key, value in attributes)

    # -- how jax sees it, on the releases where a Module is a pytree ----------------

    def _pytree__flatten_with_paths(self) -> tuple[list[tuple[Entry, Any]], Any]:
        children, (names, static) = _flattened(self)
        order = sorted(range(len(names)), key=lambda i: by_number(names[i]))
        return (
            [(path_entry(names[i]), children[i][1]) for i in order],
            (tuple(names[i] for i in order), static),
        )

    def _pytree__flatten(self) -> tuple[list[Any], Any]:
        children, static = self._pytree__flatten_with_paths()
        return [child for _, child in children], static

    _object__flatten_with_paths = _pytree__flatten_with_paths
    _object__flatten = _pytree__flatten


def _flattened(module: Any) -> tuple[list[tuple[Entry, Any]], Any]:
    """As Flax flattens a Module: the same by the two names that it has had."""
    found: tuple[list[tuple[Entry, Any]], Any]
    if here.data_names == "_object__nodes":
        found = nnx.Module._object__flatten_with_paths(module)
    else:
        found = nnx.Module._pytree__flatten_with_paths(module)
    return found


# -- ``Dict``, a Module that is a dict ----------------------------------------------


_dict_bases = bases(MutableMapping, native.get("Dict"))
_DictMetaclass: Any = standing_in_for(native.get("Dict"))

#: What is not an element: what NNX keeps for itself on a Module, and what Python keeps
#: on an object that is made by ``Dict[int](...)``.
_INTERNAL = frozenset({*vars(nnx.Module()), "__orig_class__"})


class Dict(*_dict_bases, Generic[_T], metaclass=_DictMetaclass):  # type: ignore[misc, metaclass]
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

    def __init__(
        self, *args: Mapping[str, _T] | Iterable[tuple[str, _T]], **kwargs: _T
    ) -> None:
        for name, value in dict(*args, **kwargs).items():
            self[name] = value

    def __getitem__(self, key: str) -> _T:
        if key in _INTERNAL:
            raise KeyError(key)
        element: _T = vars(self)[key]
        return element

    def __setitem__(self, key: str, value: _T) -> None:
        if not isinstance(key, str):
            raise ArgumentTypeError(
                f"a key of a Dict is {kind_of(key)}: {key!r}",
                instead="a str: keys are names of attributes",
            )
        setattr(self, key, value)

    def __delitem__(self, key: str) -> None:
        self[key]
        delattr(self, key)

    def __iter__(self) -> Iterator[str]:
        return (key for key in vars(self) if key not in _INTERNAL)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __hash__(self) -> int:
        return id(self)
