"""``Optimizer`` and ``ModelAndOptimizer``, with the spellings of older releases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

import jax.numpy as jnp

from ...._release import native
from ....errors import ArgumentTypeError, kind_of
from ....functional import Filter, Nested
from ....revisions import nnx
from ... import newest
from ..._node import Node
from ..._parameters import check
from ..._pytree_attributes import as_attribute, pytree_attribute, set_pytree
from ..._warnings import warn_removed
from .models import model_of, recall, refuse, remember
from .steps import apply, trained
from .variables import OptState, to_opt_state

if TYPE_CHECKING:
    import optax  # type: ignore[import-not-found]
    from flax.nnx import State
    from typing_extensions import Self

__all__ = ["ModelAndOptimizer", "Optimizer"]

M = TypeVar("M")
_Base: Any = native.get("Optimizer", Node)
_MISSING: Any = object()

_OLD_CONSTRUCTOR = (
    "nnx.Optimizer(model, tx) without wrt= is the spelling of old releases; "
    "nnx-compat makes a ModelAndOptimizer of it\n"
    "  instead: nnx.Optimizer(model, tx, wrt=nnx.Param) and update(model, grads)\n"
    "  or:      nnx.ModelAndOptimizer(model, tx)"
)


# Generic comes last: on some of these releases Flax's own is not, and where it is one,
# it has to precede what it derives from.
class Optimizer(_Base, Generic[M]):  # type: ignore[misc]
    """Steps of an optax gradient transformation over the parameters of a model.

    Args:
        model: a Module.
        tx: an optax ``GradientTransformation``.
        wrt: a filter; which Variables are trained. The same as in ``nnx.grad``.
        graph: None or True: this release has no tree mode.

    Attributes:
        step: an ``OptState``, how many updates there were (uint32).
        tx: the transformation.
        opt_state: its state, with ``OptVariable`` and ``OptArray`` leaves.
        wrt: the filter.

    Two spellings of older releases are taken with a ``RemovedNameWarning``:
    ``Optimizer(model, tx)`` makes a ``ModelAndOptimizer``, and ``update(grads)`` finds
    the model that the optimizer was made for. Inside ``nnx.jit`` and after ``merge`` it
    cannot, and says so.

    Example:
        >>> import optax
        >>> from nnx_compat import nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> optimizer = nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param)
        >>> loss = lambda model: (model(jnp.ones((1, 2))) ** 2).mean()
        >>> before = loss(model)
        >>> _ = optimizer.update(model, nnx.grad(loss)(model))
        >>> bool(loss(model) < before)
        True
    """

    opt_state: Any = pytree_attribute()

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        # merge and unpickling make an empty object first, without arguments
        has_model = bool(args) or "model" in kwargs
        if cls is Optimizer and has_model and "wrt" not in kwargs:
            warn_removed(_OLD_CONSTRUCTOR)
            cls = ModelAndOptimizer
        made: Self = super().__new__(cls)
        return made

    def __init__(
        self,
        model: M,
        tx: optax.GradientTransformation,
        *old_wrt: Filter,
        wrt: Filter = _MISSING,
        graph: bool | None = None,
    ) -> None:
        if graph is not None:
            check("Optimizer", graph=graph)
        if wrt is _MISSING:  # a subclass written for the older one
            warn_removed(_OLD_CONSTRUCTOR)
            self.model = model
            wrt = old_wrt[0] if old_wrt else nnx.Param
        elif old_wrt:
            raise ArgumentTypeError(
                f"nnx.Optimizer takes model and tx, and was given {len(old_wrt)} more",
                instead="nnx.Optimizer(model, tx, wrt=...)",
            )
        if not callable(getattr(tx, "update", None)):
            raise ArgumentTypeError(
                f"tx is {kind_of(tx)}", instead="an optax transformation"
            )
        self.step = OptState(jnp.array(0, dtype=jnp.uint32))
        self.tx = tx
        params = as_attribute(trained(model, wrt))
        # on newer releases what a tuple holds is data only where it is said to be
        opt_state = newest("data")(to_opt_state(tx.init(params)))
        set_pytree(self, "opt_state", opt_state)
        self.wrt = wrt
        remember(self, model)

    def __getattr__(self, name: str) -> M:
        if name != "model":
            raise AttributeError(
                f"{type(self).__name__!r} object has no attribute {name!r}"
            )
        model = recall(self)
        if model is None:
            raise AttributeError(
                "an Optimizer made with wrt= has no attribute 'model': it holds none\n"
                "  instead: pass the model beside it\n"
                "  or:      nnx.ModelAndOptimizer(model, tx)"
            )
        warn_removed(
            "Optimizer.model, of old releases, is in nnx-compat only\n"
            "  instead: pass the model beside the optimizer"
        )
        return model

    def update(
        self,
        model: M = _MISSING,
        grads: State | Nested = _MISSING,
        **kwargs: object,
    ) -> optax.Updates:
        """Change the model's parameters and the state of the optimizer by one step.

        Args:
            model: the Module that the optimizer was made for, or a copy of it.
            grads: the gradients, as ``nnx.grad`` gives them: a State with the paths of
                ``nnx.state(model, wrt)``. Nested dicts of arrays are taken, too.
            **kwargs: passed to ``tx.update``, Variables as their values.

        Returns:
            What was added to the parameters: a State of arrays, or nested dicts on the
            first releases, whose State cannot show arrays.

        Raises:
            StateStructureError: ``grads`` lacks parameters, or has others, or a shape
                is not that of its parameter; nothing has changed then.

        Example:
            >>> import nnx_compat, optax
            >>> from nnx_compat import nnx
            >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
            >>> optimizer = nnx.Optimizer(model, optax.sgd(0.5), wrt=nnx.Param)
            >>> loss = lambda model: model(jnp.zeros((1, 2))).sum()
            >>> _ = optimizer.update(model, nnx.grad(loss)(model))
            >>> nnx_compat.to_pure_dict(nnx_compat.state(model))["bias"].tolist()
            [-0.5, -0.5, -0.5]
        """
        if model is _MISSING or grads is _MISSING:
            model, grads = _old_arguments(self, model, grads)
        return apply(self, model, grads, kwargs)


class ModelAndOptimizer(Optimizer[M]):
    """An ``Optimizer`` that holds its model, as all once did.

    Args:
        model: a Module; it is an attribute, and part of the state.
        tx: an optax ``GradientTransformation``.
        wrt: a filter; which Variables are trained.

    Example:
        >>> import optax
        >>> from nnx_compat import nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> both = nnx.ModelAndOptimizer(model, optax.sgd(1))
        >>> loss = lambda model: (model(jnp.ones((1, 2))) ** 2).mean()
        >>> _ = both.update(nnx.grad(loss)(both.model))
        >>> type(both.model).__name__
        'Linear'
    """

    def __init__(
        self, model: M, tx: optax.GradientTransformation, wrt: Filter = nnx.Param
    ) -> None:
        super().__init__(model, tx, wrt=wrt)
        self.model = model

    def update(  # type: ignore[override]
        self, grads: State | Nested, **kwargs: object
    ) -> optax.Updates:
        """Change the model and the state of the optimizer by one step.

        Args:
            grads: the gradients, as ``nnx.grad`` gives them.
            **kwargs: passed to ``tx.update``, Variables as their values.

        Returns:
            What was added to the parameters: a State of arrays.

        Raises:
            StateStructureError: ``grads`` does not fit the parameters.

        Example:
            >>> import optax
            >>> from nnx_compat import nnx
            >>> both = nnx.ModelAndOptimizer(
            ...     nnx.Linear(2, 3, use_bias=False, rngs=nnx.Rngs(0)), optax.sgd(1)
            ... )
            >>> loss = lambda model: model(jnp.ones((1, 2))).sum()
            >>> before = loss(both.model)
            >>> _ = both.update(nnx.grad(loss)(both.model))
            >>> bool(loss(both.model) < before)
            True
        """
        return apply(self, vars(self)["model"], grads, kwargs)


def _old_arguments(
    optimizer: Optimizer[M], model: Any, grads: Any
) -> tuple[M, State | Nested]:
    """``update(grads)``: the model is the one that the optimizer was made for."""
    if grads is _MISSING:
        model, grads = _MISSING, model
    if grads is _MISSING:
        refuse("update was called without gradients")
    found = model_of(optimizer)
    if "model" not in vars(optimizer):
        warn_removed(
            "Optimizer.update(grads) is the spelling of old releases, which "
            "nnx-compat alone takes\n  instead: optimizer.update(model, grads)"
        )
    return found, grads
