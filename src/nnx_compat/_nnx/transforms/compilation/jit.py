"""Functions over Modules that jax compiles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import jax

from ...._release import here
from .._transform import MISSING, Function, jit_transform
from ._jitted import Jitted
from .state_sharding import Shardings

__all__ = ["jit"]


def _means_the_same(
    in_shardings: object = None,
    static_argnums: object = None,
    static_argnames: object = None,
    **_: object,
) -> bool:
    """Whether Flax's own ``jit`` does what is meant.

    With static arguments it takes the shardings for those of the wrong arguments.
    """
    each = isinstance(in_shardings, (tuple, list))
    static = (static_argnums, static_argnames) != (None, None)
    return here.transforms_take_filters and not (each and static)


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
