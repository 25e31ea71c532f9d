"""Where the leaves of a step are stored in its nodes: read and written as they are.

A Variable is reached by the attribute that it stores its value in, so that reading and
writing thousands takes microseconds and runs no Python: what is written is written
whole, for no signal handler runs in between. Bare arrays, which optimizers held on the
first releases, are reached by a walk over the nodes.
"""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any, NamedTuple

import jax

from ..errors import StateStructureError, StepStructureError, kind_of
from ..functional import Donated, Path, show, stored
from ..revisions import bound

if TYPE_CHECKING:
    from flax.nnx import State, Variable
    from jax.tree_util import PyTreeDef

_read = operator.attrgetter(bound.storage)


class _Cell:
    """One Variable or bare array: where it is and which of the leaves are in it."""

    def __init__(self, path: Path, leaf: object, first: int) -> None:
        self.path = path
        tree = jax.tree_util.tree_structure(stored(leaf))
        self.numbers = range(first, first + tree.num_leaves)
        #: of a value that is a container of arrays
        self.tree: PyTreeDef | None = (
            None if jax.tree_util.treedef_is_leaf(tree) else tree
        )

    def value(self, leaves: Sequence[object]) -> object:
        """What is stored, from the leaves of the step."""
        if self.tree is None:
            return leaves[self.numbers.start]
        return self.tree.unflatten([leaves[number] for number in self.numbers])

    def contents(self, value: object) -> list[object] | None:
        """The leaves of what is stored, or None where it has another structure."""
        if self.tree is None:
            return [value]
        found, tree = jax.tree_util.tree_flatten(value)
        return found if tree == self.tree else None


class Cells:
    """The Variables and bare arrays of nodes.

    Args:
        nodes: of a step.
        state: what ``split(nodes)`` gave.

    Attributes:
        variables: the Variables by path.
    """

    def __init__(self, nodes: tuple[object, ...], state: State) -> None:
        self._nodes = nodes
        live = bound.live_variables(nodes)
        cells, first = [], 0
        for path, leaf in bound.flatten(state).items():
            cells.append(_Cell(path, leaf, first))
            first = cells[-1].numbers.stop
        self.variables: dict[Path, Variable[Any]] = {
            cell.path: live[cell.path] for cell in cells if cell.path in live
        }
        self._live = list(self.variables.values())
        self._bare = [cell.path for cell in cells if cell.path not in live]
        # the bare arrays after all Variables
        self._cells = sorted(cells, key=lambda cell: cell.path not in live)
        self._nested = any(cell.tree for cell in cells)
        self._known: list[object] = []
        self._contents: list[list[object]] = []
        self._remember(self._values())

    def same(self) -> bool:
        """Whether everything is still the very value that was stored."""
        if self._nested or self._bare:
            return not self.written(None)
        return all(map(operator.is_, map(_read, self._live), self._known))

    def written(self, borrower: object) -> list[Written]:
        """What others have written since, unless it is a marker of ``borrower``."""
        found = []
        known = self._contents or [[]] * len(self._cells)
        for cell, value, was in zip(self._cells, self._values(), known, strict=True):
            new = cell.contents(value)
            if new is None or not (_identical(new, was) or _markers(new, borrower)):
                found.append(Written(cell.path, cell.numbers, value, new))
        return found

    def write(self, leaves: Sequence[object]) -> None:
        """Store the leaves of the step."""
        values = [cell.value(leaves) for cell in self._cells]
        self._store(values)
        self._remember(values)

    def mark(self, markers: Sequence[Donated]) -> None:
        """Store markers, which nothing else keeps alive."""
        self._store([cell.value(markers) for cell in self._cells])
        self._known, self._contents = [], []

    def check_structure(self) -> None:
        """Refuse nodes in which other Variables are than at first.

        Raises:
            StepStructureError: some were added, replaced or taken away.
        """
        live = bound.live_variables(self._nodes)
        problems = [
            f"{show(path)}: {'was added' if path not in self.variables else 'is gone'}"
            for path in live.keys() ^ self.variables.keys()
        ]
        problems += [
            f"{show(path)}: is another Variable than before"
            for path, variable in self.variables.items()
            if live.get(path, variable) is not variable
        ]
        if problems:
            raise StepStructureError(
                "the Variables of the nodes are not those that the step was made for; "
                "each path begins with the number of its node",
                details=sorted(problems),
                instead="nnx_compat.update(node, values), which keeps the Variables",
                otherwise="compile_step(fn, *step.nodes), which goes on from here",
            )

    def _values(self) -> list[object]:
        """What is stored in every cell now."""
        values = [*map(_read, self._live)]
        if self._bare:
            # not split, to which a marker in an optimizer's state is a static value
            met = dict(bound.iter_graph(self._nodes))
            values += [met.get(path) for path in self._bare]
        return values

    def _store(self, values: list[object]) -> None:
        if self._bare:
            bare = zip(self._bare, values[len(self._live) :], strict=True)
            bound.update(self._nodes, bound.unflatten(dict(bare)))
        # without Python in between, and past the hooks of setting: these are raw values
        stores = map(object.__setattr__, self._live, repeat(bound.storage), values)
        deque(stores, maxlen=0)

    def _remember(self, values: list[object]) -> None:
        self._known = values
        self._contents = [
            cell.contents(value) or []
            for cell, value in zip(self._cells, values, strict=True)
        ]


class Written(NamedTuple):
    """What somebody else has written into a Variable or in the place of a bare array.

    Attributes:
        path: where.
        numbers: of the leaves of the step that it replaces.
        value: what is stored now.
        leaves: the arrays in it, or None where it is of another structure.
    """

    path: Path
    numbers: range
    value: object
    leaves: list[object] | None


def _identical(new: list[object], was: list[object]) -> bool:
    return len(new) == len(was) and all(map(operator.is_, new, was))


def _markers(leaves: list[object], borrower: object) -> bool:
    return bool(leaves) and all(
        type(leaf) is Donated and leaf.loan.borrower is borrower for leaf in leaves
    )


def fitting_leaves(new: Written) -> list[object]:
    """The leaves that were written.

    Raises:
        StateStructureError: they are not in a container as before.
    """
    if new.leaves is None:
        raise StateStructureError(
            f"{show(new.path)} was written to and does not fit the compiled step: its "
            f"value is {kind_of(new.value)} of another structure than before",
            instead="a value of the structure that the step was made for",
            otherwise="compile_step again",
        )
    return new.leaves
