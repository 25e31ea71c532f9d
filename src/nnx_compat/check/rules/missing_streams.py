"""NC342: a layer that is given a Rngs without the stream that it draws from."""

from __future__ import annotations

from .. import events, kinds, masks, releases
from ..findings import Problem
from ..values import Instance
from . import Rule
from .mapped_streams import of_state

#: Layers that draw their weights from the stream "params", or from the default one.
_OF_PARAMS = frozenset(
    f"nnx.{name}" for name in ("Linear", "LinearGeneral", "Conv", "Einsum", "Embed")
)


def find(event: events.Call) -> Problem | None:
    """A constructor whose Rngs has no stream for it."""
    rngs = event.named.get("rngs")
    if not isinstance(rngs, Instance) or "nnx.Rngs" not in kinds.of(rngs):
        return None
    streams = rngs.streams
    if streams is None or event.open:
        return None
    if event.path == "nnx.Dropout" and "dropout" not in streams:
        if "rng_collection" in event.keywords:
            return None
        forks = masks.behaviour("dropout-forks-its-rngs")
        excluded, stream = of_state() if event.compat else forks, "dropout"
    elif event.path in _OF_PARAMS and "params" not in streams:
        excluded = releases.ALL if event.compat else masks.on(event.path)
        stream = "params"
    else:
        return None
    return Problem(
        f"`{event.path}` needs the stream `{stream}` of its Rngs on flax "
        f"{releases.spelled(excluded)}",
        excluded,
        error="KeyError",
        instead=f"nnx.Rngs(0), or nnx.Rngs(..., {stream}=1)",
    )


RULE = Rule(
    code="NC342",
    title="a Rngs without the stream that a layer draws from",
    why=(
        "A Dropout asks its Rngs for a stream when it runs, and newer ones already "
        "when they are made: then a Rngs without `dropout` and without a default "
        "stream is a KeyError, also in a model that never drops anything."
    ),
    before="""\
from flax.experimental import nnx

layer = nnx.Dropout(0.5, rngs=nnx.Rngs(params=0))
""",
    after="""\
from nnx_compat import nnx

layer = nnx.Linear(2, 3, rngs=nnx.Rngs(params=0, dropout=1))
""",
    remedy="Give the Rngs the stream, or a default one: `nnx.Rngs(0)`.",
    event=events.Call,
    find=find,
    compat=True,
)
