"""One compiled program for all arrays of a model.

Concrete arrays go through one program for all of a structure; tracers join the
transformation that they belong to; abstract arrays (``jax.ShapeDtypeStruct``) stay
abstract. What is donated is used again for the result.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

import jax
import jax.numpy as jnp

from ._leaves import Leaves, Tracer, dtype_of

if TYPE_CHECKING:
    from jax.sharding import Sharding
    from jax.typing import ArrayLike

M = TypeVar("M")
R = TypeVar("R")

#: Lists of arrays, and what else it takes, to as many arrays.
Operation: TypeAlias = Callable[..., Sequence[jax.Array]]
Arrays: TypeAlias = Sequence[jax.Array]
Shardings: TypeAlias = "tuple[Sharding | None, ...]"
Program: TypeAlias = Callable[[Arrays, tuple[Any, ...], Shardings], Arrays]

#: So many programs are kept, by all functions of ``pure`` together; the next one takes
#: the place of all of them. One takes 2 MB and more.
LIMIT = 128


class Kept(Generic[R]):
    """A jitted function whose programs count towards the limit.

    Args:
        fn: pure, as ``jax.jit`` wants it.
        **options: of ``jax.jit``.
    """

    def __init__(self, fn: Callable[..., R], **options: Any) -> None:
        self._fn = fn
        self._options = options
        self._program: Any = None
        _kept.add(self)

    def __call__(self, *args: Any) -> R:
        """Run it, compiled at the first call for a structure, shapes and dtypes."""
        program = self._program
        if program is None:
            program = self._program = jax.jit(_counting(self._fn), **self._options)
        result: R = program(*args)
        if _traced[0] > LIMIT:
            clear_cache()
        return result

    def _cache_size(self) -> int:
        return 0 if self._program is None else self._program._cache_size()

    def _clear(self) -> None:
        self._program = None


_kept: weakref.WeakSet[Kept[Any]] = weakref.WeakSet()
#: How many programs were traced since the last time that all were dropped.
_traced = [0]


def _counting(fn: Callable[..., R]) -> Callable[..., R]:
    # A function of its own for each jax.jit: jax keeps what it has compiled for as long
    # as the function lives, whatever becomes of the jitted one.
    @functools.wraps(fn)
    def counted(*args: Any) -> R:
        _traced[0] += 1
        return fn(*args)

    return counted


def clear_cache() -> None:
    """Drop the programs that ``pure`` and ``pure_state_update`` have compiled.

    At most 128 are kept; one more, and all are dropped by themselves. Those of a
    ``CompiledStep`` are its own, and go with it.

    Example:
        >>> import nnx_compat as nc
        >>> nc.pure.clear_cache()
    """
    _traced[0] = 0
    for kept in list(_kept):
        kept._clear()


def compile_operation(operation: Operation, donate: bool) -> Program:
    """The program of an operation: of arrays, operands and shardings (static)."""

    def program(
        arrays: Arrays, operands: tuple[Any, ...], shardings: Shardings
    ) -> list[jax.Array]:
        return _constrained(operation(arrays, *operands), shardings)

    return Kept(program, static_argnums=2, donate_argnums=(0,) if donate else ())


_compiled = functools.lru_cache(LIMIT)(compile_operation)  # for those of this room


def _constrained(arrays: Arrays, shardings: Shardings) -> list[jax.Array]:
    """Where the inputs were sharded, the outputs are sharded the same way."""
    if not shardings:
        return list(arrays)
    return [
        array if s is None else jax.lax.with_sharding_constraint(array, s)
        for array, s in zip(arrays, shardings, strict=True)
    ]


def run(
    operation: Operation,
    arrays: list[jax.Array],
    operands: tuple[Any, ...] = (),
    *,
    donate: bool = False,
    program: Program | None = None,
    elementwise: bool = True,
) -> list[jax.Array]:
    """Apply an operation on lists of arrays, in the way that suits the arrays."""
    leaves = jax.tree_util.tree_leaves((arrays, operands))
    if any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in leaves):
        return _abstract(operation, arrays, operands, elementwise)
    if any(isinstance(leaf, Tracer) for leaf in leaves):
        return list(operation(arrays, *operands))
    shardings = tuple(_sharding(array) for array in arrays)
    if not (elementwise and any(shardings)):
        shardings = ()
    if donate:
        arrays = _owned(arrays, jax.tree_util.tree_leaves(operands))
    program = program or _compiled(operation, donate)
    return list(program(arrays, operands, shardings))


def _abstract(
    operation: Operation,
    arrays: list[jax.Array],
    operands: tuple[Any, ...],
    elementwise: bool,
) -> list[jax.Array]:
    made = jax.eval_shape(lambda a, o: list(operation(a, *o)), arrays, operands)
    if not elementwise:
        return list(made)
    return [
        jax.ShapeDtypeStruct(new.shape, new.dtype, sharding=old.sharding)
        if getattr(old, "sharding", None) is not None
        else new
        for old, new in zip(arrays, made, strict=True)
    ]


def _sharding(array: jax.Array) -> Sharding | None:
    """The sharding of an array that lies on several devices."""
    sharding = getattr(array, "sharding", None)
    if sharding is None or len(sharding.device_set) == 1:
        return None
    return sharding


def _owned(arrays: list[jax.Array], others: list[jax.Array]) -> list[jax.Array]:
    """A buffer may be donated once and not be read elsewhere: such ones are copied.

    A clone shares its arrays with the model, so the first step of an average does this.
    """
    taken = {id(other) for other in others}
    owned = []
    for array in arrays:
        if id(array) in taken:
            array = jnp.array(array, copy=True)
        taken.add(id(array))
        owned.append(array)
    return owned


def replaced(leaves: Leaves[M], chosen: list[int], new: Arrays) -> M:
    """The model with new arrays in the place of the chosen ones."""
    arrays = list(leaves.arrays)
    for number, array in zip(chosen, new, strict=True):
        arrays[number] = array
    return leaves.rebuilt(arrays)


def like(array: jax.Array, new: ArrayLike) -> jax.Array:
    """``new`` in the dtype that ``array`` has."""
    return jnp.asarray(new).astype(dtype_of(array))
