"""``EMA``: the moving average of a model's Variables, which came late."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from ... import facts
from ...errors import ArgumentTypeError, NodeTypeError, StateStructureError
from ...functional import (
    Path,
    clone,
    filter_state,
    get_metadata,
    get_value,
    given_leaves,
    is_variable,
    iter_graph,
    show,
    state,
    variable_type,
    variables,
)
from ...revisions import bound, nnx
from .._attributes import Node, held, held_leaves
from .._parameters import drop

__all__ = ["EMA"]

# From the release on that treats a pytree in an attribute as static, it is marked.
_data: Any = getattr(nnx, "data", lambda value: value)


class EMA(Node):  # type: ignore[misc]
    """The exponential moving average of the Variables of a model.

    Args:
        params: a Module, or a State.
        decay: how much of the average stays at each update, 0 to 1.
        only: a filter; which Variables are averaged.
        graph: ``None`` or ``True``; tree mode cannot be had here.

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
        self, params: Any, decay: float, *, only: Any = ..., graph: bool | None = None
    ) -> None:
        if graph is not None:
            drop("EMA", next(r for r in facts.parameters() if r.name == "graph"), graph)
        self.decay = decay
        self.filter = only
        flat = bound.flatten(_selected(params, only))
        averages = {path: _average(path, leaf) for path, leaf in flat.items()}
        self.params = _data(held(averages))

    def update(self, updates: Any) -> None:
        """Let the averages follow: ``decay * average + (1 - decay) * new``.

        Args:
            updates: a Module or a State of the same structure as ``params``; nested
                dicts of arrays are taken, too.

        Raises:
            StateStructureError: Variables are missing, or a shape is another one.
        """
        averages = held_leaves(self.params)
        if not isinstance(updates, dict):
            updates = _selected(updates, self.filter)
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
        keep = self.decay
        for path, variable in averages.items():
            average = keep * get_value(variable) + (1.0 - keep) * new[path]
            bound.write(variable, average.astype(get_value(variable).dtype))

    def apply_to(self, model: Any) -> Any:
        """A model like this one that has the averages as its Variables.

        They are shared: later updates of the EMA show in it.

        Args:
            model: of the structure that the EMA was made for.

        Returns:
            A new Module; what ``only`` leaves out is a copy of the model's.

        Raises:
            StateStructureError: the model lacks a Variable that is averaged.
            NodeTypeError: a Variable is in a node that cannot be changed, a tuple.

        Example:
            >>> import nnx_compat
        >>> from nnx_compat import nnx
            >>> model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
            >>> ema = nnx.EMA(model, decay=0.9)
            >>> ema_model = ema.apply_to(model)
            >>> vars(ema_model)["kernel"] is ema.params["kernel"]
            True
        """
        made = clone(model)
        found = variables(made)
        averages: dict[Path, Any] = held_leaves(self.params)
        missing = [f"{show(path)}: missing" for path in averages if path not in found]
        if missing:
            raise StateStructureError(
                "EMA.apply_to: the model lacks Variables",
                details=missing,
                instead="a model of the structure that the EMA was made for",
            )
        _exchange(made, {id(found[p]): v for p, v in averages.items()})
        return made


def _exchange(node: Any, wanted: dict[int, Any]) -> None:
    """Put Variables in the place of others, by their ids, wherever they are."""
    done: set[int] = set()
    for _, holder in list(iter_graph(node)):
        if isinstance(holder, (nnx.Module, Node)):
            slots: Any = vars(holder)
        elif isinstance(holder, dict):
            slots = holder
        elif isinstance(holder, list):
            slots = dict(enumerate(holder))
        else:
            continue
        for key, value in list(slots.items()):
            if id(value) in wanted:
                done.add(id(value))
                target = holder if isinstance(holder, list) else slots
                target[key] = wanted[id(value)]
    if len(done) < len(wanted):
        raise NodeTypeError(
            "EMA.apply_to: Variables are in nodes that cannot be changed",
            instead="a Module, a list or a dict in the place of a tuple",
        )


def _selected(params: Any, only: Any) -> Any:
    if isinstance(params, nnx.State):
        return filter_state(params, only)
    return state(params, only)


def _average(path: Path, leaf: Any) -> Any:
    if not is_variable(leaf):
        raise ArgumentTypeError(
            f"EMA only supports Variable leaves, got {type(leaf).__name__} at "
            f"path '{show(path)}'",
            instead="only=nnx.Param, or another filter that selects Variables",
        )
    value = jnp.array(get_value(leaf), copy=True)
    return variable_type(leaf)(value, **get_metadata(leaf))
