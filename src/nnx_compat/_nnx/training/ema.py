"""``EMA``: the moving average of a model's Variables, which came late."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import jax
import jax.numpy as jnp

from ...errors import ArgumentTypeError, StateStructureError
from ...functional import (
    Filter,
    Path,
    clone,
    get_value,
    given_leaves,
    is_variable,
    own_metadata,
    show,
    stored,
    variable_type,
    variables,
)
from ...revisions import bound
from .. import newest
from .._node import Node
from .._parameters import check
from .._pytree_attributes import as_attribute, leaves_of
from ..graphlib._rewiring import rewired
from ._selection import selected

if TYPE_CHECKING:
    from flax.nnx import Module, State, Variable

__all__ = ["EMA"]

M = TypeVar("M", bound="Module")


class EMA(Node):  # type: ignore[misc]
    """The exponential moving average of the Variables of a model.

    Args:
        params: a Module, or a State.
        decay: how much of the average stays at each update, 0 to 1.
        only: a filter; which Variables are averaged.
        graph: None or True: this release has no tree mode.

    Attributes:
        decay: as given.
        filter: ``only``.
        params: the averages; Variables of the types and metadata of the model's.

    Raises:
        ArgumentTypeError: ``only`` selects a bare array.

    Example:
        >>> import nnx_compat
        >>> from nnx_compat import nnx
        >>> class Model(nnx.Module):
        ...     def __init__(self, value):
        ...         self.w = nnx.Param(jnp.array(value))
        >>> ema = nnx.EMA(Model(0.0), decay=0.75)
        >>> ema.update(Model(8.0))
        >>> averaged = nnx_compat.state(ema.apply_to(Model(0.0)))
        >>> float(nnx_compat.to_pure_dict(averaged)["w"])
        2.0
    """

    def __init__(
        self,
        params: Module | State,
        decay: float,
        *,
        only: Filter = ...,
        graph: bool | None = None,
    ) -> None:
        if graph is not None:
            check("EMA", graph=graph)
        self.decay = decay
        self.filter = only
        flat = bound.flatten(selected(params, only))
        # An absent bias is a Param that holds None, on older releases.
        averages = {
            path: _average(path, leaf)
            for path, leaf in flat.items()
            if stored(leaf) is not None
        }
        # a State is static as an attribute, on some releases, unless it is marked
        self.params = newest("data")(as_attribute(averages))

    def update(self, updates: Module | State | dict[Any, Any]) -> None:
        """Let the averages follow: ``decay * average + (1 - decay) * new``.

        Args:
            updates: a Module or a State of the same structure as ``params``; nested
                dicts of arrays are taken, too.

        Raises:
            StateStructureError: Variables are missing, or a shape is another one.
        """
        averages = leaves_of(self.params)
        if not isinstance(updates, dict):
            updates = selected(updates, self.filter)
        flat = given_leaves(updates, averages, "EMA.update")
        new = {path: get_value(leaf) for path, leaf in flat.items()}
        problems = [f"{show(path)}: missing" for path in averages if path not in new]
        problems += [
            f"{show(p)}: shape was {jnp.shape(get_value(v))}, is {jnp.shape(new[p])}"
            for p, v in averages.items()
            if p in new and jnp.shape(get_value(v)) != jnp.shape(new[p])
        ]
        if problems:
            raise StateStructureError(
                "EMA.update: the new values do not fit the averages",
                details=problems,
                instead="a model of the structure that the EMA was made for",
            )
        for path, variable in averages.items():
            old = get_value(variable)
            average = self.decay * old + (1.0 - self.decay) * new[path]
            bound.write(variable, average.astype(old.dtype))

    def apply_to(self, model: M) -> M:
        """A model like this one that has the averages as its Variables.

        They are shared: later updates of the EMA show in it.

        Args:
            model: of the structure that the EMA was made for.

        Returns:
            A new Module; what ``only`` leaves out is a copy of the model's.

        Raises:
            StateStructureError: the model lacks a Variable that is averaged.

        Example:
            >>> from nnx_compat import nnx
            >>> model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
            >>> ema = nnx.EMA(model, decay=0.9)
            >>> ema_model = ema.apply_to(model)
            >>> vars(ema_model)["kernel"] is ema.params["kernel"]
            True
        """
        averaged: M = clone(model)
        found = variables(averaged)
        averages = leaves_of(self.params)
        missing = [f"{show(path)}: missing" for path in averages if path not in found]
        if missing:
            raise StateStructureError(
                "EMA.apply_to: the model lacks Variables",
                details=missing,
                instead="a model of the structure that the EMA was made for",
            )
        return rewired(averaged, standing={id(found[p]): averages[p] for p in averages})


def _average(path: Path, leaf: Variable[jax.Array]) -> Variable[jax.Array]:
    if not is_variable(leaf):
        raise ArgumentTypeError(
            f"EMA only supports Variable leaves, got {type(leaf).__name__} at "
            f"path '{show(path)}'",
            instead="only=nnx.Param, or another filter that selects Variables",
        )
    value = jnp.array(get_value(leaf), copy=True)
    return variable_type(leaf)(value, **own_metadata(leaf))
