"""NC325: a Module, a Variable or an array in the place of None."""

from __future__ import annotations

from .. import events, kinds, masks, releases
from ..findings import Problem, works_on
from ..values import Instance
from . import Rule


def find(event: events.Stored) -> Problem | None:
    """``self.x = None``, and data in its place later."""
    if not event.emptied or not kinds.is_module(Instance(event.owner)):
        return None
    if not kinds.is_data(event.known):
        return None
    refused = masks.behaviour("list-of-modules-is-refused")
    if not event.owner.pytree:
        refused &= ~masks.behaviour("module-may-be-no-pytree")
    return works_on(
        releases.ALL & ~refused,
        f"`self.{event.name}` is a constant, and data takes its place, on flax",
        error="ValueError",
        instead="one assignment, as in `self.x = layer if wanted else None`",
    )


RULE = Rule(
    code="NC325",
    title="a Module, a Variable or an array in the place of None",
    why=(
        "Whether an attribute is data is settled when it is assigned first: None is "
        "not. The newest releases refuse to put a Module, a Variable or an array there "
        "later."
    ),
    before="""\
from flax.experimental import nnx


class Block(nnx.Module):
    def __init__(self, rngs, bottleneck):
        self.narrow = None
        if bottleneck:
            self.narrow = nnx.Linear(2, 1, rngs=rngs)


block = Block(nnx.Rngs(0), True)
""",
    after="""\
from nnx_compat import nnx


class Block(nnx.Module):
    def __init__(self, rngs, bottleneck):
        self.narrow = nnx.Linear(2, 1, rngs=rngs) if bottleneck else None


block = Block(nnx.Rngs(0), True)
""",
    remedy="Assign it once: `self.x = layer if wanted else None`.",
    event=events.Stored,
    find=find,
    compat=True,
)
