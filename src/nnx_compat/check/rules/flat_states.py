"""NC347: ``state.flat_state().items()``: a dict once, and a sequence of pairs since."""

from __future__ import annotations

from .. import events, masks, releases
from ..findings import Problem, works_on
from ..values import FLAT_STATE
from . import Rule

_OF_A_DICT = ("items", "keys", "values", "get", "pop", "update", "copy", "setdefault")


def find(event: events.Attribute) -> Problem | None:
    """A method of dicts, of what ``flat_state`` gives."""
    if event.owner.kind != FLAT_STATE or event.node.attr not in _OF_A_DICT:
        return None
    return works_on(
        releases.ALL & ~masks.behaviour("state-flat-is-a-sequence"),
        f"`flat_state().{event.node.attr}` is of a dict, which it is on flax",
        error="AttributeError",
        instead="nnx_compat.to_flat_state(state), which is a dict on every release",
    )


RULE = Rule(
    code="NC347",
    title="a method of dicts, of a flat state",
    why=(
        "`flat_state` of a State gave a dict of paths. Newer releases give a sequence "
        "of pairs, which has no `.items()`."
    ),
    before="""\
from flax import nnx

state = nnx.state(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
assert len(state.flat_state().items()) == 2
""",
    after="""\
import nnx_compat as nc
from nnx_compat import nnx

state = nc.state(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
assert len(nc.to_flat_state(state).items()) == 2
""",
    remedy="`nnx_compat.to_flat_state(state)`.",
    event=events.Attribute,
    find=find,
)
