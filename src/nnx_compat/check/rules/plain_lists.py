"""NC320, NC321: a plain list or dict of Modules; Modules that are no pytrees."""

from __future__ import annotations

import ast
from dataclasses import replace

from .. import events, kinds, masks, releases
from ..findings import Problem, works_on
from ..rewrites import Rewrite
from ..values import Instance, Keys, Several, Value
from . import Rule


def find(event: events.Stored) -> Problem | None:
    """Modules or Variables in a plain list or dict that a Module holds."""
    if not event.holds_modules or not kinds.is_module(Instance(event.owner)):
        return None
    refused = masks.behaviour("list-of-modules-is-refused")
    # these look for Modules and Variables; the others look for arrays in them, and
    # that only when __init__ is done
    always = refused & masks.behaviour("list-of-modules-is-refused-later")
    for_arrays = refused & ~always if event.in_init else 0
    # what is no pytree of jax need not say what is data, and takes lists as before
    if not event.owner.pytree:
        always &= ~masks.behaviour("module-may-be-no-pytree")
        for_arrays &= ~masks.behaviour("module-may-be-no-pytree")
    if isinstance(event.known, Instance) and event.known.kind == "nnx.State":
        # refused as it is assigned, as an array is
        first = masks.behaviour("split-is-a-method")
        always |= masks.behaviour("split-refuses-raw-arrays") & first
    if not _is_certain(event.known):
        return _problem(event, always).surely(False)
    if event.arrays == "some":
        return _problem(event, always | for_arrays)
    found = _problem(event, always)
    if event.arrays == "none" or not for_arrays:
        return found
    where = releases.spelled(for_arrays)
    more = replace(
        _problem(event, for_arrays),
        text=f"`self.{event.name}` is refused on flax {where}, too, if there is an "
        "array in it",
        certain=False,
    )
    return replace(found, more=more)


def _is_certain(value: Value) -> bool:
    """Whether there is something in it, whatever the program is given."""
    if isinstance(value, Instance):
        return not value.filtered
    return not (isinstance(value, (Several, Keys)) and value.passed)


def _problem(event: events.Stored, refused: int) -> Problem:
    if isinstance(event.known, Instance):
        return works_on(
            releases.ALL & ~refused,
            f"`self.{event.name}` is a tree of Variables or arrays, of which it is not "
            "said that it is data, which runs on flax",
            error="ValueError",
            instead="nnx.data(...), from nnx_compat's namespace",
        )
    by_key = isinstance(event.value, (ast.Dict, ast.DictComp))
    of_keys = by_key or isinstance(event.known, Keys)
    what = "nnx.Dict" if of_keys else "nnx.List"
    form = f"{{nnx}}.{what[4:]}({{x}})"
    since = masks.on(what) & masks.behaviour("list-of-modules-is-refused")
    return works_on(
        releases.ALL & ~refused,
        f"`self.{event.name}` is a plain container with Modules or Variables in it, "
        "which runs on flax",
        error="ValueError",
        instead=f"{what}(...), from nnx_compat's namespace",
        rewrite=Rewrite(event.value, form, form, {"x": event.value}, since),
    )


def find_class(event: events.Class) -> Problem | None:
    """A Module that says whether it is a pytree, or with another keyword."""
    owner = event.owner
    own = any("__init_subclass__" in one.own for one in owner.families())
    own = own and not event.handed_on
    if not event.keywords or own or not kinds.is_module(Instance(owner)):
        return None
    keyword = min(event.keywords - {"metaclass"}, default="")
    if not keyword or not owner.complete():
        return None
    behaviour = _KEYWORDS.get(keyword)
    return works_on(
        masks.behaviour(behaviour) if behaviour else 0,
        f"`class {owner.name}({owner.native()}, {keyword}=)` is taken on flax"
        if not event.handed_on
        else f"`{owner.native()}.__init_subclass__({keyword}=)` is taken on flax",
        error="TypeError",
    )


#: The keywords of a Module's class, and where it takes them.
_KEYWORDS = {
    "pytree": "module-may-be-no-pytree",
    "experimental_pytree": "module-takes-experimental-pytree",
}


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
    remedy="Leave it out, and put lists of Modules into `nnx.List`.",
    event=events.Class,
    find=find_class,
)

RULE = Rule(
    code="NC320",
    title="a plain list or dict of Modules",
    why=(
        "A Module with a plain list of Modules was walked into, then it was refused: "
        "what is in a list could be data or not, and Flax wants to be told which. The "
        "first releases that refuse it look for arrays in it, and take a list of "
        "Variables with Python numbers."
    ),
    before="""\
from flax.experimental import nnx


class Blocks(nnx.Module):
    def __init__(self, rngs):
        self.layers = [nnx.Linear(2, 2, rngs=rngs) for _ in range(2)]


model = Blocks(nnx.Rngs(0))
assert len(nnx.split(model)[1].layers) == 2
""",
    remedy="`nnx.List([...])` or `nnx.Dict(...)`, with `from nnx_compat import nnx`.",
    event=events.Stored,
    find=find,
)
