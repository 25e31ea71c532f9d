"""What a map or a loop does with an argument: which axis, or that it is carried."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...._release import native
from .._mapping import PrefixMapping

__all__ = ["Carry", "StateAxes"]

#: A prefix of arguments or outputs: an axis, ``Carry``, ``StateAxes``, a tree of them.
Axes = int | type | Sequence[Any] | Mapping[Any, Any] | None


class Carry:
    """Marks the argument and the output of ``nnx.scan`` that go from step to step.

    Example:
        >>> from nnx_compat import nnx
        >>> @nnx.scan(in_axes=(nnx.Carry, 0), out_axes=(nnx.Carry, 0))
        ... def running_sum(total, x):
        ...     return total + x, total + x
        >>> running_sum(jnp.zeros(()), jnp.arange(1.0, 4.0))[1].tolist()
        [1.0, 3.0, 6.0]
    """


#: Flax's own, so that an ``isinstance`` of it holds; it was no mapping at first.
_Native: Any = native.get("StateAxes", object)


class StateAxes(PrefixMapping, _Native):  # type: ignore[misc]
    """The axes of the leaves of a Module in ``vmap``, ``scan`` and ``pmap``, by filter.

    Args:
        filter_axes: a mapping from filters to axes, or pairs of them: an int, None for
            a leaf without the mapped axis, ``nnx.Carry`` in a scan. A State of axes
            gives each path its own.

    Example:
        >>> from nnx_compat import nnx
        >>> axes = nnx.StateAxes({nnx.Param: 0, ...: None})
        >>> axes[nnx.Param], axes.axes
        (0, (0, None))
        >>> @nnx.vmap(in_axes=0, out_axes=axes)
        ... def make(key):
        ...     return nnx.BatchNorm(2, rngs=nnx.Rngs(key))
        >>> models = make(jax.random.split(jax.random.PRNGKey(0), 3))
        >>> [leaf.shape for leaf in jax.tree_util.tree_leaves(nnx.split(models)[1])]
        [(3, 2), (2,), (3, 2), (2,)]
    """

    def __init__(self, filter_axes: Mapping[Any, Any] | Iterable[Any], /) -> None:
        super().__init__(filter_axes)

    @property
    def axes(self) -> tuple[Any, ...]:
        """The axes, in the order of the filters."""
        return self._values
