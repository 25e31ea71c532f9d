"""One step of an optimizer: optax sees arrays only, in States without Variables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import jax
import jax.numpy as jnp
import optax  # type: ignore[import-not-found]

from ...._release import here
from ....errors import StateStructureError
from ....functional import (
    Filter,
    Nested,
    Path,
    given_leaves,
    is_variable,
    predicate,
    show,
    state,
    stored,
)
from ....revisions import bound, nnx
from ..._pytree_attributes import as_attribute, leaves_of
from ..._variable_attributes import set_value_of, value_of
from .._selection import selected

if TYPE_CHECKING:
    from flax.nnx import Module, State, Variable

    from .classes import Optimizer

M = TypeVar("M")
R = TypeVar("R")


def apply(
    optimizer: Optimizer[M],
    model: M,
    grads: State | Module | Nested,
    kwargs: Mapping[str, object],
) -> optax.Updates:
    """Change the parameters and the state of the optimizer; what was added to them."""
    params = trained(model, optimizer.wrt)
    fitted = _gradients(grads, params, optimizer.wrt)
    arrays = as_attribute({path: stored(leaf) for path, leaf in params.items()})
    before = optimizer.opt_state
    variables, tree = jax.tree_util.tree_flatten(before, is_leaf=is_variable)
    pure = tree.unflatten(map(stored, variables))
    updates, after = optimizer.tx.update(
        as_attribute(fitted), pure, arrays, **_pure(kwargs, params)
    )
    new = leaves_of(optax.apply_updates(arrays, updates))
    # A leaf of the old state may stand for a whole subtree (optax.MaskedNode).
    values = tree.flatten_up_to(after)
    _write(model, params, new)
    for variable, value in zip(variables, values, strict=True):
        bound.write(variable, value)
    set_value_of(optimizer, "step", value_of(optimizer, "step") + 1)
    return updates


def trained(model: Any, wrt: Filter) -> dict[Path, Variable[jax.Array]]:
    """The parameters that ``wrt`` chooses, by path."""
    found = bound.flatten(selected(model, wrt))
    # An absent bias is a Param that holds None, on older releases.
    return {path: leaf for path, leaf in found.items() if stored(leaf) is not None}


def _write(
    model: object,
    params: Mapping[Path, Variable[jax.Array]],
    new: Mapping[Path, jax.Array],
) -> None:
    if isinstance(model, nnx.State):
        for path, leaf in bound.flatten(model).items():
            if path in new:
                bound.write(leaf, new[path])
        return
    leaves = {p: _with_value(leaf, new[p]) for p, leaf in params.items()}
    bound.update(model, bound.unflatten(leaves))


def _with_value(leaf: Variable[R] | R, value: R) -> Variable[R] | R:
    return bound.with_value(leaf, value) if is_variable(leaf) else value


def _gradients(
    grads: State | Module | Nested,
    params: Mapping[Path, Variable[jax.Array]],
    wrt: Filter,
) -> dict[Path, jax.Array]:
    """The value of each gradient, in the order of the parameters, checked."""
    given: Any = state(grads, wrt) if isinstance(grads, nnx.Module) else grads
    flat = given_leaves(given, params, "Optimizer.update")
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


def _pure(
    kwargs: Mapping[str, object], params: Mapping[Path, Variable[jax.Array]]
) -> dict[str, object]:
    """Arguments for ``tx.update``, without Variables, States around arrays."""
    return {
        name: _with_variables(value, params) if callable(value) else _values(value)
        for name, value in kwargs.items()
    }


def _values(tree: object) -> object:
    if isinstance(tree, nnx.State):
        leaves = bound.flatten(tree)
        return as_attribute(
            {p: stored(v) for p, v in leaves.items() if stored(v) is not None}
        )
    return jax.tree_util.tree_map(stored, tree, is_leaf=is_variable)


def _with_variables(
    fn: Callable[..., R], params: Mapping[Path, Variable[jax.Array]]
) -> Callable[..., R]:
    """A ``value_fn`` may merge the parameters, which takes Variables on older releases.

    Newer ones merge bare arrays, and there it is given what optax gives.
    """
    if here.merge_takes_dicts:
        return fn

    def call(*args: object, **kwargs: object) -> R:
        return fn(*map(with_variables, args), **kwargs)

    def with_variables(value: object) -> object:
        if not isinstance(value, (nnx.State, dict)):
            return value
        flat = leaves_of(value)
        if flat.keys() != params.keys():
            return value
        return bound.unflatten({p: _with_value(params[p], v) for p, v in flat.items()})

    return call
