"""What ``nnx.jit`` returns: a compiled function over Modules."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax

from .._layout import Layout, LayoutKey
from .._lifted import as_tuple, with_static
from .._outcome import Outcome, Static, Traced
from .._transform import Function
from .shard_map import Shardings

Positions = int | Sequence[int] | None
Names = str | Iterable[str] | None
Arrays = list[jax.Array]


class Call(NamedTuple):
    """The arguments of a call, as they are given to jax's compiled function."""

    layout: Layout
    compiled: Any
    key: Key
    donated: Arrays
    others: Arrays


class Key(NamedTuple):
    """The static part of a call: jax compiles for each one that is different."""

    layout: LayoutKey
    positions: tuple[tuple[int, object], ...]
    names: tuple[tuple[str, object], ...]
    donated: tuple[bool, ...]


class Jitted:
    """A compiled function over Modules.

    The static part of the arguments is an argument of its own, so jax compiles anew
    where the structure of a Module is another one.

    Args:
        fun: the function.
        in_shardings: a prefix of the arguments that are not static.
        out_shardings: a prefix of the output.
        static: positions and names of arguments that are static.
        donated: positions and names of arguments whose memory may be used up.
        bound: the first arguments of all calls.
        **options: what ``jax.jit`` takes besides.
    """

    def __init__(
        self,
        fun: Function,
        in_shardings: Shardings,
        out_shardings: Shardings,
        static: tuple[Positions, Names],
        donated: tuple[Positions, Names],
        bound: tuple[object, ...] = (),
        **options: object,
    ) -> None:
        functools.update_wrapper(self, fun, updated=())
        self.fun, self.bound = fun, bound
        self.in_shardings: Shardings = (
            list(in_shardings) if isinstance(in_shardings, tuple) else in_shardings
        )
        self.out_shardings = out_shardings
        self.static, self.static_names = map(as_tuple, static)
        self.donated = {*as_tuple(donated[0]), *as_tuple(donated[1])}
        self.options = {k: v for k, v in options.items() if v is not None}
        self.compiled: dict[object, Any] = {}

    def __call__(self, *args: object, **kwargs: object) -> Any:
        layout, compiled, *given = self.call(args, kwargs)
        arrays, static = compiled(*given)
        return self.apply(layout, arrays, static.value)

    def __get__(self, instance: object, owner: type | None = None) -> Function:
        return self if instance is None else functools.partial(self, instance)

    def lower(self, *args: object, **kwargs: object) -> Lowered:
        """The function, lowered for these arguments; ``compile()`` compiles it."""
        _, compiled, *given = self.call(args, kwargs)
        return Lowered(self, compiled.lower(*given))

    def eval_shape(self, *args: object, **kwargs: object) -> object:
        """What the function returns, without values."""
        _, compiled, *given = self.call(args, kwargs)
        shapes, static = compiled.eval_shape(*given)
        return self._out(shapes, static.value)

    # -- outside --------------------------------------------------------------------

    def call(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Call:
        """The arguments, as they are given to jax's compiled function."""
        args = (*self.bound, *args)
        static, names = self._static(args, kwargs)
        rest = [arg for i, arg in enumerate(args) if i not in static]
        named = {k: v for k, v in kwargs.items() if k not in names}
        layout = Layout((rest, named))
        # in most calls nothing is donated and no sharding is given: the prefixes, which
        # cost a tree_map of the arguments each, are read only where there are any
        donated = (False,) * layout.count
        if self.donated:
            positions = [i for i in range(len(args)) if i not in static]
            owners = _arguments(layout, positions, sorted(named))
            donated = tuple(owners[leaf] in self.donated for leaf, _ in layout.owners)
        shardings = None
        if self.in_shardings is not None:
            shardings = _parted(layout.broadcast((self.in_shardings, None)), donated)
        key = Key(
            LayoutKey(layout),
            tuple(sorted(static.items())),
            tuple(sorted(names.items())),
            donated,
        )
        arrays = _parted(layout.arrays, donated)
        return Call(layout, self._compiled(shardings), key, *map(list, arrays))

    def _static(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[dict[int, Any], dict[str, Any]]:
        count = len(args)
        static = {
            i % count: args[i % count] for i in self.static if -count <= i < count
        }
        names = {k: v for k, v in kwargs.items() if k in self.static_names}
        if set(self.static_names) - set(kwargs):  # perhaps given by position
            order = list(inspect.signature(self.fun).parameters)
            for name in set(self.static_names) & set(order[:count]):
                static[order.index(name)] = args[order.index(name)]
        return static, names

    def _compiled(self, shardings: tuple[Any, Any] | None) -> Any:
        """Jax's own compiled function, one for each way to shard the arrays."""
        if shardings not in self.compiled:
            options = dict(self.options)
            if shardings is not None:
                options["in_shardings"] = tuple(map(list, shardings))
            self.compiled[shardings] = jax.jit(
                self._pure, static_argnums=0, donate_argnums=1, **options
            )
        return self.compiled[shardings]

    def apply(self, layout: Layout, arrays: Sequence[jax.Array], static: Any) -> Any:
        """The output, the caller's Modules brought up to date."""
        outcome: Outcome = static
        return outcome.apply(layout.nodes, arrays)

    def _out(self, arrays: Sequence[jax.Array], static: Any) -> Any:
        (_, out), _ = static.layout.merge(arrays)
        return out

    # -- inside ---------------------------------------------------------------------

    def _pure(
        self, key: Key, donated: Arrays, others: Arrays
    ) -> tuple[Arrays, Static[Any]]:
        parts = iter(others), iter(donated)
        traced = Traced(key.layout, [next(parts[d]) for d in key.donated])
        args, kwargs = traced.tree
        args = with_static(args, dict(key.positions))
        out = self.fun(*args, **kwargs, **dict(key.names))
        arrays, shardings, static = self._traced(traced, out)
        return [
            array if s is None else jax.lax.with_sharding_constraint(array, s)
            for array, s in zip(arrays, shardings, strict=True)
        ], Static(static)

    def _traced(
        self, traced: Traced, out: object
    ) -> tuple[list[jax.Array], list[Any], Any]:
        """The arrays, the sharding of each, and what ``apply`` has to know."""
        nodes = traced.layout.of_nodes((self.in_shardings, None))
        arrays, outcome = traced.outcome(out, (nodes, self.out_shardings))
        outcome.layout.empty()
        return arrays, outcome.axes, outcome


def _arguments(layout: Layout, positions: list[int], names: list[str]) -> list[Any]:
    """For each leaf of ``(args, kwargs)`` the position or the name of its argument."""
    found: list[Any] = []
    args, kwargs = layout.treedef.children()
    for label, child in zip(
        [*positions, *names], [*args.children(), *kwargs.children()], strict=True
    ):
        found += [label] * child.num_leaves
    return found


def _parted(
    values: Sequence[Any], chosen: Sequence[bool]
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The values that are chosen, and the others."""
    pairs = list(zip(values, chosen, strict=True))
    return tuple(v for v, c in pairs if c), tuple(v for v, c in pairs if not c)


class Lowered:
    """What ``lower`` gives: jax's own object, and how to call what it compiles to."""

    def __init__(self, jitted: Jitted, lowered: Any) -> None:
        self.jitted, self.lowered = jitted, lowered

    def compile(self, **options: Any) -> Compiled:
        """The compiled function."""
        return Compiled(self.jitted, self.lowered.compile(**options))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.lowered, name)


class Compiled:
    """A compiled function over Modules, for arguments of one structure."""

    def __init__(self, jitted: Jitted, compiled: Any) -> None:
        self.jitted, self.compiled = jitted, compiled

    def __call__(self, *args: object, **kwargs: object) -> object:
        call = self.jitted.call(args, kwargs)
        arrays, static = self.compiled(call.donated, call.others)
        return self.jitted.apply(call.layout, arrays, static.value)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.compiled, name)
