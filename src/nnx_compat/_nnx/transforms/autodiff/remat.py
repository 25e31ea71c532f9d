"""Functions whose intermediate values are computed again for the gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax

from ...._release import here
from .._lifted import Lifted, lift
from .._transform import MISSING, Function, transform

__all__ = ["remat"]


@transform(native=here.transforms_take_filters, takes_old=True)
def remat(
    f: Function = MISSING,
    *,
    prevent_cse: bool = True,
    static_argnums: int | Sequence[int] = (),
    policy: Callable[..., bool] | None = None,
    graph: bool | None = None,
    graph_updates: bool | None = None,
) -> Function:
    """A function whose intermediate values are computed again for the gradient.

    What it does to its arguments is propagated. Without ``f`` it is a decorator.

    Args:
        f: takes Modules and arrays, by position.
        prevent_cse: whether jax is to keep the compiler from undoing it.
        static_argnums: positions of arguments that are static.
        policy: what to keep, one of ``jax.checkpoint_policies``.
        graph: True, as there is no tree mode.
        graph_updates: True, as updates are always propagated.
        **old: what the installed Flax takes besides; with any it is the native one.

    Raises:
        ArgumentValueError: ``f`` is a bound method of a Module.
        RefusedArgumentError: one of the modes is False.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> call = nnx.remat(lambda model, x: model(x))
        >>> grads = nnx.grad(lambda model: call(model, jnp.ones((1, 2))).sum())(model)
        >>> [g.shape for g in jax.tree_util.tree_leaves(grads)]
        [(3,), (2, 3)]
    """

    def run(lifted: Lifted) -> Sequence[jax.Array]:
        checkpoint = jax.checkpoint(lifted, prevent_cse=prevent_cse, policy=policy)
        arrays: list[jax.Array] = checkpoint(lifted.arrays)
        return arrays

    return lift(f, run, static=static_argnums)
