"""NC301: ``nnx.VariableState(type, value)``, a Variable on newer releases."""

from __future__ import annotations

from .. import events, masks, releases
from ..findings import Problem
from ..rewrites import Rewrite
from . import Rule


def find(event: events.Call) -> Problem | None:
    """The constructor of a leaf, with the type first."""
    if event.path != "nnx.VariableState" or event.open:
        return None
    if event.given("type", "value") != 2:
        return None
    # ** metadata would take type=: what decides is the parameter of that name
    takes = masks.named("nnx.VariableState", "type")
    where = releases.spelled(takes)
    return Problem(
        f"`nnx.VariableState(type, value)` is made so on flax {where}",
        masks.on(event.path) & ~takes,
        error="TypeError",
        instead="type(value), a Variable; nnx_compat.from_flat_state for a whole state",
        rewrite=_rewrite(event, masks.on(event.path) & ~takes),
    )


def _rewrite(event: events.Call, since: int) -> Rewrite | None:
    if event.keywords:
        return None
    kind, value = event.node.args
    return Rewrite(event.node, "", "{t}({x})", {"t": kind, "x": value}, since)


RULE = Rule(
    code="NC301",
    title="VariableState(type, value)",
    why=(
        "A leaf of a state was a VariableState with a type and a value. Since states "
        "hold Variables the name stands for Variable, which takes a value only."
    ),
    before="""\
from flax.experimental import nnx

leaf = nnx.VariableState(nnx.Param, 1.0)
assert leaf.value == 1.0
""",
    remedy="Make the Variable, `nnx.Param(value)`: states of nnx_compat take it.",
    event=events.Call,
    find=find,
)
