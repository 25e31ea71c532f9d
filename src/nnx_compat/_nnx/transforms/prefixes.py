"""What the arguments of a transform say of the leaves of a Module, by filters.

``in_axes``, ``argnums`` and ``in_shardings`` are pytree prefixes of the arguments. For
a whole Module they may be one of these, which say something of each of its leaves.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ...functional import to_flat_state
from ...revisions import nnx

__all__ = ["Carry", "DiffState", "StateAxes", "StateSharding"]


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


@dataclasses.dataclass(frozen=True)
class DiffState:
    """Says with respect to what part of an argument ``nnx.grad`` differentiates.

    Args:
        argnum: the position of the argument.
        filter: selects leaves of its state.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> only_bias = nnx.DiffState(0, lambda path, leaf: "bias" in path)
        >>> loss = lambda model: model(jnp.ones((1, 2))).sum()
        >>> grads = nnx.grad(loss, argnums=only_bias)(model)
        >>> [g.tolist() for g in jax.tree_util.tree_leaves(grads)]
        [[1.0, 1.0, 1.0]]
    """

    argnum: int
    filter: Any


class _ByFilter(Mapping[Any, Any]):
    """An immutable mapping from filters; the first that selects a leaf counts."""

    def __init__(self, mapping: Any) -> None:
        if isinstance(mapping, nnx.State):
            pairs = _filters_by_value(mapping)
        else:
            pairs = mapping.items() if isinstance(mapping, Mapping) else mapping
        given = tuple(pairs)
        self._filters = tuple(wanted for wanted, _ in given)
        self._said = tuple(value for _, value in given)

    @property
    def filters(self) -> tuple[Any, ...]:
        """The filters, in order."""
        return self._filters

    def __repr__(self) -> str:
        return f"{type(self).__name__}({dict(self.items())})"

    def items(self) -> Any:
        """Pairs of a filter and what is said of the leaves it selects."""
        return tuple(zip(self._filters, self._said, strict=True))

    def __getitem__(self, key: Any) -> Any:
        return self._said[self._filters.index(key)]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._filters)

    def __len__(self) -> int:
        return len(self._filters)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self.items() == other.items()

    def __hash__(self) -> int:
        return hash((self._filters, self._said))


_Native: Any = getattr(nnx, "StateAxes", object)


class StateAxes(_ByFilter, _Native):  # type: ignore[misc]
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

    def __init__(self, filter_axes: Any, /) -> None:
        super().__init__(filter_axes)

    @property
    def axes(self) -> tuple[Any, ...]:
        """The axes, in the order of the filters."""
        return self._said


class StateSharding(_ByFilter):
    """The shardings of the leaves of a Module in ``jit`` and ``shard_map``, by filter.

    Args:
        filter_sharding: a mapping from filters to shardings, or pairs of them. A State
            of shardings gives each path its own.

    Example:
        >>> from nnx_compat import nnx
        >>> spec = jax.sharding.PartitionSpec("data")
        >>> nnx.StateSharding({nnx.Param: spec, ...: None}).shardings[1] is None
        True
    """

    def __init__(self, filter_sharding: Any, /) -> None:
        super().__init__(filter_sharding)

    @property
    def shardings(self) -> tuple[Any, ...]:
        """The shardings, in the order of the filters."""
        return self._said


def _filters_by_value(state: Any) -> Iterable[tuple[Any, Any]]:
    """One filter for each different value in a state: the paths that have it."""
    from ...functional import stored

    paths: dict[Any, set[Any]] = {}
    for path, leaf in to_flat_state(state).items():
        paths.setdefault(stored(leaf), set()).add(path)
    return [(_OneOf(frozenset(found)), value) for value, found in paths.items()]


@dataclasses.dataclass(frozen=True)
class _OneOf:
    """A filter that selects leaves by their exact paths."""

    paths: frozenset[Any]

    def __call__(self, path: Any, leaf: Any) -> bool:
        return tuple(path) in self.paths
