"""NC323: a Module that holds a plain array, when it is taken apart."""

from __future__ import annotations

from collections.abc import Iterator

from .. import events, kinds, masks, releases
from ..findings import Problem
from ..values import ClassInfo, Instance, Keys, Several, Value
from . import Rule


def find(event: events.Flattened) -> Problem | None:
    """A Module with an array among its attributes."""
    name = next(_held(event.value, set()), "")
    if not name:
        return None
    refused = masks.behaviour("split-refuses-raw-arrays")
    where = releases.spelled(refused)
    return Problem(
        f"`{event.path}` refuses the array `{name}` on flax {where}",
        refused,
        error="ValueError",
        instead="nnx.Variable(array), or a class of your own that derives from it",
    )


#: Of so many classes it is asked what a Module holds; none of a project holds more.
_MOST = 100


def _held(value: Value, seen: set[int]) -> Iterator[str]:
    """The attributes that are arrays, of a Module and of those in it."""
    if not isinstance(value, Instance) or not isinstance(value.kind, ClassInfo):
        return
    if id(value.kind) in seen or len(seen) > _MOST:
        return
    seen.add(id(value.kind))
    for one in value.kind.families():
        for name, inside in one.attributes.items():
            if kinds.is_array(inside) or _has_array(inside):
                yield name
            yield from (f"{name}.{deeper}" for deeper in _held(inside, seen))


def _has_array(value: Value) -> bool:
    return isinstance(value, (Several, Keys)) and any(map(kinds.is_array, value.all()))


RULE = Rule(
    code="NC323",
    title="a Module with a plain array",
    why=(
        "An array that is an attribute is a leaf of the state on most releases. Some "
        "refuse it, when it is assigned or when the Module is split."
    ),
    before="""\
import jax.numpy as jnp
from flax.experimental import nnx


class Table(nnx.Module):
    def __init__(self):
        self.lookup = jnp.arange(3.0)


assert len(nnx.split(Table())) == 2
""",
    after="""\
import jax.numpy as jnp
import nnx_compat as nc
from nnx_compat import nnx


class Table(nnx.Module):
    def __init__(self):
        self.lookup = nnx.Variable(jnp.arange(3.0))


assert len(nc.split(Table())) == 2
""",
    remedy="Put the array into a Variable.",
    event=events.Flattened,
    find=find,
    compat=True,
)
