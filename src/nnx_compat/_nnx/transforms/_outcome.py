"""What a call did to its arguments, found inside of it and applied outside.

Inside a function that jax traces, the Modules are new ones around tracers (``Traced``).
What the function did to them leaves as arrays, and as something static that says how
the caller's Modules are brought up to date. There are two ways, as in Flax: the values
of Variables only (``Changed``), or everything that changed, new attributes and
references included (``Outcome``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import jax

from ... import functional
from ..._release import here
from ...errors import ArgumentValueError, kind_of
from ...functional import Path
from ...revisions import bound, nnx
from ..graphlib._rewiring import rewired
from ..graphlib._walk import children
from ._layout import STATIC_RNGS, Layout, is_node, nodes_of, objects, with_value

if TYPE_CHECKING:
    from ._layout import Node

T = TypeVar("T")
Counts = dict[str, "int | list[int]"]


class Traced:
    """The arguments of a call as the function sees them.

    Args:
        layout: of the arguments.
        arrays: traced ones.
    """

    def __init__(self, layout: Layout, arrays: Sequence[jax.Array]) -> None:
        self.layout, self.given = layout, list(arrays)
        self.tree, self.nodes = layout.merge(arrays)
        self.objects = [value for _, value in objects(self.nodes)]
        self.variables = bound.live_variables(self.nodes) if self.nodes else {}

    def outcome(
        self, out: object, prefix: object = None
    ) -> tuple[list[jax.Array], Outcome]:
        """The arrays of the arguments after the call and of the output, and the rest.

        Args:
            out: of the function.
            prefix: of ``(arguments' nodes, out)``; its value for each array will be in
                ``Outcome.axes``.
        """
        layout = Layout((self.nodes, out))
        arrays = layout.arrays
        axes = layout.broadcast(prefix) if prefix is not None else []
        return arrays, Outcome(layout, self, axes)

    def values(self, name: str, out: object) -> tuple[list[jax.Array], Layout, Changed]:
        """The arrays of the output, then those that changed; only values count.

        Raises:
            ArgumentValueError: the output holds a Variable of the arguments.
        """
        given = {id(value) for value in self.variables.values()}
        for path, value in objects(nodes_of(out)):
            if id(value) in given:
                raise ArgumentValueError(
                    f"nnx.{name} is to return {kind_of(value)} of its "
                    f"arguments, at {functional.show(path[1:])}: Duplicate",
                    instead="a copy, nnx.clone(...), or its value",
                )
        layout = Layout(out)
        arrays, changed = layout.arrays, Changed()
        before = self.layout.values(self.given)[0]
        for path, variable in self.variables.items():
            leaves, structure = jax.tree_util.tree_flatten(bound.raw(variable))
            old, old_structure = jax.tree_util.tree_flatten(before[path])
            if structure != old_structure or any(
                new is not was for new, was in zip(leaves, old, strict=True)
            ):
                changed.structures[path] = structure
                arrays = arrays + leaves
        changed.counts = [_counts(value) for value in self.objects]
        return arrays, layout.forget(), changed


class Changed:
    """Which Variables of the arguments have another value after the call."""

    def __init__(self) -> None:
        self.structures: dict[Path, jax.tree_util.PyTreeDef] = {}
        self.counts: list[Counts | None] = []

    def apply(self, layout: Layout, arrays: Sequence[jax.Array]) -> None:
        """Write the values into the nodes that the caller has."""
        new: dict[Path, Any] = {}
        at = 0
        for path, structure in self.structures.items():
            end = at + structure.num_leaves
            value = structure.unflatten(arrays[at:end])
            new[path] = with_value(layout.leaves[path], value)
            at = end
        if new:
            bound.update(layout.nodes, bound.unflatten(new))
        if any(count is not None for count in self.counts):
            for (_, value), count in zip(
                list(objects(layout.nodes)), self.counts, strict=True
            ):
                _set_counts(value, count)


class Outcome:
    """What a call did, all that is static of it: to be applied outside.

    Attributes:
        layout: of ``(the arguments' nodes, the output)``.
        axes: the value of the prefix for each of its arrays.
        origins: for each object that is reachable after the call its number among those
            from before, or None for a new one.
        same: whether nothing but values changed.
    """

    def __init__(self, layout: Layout, traced: Traced, axes: list[Any]) -> None:
        numbers = {id(value): i for i, value in enumerate(traced.objects)}
        after = [value for _, value in objects(layout.nodes)]
        self.origins = [numbers.get(id(value)) for value in after]
        same = self.origins[: len(traced.objects)] == list(range(len(traced.objects)))
        before = traced.layout
        count = len(before.nodes or traced.nodes)
        if count:
            same = same and before.graphdef == bound.graphdef(traced.nodes)
        self.same, self.count, self.axes = same, count, axes
        self.layout = layout.forget()

    def apply(self, nodes: tuple[Node, ...], arrays: Sequence[jax.Array]) -> Any:
        """Bring the caller's nodes up to date.

        Returns:
            The output, in which they are themselves again.
        """
        old = [value for _, value in objects(nodes)]
        (_, out), merged = self.layout.merge(arrays)
        if not merged:
            return out
        new = [value for _, value in objects(merged)]
        # what stands for an object of the outcome: the caller's, or itself if it is new
        standing = {
            id(value): value if origin is None else old[origin]
            for value, origin in zip(new, self.origins, strict=True)
        }
        if self.same and nodes:
            state = self.layout.state(arrays, self.count)
            if bound.flatten(state):
                bound.update(nodes, state)
        for value in new:
            target = standing[id(value)]
            if target is value or not self.same:
                _write(target, value, standing)
        return jax.tree_util.tree_map(
            lambda leaf: standing.get(id(leaf), leaf), out, is_leaf=is_node
        )


def _write(target: Any, merged: Node, standing: dict[int, Any]) -> None:
    """Write the attributes of a merged object into the caller's, or into itself."""
    if isinstance(merged, nnx.Variable):
        if target is not merged:
            _copy_value(target, merged)
        return
    if _is_static_rngs(merged):
        _set_counts(target, _counts(merged))
        return
    attributes = vars(target)
    # the trace that an object was made in is the caller's, not that of the call
    kept = {k: v for k, v in attributes.items() if k.endswith("__state")}
    new = dict(vars(merged))
    for key, child in children(merged):
        new[str(key)] = rewired(child, standing=standing)  # in a List it is an int
    attributes.clear()
    attributes.update({**new, **kept})


def _copy_value(target: Any, merged: Node) -> None:
    if here.only_modules_are_nodes:  # an update reaches Variables by their Modules
        target.copy_from(merged)
    else:
        bound.update((target,), bound.split((merged,))[1])


def _is_static_rngs(value: object) -> bool:
    return isinstance(value, STATIC_RNGS)


def _counts(rngs: Any) -> Counts | None:
    """How many keys the streams of a static Rngs have given; None for what is none."""
    if not _is_static_rngs(rngs):
        return None
    return {
        name: stream.count if here.stream_takes_count else list(stream.counts)
        for name, stream in rngs._rngs.items()
    }


def _set_counts(rngs: Any, counts: Counts | None) -> None:
    if counts is None or not _is_static_rngs(rngs):
        return
    for name, count in counts.items():
        if here.stream_takes_count:
            rngs._rngs[name].count = count
        else:
            rngs._rngs[name].counts[:] = count


class Static(Generic[T]):
    """A static value on its way out of a traced function: a pytree without leaves."""

    def __init__(self, value: T) -> None:
        self.value = value


jax.tree_util.register_pytree_node(
    Static, lambda static: ((), static.value), lambda value, _: Static(value)
)
