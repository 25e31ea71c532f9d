"""``Optimizer`` with the newest meaning, where Flax has an older one or none.

The newest holds no model: ``update(model, grads)`` is told which one to change, so the
model is not in the optimizer's state and a step takes the two side by side. The older
one holds its model and calls ``update(grads)``; that meaning is ``ModelAndOptimizer``.

This file is also what ``nnx.optimizer`` is where the native module has the older class.
"""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import optax  # type: ignore[import-not-found]

from ... import facts
from ...errors import ArgumentTypeError, StateStructureError
from ...functional import (
    Path,
    filter_state,
    get_metadata,
    given_leaves,
    is_variable,
    predicate,
    show,
    state,
    stored,
)
from ...revisions import bound, flax_version, nnx
from .._attributes import (
    Node,
    held,
    held_leaves,
    hold,
    pytree_attribute,
    read,
    warn_removed,
    write,
)
from .._parameters import drop

__all__ = [
    "ModelAndOptimizer",
    "OptArray",
    "OptState",
    "OptVariable",
    "Optimizer",
    "optimizer",
]

_native: Any = getattr(nnx, "optimizer", None)
_Base: Any = getattr(nnx, "Optimizer", Node)
_MISSING: Any = object()

# -- the Variables ------------------------------------------------------------------


def _variable_type(name: str, base: Any, doc: str) -> Any:
    """Flax's own class where there is one, if only in a submodule."""
    found = getattr(_native, name, None)
    return found or type(name, (base,), {"__doc__": doc, "__module__": __name__})


OptState: Any = _variable_type(
    "OptState", nnx.Variable, "A Variable of an optimizer: its step, or what tx keeps."
)
OptArray: Any = _variable_type(
    "OptArray", OptState, "What tx keeps once for the model, such as adam's count."
)
OptVariable: Any = _variable_type(
    "OptVariable", OptState, "What tx keeps for one Variable, such as its momentum."
)


def to_opt_state(tree: Any) -> Any:
    """A pytree with an ``OptVariable`` for each Variable, an ``OptArray`` for the rest.

    An ``OptVariable`` keeps the metadata of its Variable, so it is sharded alike;
    ``optimizer_sharding`` among them overrides the sharding.
    """
    return jax.tree_util.tree_map(_as_opt_state, tree, is_leaf=is_variable)


def _as_opt_state(leaf: Any) -> Any:
    if not is_variable(leaf):
        return OptArray(leaf)
    metadata = get_metadata(leaf)
    if "optimizer_sharding" in metadata:
        metadata["sharding"] = metadata.pop("optimizer_sharding")
    return OptVariable(stored(leaf), **metadata)


# -- old spellings ------------------------------------------------------------------

#: The models of optimizers, for ``update(grads)``: outside of the graph, for there the
#: model would be part of the optimizer's state, and weak, for it is not ours to keep.
_models: weakref.WeakKeyDictionary[Any, weakref.ref[Any]] = weakref.WeakKeyDictionary()


def remember(optimizer: Any, model: Any) -> None:
    """Note the model of an optimizer that does not hold it."""
    with contextlib.suppress(TypeError):  # a tuple has no weak references
        _models[optimizer] = weakref.ref(model)


def recall(optimizer: Any) -> Any:
    """The model of an optimizer: the one it holds, or was made for; else None."""
    if "model" in vars(optimizer):
        return vars(optimizer)["model"]
    reference = _models.get(optimizer)
    return None if reference is None else reference()


_OLD_CONSTRUCTOR = (
    "nnx.Optimizer(model, tx) without wrt= is the spelling of old releases; "
    "nnx-compat keeps it as a ModelAndOptimizer\n"
    "  instead: nnx.Optimizer(model, tx, wrt=nnx.Param) and update(model, grads)\n"
    "  or:      nnx.ModelAndOptimizer(model, tx)"
)


# -- the optimizer ------------------------------------------------------------------


class Optimizer(_Base):  # type: ignore[misc]
    """Steps of an optax gradient transformation over the parameters of a model.

    Args:
        model: a Module.
        tx: an optax ``GradientTransformation``.
        wrt: a filter; which Variables are trained. The same as in ``nnx.grad``.
        graph: ``None`` or ``True``; tree mode cannot be had here.

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

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        # merge and unpickling make an empty object first, without arguments
        asked = len(args) + ("model" in kwargs)
        if cls is Optimizer and asked and "wrt" not in kwargs:
            warn_removed(_OLD_CONSTRUCTOR)
            cls = ModelAndOptimizer
        return super().__new__(cls)

    def __init__(
        self,
        model: Any,
        tx: Any,
        *old_wrt: Any,
        wrt: Any = _MISSING,
        graph: bool | None = None,
    ) -> None:
        if graph is not None:
            drop("Optimizer", _parameter("graph"), graph)
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
                f"tx is a {type(tx).__name__}", instead="an optax transformation"
            )
        self.step = OptState(jnp.array(0, dtype=jnp.uint32))
        self.tx = tx
        hold(self, "opt_state", to_opt_state(tx.init(held(_trained(model, wrt)))))
        self.wrt = wrt
        remember(self, model)

    def __getattr__(self, name: str) -> Any:
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
            "Optimizer.model, of old releases, is kept by nnx-compat only\n"
            "  instead: pass the model beside the optimizer"
        )
        return model

    def update(
        self, model: Any = _MISSING, grads: Any = _MISSING, **kwargs: Any
    ) -> Any:
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
        return _step(self, model, grads, kwargs)


class ModelAndOptimizer(Optimizer):
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

    def __init__(self, model: Any, tx: Any, wrt: Any = nnx.Param) -> None:
        super().__init__(model, tx, wrt=wrt)
        self.model = model

    def update(self, grads: Any, **kwargs: Any) -> Any:  # type: ignore[override]
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
        return _step(self, vars(self)["model"], grads, kwargs)


#: ``nnx.optimizer``
optimizer = sys.modules[__name__]


def _parameter(name: str) -> facts.Parameter:
    return next(row for row in facts.parameters() if row.name == name)


def _old_arguments(optimizer: Optimizer, model: Any, grads: Any) -> tuple[Any, Any]:
    """``update(grads)``: the model is the one that the optimizer was made for."""
    if grads is _MISSING:
        model, grads = _MISSING, model
    if grads is _MISSING:
        _refuse("update was called without gradients")
    found = model_of(optimizer)
    if "model" not in vars(optimizer):
        warn_removed(
            "Optimizer.update(grads) is the spelling of old releases, kept by "
            "nnx-compat\n  instead: optimizer.update(model, grads)"
        )
    return found, grads


def model_of(optimizer: Any) -> Any:
    """The model of an optimizer, for ``update(grads)``.

    Raises:
        ArgumentTypeError: it does not know it.
    """
    found = recall(optimizer)
    if found is None:
        _refuse(
            "update was given gradients without a model, and this optimizer does not "
            "know its model (it came out of merge, clone or a transform)"
        )
    return found


def _refuse(found: str) -> NoReturn:
    raise ArgumentTypeError(
        found,
        instead="optimizer.update(model, grads)",
        otherwise="nnx.ModelAndOptimizer(model, tx), which holds its model",
    )


# -- one step -----------------------------------------------------------------------


def _step(optimizer: Any, model: Any, grads: Any, kwargs: Mapping[str, Any]) -> Any:
    """Optax sees arrays only, in States without Variables."""
    params = _trained(model, optimizer.wrt)
    fitted = _gradients(grads, params, optimizer.wrt)
    arrays = held({path: stored(leaf) for path, leaf in params.items()})
    kept, tree = jax.tree_util.tree_flatten(optimizer.opt_state, is_leaf=is_variable)
    updates, opt_state = optimizer.tx.update(
        held(fitted), tree.unflatten(map(stored, kept)), arrays, **_pure(kwargs, params)
    )
    new = held_leaves(optax.apply_updates(arrays, updates))
    # A leaf of the old state may stand for a whole subtree (optax.MaskedNode).
    values = tree.flatten_up_to(opt_state)
    _write(model, params, new)
    for variable, value in zip(kept, values, strict=True):
        bound.write(variable, value)
    write(optimizer, "step", read(optimizer, "step") + 1)
    return updates


def _trained(model: Any, wrt: Any) -> dict[Path, Any]:
    chosen = filter_state if isinstance(model, nnx.State) else state
    found = bound.flatten(chosen(model, wrt))
    # An absent bias is a Param that holds None, on older releases.
    return {path: leaf for path, leaf in found.items() if stored(leaf) is not None}


def _write(model: Any, params: Mapping[Path, Any], new: Mapping[Path, Any]) -> None:
    if isinstance(model, nnx.State):
        for path, leaf in bound.flatten(model).items():
            if path in new:
                bound.write(leaf, new[path])
        return
    leaves = {p: _with_value(leaf, new[p]) for p, leaf in params.items()}
    bound.update(model, bound.unflatten(leaves))


def _with_value(leaf: Any, value: Any) -> Any:
    return bound.with_value(leaf, value) if is_variable(leaf) else value


def _gradients(grads: Any, params: Mapping[Path, Any], wrt: Any) -> dict[Path, Any]:
    """The value of each gradient, in the order of the parameters, checked."""
    if isinstance(grads, nnx.Module):
        grads = state(grads, wrt)
    flat = given_leaves(grads, params, "Optimizer.update")
    chosen = predicate(wrt)
    problems = [f"{show(path)}: no gradient" for path in params if path not in flat]
    fitted = {}
    for path, leaf in flat.items():
        value = stored(leaf)
        if path not in params:  # a gradient that wrt leaves out is not used
            wanted = value is not None and chosen(path, leaf)
            if not is_variable(leaf) or wanted:
                problems.append(f"{show(path)}: not one of the parameters")
            continue
        was, now = jnp.shape(stored(params[path])), jnp.shape(value)
        if was != now:
            problems.append(f"{show(path)}: shape was {was}, of the gradient {now}")
        fitted[path] = value
    if problems:
        raise StateStructureError(
            "Optimizer.update: the gradients do not fit the model",
            details=problems,
            instead="gradients of the same filter, nnx.grad(loss, "
            "argnums=nnx.DiffState(0, wrt))(model)",
        )
    return {path: fitted[path] for path in params}


def _pure(kwargs: Mapping[str, Any], params: Mapping[Path, Any]) -> dict[str, Any]:
    """Arguments for ``tx.update``, without Variables, States around arrays."""
    return {
        name: _with_variables(value, params) if callable(value) else _values(value)
        for name, value in kwargs.items()
    }


def _values(tree: Any) -> Any:
    if isinstance(tree, nnx.State):
        leaves = bound.flatten(tree)
        return held({p: stored(v) for p, v in leaves.items() if stored(v) is not None})
    return jax.tree_util.tree_map(stored, tree, is_leaf=is_variable)


def _with_variables(
    fn: Callable[..., Any], params: Mapping[Path, Any]
) -> Callable[..., Any]:
    """A ``value_fn`` may merge the parameters, which takes Variables on older releases.

    Newer ones merge bare arrays, and there it is given what optax gives.
    """
    if facts.behaviour("merge-takes-plain-dicts").holds(flax_version):
        return fn

    def call(*args: Any, **kwargs: Any) -> Any:
        return fn(*map(typed, args), **kwargs)

    def typed(value: Any) -> Any:
        if not isinstance(value, (nnx.State, dict)):
            return value
        flat = held_leaves(value)
        if flat.keys() != params.keys():
            return value
        return bound.unflatten({p: _with_value(params[p], v) for p, v in flat.items()})

    return call
