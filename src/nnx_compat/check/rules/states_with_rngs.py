"""NC402: arithmetic on a whole state that holds random streams too."""

from __future__ import annotations

import ast

from .. import events, masks, releases
from ..findings import Problem
from ..values import ClassInfo, Instance, Value
from . import Rule

_MAPS = (
    "jax.tree.map", "jax.tree_map", "jax.tree_util.tree_map", "jax.tree.map_with_path",
)  # fmt: skip


def find(event: events.Call) -> Problem | None:
    """``tree_map`` with arithmetic over a state that nothing was filtered out of."""
    if event.path not in _MAPS or len(event.arguments) < 2:
        return None
    state = event.arguments[1]
    if not isinstance(state, Instance) or state.kind != "nnx.State" or state.filtered:
        return None
    if not _computes(event.node.args[0]) or not _has_rngs(state.origin, set()):
        return None
    # a Rngs that is static is in the graphdef, and no state has its keys
    streams = releases.ALL & ~masks.behaviour("rngs-are-static")
    return Problem(
        "this computes with the keys and counters of random streams too, which are in "
        f"the state on flax {releases.spelled(streams)}",
        streams,
        certain=False,
        instead="nnx_compat.pure.map(fn, state)",
    )


def _computes(node: ast.expr) -> bool:
    return isinstance(node, ast.Lambda) and any(
        isinstance(inner, (ast.BinOp, ast.UnaryOp)) for inner in ast.walk(node.body)
    )


#: In so many classes a stream is looked for; no Module of a project holds more.
_MOST = 100


def _has_rngs(value: Value, seen: set[int]) -> bool:
    """Whether a Module certainly holds a random stream."""
    if not isinstance(value, Instance):
        return False
    if value.kind in ("nnx.Rngs", "nnx.RngStream"):
        return True
    if len(seen) > _MOST:
        return False
    if isinstance(value.kind, ClassInfo) and id(value.kind) not in seen:
        seen.add(id(value.kind))
        return any(_has_rngs(v, seen) for v in value.kind.attributes.values())
    return False


RULE = Rule(
    code="NC402",
    title="arithmetic on a state with random streams in it",
    why=(
        "A Dropout or an Rngs has a key and a counter, and both are leaves of the "
        "state. `tree_map` with arithmetic fails at a typed key, or silently makes the "
        "counter a float."
    ),
    before="""\
import jax
from flax.experimental import nnx


class Model(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.linear = nnx.Linear(2, 3, rngs=rngs)
        self.rngs = rngs


state = nnx.split(Model(nnx.Rngs(0)))[1]
half = jax.tree_util.tree_map(lambda x: x * 0.5, state)
""",
    after="""\
import nnx_compat as nc
from nnx_compat import nnx


class Model(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.linear = nnx.Linear(2, 3, rngs=rngs)
        self.rngs = rngs


half = nc.pure.map(lambda x: x * 0.5, nc.split(Model(nnx.Rngs(0)))[1])
""",
    remedy="`nnx_compat.pure.map`, whose scope is the inexact arrays of Variables.",
    event=events.Call,
    find=find,
)
