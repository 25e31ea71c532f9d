"""NC320: a plain list or dict of Modules as an attribute."""

from __future__ import annotations

from .. import events, members, releases
from ..findings import Problem
from ..rewrites import Rewrite
from . import Rule


def find(event: events.Stored) -> Problem | None:
    """Modules or Variables in a plain list or dict that a Module holds."""
    if not event.holds_modules or not event.owner.native():
        return None
    if not members.name(f"{event.owner.native()}.set_attributes"):
        return None
    refused = members.behaviour("list-of-modules-is-refused")
    oldest = members.behaviour("split-is-a-method")  # only Modules in Modules there
    what = "nnx.Dict" if type(event.value).__name__.startswith("Dict") else "nnx.List"
    runs = releases.ALL & ~refused & ~oldest
    return Problem(
        f"`self.{event.name}` is a plain container with Modules or Variables in it, "
        f"which runs on flax {releases.spelled(runs)}",
        refused | oldest,
        error="ValueError",
        instead=f"{what}(...), from nnx_compat's namespace",
        rewrite=Rewrite(
            event.value,
            f"{{nnx}}.{what[4:]}({{x}})",
            f"{{nnx}}.{what[4:]}({{x}})",
            {"x": event.value},
            members.on(what) & ~runs,
            drop_in=True,
        ),
    )


RULE = Rule(
    code="NC320",
    title="a plain list or dict of Modules",
    why=(
        "A Module with a plain list of Modules was walked into, then it was refused: "
        "what is in a list could be data or not, and Flax asks for it to be said."
    ),
    before="""\
from flax.experimental import nnx


class Blocks(nnx.Module):
    def __init__(self, rngs):
        self.layers = [nnx.Linear(2, 2, rngs=rngs) for _ in range(2)]


model = Blocks(nnx.Rngs(0))
assert len(nnx.split(model)[1].layers) == 2
""",
    mend="`nnx.List([...])` or `nnx.Dict(...)`, with `from nnx_compat import nnx`.",
    event=events.Stored,
    find=find,
)
