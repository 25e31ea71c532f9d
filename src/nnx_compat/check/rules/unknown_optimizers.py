"""NC312, NC313: an optimizer that is not known, and one that masks what it trains."""

from __future__ import annotations

from .. import events, masks, releases
from ..findings import Problem
from ..values import Made
from . import Rule

_UPDATE = "nnx.Optimizer.update"


def find_update(event: events.Unknown) -> Problem | None:
    """``x.update(model, grads)``, with gradients of NNX, of something unknown."""
    given = len(event.node.args) + len(event.node.keywords)
    model_first = masks.named(_UPDATE, "model")
    old = masks.on("nnx.Optimizer") & ~model_first
    if given == 1:
        where, excluded, form = old, model_first, "grads"
    elif given == 2 and event.position == 1:
        where, excluded, form = model_first, old, "model, grads"
    else:
        return None  # an optimizer of optax, which takes the gradients first
    return Problem(
        f"if this is an Optimizer, `update({form})` runs on flax "
        f"{releases.spelled(where)}",
        excluded,
        error="TypeError",
        certain=False,
        instead="nnx.Optimizer and update(model, grads) of nnx_compat's namespace",
    )


_MASKING = ("optax.masked", "optax.multi_transform", "optax.partition")


def find_masked(event: events.Call) -> Problem | None:
    """An Optimizer around a transform that leaves some of the leaves out."""
    if event.path not in ("nnx.Optimizer", "nnx.ModelAndOptimizer"):
        return None
    tx = event.argument(1, "tx")
    if not isinstance(tx, Made) or not _masks(tx):
        return None
    refused = masks.behaviour("optimizer-refuses-masked-states")
    return Problem(
        f"`{event.path}` cannot hold masked leaves on flax {releases.spelled(refused)}",
        refused,
        error="TypeError",
        certain=False,
        instead="wrt=, with a filter for what is to be trained",
    )


def _masks(tx: Made) -> bool:
    return tx.path in _MASKING or any(k.arg == "mask" for k in tx.node.keywords)


UPDATE = Rule(
    code="NC312",
    title="update of an optimizer that is not known",
    why=(
        "Something is updated with gradients that `nnx.grad` gave. If it is an "
        "Optimizer, its `update` took the gradients alone, and takes the model first "
        "since."
    ),
    before="""\
import jax.numpy as jnp
import optax
from flax import nnx


def step(model, optimizer):
    grads = nnx.grad(lambda m: m(jnp.ones((1, 2))).sum())(model)
    optimizer.update(model, grads)


model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
takes = nnx.Optimizer.__init__.__code__.co_varnames
given = {"wrt": nnx.Param} if "wrt" in takes else {}
globals()["step"](model, nnx.Optimizer(model, optax.sgd(0.1), **given))
""",
    after="""\
import jax.numpy as jnp
import optax
from nnx_compat import nnx


def step(model, optimizer: nnx.Optimizer):
    grads = nnx.grad(lambda m: m(jnp.ones((1, 2))).sum())(model)
    optimizer.update(model, grads)


model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
step(model, nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param))
""",
    remedy="Annotate it, `optimizer: nnx.Optimizer`, and take `nnx` from nnx_compat.",
    event=events.Unknown,
    find=find_update,
)

MASKED = Rule(
    code="NC313",
    title="an Optimizer that masks some of the leaves",
    why=(
        "`optax.masked` and `optax.multi_transform` put a marker where a leaf is left "
        "out. A few releases take every leaf of an optimizer's state for an array."
    ),
    before="""\
import jax
import optax
from flax import nnx


def mask(tree):
    return jax.tree_util.tree_map(lambda leaf: leaf.ndim > 1, tree)


model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
tx = optax.masked(optax.adam(0.1), mask)
optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
""",
    after="""\
import optax
from nnx_compat import nnx

model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
optimizer = nnx.Optimizer(model, optax.adam(0.1), wrt=nnx.Param)
""",
    remedy="Choose what is trained with `wrt=`, or use optax without an Optimizer.",
    event=events.Call,
    find=find_masked,
)
