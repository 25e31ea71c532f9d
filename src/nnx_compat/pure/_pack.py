"""Small leaves in shared buffers, past the limit that jax sets.

jax pays about 5 us for every leaf that goes into a program and comes out again,
whatever its size. Here leaves of one shape and dtype lie in one array, ``(leaves,
*shape)``, and the program takes them out and puts them back. That has to be cheap to
compile, too:

* XLA compiles a slice for every constant offset, but equal slices only once. So the row
  number is data, counted up from a zero that the program is given.
* Some of its passes are quadratic in the readers of one array: no more than 64 rows.
* A barrier on both sides keeps the step itself apart from all this: it is compiled as
  it would be without, and gives the same bits.

``benchmarks/dispatch.py`` measures what it gains and what it takes to compile.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._leaves import is_key

#: Rows of one array, at most.
ROWS = 64
#: Bytes of a leaf, at most: copying more, twice, costs as much as the leaf itself.
SMALL = 8192
#: With fewer arguments saved than this, ``pack="auto"`` lets it be.
SURE = 100


class Layout:
    """Which leaves share an array, and the way in and out.

    Args:
        leaves: concrete arrays on one device.
    """

    def __init__(self, leaves: Sequence[jax.Array]) -> None:
        alike: dict[tuple[np.dtype[Any], tuple[int, ...]], list[int]] = {}
        for number, leaf in enumerate(leaves):
            if _is_plain(leaf) and leaf.nbytes <= SMALL:
                alike.setdefault((leaf.dtype, leaf.shape), []).append(number)
        #: The leaf numbers in each array, in the order of its rows.
        self.rows = [
            numbers[start : start + ROWS]
            for numbers in alike.values()
            for start in range(0, len(numbers), ROWS)
            if len(numbers[start : start + ROWS]) > 1
        ]
        packed = {number for rows in self.rows for number in rows}
        #: The numbers of the leaves that stay arguments of their own.
        self.loose = [n for n in range(len(leaves)) if n not in packed]
        self.saved = len(packed) - len(self.rows)
        #: How many arrays go in and out.
        self.arrays = 1 + len(self.loose) + len(self.rows)

    def packed(self, leaves: Sequence[jax.Array]) -> tuple[jax.Array, ...]:
        """Concrete leaves, packed: a zero, those that are loose, the arrays."""
        arrays = [jnp.stack([leaves[n] for n in rows]) for rows in self.rows]
        return (jnp.zeros((), jnp.int32), *(leaves[n] for n in self.loose), *arrays)

    def unpacked(self, stored: Sequence[jax.Array]) -> list[jax.Array]:
        """Concrete leaves, each with a buffer of its own."""
        _, loose, arrays = self._parts(stored)
        leaves = dict(zip(self.loose, loose, strict=True))
        for rows, array in zip(self.rows, arrays, strict=True):
            (device,) = array.devices()
            made = jax.device_put([row.copy() for row in np.asarray(array)], device)
            leaves.update(zip(rows, made, strict=True))
        return [leaves[number] for number in range(len(leaves))]

    def taken(self, stored: Sequence[jax.Array]) -> list[jax.Array]:
        """The leaves, inside the program."""
        zero, loose, arrays = self._parts(stored)
        leaves = dict(zip(self.loose, loose, strict=True))
        numbers, values = [], []
        for rows, array in zip(self.rows, arrays, strict=True):
            row = zero
            for number in rows:
                numbers.append(number)
                values.append(jax.lax.dynamic_index_in_dim(array, row, keepdims=False))
                row = jax.lax.optimization_barrier(row + 1)
        values = jax.lax.optimization_barrier(values)
        leaves.update(zip(numbers, values, strict=True))
        return [leaves[number] for number in range(len(leaves))]

    def put_back(
        self, stored: Sequence[jax.Array], leaves: list[jax.Array]
    ) -> tuple[jax.Array, ...]:
        """The new leaves, packed, inside the program."""
        numbers = [number for rows in self.rows for number in rows]
        kept = jax.lax.optimization_barrier([leaves[n] for n in numbers])
        new = dict(zip(numbers, kept, strict=True))
        arrays = [jnp.stack([new[n] for n in rows]) for rows in self.rows]
        return (stored[0], *(leaves[n] for n in self.loose), *arrays)

    def _parts(
        self, stored: Sequence[jax.Array]
    ) -> tuple[jax.Array, Sequence[jax.Array], Sequence[jax.Array]]:
        middle = 1 + len(self.loose)
        return stored[0], stored[1:middle], stored[middle:]


def _is_plain(leaf: jax.Array) -> bool:
    """No key, whose dtype has no rows to stack, and not spread over devices."""
    return not is_key(leaf) and len(leaf.sharding.device_set) == 1


@functools.cache
def can_pack() -> bool:
    """Whether a packed step is compiled to the same arithmetic as a plain one.

    It is where XLA keeps to its barriers, which on a CPU it did not for years: asked of
    a small program, once, which comes out as one kernel where the barrier is lost.
    """
    barrier = getattr(jax.lax, "optimization_barrier", None)
    if barrier is None:
        return False
    program = jax.jit(lambda x: barrier(jnp.sin(x) * 2 + 1) * 3 + 1)
    text = program.lower(jnp.ones(8)).compile().as_text()
    return str(text).count(" fusion(") > 1
