"""NC104: module paths, ``flax.experimental.nnx``, ``flax.nnx.graph``."""

from __future__ import annotations

from .. import events, members, releases
from ..findings import Problem
from . import Rule


def find(event: events.Import) -> Problem | None:
    """A module path that not every release can import."""
    there = members.modules(event.path)
    if there == releases.ALL:
        return None
    return Problem(
        f"`{event.path}` can be imported on flax {releases.spelled(there)}",
        releases.ALL & ~there,
        error="ImportError" if event.by_import else "AttributeError",
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
    mend="`from nnx_compat import nnx`, which finds it by either path.",
    event=events.Import,
    find=find,
)
