"""A call of a function over Modules as a call of one over arrays, for jax.

    lifted = Lifted(f, args)
    arrays = jax.checkpoint(lifted)(lifted.arrays)
    return lifted.apply(arrays)

The arguments are flattened into arrays outside; inside, the function is called with new
Modules around the traced ones, and what it did to them comes out as arrays, with which
the caller's Modules are brought up to date.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax

from ._layout import Layout
from ._outcome import Outcome, Traced
from ._transform import Function


class Lifted:
    """One call of a function, as a function from a list of arrays to another.

    Args:
        f: takes the arguments by position.
        args: a tuple of Modules and arrays, or its layout.
        prefixes: of the arguments and of the output, where jax has to know an axis or
            a sharding of each array that comes out.
        static: positions of arguments that are static.
    """

    def __init__(
        self,
        f: Function,
        args: Sequence[object] | Layout,
        prefixes: tuple[object, object] | None = None,
        static: int | Sequence[int] = (),
    ) -> None:
        self.f = f
        self.static: dict[int, object] = {}
        if not isinstance(args, Layout):
            args, self.static = without_static(args, static)
            args = Layout(tuple(args))
        self.layout = args
        self.prefix: tuple[object, object] | None = None
        if prefixes is not None:
            self.prefix = self.layout.of_nodes(prefixes[0]), prefixes[1]
        self.outcome: Outcome

    @property
    def arrays(self) -> list[jax.Array]:
        """The arguments, as arrays."""
        return self.layout.arrays

    def __call__(self, arrays: Sequence[jax.Array]) -> list[jax.Array]:
        """Call the function with these arrays in the arguments."""
        traced = Traced(self.layout, arrays)
        out = self.f(*with_static(traced.tree, self.static))
        found, self.outcome = traced.outcome(out, self.prefix)
        return found

    def apply(self, arrays: Sequence[jax.Array]) -> Any:
        """Bring the caller's Modules up to date; the output."""
        return self.outcome.apply(self.layout.nodes, arrays)


def lift(
    f: Function,
    run: Callable[[Lifted], Sequence[jax.Array]],
    *,
    step: Function | None = None,
    prefixes: tuple[object, object] | None = None,
    static: int | Sequence[int] = (),
) -> Function:
    """A function whose calls are lifted.

    Args:
        f: takes Modules and arrays.
        run: what jax makes of a call: from the lifted one to the arrays it leaves.
        step: what is called inside, in place of ``f``.
        prefixes: of the arguments and of the output, as in ``Lifted``.
        static: positions of arguments that are static.
    """

    @functools.wraps(f)
    def call(*args: object, **kwargs: object) -> object:
        lifted = Lifted(step or f, positional(f, args, kwargs), prefixes, static)
        return lifted.apply(run(lifted))

    return call


def positional(
    f: Function, args: tuple[Any, ...], kwargs: Mapping[str, object]
) -> tuple[Any, ...]:
    """The arguments of a call, all by position, defaults included.

    Raises:
        TypeError: they do not fit ``f``, or one can be given by keyword only.
    """
    if not kwargs and isinstance(f, type):
        return args
    try:
        signature = inspect.signature(f)
    except ValueError:  # a builtin: only what is given by position can be known
        if kwargs:
            raise
        return args
    given = signature.bind(*args, **kwargs)
    given.apply_defaults()
    if given.kwargs:
        raise TypeError(
            f"keyword-only arguments, here {', '.join(given.kwargs)}, cannot be given "
            "to a transformed function"
        )
    return given.args


# -- static arguments ---------------------------------------------------------------


def as_tuple(value: Any) -> tuple[Any, ...]:
    """One or several positions or names, as a tuple."""
    if value is None:
        return ()
    if isinstance(value, Iterable) and not isinstance(value, str):
        return tuple(value)
    return (value,)


def without_static(
    args: Sequence[Any], argnums: int | Sequence[int] | None
) -> tuple[list[Any], dict[int, Any]]:
    """The arguments that are not static, and those that are by position."""
    static = {i % len(args): args[i % len(args)] for i in as_tuple(argnums)}
    return [arg for i, arg in enumerate(args) if i not in static], static


def with_static(rest: Iterable[object], static: Mapping[int, object]) -> list[Any]:
    """All arguments in their order, from the others and the static ones by position."""
    args = list(rest)
    for position in sorted(static):
        args.insert(position, static[position])
    return args
