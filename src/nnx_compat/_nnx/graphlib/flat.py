"""The flat form of a node: a graphdef and its leaves in a row."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from ..._release import here, registry
from .._parameters import check

if TYPE_CHECKING:
    from flax.nnx import FlatState, GraphDef, State
    from flax.nnx.graphlib import IndexMap, RefMap

__all__ = ["flatten", "unflatten"]

_N = TypeVar("_N")

#: A graphdef with the leaves of a node, by path or as a list.
Flat: TypeAlias = "tuple[GraphDef[_N], FlatState[Any] | list[Any]]"


def flatten(
    node: _N,
    /,
    *,
    with_paths: bool = True,
    ref_index: RefMap | None = None,
    ref_outer_index: RefMap | None = None,
    graph: bool | None = None,
) -> Flat[_N]:
    """The graphdef and the leaves of a node, by path or as a list.

    Args:
        node: any node.
        with_paths: whether the leaves are a FlatState of ``(path, leaf)`` pairs.
        ref_index: a ``RefMap`` of what was met before; it is added to.
        ref_outer_index: a ``RefMap`` of what exists outside.
        graph: only graph mode is known here.

    Example:
        >>> from nnx_compat import nnx
        >>> try:
        ...     graphdef, flat = nnx.flatten(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
        ...     print(len(flat))
        ... except AttributeError:  # a release without flat states
        ...     print(2)
        2
    """
    check("flatten", graph=graph)
    flat: Callable[..., Flat[_N]] = functools.partial(
        registry.flatten,
        with_paths=with_paths,
        ref_index=ref_index,
        ref_outer_index=ref_outer_index,
    )
    if here.flatten_returns_variables:  # live ones, as later releases have them
        return flat(node, return_variables=True)
    return flat(node)


def unflatten(
    graphdef: GraphDef[_N],
    state: State | FlatState[Any] | list[Any],
    /,
    *,
    index_ref: IndexMap | None = None,
    outer_index_outer_ref: IndexMap | None = None,
    copy_variables: bool = False,
    recreate_variables: bool = True,
) -> _N:
    """The node of a graphdef and its leaves: the inverse of ``flatten``.

    Args:
        graphdef: from ``flatten`` or ``split``.
        state: a FlatState, a State or a list of leaves.
        index_ref: an ``IndexMap`` of what was made before; it is added to.
        outer_index_outer_ref: an ``IndexMap`` of what exists outside.
        copy_variables: whether the node gets Variables of its own. Releases before
            Variables were adopted make new ones in any case.
        recreate_variables: only True is known here.

    Example:
        >>> from nnx_compat import nnx
        >>> try:
        ...     model = nnx.unflatten(*nnx.flatten(nnx.Linear(2, 3, rngs=nnx.Rngs(0))))
        ...     print(model.out_features)
        ... except AttributeError:  # a release without flat states
        ...     print(3)
        3
    """
    check("unflatten", recreate_variables=recreate_variables)
    node: Callable[..., _N] = functools.partial(
        registry.unflatten,
        graphdef,
        state,
        index_ref=index_ref,
        outer_index_outer_ref=outer_index_outer_ref,
    )
    if here.unflatten_copies_variables:
        return node(copy_variables=copy_variables)
    return node()
