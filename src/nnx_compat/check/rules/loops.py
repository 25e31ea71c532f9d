"""NC343: ``nnx.while_loop`` with a tuple of Modules."""

from __future__ import annotations

import ast

from .. import events, kinds, masks, releases
from ..findings import Problem
from ..values import Several
from . import Rule

_INIT = {"nnx.while_loop": 2, "nnx.fori_loop": 3}


def find(event: events.Call) -> Problem | None:
    """A loop whose value is several Modules."""
    if event.path not in _INIT:
        return None
    init = event.argument(_INIT[event.path], "init_val")
    if not isinstance(init, Several):
        return None
    if sum(map(kinds.is_module, init.all())) < 2 or _is_one(event):
        return None
    refused = masks.behaviour("while-loop-refuses-a-tuple-of-modules")
    refused &= masks.on(event.path)
    where = releases.spelled(refused)
    return Problem(
        f"`{event.path}` refuses a tuple of Modules on flax {where}",
        refused,
        error="ValueError",
        instead="one Module that holds the others",
    )


def _is_one(event: events.Call) -> bool:
    """Whether the same Module is there again, which is no trouble."""
    index = _INIT[event.path]
    init = event.node.args[index] if index < len(event.node.args) else None
    named = [one.id for one in getattr(init, "elts", ()) if isinstance(one, ast.Name)]
    return len(set(named)) < len(named)


RULE = Rule(
    code="NC343",
    title="a loop over several Modules",
    why=(
        "The first releases with `nnx.while_loop` compare how the Modules refer to "
        "each other before and after, and take two of one class for the same."
    ),
    before="""\
import jax.numpy as jnp
from flax import nnx


class Tank(nnx.Module):
    def __init__(self, level):
        self.level = nnx.Variable(jnp.array(level))


def pour(pair):
    first, second = pair
    first.level.value = first.level.value + 1
    return first, second


nnx.while_loop(lambda pair: pair[0].level.value < 2, pour, (Tank(0), Tank(9)))
""",
    after="""\
import jax.numpy as jnp
import nnx_compat as nc
from nnx_compat import nnx


class Tank(nnx.Module):
    def __init__(self, level):
        self.level = nnx.Variable(jnp.array(level))


tank = Tank(0)
nc.update(tank, {"level": jnp.array(2)})
""",
    remedy="Put the Modules into one Module, or loop over states with `jax.lax`.",
    event=events.Call,
    find=find,
)
