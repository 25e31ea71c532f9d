"""A model or a State taken apart into its arrays, and put together again.

What the functions of ``pure`` have in common: which arrays they touch, how a path is
named in an error, and that all the rest passes through bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import jax
import jax.numpy as jnp

from ..errors import StateStructureError
from ..functional import (
    Filter,
    Path,
    as_leaf,
    check_node,
    is_variable,
    predicate,
    show,
    stored,
    variable_type,
)
from ..revisions import bound
from ..revisions.get_value import plain_key

if TYPE_CHECKING:
    from flax.nnx import GraphDef
    from jax.tree_util import PyTreeDef
    from jax.typing import ArrayLike
    from numpy import dtype as DType

    from ..revisions.get_value import Leaf

M = TypeVar("M")

_State = bound.nnx.State
#: What an array is inside a transformation.
Tracer = jax.core.Tracer


class Leaves(Generic[M]):
    """The arrays of a model or a State, in the order of ``jax.tree.leaves``.

    Args:
        given: a Module, a tuple, list or dict of Modules, or a State.

    Attributes:
        arrays: every array (or other leaf of jax), as it is stored.
        paths: where each is, keys inside the value of a Variable included.
        owners: the Variable (or VariableState, or bare array) that holds each.
    """

    def __init__(self, given: M) -> None:
        self._graphdef: GraphDef[M] | None = None
        state: Any = given
        if not isinstance(given, _State):
            check_node(given)
            self._graphdef, state = bound.live_split(given)
        self._flat = bound.flatten(state)
        self._trees: list[PyTreeDef | None] = []
        self.arrays: list[jax.Array] = []
        self.paths: list[Path] = []
        self.owners: list[Leaf] = []
        for path, owner in self._flat.items():
            value = stored(owner)
            if isinstance(value, bound.reference_types):
                value = value[...]
            if hasattr(value, "dtype"):  # an array, nearly always
                inside, tree = {path: value}, None
            else:
                inside, tree = inside_value(path, value)
            self._trees.append(tree)
            self.arrays += inside.values()
            self.paths += inside
            self.owners += [owner] * len(inside)

    def rebuilt(self, arrays: Iterable[jax.Array]) -> M:
        """A model or State of the same kind around other arrays, every leaf its own."""
        source = iter(arrays)
        new: dict[Path, Leaf] = {}
        for (path, owner), tree in zip(self._flat.items(), self._trees, strict=True):
            value = (
                next(source)
                if tree is None
                else tree.unflatten([next(source) for _ in range(tree.num_leaves)])
            )
            new[path] = as_leaf(owner, value)
        state: Any = bound.unflatten(new)
        if self._graphdef is not None:
            return bound.adopt(self._graphdef, state)
        same: M = state  # a State was given
        return same

    def in_scope(self, filters: tuple[Filter, ...], operation: str) -> list[int]:
        """The numbers of the arrays to compute with.

        Inexact arrays of Variables that hold no RNG state; filters narrow this.

        Raises:
            StateStructureError: a filter selects arrays, and none of this kind.
        """
        inexact = [
            _is_inexact(array) and not _is_random(owner)
            for array, owner in zip(self.arrays, self.owners, strict=True)
        ]
        if not filters:
            return [i for i, fits in enumerate(inexact) if fits]
        chosen: set[int] = set()
        for wanted in filters:
            selects = predicate(wanted)
            found = [
                i
                for i, (path, owner) in enumerate(
                    zip(self.paths, self.owners, strict=True)
                )
                if selects(path, owner)
            ]
            fitting = [i for i in found if inexact[i]]
            if found and not fitting and wanted is not ... and wanted is not True:
                shown = ", ".join(
                    f"{show(self.paths[i])} ({describe(self.arrays[i])})"
                    for i in found[:10]
                )
                raise StateStructureError(
                    f"{operation} leaves integers and RNG state as they are, and the "
                    f"filter {_name(wanted)} selects nothing else: {shown}",
                    instead="a filter that selects floating-point arrays, "
                    "such as nnx.Param",
                    otherwise="nnx_compat.map_state, which touches whatever it is told",
                )
            chosen.update(fitting)
        return sorted(chosen)

    def selectable(self) -> list[int]:
        """The numbers of all arrays but RNG state, integers included."""
        return [
            i
            for i, (array, owner) in enumerate(
                zip(self.arrays, self.owners, strict=True)
            )
            if not _is_random(owner) and not is_key(array)
        ]

    def variable_paths(self) -> list[Path]:
        """Where the Variables are (and bare arrays), in order."""
        return list(self._flat)

    def aligned(
        self,
        mine: list[int],
        other: Leaves[Any],
        theirs: list[int],
        names: tuple[str, str],
        *,
        dtypes: bool = False,
    ) -> list[jax.Array]:
        """The arrays of another model that belong to the chosen ones of this.

        Raises:
            StateStructureError: a path is in one only, or shapes (or dtypes) differ.
        """
        found = {other.paths[i]: other.arrays[i] for i in theirs}
        problems, arrays = [], []
        for i in mine:
            path, array = self.paths[i], self.arrays[i]
            if path not in found:
                problems.append(f"{show(path)}: not in {names[1]}")
                continue
            match = found.pop(path)
            arrays.append(match)
            same = shape_of(match) == shape_of(array) and not (
                dtypes and dtype_of(match) != dtype_of(array)
            )
            if not same:
                problems.append(
                    f"{show(path)}: {describe(array)} in {names[0]}, "
                    f"{describe(match)} in {names[1]}"
                )
        problems += [f"{show(path)}: not in {names[0]}" for path in found]
        if problems:
            raise mismatch(
                f"{names[0]} and {names[1]} differ in structure",
                problems,
                "two models of one structure, or a filter that selects what they share",
            )
        return arrays


def inside_value(
    path: Path, value: object, is_leaf: Callable[[Any], bool] | None = None
) -> tuple[dict[Path, Any], PyTreeDef]:
    """The leaves inside the value of a Variable by path, and the value's treedef."""
    keyed, tree = jax.tree_util.tree_flatten_with_path(value, is_leaf=is_leaf)
    return {(*path, *map(plain_key, keys)): leaf for keys, leaf in keyed}, tree


def mismatch(found: str, problems: list[str], instead: str) -> StateStructureError:
    """The error that lists up to 10 paths."""
    return StateStructureError(found, details=problems, instead=instead)


def shape_of(array: ArrayLike) -> tuple[int, ...]:
    """The shape of an array, abstract or traced, or of a Python number."""
    return tuple(getattr(array, "shape", ()))


def dtype_of(array: ArrayLike) -> DType[Any]:
    """The dtype of an array, abstract or traced, or the one jax gives a number."""
    found: DType[Any] = getattr(array, "dtype", None) or jnp.result_type(array)
    return found


def describe(array: ArrayLike) -> str:
    """Dtype and shape, as ``float32[2,3]``."""
    if not hasattr(array, "dtype"):
        return type(array).__name__
    return f"{array.dtype}[{','.join(map(str, array.shape))}]"


def _is_inexact(array: ArrayLike) -> bool:
    dtype = getattr(array, "dtype", None)
    if dtype is None:
        return isinstance(array, (float, complex))
    return bool(jnp.issubdtype(dtype, jnp.inexact))


def is_key(array: ArrayLike) -> bool:
    """Whether these are typed PRNG keys."""
    dtype = getattr(array, "dtype", None)
    return dtype is not None and bool(jnp.issubdtype(dtype, jax.dtypes.prng_key))


def _is_random(owner: Leaf) -> bool:
    return is_variable(owner) and issubclass(variable_type(owner), bound.random_types)


def _name(wanted: Filter) -> str:
    return getattr(wanted, "__name__", None) or repr(wanted)
