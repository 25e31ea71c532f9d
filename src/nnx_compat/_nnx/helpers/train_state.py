"""``TrainState`` as it is today, for the first releases.

There it was an NNX Pytree of another layout, without ``create`` and ``opt_state``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

import jax
import jax.numpy as jnp
import optax  # type: ignore[import-not-found]
from flax import struct

from ...errors import ArgumentTypeError, kind_of
from ...revisions import nnx
from ..graphlib.calling import Call

if TYPE_CHECKING:
    from flax.nnx import GraphDef, State

__all__ = ["TrainState"]

_N = TypeVar("_N")


class TrainState(Generic[_N], struct.PyTreeNode):  # type: ignore[misc]
    """Parameters, optimizer and step as one pytree, for ``jax.jit`` without NNX.

    Add fields by subclassing.

    Attributes:
        graphdef: the structure of the model.
        params: the State that is trained.
        opt_state: what ``tx`` keeps for it.
        step: how many updates there were, an integer array.
        tx: the optax ``GradientTransformation``.

    Example:
        >>> import optax
        >>> from nnx_compat import nnx
        >>> graphdef, params = nnx.split(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
        >>> state = nnx.TrainState.create(graphdef, params=params, tx=optax.sgd(0.1))
        >>> state = state.apply_gradients(params)
        >>> int(state.step)
        1
    """

    graphdef: GraphDef[_N]
    params: State
    opt_state: optax.OptState
    step: jax.Array
    tx: optax.GradientTransformation = struct.field(pytree_node=False)

    @classmethod
    def create(
        cls,
        graphdef: GraphDef[_N],
        *,
        params: State,
        tx: optax.GradientTransformation,
        step: int = 0,
        **kwargs: Any,
    ) -> TrainState[_N]:
        """Start to train: ``opt_state`` is that of ``tx.init(params)``."""
        return cls(
            graphdef=graphdef,
            params=params,
            opt_state=tx.init(params),
            step=jnp.asarray(step),
            tx=tx,
            **kwargs,
        )

    def apply(self, state: State | str, *states: State | str) -> Call:
        """The model with these states, to be called, or a method of it.

        Args:
            state: a State, or the name of a field that holds one.
            *states: further ones.

        Returns:
            What takes the arguments of the model and gives its result and
            ``(graphdef, state)`` after the call.
        """
        given = [
            getattr(self, s) if isinstance(s, str) else s for s in (state, *states)
        ]
        for one in given:
            if not isinstance(one, nnx.State):
                raise ArgumentTypeError(
                    f"apply needs States and was given {kind_of(one)}",
                    instead="state.apply('params')(x)",
                )
        return Call((self.graphdef, *given))

    def apply_gradients(self, grads: State, **kwargs: Any) -> TrainState[_N]:
        """A new ``TrainState`` after one update; ``kwargs`` replace further fields."""
        updates, opt_state = self.tx.update(grads, self.opt_state, self.params)
        new: TrainState[_N] = self.replace(
            params=optax.apply_updates(self.params, updates),
            opt_state=opt_state,
            step=self.step + 1,
            **kwargs,
        )
        return new
