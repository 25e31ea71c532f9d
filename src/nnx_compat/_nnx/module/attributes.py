"""Modules with other attributes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from ... import functional
from ...errors import ArgumentValueError
from ...functional import Path
from ...revisions import nnx
from .._parameters import check
from ..graphlib.mapping import recursive_map

if TYPE_CHECKING:
    from flax.nnx import Module

    from ...functional import Filter

__all__ = ["iter_modules", "with_attributes"]

_N = TypeVar("_N")


def with_attributes(
    node: _N,
    /,
    *,
    only: Filter = ...,
    raise_if_not_found: bool = True,
    graph: bool | None = None,
    **attributes: Any,
) -> _N:
    """A new node whose Modules have other attributes; it shares the Variables.

    Args:
        node: any node; it is not changed.
        only: a filter: which Modules.
        raise_if_not_found: whether an attribute that no Module has is an error.
        graph: only graph mode is known here.
        **attributes: set on every Module that has them.

    Raises:
        ValueError: no Module has one of the attributes.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Dropout(0.5)
        >>> nnx.with_attributes(model, rate=0.1).rate, model.rate
        (0.1, 0.5)
    """
    check("with_attributes", graph=graph)

    def change(module: Module) -> Iterable[str]:
        found = [name for name in attributes if hasattr(module, name)]
        for name in found:
            setattr(module, name, attributes[name])
        return found

    changed, used = changed_modules(node, only, change)
    if raise_if_not_found and (missing := attributes.keys() - used):
        raise ArgumentValueError(
            "Could not find at least one instance of the following attributes: "
            f"{sorted(missing)}",
            instead="with_attributes(..., raise_if_not_found=False)",
        )
    return changed


def changed_modules(
    node: _N, only: Filter, change: Callable[[Module], Iterable[str]]
) -> tuple[_N, set[str]]:
    """A new node around the same Variables, with some of its Modules changed.

    Args:
        node: any node; it is not changed.
        only: a filter: which Modules.
        change: changes a Module in place, and returns the names that it used.

    Returns:
        The new node, and all names that were used.
    """
    chosen = functional.predicate(only)
    used: set[str] = set()

    def visit(path: Path, value: object) -> object:
        if isinstance(value, nnx.Module) and chosen(path, value):
            used.update(change(value))
        return value

    return recursive_map(visit, node, graph=True), used


# -- The Modules in a node ----------------------------------------------------------


def iter_modules(
    module: object, /, *, graph: bool | None = None
) -> Iterator[tuple[Path, Module]]:
    """The Modules of a node, itself included, children before parents.

    Example:
        >>> from nnx_compat import nnx
        >>> models = [nnx.Linear(2, 2, rngs=nnx.Rngs(i)) for i in range(2)]
        >>> [path for path, module in nnx.iter_modules(models)]
        [(0,), (1,)]
    """
    check("iter_modules", graph=graph)
    return functional.iter_modules(module)
