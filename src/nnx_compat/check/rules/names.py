"""NC101: ``nnx.List`` and every other public name, from ``facts/names.json``."""

from __future__ import annotations

from ... import facts
from .. import events, masks, releases
from ..findings import Problem, works_on
from . import Rule


def find(event: events.Name) -> Problem | None:
    """A name that is not there on every release."""
    inside = masks.inside(event.path)
    if event.compat:
        if inside is None:
            return _refused(event)
        # its modules have what the newest keeps in them, and what Flax's own have,
        # which were a level deeper once
        module = event.path.rpartition(".")[0]
        deeper = masks.module("nnx." + module)
        there = masks.module(module) | (deeper if deeper != releases.ALL else 0)
        inside = there & ((1 << inside.bit_length()) - 1)
    there = masks.on(event.path) if inside is None else inside
    if there == releases.ALL:
        return None
    if not there:
        return _unknown(event)
    name = event.path.removeprefix("nnx.")
    ours = name in facts.backports()
    return works_on(
        there,
        f"`{event.path}` is in flax",
        error=event.error,
        instead=f"from nnx_compat import nnx; {event.path}" if ours else "",
    )


def _unknown(event: events.Name) -> Problem | None:
    if event.path.rpartition(".")[2].startswith("_"):
        return None
    return Problem(
        f"`{event.path}` is in no release up to {facts.releases()[-1].version}",
        releases.ALL,
        error=event.error,
        instead="the spelling, and nnx-compat for a newer Flax",
    )


def _refused(event: events.Name) -> Problem | None:
    """A name that nnx_compat's namespace cannot give to every release either."""
    there = masks.provided(event.path)
    if not masks.name(event.path):
        return _unknown(event)
    if there == releases.ALL:
        return None
    rows = facts.treatments().get(event.path, ())
    refused = [row for row in rows if row.treatment == "refused"]
    return works_on(
        there,
        f"`{event.path}` of nnx_compat is on flax",
        error=event.error,
        instead=refused[0].instead if refused else "",
    )


RULE = Rule(
    code="NC101",
    title="a name that some releases do not have",
    why=(
        "Names of NNX come, go, and sometimes come back: `nnx.List` was there, was "
        "not, and is again. No minimum version says that; the facts list intervals."
    ),
    before="""\
from flax import nnx

layers = nnx.List([nnx.Linear(2, 3, rngs=nnx.Rngs(0))])
assert len(layers) == 1
""",
    remedy=(
        "Take the namespace from nnx_compat, which builds what the installed release "
        "lacks: `from nnx_compat import nnx`."
    ),
    event=events.Name,
    find=find,
    compat=True,
)
