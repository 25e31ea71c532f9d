"""The values in a node without their Variables, and the kinds of its Variables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar

import jax

from ... import functional
from ..._release import here
from ...errors import NodeTypeError, RefusedArgumentError, kind_of
from ...revisions import bound, flax_version, nnx
from ._rewiring import rewired
from ._walk import is_graph_node

if TYPE_CHECKING:
    from flax.nnx import State

    from ...functional import Filter

__all__ = ["as_pure", "pure", "vars_as", "with_vars"]

_N = TypeVar("_N")


def with_vars(
    node: _N,
    /,
    *,
    hijax: bool | None = None,
    ref: bool | None = None,
    mutable: bool | None = None,
    only: Filter = ...,
    allow_duplicates: bool = False,
) -> _N:
    """The same node; the Variables of this release have one mode.

    Args:
        node: any node.
        hijax: None or False.
        ref: None or False.
        mutable: None or True.
        only: a filter; without effect, for no Variable has to change.
        allow_duplicates: without effect for the same reason.

    Returns:
        A new node that shares the Variables of ``node``.

    Raises:
        RefusedArgumentError: another mode is given.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> nnx.with_vars(model, hijax=False) is model
        False
    """
    functional.predicate(only)
    for name, value, usual in (
        ("hijax", hijax, False),
        ("ref", ref, False),
        ("mutable", mutable, True),
    ):
        if value is not None and value is not usual:
            raise RefusedArgumentError(
                f"with_vars was given {name}={value}, and flax {flax_version} has only "
                "Variables that hold an array and can be written to",
                instead=f"leave {name}= out",
            )
    return rewired(node)


vars_as = with_vars


def as_pure(tree: object, /) -> Any:
    """A pytree with the stored values in the place of its Variables.

    The State of the first releases cannot hold bare values: there nested dicts take its
    place.

    Raises:
        NodeTypeError: it holds a Module, which is no pytree on this release.

    Example:
        >>> from nnx_compat import nnx
        >>> state = nnx.as_pure(nnx.state(nnx.Linear(2, 3, rngs=nnx.Rngs(0))))
        >>> state["kernel"].shape
        (2, 3)
    """
    return jax.tree_util.tree_map(_pure, tree, is_leaf=_is_replaced)


def _is_replaced(value: object) -> bool:
    return functional.is_variable(value) or _is_full(value)


def _is_full(value: object) -> TypeGuard[State]:
    """Whether it is a State that can hold Variables only, as on the first releases."""
    return here.split_is_a_method and isinstance(value, nnx.State)


def _pure(leaf: object) -> Any:
    if functional.is_variable(leaf):
        return as_pure(bound.raw(leaf))
    if _is_full(leaf):
        return as_pure(functional.to_pure_dict(leaf))
    if is_graph_node(leaf):
        raise NodeTypeError(
            f"as_pure was given {kind_of(leaf)}, which is no pytree in flax "
            f"{flax_version}",
            instead="as_pure(nnx.state(model))",
        )
    return leaf


pure = as_pure
