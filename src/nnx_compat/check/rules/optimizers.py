"""NC310, NC311: ``Optimizer(model, tx)``, ``update(grads)`` and what they became.

Both changed together: an Optimizer that holds no model has to be told what it trains,
``wrt=``, and at each update which model.
"""

from __future__ import annotations

import ast

from .. import events, masks, releases
from ..findings import Problem
from ..rewrites import Rewrite, positional
from ..syntax import dotted
from ..values import Instance
from . import Rule

_CLASS, _UPDATE = "nnx.Optimizer", "nnx.Optimizer.update"


def find_update(event: events.Call) -> Problem | None:
    """The call of an Optimizer that only older, or only newer, releases take."""
    if event.path != _UPDATE or event.open:
        return None
    model_first = masks.named(_UPDATE, "model")
    grads_only = masks.on(_CLASS) & ~model_first
    given = event.given("grads", "model")
    if given == 2 and event.compat:
        return None  # ours takes it everywhere
    if given == 1:
        where, excluded, form = grads_only, model_first, "grads"
        where = releases.ALL & ~model_first if event.compat else where
    elif given == 2:
        where, excluded, form = model_first, grads_only, "model, grads"
    else:
        return None
    return Problem(
        f"`Optimizer.update({form})` runs on flax {releases.spelled(where)}",
        excluded,
        error="TypeError",
        instead="nnx.Optimizer and update(model, grads) of nnx_compat's namespace",
        rewrite=_with_model(event) if given == 1 else None,
    )


def _with_model(event: events.Call) -> Rewrite | None:
    """The model goes before the gradients, where it is plain which it is."""
    owner = event.owner
    call = event.node
    if not isinstance(owner, Instance) or not owner.written or not call.args:
        return None
    return _rewrite(call.args[0], f"{owner.written}, {{x}}")


def find_new(event: events.Call) -> Problem | None:
    """An Optimizer that is not told what it trains."""
    if event.path != _CLASS or event.open or "wrt" in event.keywords:
        return None
    if event.given("model", "tx") < 2:
        return None
    required = masks.named(_UPDATE, "model")
    # ours takes the old form where Flax does, and refuses it where Flax does
    runs = releases.ALL & ~required if event.compat else masks.on(_CLASS) & ~required
    form = "model, tx, wrt" if len(event.arguments) > 2 else "model, tx"
    return Problem(
        f"`nnx.Optimizer({form})` runs on flax {releases.spelled(runs)}",
        required,
        error="TypeError",
        instead="nnx.Optimizer(model, tx, wrt=nnx.Param), with nnx_compat's namespace",
        rewrite=_with_wrt(event.node),
        fallback=_holding(event.node),
    )


def _holding(call: ast.Call) -> Rewrite | None:
    """The class that goes on holding the model, whose update takes the gradients."""
    if dotted(call.func).rpartition(".")[2] != "Optimizer" or len(call.args) > 3:
        return None
    fields, parts = positional(call)
    if len(call.args) == 3:
        fields = "{a0}, {a1}, wrt={a2}"
    for index, keyword in enumerate(call.keywords):
        parts[f"k{index}"] = keyword
        fields += f", {{k{index}}}"
    wrt = "" if len(call.args) == 3 else ", wrt={nnx}.Param"
    form = f"{{nnx}}.ModelAndOptimizer({fields}{wrt})"
    return Rewrite(call, form, form, parts, masks.on("nnx.ModelAndOptimizer"))


def _with_wrt(call: ast.Call) -> Rewrite:
    if len(call.args) == 3:
        return _rewrite(call.args[2], "wrt={x}")
    last: ast.expr | ast.keyword = call.keywords[-1] if call.keywords else call.args[-1]
    return _rewrite(last, "{x}, wrt={nnx}.Param")


def _rewrite(argument: ast.expr | ast.keyword, form: str) -> Rewrite:
    # natively where an old Optimizer has a class of its own
    since = masks.on("nnx.ModelAndOptimizer")
    return Rewrite(argument, form, form, {"x": argument}, since)


UPDATE = Rule(
    code="NC310",
    title="Optimizer.update, with or without the model",
    why=(
        "An Optimizer had its model, and `update` took the gradients. Newer ones have "
        "none, and `update` takes the model first. `update(model=m, grads=g)` is "
        "worse: some releases accept it and ignore the model."
    ),
    before="""\
import jax.numpy as jnp
import optax
from flax.experimental import nnx

model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
optimizer = nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param)
grads = nnx.grad(lambda m: m(jnp.ones((1, 2))).sum())(model)
optimizer.update(model, grads)
""",
    remedy=(
        "With `from nnx_compat import nnx`, `nnx.Optimizer(model, tx, wrt=nnx.Param)` "
        "and `update(model, grads)` run everywhere."
    ),
    event=events.Call,
    find=find_update,
    compat=True,
)

NEW = Rule(
    code="NC311",
    title="Optimizer without wrt=",
    why=(
        "`wrt=` says which Variables are trained. It was nnx.Param unless given; newer "
        "releases need it, by keyword."
    ),
    before="""\
import optax
from flax.experimental import nnx

model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
optimizer = nnx.Optimizer(model, optax.sgd(0.1))
""",
    remedy="Write `wrt=nnx.Param`, and take `nnx` from nnx_compat for older releases.",
    event=events.Call,
    find=find_new,
    compat=True,
)
