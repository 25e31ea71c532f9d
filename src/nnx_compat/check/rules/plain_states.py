"""NC346: a plain dict in the place of a state: ``nnx.update(model, {"w": array})``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from .. import events, masks, releases
from ..findings import Problem, works_on
from ..values import ClassInfo, Instance, Keys, Several, Value
from . import Rule

_TAKES = {
    "nnx.update": "update-takes-plain-dicts",
    "nnx.merge": "merge-takes-plain-dicts",
}


def find(event: events.Call) -> Problem | None:
    """A dict of arrays that is given to ``update`` or ``merge``."""
    if event.path not in _TAKES or len(event.arguments) < 2:
        return None
    if event.compat and event.path != "nnx.merge":
        return None  # which takes dicts everywhere, through nnx_compat
    first, *states = event.arguments
    dicts = [one for one in states if isinstance(one, Keys) and one.plain]
    if not dicts:
        return None
    found = works_on(
        masks.behaviour(_TAKES[event.path]),
        f"`{event.path}` takes a plain dict on flax",
        error="AttributeError",
        instead="nnx_compat.update, which takes dicts"
        if event.path == "nnx.update"
        else "nnx_compat.from_pure_dict(state, d), which gives a State",
    )
    names = [name for one in dicts for name in _text_indices(first, one)]
    if event.path != "nnx.update" or not names:
        return found
    more = Problem(
        f"the indices of the list `{names[0]}` are text here, which `nnx.update` does "
        "not find: it fails, or changes nothing",
        releases.ALL & ~found.excluded,
        certain=False,
        instead="nnx_compat.update, or keys that are ints",
    )
    return replace(found, more=more)


def _text_indices(value: Value, given: Keys) -> Iterator[str]:
    """The lists of a Module for which a dict has digits as text."""
    if not isinstance(value, Instance) or not isinstance(value.kind, ClassInfo):
        return
    for name, inside in given.items:
        has = value.kind.attribute(name)[1]
        if not isinstance(inside, Keys):
            continue
        if isinstance(has, Several) and any(k.isdigit() for k, _ in inside.items):
            yield name
        for deeper in _text_indices(has, inside):
            yield f"{name}.{deeper}"


RULE = Rule(
    code="NC346",
    title="a plain dict in the place of a state",
    why=(
        "`nnx.update` and `nnx.merge` took States, and take nested dicts of arrays "
        "since. The index of a list is an int in them: what comes back from JSON has "
        "text there, which `nnx.update` does not find."
    ),
    before="""\
import jax.numpy as jnp
from flax import nnx

model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
nnx.update(model, {"kernel": jnp.zeros((2, 3))})
""",
    after="""\
import jax.numpy as jnp
import nnx_compat as nc
from nnx_compat import nnx

model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
nc.update(model, {"kernel": jnp.zeros((2, 3))})
""",
    remedy="`nnx_compat.update`, which takes dicts on every release.",
    event=events.Call,
    find=find,
    compat=True,
)
