"""NC104: module paths, ``flax.experimental.nnx``, ``flax.nnx.graph``."""

from __future__ import annotations

from .. import events, modules, releases
from ..findings import Problem, works_on
from . import Rule


def find(event: events.Import) -> Problem | None:
    """A module path that not every release can import."""
    there = modules.importable(event.path, by_import=event.by_import)
    if there == releases.ALL:
        return None
    return works_on(
        there,
        f"`{event.path}` can be imported on flax",
        error=event.error,
        instead="from nnx_compat import nnx",
    )


RULE = Rule(
    code="NC104",
    title="a module path that some releases do not have",
    why=(
        "NNX began as `flax.experimental.nnx`, which is still there; `flax.nnx` came "
        "later, and files inside it were renamed several times."
    ),
    before="""\
from flax import nnx

layer = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
""",
    remedy="`from nnx_compat import nnx`, which finds it by either path.",
    event=events.Import,
    find=find,
)
