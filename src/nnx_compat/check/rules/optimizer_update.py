"""NC310: ``optimizer.update(grads)`` and ``optimizer.update(model, grads)``."""

from __future__ import annotations

from .. import events, members, releases
from ..findings import Problem
from ..rewrites import Rewrite
from ..values import Instance
from . import Rule


def find(event: events.Call) -> Problem | None:
    """The call of an Optimizer that only older, or only newer, releases take."""
    if event.path != "nnx.Optimizer.update" or event.open:
        return None
    model_first = members.names("nnx.Optimizer.update", "model")
    there = members.on("nnx.Optimizer")
    given = len(event.arguments) + len(event.keywords & {"grads", "model"})
    if given == 1:
        where, excluded, form = there & ~model_first, model_first, "grads"
    elif given == 2:
        where, excluded, form = model_first, there & ~model_first, "model, grads"
    else:
        return None
    return Problem(
        f"`Optimizer.update({form})` runs on flax {releases.spelled(where)}",
        excluded,
        error="TypeError",
        instead="nnx.Optimizer and update(model, grads) of nnx_compat's namespace",
        rewrite=_rewrite(event) if given == 1 else None,
    )


def _rewrite(event: events.Call) -> Rewrite | None:
    """The model goes before the gradients, where it is plain which it is."""
    owner = event.owner
    if not isinstance(owner, Instance) or not owner.written or not event.node.args:
        return None
    form = f"{owner.written}, {{x}}"
    since = members.on("nnx.ModelAndOptimizer")
    grads = event.node.args[0]
    return Rewrite(grads, form, form, {"x": grads}, since, drop_in=True)


RULE = Rule(
    code="NC310",
    title="Optimizer.update, with or without the model",
    why=(
        "An Optimizer held its model, and `update` took the gradients. By now it "
        "holds none, and `update` takes the model first. `update(model=m, grads=g)` is "
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
    mend=(
        "With `from nnx_compat import nnx`, `nnx.Optimizer(model, tx, wrt=nnx.Param)` "
        "and `update(model, grads)` run everywhere."
    ),
    event=events.Call,
    find=find,
)
