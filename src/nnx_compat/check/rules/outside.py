"""NC106: names of flax outside of NNX: ``flax.typing.PromoteDtypeFn``."""

from __future__ import annotations

from .. import events, masks, releases
from ..findings import Problem, works_on
from . import Rule


def find(event: events.Outside) -> Problem | None:
    """A name of flax that not every release has."""
    there = masks.outside(event.path)
    if there == releases.ALL:
        return None
    return works_on(there, f"`{event.path}` is in flax", error=event.error)


RULE = Rule(
    code="NC106",
    title="a name of flax, outside of NNX, that some releases do not have",
    why=(
        "What is beside NNX in flax changes too: types, settings, helpers for "
        "checkpoints. nnx_compat does not stand in for those."
    ),
    before="""\
from flax.experimental import nnx
from flax.typing import PromoteDtypeFn

assert PromoteDtypeFn is not None
""",
    after="""\
import typing

from nnx_compat import nnx

PromoteDtypeFn = typing.Callable[..., typing.Any]
assert nnx.Linear is not None
""",
    remedy="Define it beside your code, or try the import and go on without it.",
    event=events.Outside,
    find=find,
)
