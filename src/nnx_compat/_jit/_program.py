"""What jax compiles for the calls of one structure, and what is known of its results.

Inside, new nodes are built around traced arrays and the function is called with them.
What it did to them is found while it is traced, once: nearly always only values have
changed, and then a call is arrays in, arrays out, each array to its Variable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax

from .._nnx.transforms._layout import Layout, LayoutKey, same_metadata
from .._nnx.transforms._lifted import with_static
from .._nnx.transforms._outcome import Outcome, Traced
from .._plan import Unplanned
from ..functional import is_variable
from ..pure._interrupts import Guard
from ..revisions import bound

Arrays: TypeAlias = Sequence[jax.Array]
Run: TypeAlias = Callable[[Arrays, Arrays], "tuple[Arrays, Arrays, dict[Any, Any]]"]


class Program(NamedTuple):
    """What jax compiled for a structure, and what puts off Ctrl-C if it donates."""

    run: Run
    guard: Guard | None


class Key(NamedTuple):
    """The static part of a call: one program for each that is different."""

    layout: LayoutKey
    positions: tuple[tuple[int, object], ...]
    names: tuple[tuple[str, object], ...]
    donated: tuple[bool, ...]
    shardings: tuple[tuple[Any, ...], tuple[Any, ...]] | None
    #: static values of the nodes, where a graphdef is equal though these are not
    fixed: tuple[object, ...]

    def rough(self) -> object:
        """Something to hash: a graphdef cannot be where a Module has a list."""
        layout = self.layout
        return layout.treedef, tuple(layout.leaves), self.positions, self.names


class Effect:
    """What a call does besides computing: found in a trace, applied after each call.

    Attributes:
        outcome: what it did, in full.
        values_only: whether it did no more than give Variables other values, and
            returns no node.
        changed: the numbers of the Variables that it gave one; None for all.
        bare: how many leaves are no Variables: the first of the other results.
    """

    # the only key of a dict that the program returns: jax puts that together without
    # a bytecode, where an object of a class would be made in Python, after the
    # call has used up donated arrays and before anybody has its results
    def __init__(self, outcome: Outcome, values_only: bool) -> None:
        self.outcome = outcome
        self.values_only = values_only
        self.changed: list[int] | None = None
        self.bare = 0
        self.out = outcome.layout.treedef.children()[1]


def compiled(
    key: Key,
    fun: Callable[..., Any],
    options: dict[str, Any],
    shardings: tuple[Any, Any],
    noted: Callable[[Arrays], None],
) -> Program:
    """The program for the calls of one structure.

    Args:
        key: what is static of them.
        fun: the function.
        options: of ``jax.jit``.
        shardings: prefixes of the arguments and of the output.
        noted: called at each trace, with the arrays of the arguments.
    """
    if key.shardings is not None:
        options = {**options, "in_shardings": key.shardings}
    donates = any(key.donated)
    guard = Guard() if donates else None

    def program(
        donated: Arrays, others: Arrays
    ) -> tuple[list[jax.Array], list[jax.Array], dict[Effect, tuple[()]]]:
        if guard:
            guard.begin()
        parts = iter(others), iter(donated)
        arrays = [next(parts[d]) for d in key.donated]
        if not jax.tree_util.all_leaves(arrays):
            raise Unplanned("a Variable that was an array")
        no_references(arrays)
        noted(arrays)
        traced = Traced(key.layout, arrays)
        args, kwargs = traced.tree
        args = with_static(args, dict(key.positions))
        out = fun(*args, **kwargs, **dict(key.names))
        results = _results(traced, out, shardings, donates)
        if guard:
            (effect,) = results[2]
            # a structure is changed in many steps: there Ctrl-C has to wait each time
            guard.always = guard.always or not effect.values_only
            guard.end()
        return results

    made: Run = jax.jit(program, donate_argnums=0 if donates else (), **options)
    return Program(made, guard)


def _results(
    traced: Traced, out: object, shardings: tuple[Any, Any], donates: bool
) -> tuple[list[jax.Array], list[jax.Array], dict[Effect, tuple[()]]]:
    """The arrays for the Variables, all others, and what becomes of them."""
    before = traced.layout
    prefix = None
    if shardings != (None, None):
        prefix = before.of_nodes((shardings[0], None)), shardings[1]
    arrays, outcome = traced.outcome(out, prefix)
    no_references(arrays)
    if prefix is not None:
        arrays = [
            array if s is None else jax.lax.with_sharding_constraint(array, s)
            for array, s in zip(arrays, outcome.axes, strict=True)
        ]
    effect = Effect(outcome, _values_only(before, outcome))
    outcome.layout.empty()
    if not effect.values_only:
        return [], arrays, {effect: ()}
    kinds = [is_variable(leaf) for leaf in before.leaves.values()]
    pairs = [*zip(arrays, traced.given, kinds, strict=False)]
    of_variables = [(new, old) for new, old, variable in pairs if variable]
    bare = [new for new, _, variable in pairs if not variable]
    effect.bare = len(bare)
    if not donates:
        effect.changed = [
            i for i, (new, old) in enumerate(of_variables) if new is not old
        ]
        of_variables = [of_variables[i] for i in effect.changed]
    rest = arrays[len(kinds) :]
    return [new for new, _ in of_variables], [*bare, *rest], {effect: ()}


def no_references(arrays: Iterable[object]) -> None:
    """Check that there are arrays, and no references to any.

    Raises:
        Unplanned: there are.
    """
    if any(isinstance(array, bound.reference_types) for array in arrays):
        raise Unplanned("a reference to an array")


def _values_only(before: Layout, outcome: Outcome) -> bool:
    """Whether each array of the state belongs to the same Variable as before."""
    after = outcome.layout
    nodes = sum(number is not None for number in after.at)
    if not outcome.same or nodes > outcome.count:
        return False
    leaf = jax.tree_util.tree_structure(0)
    return (
        list(after.leaves) == list(before.leaves)
        and all(structure == leaf for structure in before.structures)
        and after.structures == before.structures
        and all(map(same_metadata, before.leaves.values(), after.leaves.values()))
    )
