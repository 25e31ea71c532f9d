"""NC102: keyword arguments, ``nnx.merge(..., copy=True)``, ``nnx.grad(f, wrt=...)``."""

from __future__ import annotations

from .. import events, members, releases
from ..findings import Problem
from . import Rule


def find(event: events.Call) -> Problem | None:
    """A keyword that the callable does not take on every release that has it."""
    row = members.name(event.path)
    if row is None or not row.parameters:
        return None
    there = members.on(event.path)
    missing = {}
    for keyword in sorted(event.keywords):
        lacks = there & ~members.takes(event.path, keyword)
        if lacks:
            missing[keyword] = lacks
    if not missing:
        return None
    keyword, lacks = max(missing.items(), key=lambda item: item[1].bit_count())
    excluded = 0
    for mask in missing.values():
        excluded |= mask
    taken = members.takes(event.path, keyword)
    others = [f"{k}=" for k in missing if k != keyword]
    more = f"; also {', '.join(others)}" if others else ""
    return Problem(
        f"`{event.path}({keyword}=)` is taken on flax {releases.spelled(taken)}{more}",
        excluded,
        error="TypeError",
        instead=INSTEAD.get((event.path, keyword), ""),
    )


#: What gives the same on every release, where it is one line.
INSTEAD = {
    ("nnx.merge", "copy"): "nnx_compat.merge(...), which always copies the Variables",
    ("nnx.grad", "wrt"): "nnx.grad(f, argnums=nnx.DiffState(0, filter))",
    ("nnx.value_and_grad", "wrt"): (
        "nnx.value_and_grad(f, argnums=nnx.DiffState(0, filter))"
    ),
}

RULE = Rule(
    code="NC102",
    title="an argument that some releases do not take",
    why=(
        "A callable of NNX is there, and has no parameter of this name: it came later, "
        "or is gone. It is a TypeError when the line runs, not when it is imported."
    ),
    before="""\
from flax import nnx

graphdef, state = nnx.split(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
model = nnx.merge(graphdef, state, copy=True)
""",
    after="""\
import nnx_compat as nc
from nnx_compat import nnx

graphdef, state = nc.split(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
model = nc.merge(graphdef, state)
""",
    mend=(
        "Leave the argument out where the default does the same; else use the "
        "operation of nnx_compat, which has one meaning everywhere."
    ),
    event=events.Call,
    find=find,
)
