"""NC350: a traced function that changes what is outside of it."""

from __future__ import annotations

from dataclasses import replace

from .. import events, masks, releases
from ..findings import Problem
from . import Rule


def find(event: events.Captured) -> Problem | None:
    """A BatchNorm, a Dropout or a Rngs from outside, run in a traced function."""
    refused = masks.behaviour("merge-cannot-mutate-under-grad")
    if event.owner.shared:
        what = "was merged from a state from outside, whose Variables it has"
        return _problem(what, refused).surely(event.sure)
    what = "is from outside of the function that is traced"
    checked = releases.ALL & ~masks.behaviour("trace-level-is-unchecked")
    if event.jitted:
        return _problem(what, checked).surely(event.sure)
    more = _problem(what, checked & ~refused).surely(False)
    return replace(_problem(what, refused).surely(event.sure), more=more)


def _problem(what: str, refused: int) -> Problem:
    return Problem(
        f"what changes here {what}: refused on flax {releases.spelled(refused)}",
        refused,
        error="TraceContextError",
        instead="an argument of the traced function",
    )


RULE = Rule(
    code="NC350",
    title="a traced function that changes what is outside of it",
    why=(
        "A Variable is written in the trace that it was made in alone. A model that "
        "`merge` made had Variables of its own; newer releases put those of the state "
        "in it, which are from outside when the function closes over the state."
    ),
    before="""\
import jax
import jax.numpy as jnp
from flax import nnx

model = nnx.BatchNorm(2, rngs=nnx.Rngs(0))
graphdef, params, rest = nnx.split(model, nnx.Param, ...)


@jax.grad
def gradients(params):
    model = nnx.merge(graphdef, params, rest)
    return model(jnp.ones((4, 2))).sum()


gradients(params)
""",
    after="""\
import jax
import jax.numpy as jnp
import nnx_compat as nc
from nnx_compat import nnx

model = nnx.BatchNorm(2, use_running_average=False, rngs=nnx.Rngs(0))
graphdef, params, rest = nc.split(model, nnx.Param, ...)


@jax.grad
def gradients(params):
    model = nc.merge(graphdef, params, rest)
    return model(jnp.ones((4, 2))).sum()


gradients(params)
""",
    remedy="`nnx_compat.merge`, whose Variables are the copy's own; or an argument.",
    event=events.Captured,
    find=find,
)
