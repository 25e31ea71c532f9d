"""Filters: objects that are called with the path and the leaf, and answer yes or no.

A filter is a class (the leaf is of it), a string (the leaf has this tag), ``...`` or
``True`` (every leaf), ``False`` or ``None`` (none), a list or tuple of filters (one of
them), or anything that can be called. Here are the ones that can be called. Two that
select the same are equal, so a transform that is given one in its axes does not trace
anew for each.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import TYPE_CHECKING

from ..functional import Path, Predicate, predicate

if TYPE_CHECKING:
    from ..functional import Filter as FilterLike

__all__ = [
    "All",
    "Any",
    "Everything",
    "Not",
    "Nothing",
    "OfType",
    "PathContains",
    "WithTag",
]


def parts(path: Path | str) -> Path:
    """The keys of a path; on the first releases NNX joins them with slashes.

    Args:
        path: ``('layers', 0, 'kernel')``, or ``'layers/0/kernel'``.
    """
    if not isinstance(path, str):
        return tuple(path)
    return tuple(int(key) if key.isdigit() else key for key in path.split("/"))


class Filter:
    """What all filters here have in common: equality by their arguments."""

    _arguments: tuple[Hashable, ...] = ()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Filter) or type(self) is not type(other):
            return False
        return self._arguments == other._arguments

    def __hash__(self) -> int:
        return hash((type(self), self._arguments))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self._arguments))})"


class Everything(Filter):
    """Selects every leaf, as ``...`` does.

    Example:
        >>> from nnx_compat import nnx
        >>> nnx.Everything()(("kernel",), 1.0), nnx.Everything() == nnx.Everything()
        (True, True)
    """

    def __call__(self, path: Path | str, leaf: object) -> bool:
        return True


class Nothing(Filter):
    """Selects no leaf, as ``None`` does.

    Example:
        >>> from nnx_compat import nnx
        >>> nnx.Nothing()(("kernel",), 1.0)
        False
    """

    def __call__(self, path: Path | str, leaf: object) -> bool:
        return False


class OfType(Filter):
    """Selects the leaves of a class, as the class alone does.

    A VariableState, the leaf of a state on some releases, counts as the Variable that
    it stands for.

    Args:
        type: a class, usually a Variable.

    Example:
        >>> from nnx_compat import nnx
        >>> nnx.OfType(nnx.Param)(("kernel",), nnx.Param(1.0))
        True
    """

    def __init__(self, type: type) -> None:
        self.type = type
        self._arguments = (type,)

    def __call__(self, path: Path | str, leaf: object) -> bool:
        return isinstance(leaf, self.type) or predicate(self.type)(parts(path), leaf)


class WithTag(Filter):
    """Selects the leaves whose metadata has this ``tag``, as a string alone does.

    The keys and counts of a ``Rngs`` are tagged with the name of their stream.

    Args:
        tag: the name of a stream, usually.

    Example:
        >>> from nnx_compat import nnx
        >>> nnx.WithTag("dropout")(("key",), nnx.Variable(0, tag="dropout"))
        True
    """

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self._arguments = (tag,)

    def __call__(self, path: Path | str, leaf: object) -> bool:
        # a Variable may look in its value for what it lacks: an array has no tag
        return bool(getattr(leaf, "tag", None) == self.tag)


class PathContains(Filter):
    """Selects the leaves whose path has this key.

    Args:
        key: the name of an attribute, or the index of a list.
        exact: ``False`` to look for ``key`` inside the names too.

    Example:
        >>> from nnx_compat import nnx
        >>> head = nnx.PathContains("head")
        >>> head(("head", "kernel"), 1.0), head(("head2", "kernel"), 1.0)
        (True, False)
        >>> nnx.PathContains("head", exact=False)(("head2", "kernel"), 1.0)
        True
    """

    def __init__(self, key: str | int, exact: bool = True) -> None:
        self.key = key
        self.exact = exact
        self._arguments = (key, exact)

    def __call__(self, path: Path | str, leaf: object) -> bool:
        keys = parts(path)
        if self.exact:
            return self.key in keys
        return any(str(self.key) in str(key) for key in keys)

    def __repr__(self) -> str:
        return f"PathContains({self.key!r}, exact={self.exact})"


class _Combined(Filter):
    _of: Callable[[Iterable[bool]], bool]

    def __init__(self, *filters: FilterLike) -> None:
        self.predicates = tuple(map(to_predicate, filters))
        self._arguments = self.predicates

    def __call__(self, path: Path | str, leaf: object) -> bool:
        keys = parts(path)
        return self._of(selects(keys, leaf) for selects in self.predicates)


class Any(_Combined):
    """Selects what one of its filters selects, as a tuple of them does.

    Args:
        *filters: filters of any kind.

    Example:
        >>> from nnx_compat import nnx
        >>> either = nnx.Any(nnx.Param, "dropout")
        >>> either((), nnx.Param(1.0)), either((), nnx.BatchStat(1.0))
        (True, False)
    """

    _of = staticmethod(any)


class All(_Combined):
    """Selects what all of its filters select.

    Args:
        *filters: filters of any kind.

    Example:
        >>> from nnx_compat import nnx
        >>> head = nnx.All(nnx.Param, nnx.PathContains("head"))
        >>> head(("head",), nnx.Param(1.0)), head(("body",), nnx.Param(1.0))
        (True, False)
    """

    _of = staticmethod(all)


class Not(Filter):
    """Selects what its filter does not.

    Args:
        collection_filter: a filter of any kind.

    Example:
        >>> from nnx_compat import nnx
        >>> nnx.Not(nnx.Param)((), nnx.BatchStat(1.0))
        True
    """

    def __init__(self, collection_filter: FilterLike, /) -> None:
        self.predicate = to_predicate(collection_filter)
        self._arguments = (self.predicate,)

    def __call__(self, path: Path | str, leaf: object) -> bool:
        return not self.predicate(parts(path), leaf)


def to_predicate(wanted: FilterLike) -> Predicate:
    """The object to call for a filter of any kind.

    Raises:
        VariableTypeError: it is not a filter.
    """
    if isinstance(wanted, str):
        return WithTag(wanted)
    if isinstance(wanted, type):
        return OfType(wanted)
    if wanted is ... or wanted is True:
        return Everything()
    if wanted is None or wanted is False:
        return Nothing()
    if isinstance(wanted, (list, tuple)):
        return Any(*wanted)
    return predicate(wanted)  # anything to call as it is, and an error for the rest
