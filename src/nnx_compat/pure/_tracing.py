"""The program of a compiled step, and what tracing it leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax

from ..functional import merge
from ..revisions import bound
from ._concrete import is_weak, mesh_sharding
from ._interrupts import Guard
from ._structure import check_structure, structure

if TYPE_CHECKING:
    from flax.nnx import GraphDef
    from jax.tree_util import PyTreeDef

    from ._pack import Layout


class Tracing(Guard):
    """What is known of the programs of a step.

    Attributes:
        count: how often the function was traced.
    """

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self._results: dict[int, PyTreeDef] = {}

    def begin(self) -> None:
        """Tracing begins."""
        super().begin()
        self.count += 1

    def results(self, result: object) -> tuple[Any, ...]:
        """Tracing ends: what to return for a result.

        The result itself where it is made of Python's own containers. Of others the
        leaves and a number in place of their structure: they would be put together in
        Python, before anybody has the new state.
        """
        self.end()
        if _is_plain(result):
            return (result,)
        leaves, self._results[self.count] = jax.tree_util.tree_flatten(result)
        return leaves, {self.count: None}

    def result(self, leaves: list[Any], numbers: dict[int, None]) -> Any:
        """The result that was returned as leaves and a number."""
        (number,) = numbers
        return self._results[number].unflatten(leaves)


def _is_plain(result: Any) -> bool:
    """Whether jax builds such a pytree without running any Python."""
    if type(result) is dict:
        return all(map(_is_plain, result.values()))
    if type(result) in (tuple, list):
        return all(map(_is_plain, result))
    return result is None or bool(jax.tree_util.all_leaves([result]))


def traced(
    fn: Callable[..., object],
    graphdef: GraphDef[tuple[Any, ...]],
    treedef: PyTreeDef,
    leaves: Sequence[jax.Array],
    layout: Layout | None,
    tracing: Tracing,
) -> Callable[..., tuple[Any, ...]]:
    """The function that is jitted: leaves and arguments in, leaves and result out.

    The result is as ``Tracing.results`` has it.
    """
    dtypes = [leaf.dtype for leaf in leaves]
    shardings = [mesh_sharding(leaf) for leaf in leaves]

    def step(
        stored: tuple[jax.Array, ...], *args: Any, **kwargs: Any
    ) -> tuple[Any, ...]:
        tracing.begin()
        leaves = layout.taken(stored) if layout else stored
        nodes = merge(graphdef, treedef.unflatten(leaves))
        before = structure(nodes)
        result = fn(*nodes, *args, **kwargs)
        check_structure(before, structure(nodes))
        _, state = bound.split(nodes)
        made = []
        new = jax.tree_util.tree_leaves(state)
        for leaf, dtype, sharding in zip(new, dtypes, shardings, strict=True):
            leaf = jax.lax.convert_element_type(leaf, dtype) if is_weak(leaf) else leaf
            if sharding is not None:
                leaf = jax.lax.with_sharding_constraint(leaf, sharding)
            made.append(leaf)
        out = layout.put_back(stored, made) if layout else tuple(made)
        return out, *tracing.results(result)

    return step
