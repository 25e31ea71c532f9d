"""NC110: a module that raises on some releases, on purpose."""

from __future__ import annotations

from .. import events, releases
from ..findings import Problem
from . import Rule


def find(event: events.Refusal) -> Problem | None:
    """A ``raise`` at the top of a module, behind a guard that tells releases apart."""
    if event.mask == releases.ALL:
        return None  # whatever its guard tests, it is not about releases
    return Problem(
        f"this raises on flax {releases.spelled(event.mask)}",
        event.mask,
        error=event.error if event.error in ("ImportError", "RuntimeError") else "",
    )


RULE = Rule(
    code="NC110",
    title="a module that raises on purpose",
    why=(
        "A module can say itself on which releases it does not run. Then the declared "
        "range should say so too, or a resolver installs a release that it refuses."
    ),
    before="""\
from flax.experimental import nnx

if not hasattr(nnx, "view"):
    raise ImportError("nnx.view is needed")
""",
    after="""\
from nnx_compat import nnx

assert nnx.view
""",
    remedy="Use what nnx_compat builds, or declare the range.",
    event=events.Refusal,
    find=find,
)
