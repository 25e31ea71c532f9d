"""``TrainState`` as it is today, for the first releases.

There it was an NNX Pytree of another layout, without ``create`` and ``opt_state``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import optax  # type: ignore[import-not-found]
from flax import struct

from ...errors import ArgumentTypeError
from ...functional import merge, split
from ...revisions import nnx

__all__ = ["TrainState"]


class TrainState(struct.PyTreeNode):  # type: ignore[misc]
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

    graphdef: Any
    params: Any
    opt_state: Any
    step: Any
    tx: Any = struct.field(pytree_node=False)

    @classmethod
    def create(
        cls, graphdef: Any, *, params: Any, tx: Any, step: int = 0, **kwargs: Any
    ) -> Any:
        """Start to train: ``opt_state`` is that of ``tx.init(params)``."""
        return cls(
            graphdef=graphdef,
            params=params,
            opt_state=tx.init(params),
            step=jnp.asarray(step),
            tx=tx,
            **kwargs,
        )

    def apply(self, state: Any, *states: Any) -> Any:
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
                    f"apply needs States and was given a {type(one).__name__}",
                    instead="state.apply('params')(x)",
                )
        return _Apply(self.graphdef, given, lambda model: model)

    def apply_gradients(self, grads: Any, **kwargs: Any) -> Any:
        """A new ``TrainState`` after one update; ``kwargs`` replace further fields."""
        updates, opt_state = self.tx.update(grads, self.opt_state, self.params)
        return self.replace(
            params=optax.apply_updates(self.params, updates),
            opt_state=opt_state,
            step=self.step + 1,
            **kwargs,
        )


class _Apply:
    """A model to be made, and what of it is to be called."""

    def __init__(
        self, graphdef: Any, states: list[Any], reach: Callable[[Any], Any]
    ) -> None:
        self._made = graphdef, states, reach

    def __getattr__(self, name: str) -> _Apply:
        if name.startswith("__"):
            raise AttributeError(name)
        graphdef, states, reach = self._made
        return _Apply(graphdef, states, lambda model: getattr(reach(model), name))

    def __getitem__(self, key: Any) -> _Apply:
        graphdef, states, reach = self._made
        return _Apply(graphdef, states, lambda model: reach(model)[key])

    def __call__(self, *args: Any, **kwargs: Any) -> tuple[Any, tuple[Any, Any]]:
        graphdef, states, reach = self._made
        model = merge(graphdef, *states)
        result = reach(model)(*args, **kwargs)
        return result, split(model)
