"""NC108: a layer's subclass whose ``__init__`` leaves out what the layer reads."""

from __future__ import annotations

from ... import facts
from .. import events, masks, releases
from ..findings import Problem
from . import Rule


def find(event: events.Class) -> Problem | None:
    """A constructor that does not set what ``__call__`` of its base reads."""
    path = event.owner.native()
    if not event.own_init or not path:
        return None
    given = event.assigned | event.owner.own
    missing = {
        name: releases.of(where)
        for name, where in facts.reads(path).items()
        if name not in given
    }
    # what a layer leaves out is None by now, and was a Param that holds None
    read = facts.reads(path)
    for name in ("bias", "scale"):
        if name in event.nones and name in read:
            holds = masks.behaviour("absent-parameter-is-a-variable")
            missing[f"{name}.value"] = holds & releases.of(read[name])
    missing = {name: mask for name, mask in missing.items() if mask}
    if not missing:
        return None
    name = max(missing, key=lambda one: (missing[one].bit_count(), one))
    excluded = 0
    for mask in missing.values():
        excluded |= mask
    return Problem(
        f"`{event.owner.name}.__init__` does not set `{name}`, which "
        f"`{path}.__call__` reads on flax {releases.spelled(missing[name])}",
        excluded,
        error="AttributeError",
        instead="super().__init__(...), which sets what the release reads",
        # what has methods of its own need not be called as the layer is
        certain=all(name.startswith("__") for name in event.owner.methods),
    )


RULE = Rule(
    code="NC108",
    title="a layer's subclass that does not call the layer's constructor",
    why=(
        "`__call__` of a layer reads the attributes that its `__init__` sets, and a "
        "release can add one. A subclass with an `__init__` of its own has none of "
        "those."
    ),
    before="""\
import jax.numpy as jnp
from flax.experimental import nnx


class Sparse(nnx.Embed):
    def __init__(self):
        self.embedding = nnx.Param(jnp.ones((3, 2)))
        self.num_embeddings, self.features, self.dtype = 3, 2, jnp.float32


assert Sparse()(jnp.array([1])).shape == (1, 2)
""",
    after="""\
import jax.numpy as jnp
from nnx_compat import nnx


class Sparse(nnx.Embed):
    def __init__(self):
        super().__init__(3, 2, rngs=nnx.Rngs(0))


assert Sparse()(jnp.array([1])).shape == (1, 2)
""",
    remedy="Call `super().__init__`, and change what is to be other afterwards.",
    event=events.Class,
    find=find,
)
