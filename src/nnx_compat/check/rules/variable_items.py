"""NC330, NC331, NC401: ``v[...] = x`` and ``v += x``."""

from __future__ import annotations

import ast

from .. import events, members, releases
from ..findings import Problem
from . import Rule


def _whole(event: events.Item) -> bool:
    return isinstance(event.index, ast.Constant) and event.index.value is Ellipsis


def find_written(event: events.Item) -> Problem | None:
    """An assignment to an item of a Variable."""
    if not event.stored or event.index is None or not members.is_variable(event.owner):
        return None
    there = members.behaviour("variable-setitem-works")
    return Problem(
        f"`variable[...] = x` works on flax {releases.spelled(there)}",
        releases.ALL & ~there,
        error="TypeError",
        instead="nnx_compat.set_value(variable, x)" if _whole(event) else (
            "nnx_compat.set_value(v, nnx_compat.get_value(v).at[index].set(x))"
        ),
    )  # fmt: skip


def find_in_place(event: events.Item) -> Problem | None:
    """``variable += x``."""
    if event.index is not None or not event.operator:
        return None
    there = members.behaviour("variable-iadd-is-in-place")
    return Problem(
        f"`variable += x` works in place on flax {releases.spelled(there)}",
        releases.ALL & ~there,
        error="NotImplementedError",
        instead="nnx_compat.set_value(v, nnx_compat.get_value(v) + x)",
    )


def find_replaced(event: events.Item) -> Problem | None:
    """``variable[...] = 0``: a number that is broadcast on some releases only."""
    number = isinstance(event.value, ast.Constant) and isinstance(
        event.value.value, (int, float)
    )
    if not (event.stored and not event.operator and number and _whole(event)):
        return None
    if not members.is_variable(event.owner):
        return None
    replaced = members.behaviour("variable-setitem-replaces")
    return Problem(
        "`variable[...] = number` leaves the number in the place of the array on flax "
        f"{releases.spelled(replaced)}",
        replaced,
        certain=False,
        instead="nnx_compat.set_value(v, jnp.full_like(value, number))",
    )


_ITEMS = "`v[...] = x` is how the newest Flax writes a value. "

WRITTEN = Rule(
    code="NC330",
    title="assignment to variable[...]",
    why=_ITEMS
    + "On older releases it is an error: arrays of jax cannot be assigned into.",
    before="""\
import jax.numpy as jnp
from flax.experimental import nnx

weight = nnx.Param(jnp.zeros(2))
weight[...] = jnp.ones(2)
""",
    mend="`nnx_compat.set_value(variable, x)`.",
    event=events.Item,
    find=find_written,
)

IN_PLACE = Rule(
    code="NC331",
    title="variable += x",
    why=(
        "It changed the Variable in place on some releases. On others it is an error, "
        "or binds the name to an array and leaves the Variable as it was."
    ),
    before="""\
import jax.numpy as jnp
from flax.experimental import nnx

weight = nnx.Param(jnp.zeros(2))
same = weight
weight += 1.0
assert isinstance(weight, nnx.Param) and weight is same
""",
    mend="`nnx_compat.set_value(v, nnx_compat.get_value(v) + x)`.",
    event=events.Item,
    find=find_in_place,
)

REPLACED = Rule(
    code="NC404",
    title="variable[...] = number",
    why=_ITEMS + "It broadcasts and casts into the array that is there, but for a few "
    "releases that put the new value in its place: a weight became a Python number.",
    before="""\
import jax.numpy as jnp
from flax.experimental import nnx

weight = nnx.Param(jnp.ones(2))
weight[...] = 0.0
assert jnp.shape(weight.value) == (2,)
""",
    after="""\
import jax.numpy as jnp
import nnx_compat as nc
from nnx_compat import nnx

weight = nnx.Param(jnp.ones(2))
nc.set_value(weight, jnp.full_like(nc.get_value(weight), 0.0))
assert jnp.shape(nc.get_value(weight)) == (2,)
""",
    mend="Give it an array of the right shape, with `nnx_compat.set_value`.",
    event=events.Item,
    find=find_replaced,
)
