"""The program of a compiled step, and what tracing it leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax

from ..functional import merge
from ..revisions import bound
from ._concrete import is_weak, mesh_sharding
from ._interrupts import Interrupts
from ._structure import check_structure, structure

if TYPE_CHECKING:
    from flax.nnx import GraphDef
    from jax.tree_util import PyTreeDef

    from ._pack import Layout


class Tracing:
    """What is known of the programs of a step.

    Attributes:
        count: how often the function was traced.
        slow: whether the next call may be new to jax, which then goes through Python on
            its way back, so that interrupts have to be put off.
    """

    def __init__(self) -> None:
        self.count = 0
        self.slow = True
        self.interrupts = Interrupts()
        self._results: dict[int, PyTreeDef] = {}
        self._programs = 0

    def begin(self) -> None:
        """Tracing begins: it may take long, costs nothing and can be interrupted."""
        self.interrupts.end()
        self.count += 1

    def end(self, result: object) -> dict[int, list[Any]]:
        """Tracing ends, what comes next uses up the state: what to return for a result.

        Its leaves only, since pytrees of other types than Python's own would be put
        together in Python before anybody has the new state.
        """
        leaves, self._results[self.count] = jax.tree_util.tree_flatten(result)
        self.slow = True
        self.interrupts.begin()
        return {self.count: leaves}

    def after(self, program: Any) -> None:
        """A call is over in which interrupts were put off."""
        programs = program._cache_size()
        self.slow = programs != self._programs
        self._programs = programs
        self.interrupts.end()

    def result(self, returned: dict[int, list[Any]]) -> Any:
        """The result that was returned by its leaves."""
        ((number, leaves),) = returned.items()
        return self._results[number].unflatten(leaves)


def traced(
    fn: Callable[..., object],
    graphdef: GraphDef[tuple[Any, ...]],
    treedef: PyTreeDef,
    leaves: Sequence[jax.Array],
    layout: Layout | None,
    tracing: Tracing,
) -> Callable[..., tuple[tuple[jax.Array, ...], dict[int, list[Any]]]]:
    """The function that is jitted: leaves and arguments in, leaves and result out."""
    dtypes = [leaf.dtype for leaf in leaves]
    shardings = [mesh_sharding(leaf) for leaf in leaves]

    def step(
        stored: tuple[jax.Array, ...], *args: Any, **kwargs: Any
    ) -> tuple[tuple[jax.Array, ...], dict[int, list[Any]]]:
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
        return out, tracing.end(result)

    return step
