"""NC311: ``nnx.Optimizer(model, tx)``, without ``wrt=``."""

from __future__ import annotations

import ast

from .. import events, members, releases
from ..findings import Problem
from ..rewrites import Rewrite
from . import Rule


def find(event: events.Call) -> Problem | None:
    """An Optimizer made without saying what is trained."""
    if event.path != "nnx.Optimizer" or event.open or "wrt" in event.keywords:
        return None
    # both came together: an Optimizer that holds no model has to be told what it trains
    required = members.names("nnx.Optimizer.update", "model")
    if len(event.arguments) + len(event.keywords & {"model", "tx"}) < 2:
        return None
    runs = members.on("nnx.Optimizer") & ~required
    positional = len(event.arguments) > 2
    form = "model, tx, wrt" if positional else "model, tx"
    return Problem(
        f"`nnx.Optimizer({form})` runs on flax {releases.spelled(runs)}",
        required,
        error="TypeError",
        instead="nnx.Optimizer(model, tx, wrt=nnx.Param), with nnx_compat's namespace",
        rewrite=_rewrite(event),
    )


def _rewrite(event: events.Call) -> Rewrite:
    call = event.node
    if len(call.args) == 3:
        last: ast.expr | ast.keyword = call.args[2]
        form = "wrt={x}"
    else:
        last = call.keywords[-1] if call.keywords else call.args[-1]
        form = "{x}, wrt={nnx}.Param"
    since = members.on("nnx.ModelAndOptimizer")
    return Rewrite(last, form, form, {"x": last}, since, drop_in=True)


RULE = Rule(
    code="NC311",
    title="Optimizer without wrt=",
    why=(
        "`wrt=` says which Variables are trained. It was nnx.Param unless given; by "
        "now it has to be given, by keyword."
    ),
    before="""\
import optax
from flax.experimental import nnx

model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
optimizer = nnx.Optimizer(model, optax.sgd(0.1))
""",
    mend="Write `wrt=nnx.Param`, and take `nnx` from nnx_compat for older releases.",
    event=events.Call,
    find=find,
)
