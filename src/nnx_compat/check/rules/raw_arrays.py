"""NC323: a Module that holds a plain array, when it is taken apart."""

from __future__ import annotations

from collections.abc import Iterator

from .. import events, kinds, masks, releases
from ..findings import Problem
from ..values import ClassInfo, Instance, Keys, Several, Value
from . import Rule


def find(event: events.Flattened) -> Problem | None:
    """A Module with an array among its attributes."""
    held = dict(_held(event.value, set()))
    if not held:
        return None
    name = next((name for name, sure in held.items() if sure), next(iter(held)))
    refused = masks.behaviour("split-refuses-raw-arrays")
    where = releases.spelled(refused)
    return Problem(
        f"`{event.path}` refuses the array `{name}` on flax {where}",
        refused,
        error="ValueError",
        instead=_INSTEAD,
    ).surely(held[name])


def find_stored(event: events.Stored) -> Problem | None:
    """An array that is assigned to an attribute of a Module."""
    owner = Instance(event.owner)
    if not kinds.is_array(event.known) or not kinds.is_module(owner):
        return None
    if any("__setattr__" in one.own for one in event.owner.families()):
        return None
    refused = masks.behaviour("split-refuses-raw-arrays")
    first = refused & masks.behaviour("split-is-a-method")
    later = Problem(
        f"`self.{event.name}` is an array, and the Module is refused when it is split "
        f"on flax {releases.spelled(refused & ~first)}",
        refused & ~first,
        error="ValueError",
        certain=False,
        instead=_INSTEAD,
    )
    return Problem(
        f"`self.{event.name}` is an array, which is refused on flax "
        f"{releases.spelled(first)}",
        first,
        error="ValueError",
        instead=_INSTEAD,
        more=later,
    )


_INSTEAD = "nnx.Variable(array), or a class of your own that derives from it"

#: Of so many classes it is asked what a Module holds; none of a project holds more.
_MOST = 100


def _held(value: Value, seen: set[int]) -> Iterator[tuple[str, bool]]:
    """The attributes that are arrays, of a Module and of those in it.

    And whether each certainly is there when the Module has been made.
    """
    if not isinstance(value, Instance) or not isinstance(value.kind, ClassInfo):
        return
    if id(value.kind) in seen or len(seen) > _MOST:
        return
    seen.add(id(value.kind))
    families = value.kind.families()
    for one in families:
        for name, inside in one.attributes.items():
            if kinds.is_array(inside) or _has_array(inside):
                yield name, any(name in own.made_with for own in families)
            for deeper, sure in _held(inside, seen):
                yield f"{name}.{deeper}", sure


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

STORED = Rule(
    code="NC324",
    title="an array that is assigned to a Module",
    why=(
        "An array that is an attribute is a leaf of the state on most releases. The "
        "first refuse it as it is assigned, and a few refuse the Module when it is "
        "split, which every transform does."
    ),
    before="""\
import jax.numpy as jnp
from flax.experimental import nnx


class Table(nnx.Module):
    def __init__(self):
        self.lookup = jnp.sin(jnp.arange(3.0))


table = Table()
if hasattr(nnx, "split"):
    nnx.split(table)
""",
    after="""\
import jax.numpy as jnp
from nnx_compat import nnx


class Table(nnx.Module):
    def __init__(self):
        self.lookup = nnx.Variable(jnp.sin(jnp.arange(3.0)))


table = Table()
""",
    remedy="Put the array into a Variable.",
    event=events.Stored,
    find=find_stored,
    compat=True,
)
