"""Functions over Modules that jax compiles."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

import jax

from ...._release import here
from ....errors import ArgumentValueError
from .._checks import not_shared, propagates_values
from .._layout import Layout
from .._outcome import Changed, Traced
from .._prefixes import by_filter
from .._transform import MISSING, Function, R, jit_transform
from ._jitted import Jitted
from .shard_map import Shardings

if TYPE_CHECKING:
    from typing import Unpack

__all__ = ["jit", "jit_partial"]


def _means_the_same(
    in_shardings: object = None,
    static_argnums: object = None,
    static_argnames: object = None,
    **_: object,
) -> bool:
    """Whether Flax's own ``jit`` does what is meant.

    With static arguments it takes the shardings for those of the wrong arguments, and
    on some pairs it raises (jit-passes-abstracted-axes).
    """
    each = isinstance(in_shardings, (tuple, list))
    static = (static_argnums, static_argnames) != (None, None)
    wrong = here.jit_raises or (each and static)
    return here.transforms_take_filters and not wrong


@jit_transform(
    prefixes=("in_shardings", "out_shardings"), native=_means_the_same, takes_old=True
)
def jit(
    fun: Function = MISSING,
    *,
    in_shardings: Shardings = None,
    out_shardings: Shardings = None,
    static_argnums: int | Sequence[int] | None = None,
    static_argnames: str | Iterable[str] | None = None,
    donate_argnums: int | Sequence[int] | None = None,
    donate_argnames: str | Iterable[str] | None = None,
    keep_unused: bool = False,
    device: jax.Device | None = None,
    backend: str | None = None,
    inline: bool = False,
    graph: bool | None = None,
    graph_updates: bool | None = None,
) -> Function:
    """A compiled function over Modules; what it does to its arguments is propagated.

    Without ``fun`` it is a decorator.

    Args:
        fun: takes Modules and arrays.
        in_shardings: a prefix of the arguments: shardings, None, or
            ``nnx.StateSharding`` for a Module. Static arguments have no entry.
        out_shardings: likewise of the output.
        static_argnums: positions of arguments that are static: hashable, and compiled
            for each value.
        static_argnames: names of such.
        donate_argnums: positions of arguments whose memory may be used up.
        donate_argnames: names of such.
        keep_unused: whether arguments that are not used stay arguments.
        device: where to run.
        backend: the platform to run on.
        inline: whether to inline into an enclosing ``jit``.
        graph: True, as there is no tree mode.
        graph_updates: True, as updates are always propagated.
        **old: what the installed Flax takes besides; with any it is the native one.

    Raises:
        ArgumentValueError: ``fun`` is a bound method, or a Module is a sharding.
        RefusedArgumentError: the release cannot do what an argument asks for.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.BatchNorm(2, rngs=nnx.Rngs(0))
        >>> @nnx.jit
        ... def call(model, x):
        ...     return model(x, use_running_average=False)
        >>> call(model, jnp.ones((4, 2))).shape
        (4, 2)
    """
    return Jitted(
        fun,
        in_shardings,
        out_shardings,
        (static_argnums, static_argnames),
        (donate_argnums, donate_argnames),
        keep_unused=keep_unused,
        device=device,
        backend=backend,
        inline=inline,
    )


# -- Compiled functions whose first arguments are bound for good --------------------


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
