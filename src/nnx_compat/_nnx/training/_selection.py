"""The part of a model that is trained or averaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...functional import Filter, filter_state, state
from ...revisions import nnx

if TYPE_CHECKING:
    from flax.nnx import Module, State


def selected(model: Module | State, chosen: Filter) -> State:
    """The Variables of a model, or of a State of one, that a filter chooses."""
    if isinstance(model, nnx.State):
        return filter_state(model, chosen)
    return state(model, chosen)
