"""NC403: a merged copy that is run or changed, and its original used afterwards."""

from __future__ import annotations

from .. import events, masks, releases
from ..findings import Problem
from . import Rule


def find(event: events.Treated) -> Problem | None:
    """A copy from ``merge`` that still shares its Variables with the original."""
    models: dict[str, str] = {}  # of states, how the model is written
    copies: dict[str, str] = {}  # of copies, the same
    changed: dict[str, str] = {}  # of models, the copy that has changed
    for kind, name, written, node in event.steps:
        if kind == "split":
            models[name] = written
        elif kind == "merge" and written in models:
            copies[name] = models[written]
            changed.pop(name, None)
        elif kind == "bind":
            models.pop(name, None)
        elif kind in ("change", "run") and name in copies:
            changed[copies[name].split(".")[0]] = name
        elif kind == "use" and name in changed and name not in copies:
            shares = masks.behaviour("merge-shares-variables")
            return Problem(
                f"`{changed[name]}` was merged from a state of `{name}` and has "
                f"changed since: on flax {releases.spelled(shares)} so has `{name}`",
                shares,
                certain=False,
                instead="nnx_compat.split and nnx_compat.merge, which detach",
                node=node,
            )
    return None


RULE = Rule(
    code="NC403",
    title="a merged copy that changes its original",
    why=(
        "What `merge` gave had Variables of its own. Newer releases put those of the "
        "state in it, which are those of the model: running the copy's BatchNorm "
        "changes the original."
    ),
    before="""\
import jax.numpy as jnp
from flax import nnx

model = nnx.BatchNorm(2, use_running_average=False, rngs=nnx.Rngs(0))
before = model.mean.value
graphdef, state = nnx.split(model)
copy = nnx.merge(graphdef, state)
copy(jnp.ones((4, 2)))
assert bool((model.mean.value == before).all())
""",
    after="""\
import jax.numpy as jnp
import nnx_compat as nc
from nnx_compat import nnx

model = nnx.BatchNorm(2, use_running_average=False, rngs=nnx.Rngs(0))
before = nc.get_value(model.mean)
graphdef, state = nc.split(model)
copy = nc.merge(graphdef, state)
copy(jnp.ones((4, 2)))
assert bool((nc.get_value(model.mean) == before).all())
""",
    remedy="`nnx_compat.split` and `nnx_compat.merge` detach on every release.",
    event=events.Treated,
    find=find,
)
