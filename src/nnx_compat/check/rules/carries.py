"""NC351: the first carry of a recurrent cell, without random streams."""

from __future__ import annotations

from .. import events, masks, releases
from ..findings import Problem
from ..syntax import dotted
from . import Rule

_PATHS = frozenset(
    f"nnx.{cell}.initialize_carry"
    for cell in ("LSTMCell", "OptimizedLSTMCell", "GRUCell", "SimpleCell")
)


def find(event: events.Call) -> Problem | None:
    """A carry that is to be drawn from streams which the cell does not keep."""
    if event.path not in _PATHS or event.open or "carry_init" in event.keywords:
        return None
    call = event.node
    streams = [*call.args[1:], *(k.value for k in call.keywords if k.arg == "rngs")]
    cell = dotted(call.func).rpartition(".")[0]
    if streams and dotted(streams[0]) != f"{cell}.rngs":
        return None
    keeps = masks.behaviour("cell-keeps-its-rngs")
    return Problem(
        "a cell has the Rngs that `initialize_carry` draws from on flax "
        f"{releases.spelled(keeps)}",
        masks.on(event.path) & ~keeps,
        error="ValueError",
        instead="cell.initialize_carry(shape, rngs), with streams of your own",
    )


RULE = Rule(
    code="NC351",
    title="the first carry of a recurrent cell",
    why=(
        "A cell kept the Rngs that it was made with, and drew its first carry from it. "
        "Newer ones keep none unless they are told to, with `keep_rngs=True`."
    ),
    before="""\
from flax import nnx

cell = nnx.LSTMCell(2, 3, rngs=nnx.Rngs(0))
carry = cell.initialize_carry((1, 2))
""",
    after="""\
from nnx_compat import nnx

cell = nnx.LSTMCell(2, 3, rngs=nnx.Rngs(0))
carry = cell.initialize_carry((1, 2), nnx.Rngs(1))
""",
    remedy="`cell.initialize_carry(shape, rngs)`, with streams of your own.",
    event=events.Call,
    find=find,
    compat=True,
)
