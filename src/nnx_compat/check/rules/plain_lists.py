"""NC320, NC321: a plain list or dict of Modules; Modules that are no pytrees."""

from __future__ import annotations

from .. import events, members, releases
from ..findings import Problem
from ..rewrites import Rewrite
from ..values import Instance
from . import Rule


def find(event: events.Stored) -> Problem | None:
    """Modules or Variables in a plain list or dict that a Module holds."""
    if not event.holds_modules or not members.is_module(Instance(event.owner)):
        return None
    refused = members.behaviour("list-of-modules-is-refused")
    if not event.owner.pytree:
        refused &= ~members.behaviour("module-may-be-no-pytree")
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


def find_class(event: events.Class) -> Problem | None:
    """A Module that says whether it is a pytree."""
    owner = event.owner
    if "pytree" not in event.keywords or not members.is_module(Instance(owner)):
        return None
    there = members.behaviour("module-may-be-no-pytree")
    return Problem(
        f"`class {owner.name}({owner.native()}, pytree=)` is taken on flax "
        f"{releases.spelled(there)}",
        releases.ALL & ~there,
        error="TypeError",
    )


PYTREE = Rule(
    code="NC321",
    title="a Module that says whether it is a pytree",
    why=(
        "Modules became pytrees, and a class could say that it is to be none. Older "
        "releases do not know the argument, and no Module is a pytree there."
    ),
    before="""\
from flax.experimental import nnx


class Model(nnx.Module, pytree=False):
    def __init__(self, rngs):
        self.linear = nnx.Linear(2, 2, rngs=rngs)


model = Model(nnx.Rngs(0))
""",
    after="""\
from nnx_compat import nnx


class Model(nnx.Module):
    def __init__(self, rngs):
        self.linear = nnx.Linear(2, 2, rngs=rngs)


model = Model(nnx.Rngs(0))
""",
    mend="Leave it out, and put lists of Modules into `nnx.List`.",
    event=events.Class,
    find=find_class,
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
