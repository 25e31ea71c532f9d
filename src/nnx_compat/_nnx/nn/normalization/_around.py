"""What layers around a layer have in common: Variables by the path of a weight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
from jax import lax

from ...._release import here
from ....errors import StateStructureError
from ....functional import Path, show
from ....revisions import bound, nnx
from ....revisions.get_value import nested
from ... import resolve

if TYPE_CHECKING:
    from flax.nnx import Variable


def by_path(found: Mapping[Path, Variable[jax.Array]]) -> dict[Any, Any]:
    """A dict of Variables by path, to be an attribute.

    In dicts by key on the first releases, where keys have to be strings; marked as data
    on those that take a dict for static.
    """
    if here.split_is_a_method:
        stored = nested({_texts(path): value for path, value in found.items()})
    else:
        stored = resolve("data")[0](dict(found))
    return stored  # type: ignore[no-any-return]


def variable_at(
    stored: dict[Any, Any] | None, path: Path, what: str
) -> Variable[jax.Array]:
    """The Variable by the path of a weight, from what ``by_path`` gave.

    Raises:
        StateStructureError: there is none.
    """
    found, key = stored or {}, path
    if here.split_is_a_method:
        leaves = bound.flatten(nnx.State(stored))
        found, key = {_texts(p): leaf for p, leaf in leaves.items()}, _texts(path)
    if key not in found:
        raise StateStructureError(
            f"there is no {what} for {show(path)}: the parameters of the layer were "
            "others when it was wrapped"
        )
    variable: Variable[jax.Array] = found[key]
    return variable


def _texts(path: Path) -> tuple[str, ...]:
    return tuple(map(str, path))


def unit(x: jax.Array, axis: tuple[int, ...] | None, epsilon: float) -> jax.Array:
    """An array scaled to length 1 over some axes, or over all."""
    return x * lax.rsqrt((x * x).sum(axis=axis, keepdims=True) + epsilon)
