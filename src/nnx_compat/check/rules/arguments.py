"""NC102: keyword arguments, ``nnx.merge(..., copy=True)``, ``nnx.grad(f, wrt=...)``."""

from __future__ import annotations

import ast

from ... import facts
from .. import events, masks, releases
from ..findings import Problem
from ..rewrites import Rewrite, positional
from . import Rule


def find(event: events.Call) -> Problem | None:
    """A keyword that the callable does not take on every release that has it."""
    row = masks.name(event.path)
    if row is None or not row.parameters:
        return _of_method(event)
    there = masks.native(event.path) if event.compat else masks.on(event.path)
    missing = {}
    given = event.keywords
    if event.compat and event.path[4:5].islower():
        # such a function takes them, and says when it cannot do what they are for
        given -= {parameter.name for parameter in facts.parameters()}
    for keyword in sorted(given):
        lacks = there & ~masks.takes(event.path, keyword)
        if lacks:
            missing[keyword] = lacks
    if not missing:
        return None
    keyword, lacks = max(missing.items(), key=lambda item: item[1].bit_count())
    excluded = 0
    for mask in missing.values():
        excluded |= mask
    taken = releases.ALL & ~lacks if event.compat else masks.takes(event.path, keyword)
    others = [f"{k}=" for k in missing if k != keyword]
    more = f"; also {', '.join(others)}" if others else ""
    return Problem(
        f"`{event.path}({keyword}=)` is taken on flax {releases.spelled(taken)}{more}",
        excluded,
        error="TypeError",
        instead=INSTEAD.get((event.path, keyword), ""),
        rewrite=_rewrite(event, keyword),
    )


def _of_method(event: events.Call) -> Problem | None:
    """The same, of an instance that is called, or of a method of a metric."""
    call = facts.call(event.path)
    if call is None or not call.named:
        return None
    there = releases.of(call.intervals)
    for keyword in sorted(event.keywords):
        taken = releases.of(call.swallows) | releases.of(call.named.get(keyword, ()))
        if there & ~taken and (taken or masks.name(event.path.rpartition(".")[0])):
            called = event.path.removesuffix(".__call__").removeprefix("nnx.")
            return Problem(
                f"calling a `{called}` with `{keyword}=` is taken on flax "
                f"{releases.spelled(taken)}",
                there & ~taken,
                error="TypeError",
            )
    return None


def _rewrite(event: events.Call, keyword: str) -> Rewrite | None:
    given = {k.arg: k for k in event.node.keywords}
    differentiates = event.path in ("nnx.grad", "nnx.value_and_grad")
    if differentiates and keyword == "wrt" and "argnums" not in given:
        form, since = "argnums={nnx}.DiffState(0, {x})", masks.on("nnx.DiffState")
        return Rewrite(given["wrt"], form, form, {"x": given["wrt"].value}, since)
    copies = event.path == "nnx.merge" and given.keys() == {"copy"}
    value = given["copy"].value if copies else None
    if isinstance(value, ast.Constant) and value.value is True:
        fields, parts = positional(event.node)
        return Rewrite(event.node, f"{{nc}}.merge({fields})", parts=parts)
    return None


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
    remedy=(
        "Leave the argument out where the default does the same; else use the "
        "operation of nnx_compat, which has one meaning everywhere."
    ),
    event=events.Call,
    find=find,
    compat=True,
)
