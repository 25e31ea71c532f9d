"""A node changed in place: what is written into it, what is taken out of it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from ... import _plan, functional
from ...errors import StateStructureError
from ...functional import Path
from ...revisions import bound

if TYPE_CHECKING:
    from flax.nnx import State

    from ...functional import Filter

__all__ = ["pop", "update"]

#: A State, or nested dicts of arrays.
Values: TypeAlias = "State | Mapping[Hashable, Any]"


def update(node: object, state: Values, /, *states: Values) -> None:
    """Write states, or nested dicts of arrays, into a node in place.

    Raises:
        StateStructureError: a path is not in the node; nothing is written then.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> nnx.update(model, {"bias": jnp.ones(3)})
        >>> nnx.as_pure(nnx.state(model))["bias"].tolist()
        [1.0, 1.0, 1.0]
    """
    functional.check_node(node)
    if not states and _plan.updated(node, state):
        return
    template = bound.flatten(bound.live_split(node)[1])
    new: dict[Path, Any] = {}
    for given in (state, *states):
        flat = functional.given_leaves(given, template, "update")
        unknown = [functional.show(path) for path in flat if path not in template]
        if unknown:
            raise StateStructureError(
                f"update was given {unknown[0]}, which the node does not have",
                instead="the paths of nnx.state(node)",
            )
        for path, leaf in flat.items():
            new[path] = functional.as_leaf(template[path], leaf)
    bound.update(node, bound.unflatten(new))


def pop(node: object, *filters: Filter) -> State | tuple[State, ...]:
    """Take the Variables that filters select out of a node.

    Raises:
        ValueError: no filter was given.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.BatchNorm(3, rngs=nnx.Rngs(0))
        >>> sorted(nnx.pop(model, nnx.BatchStat))
        ['mean', 'var']
    """
    return functional.pop(node, *filters)
