"""NC340: ``nnx.scan`` with ``Carry`` in ``out_axes``."""

from __future__ import annotations

import ast

from .. import events, masks, releases
from ..findings import Problem
from . import Rule


def find(event: events.Call) -> Problem | None:
    """The newest form of scan: the carry has a place among the results."""
    if event.path != "nnx.scan" or "out_axes" not in event.keywords:
        return None
    axes = next(k.value for k in event.node.keywords if k.arg == "out_axes")
    if not any(getattr(n, "attr", "") == "Carry" for n in ast.walk(axes)):
        return None
    # the release that brought nnx.Carry returns it first: its out_axes are of the rest
    there = masks.behaviour("scan-out-axes-hold-the-carry")
    return Problem(
        "`nnx.scan(out_axes=)` has a place for the carry on flax "
        f"{releases.spelled(there)}",
        masks.on("nnx.Carry") & ~there,
        error="ValueError",
        instead="nnx.scan of nnx_compat's namespace",
    )


RULE = Rule(
    code="NC340",
    title="scan with Carry in out_axes",
    why=(
        "The axes of `nnx.scan` have been spelled in three ways. The newest, with "
        "`nnx.Carry` among `in_axes` and `out_axes`, is read otherwise by the first "
        "release that had it."
    ),
    before="""\
import jax.numpy as jnp
from flax import nnx


def step(carry, x):
    return carry + x


scan = nnx.scan(step, in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)
assert scan(jnp.array(0.0), jnp.arange(3.0)) == 3.0
""",
    remedy="`from nnx_compat import nnx`, whose scan reads the axes alike everywhere.",
    event=events.Call,
    find=find,
)
