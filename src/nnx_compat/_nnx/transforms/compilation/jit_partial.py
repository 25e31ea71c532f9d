"""Compiled functions whose first arguments are bound for good."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

import jax

from ....errors import ArgumentValueError
from .._checks import not_shared, propagates_values
from .._layout import Layout
from .._outcome import Changed, Traced
from .._prefixes import by_filter
from .._transform import R
from ._jitted import Jitted
from .jit import jit
from .state_sharding import Shardings

if TYPE_CHECKING:
    from typing import Unpack

__all__ = ["jit_partial"]


class JitOptions(TypedDict, total=False):
    """The options of ``nnx.jit``, for type checkers."""

    in_shardings: Shardings
    out_shardings: Shardings
    static_argnums: int | Sequence[int] | None
    static_argnames: str | Iterable[str] | None
    donate_argnums: int | Sequence[int] | None
    donate_argnames: str | Iterable[str] | None
    keep_unused: bool
    device: jax.Device | None
    backend: str | None
    inline: bool
    graph: bool | None
    graph_updates: bool | None


def jit_partial(
    fun: Callable[..., R], *partial_args: object, **options: Unpack[JitOptions]
) -> Callable[..., R]:
    """A compiled function whose first arguments are bound; their values are propagated.

    One of ``graph=False`` and ``graph_updates=False`` has to be said, as to the newest
    Flax. The structure of the bound arguments should not change; where it does, this
    one compiles anew, and the newest Flax does not notice.

    Args:
        fun: takes Modules and arrays.
        *partial_args: its first arguments.
        **options: those of ``nnx.jit``. Positions count the bound arguments, and no
            sharding is an ``nnx.StateSharding``. One of ``graph`` and
            ``graph_updates`` is False, the first to refuse what is shared.

    Raises:
        ArgumentValueError: neither mode is False, or a sharding is a StateSharding.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> call = nnx.jit_partial(lambda m, x: m(x), model, graph_updates=False)
        >>> call(jnp.ones((1, 2))).shape
        (1, 3)
    """
    if unknown := options.keys() - _SIGNATURE.parameters.keys():
        raise TypeError(
            f"jit_partial() got an unexpected keyword argument {min(unknown)!r}"
        )
    modes = options.pop("graph", None), options.pop("graph_updates", None)
    fun = propagates_values("jit_partial", fun, *modes)
    not_shared("jit_partial", modes[0], partial_args)
    shardings = options.pop("in_shardings", None), options.pop("out_shardings", None)
    leaves = jax.tree_util.tree_leaves(shardings, is_leaf=by_filter)
    if any(map(by_filter, leaves)):
        raise ArgumentValueError(
            "in_shardings and out_shardings cannot contain `StateSharding` objects in "
            "`jit_partial`",
            instead="nnx.jit, or the shardings themselves",
        )
    static = options.pop("static_argnums", None), options.pop("static_argnames", None)
    donate = options.pop("donate_argnums", None), options.pop("donate_argnames", None)
    return _PartialJitted(fun, *shardings, static, donate, partial_args, **options)


def _signature() -> inspect.Signature:
    signature = inspect.signature(jit_partial)
    fun, partial_args, _ = signature.parameters.values()
    options = [
        parameter
        for parameter in inspect.signature(jit).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    return signature.replace(parameters=[fun, partial_args, *options])


_SIGNATURE = jit_partial.__signature__ = _signature()  # type: ignore[attr-defined]


class _PartialJitted(Jitted):
    """A compiled function of which the values of the arguments are propagated."""

    def _traced(
        self, traced: Traced, out: object
    ) -> tuple[list[jax.Array], list[Any], tuple[Layout, Changed]]:
        arrays, layout, changed = traced.values("jit_partial", out)
        shardings = layout.broadcast(self.out_shardings)
        layout.empty()
        shardings += [None] * (len(arrays) - len(shardings))
        return arrays, shardings, (layout, changed)

    def apply(self, layout: Layout, arrays: Sequence[jax.Array], static: Any) -> Any:
        """The output, the caller's Variables brought up to date."""
        out, changed = static
        changed.apply(layout, arrays[out.count :])
        return out.merge(arrays[: out.count])[0]

    def _out(self, arrays: Sequence[jax.Array], static: Any) -> Any:
        return static[0].merge(arrays[: static[0].count])[0]
