"""NC401: a state that is used after its model was changed."""

from __future__ import annotations

from .. import events, masks, releases
from ..findings import Problem
from . import Rule


def find(event: events.Treated) -> Problem | None:
    """A state from ``split`` or ``state``, used when the model has moved on."""
    split: dict[str, str] = {}
    changed: set[str] = set()
    fresh: dict[str, set[str]] = {}  # the other states, by the variable of their model
    for kind, name, written, node in event.steps:
        if kind in ("split", "bind"):
            fresh.get(_root(split.pop(name, "")), set()).discard(name)
        if kind == "split":
            split[name] = written
            changed.discard(name)
            fresh.setdefault(_root(written), set()).add(name)
        elif kind == "change":
            changed |= fresh.pop(name, set())
        elif kind == "use" and name in changed and name in split:
            shares = masks.behaviour("split-shares-variables")
            return Problem(
                f"`{name}` was taken from `{split[name]}`, which was changed since: "
                f"on flax {releases.spelled(shares)} the change shows in it",
                shares,
                certain=False,
                instead="nnx_compat.split and nnx_compat.state, which detach",
                node=node,
            )
    return None


def _root(model: str) -> str:
    return model.split(".")[0]


RULE = Rule(
    code="NC401",
    title="a state used after its model was changed",
    why=(
        "`split` and `state` gave a copy. Newer releases give the Variables of the "
        "model itself, so that a state that was put aside changes with the model."
    ),
    before="""\
import jax.numpy as jnp
from flax.experimental import nnx


def run():
    model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    before = nnx.state(model)
    model.kernel.value = jnp.zeros((2, 3))
    assert before.kernel.value.any()


run()
""",
    after="""\
import jax.numpy as jnp
import nnx_compat as nc
from nnx_compat import nnx


def run():
    model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    before = nc.state(model)
    nc.update(model, {"kernel": jnp.zeros((2, 3))})
    assert nc.to_pure_dict(before)["kernel"].any()


run()
""",
    remedy="`nnx_compat.split` and `nnx_compat.state` are detached on every release.",
    event=events.Treated,
    find=find,
)
