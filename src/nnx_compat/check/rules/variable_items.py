"""NC330, NC331, NC332, NC404: ``v[...] = x``, ``v += x`` and ``v[...]``."""

from __future__ import annotations

import ast

from .. import events, kinds, masks, releases
from ..findings import Problem, works_on
from ..rewrites import OPERATORS, Rewrite, operand
from ..syntax import dotted
from . import Rule


def _whole(event: events.Item) -> bool:
    return isinstance(event.index, ast.Constant) and event.index.value is Ellipsis


def find_written(event: events.Item) -> Problem | None:
    """An assignment to an item of a Variable."""
    if not event.stored or event.index is None or not kinds.is_variable(event.owner):
        return None
    there = masks.behaviour("variable-setitem-works")
    return works_on(
        there,
        "`variable[...] = x` works on flax",
        error="TypeError",
        instead="nnx_compat.set_value(variable, x)" if _whole(event) else (
            "nnx_compat.set_value(v, nnx_compat.get_value(v).at[index].set(x))"
        ),
        rewrite=_rewrite_written(event),
    )  # fmt: skip


def find_in_place(event: events.Item) -> Problem | None:
    """``variable += x``."""
    if event.index is not None or not event.operator:
        return None
    there = masks.behaviour("variable-iadd-is-in-place")
    if event.owner.attribute:  # the array is read there, and the sum is written
        there |= masks.behaviour("attribute-unwraps-the-variable")
    return works_on(
        there,
        "`variable += x` works in place on flax",
        error="NotImplementedError",
        instead="nnx_compat.set_value(v, nnx_compat.get_value(v) + x)",
        rewrite=_rewrite_in_place(event),
    )


def find_read(event: events.Item) -> Problem | None:
    """An item of a Variable, read."""
    if event.stored or not kinds.is_variable(event.owner):
        return None
    # before a Variable had items of its own, an attribute could read as the array
    there = masks.behaviour("variable-getitem-works")
    if event.owner.attribute:
        there |= masks.behaviour("attribute-unwraps-the-variable")
    node = event.node
    assert isinstance(node, ast.Subscript)
    form = "{nc}.get_value({v})" + ("" if _whole(event) else "[{i}]")
    return works_on(
        there,
        "`variable[...]` is read on flax",
        error="TypeError",
        instead="nnx_compat.get_value(variable)",
        rewrite=Rewrite(node, form, parts={"v": node.value, "i": node.slice}),
    )


def _rewrite_written(event: events.Item) -> Rewrite | None:
    """What broadcasts and casts as the newest Flax does, on every release."""
    statement = event.statement
    if isinstance(statement, ast.Assign):
        target, form = statement.targets[0], ".at[{i}].set({x})"
    elif isinstance(statement, ast.AugAssign) and event.operator in _AT:
        target, form = statement.target, f".at[{{i}}].{_AT[event.operator]}({{x}})"
    else:
        return None
    if not isinstance(target, ast.Subscript) or not dotted(target.value):
        return None
    parts = {"v": target.value, "i": target.slice, "x": statement.value}
    write = "{nc}.set_value({v}, {nc}.get_value({v})" + form + ")"
    return Rewrite(statement, write, parts=parts)


#: In-place operators as methods of ``array.at[index]``.
_AT = {"Add": "add", "Mult": "multiply", "Div": "divide", "Pow": "power"}


def _rewrite_in_place(event: events.Item) -> Rewrite | None:
    statement = event.node
    if not isinstance(statement, ast.AugAssign) or not dotted(statement.target):
        return None
    op, x = OPERATORS[event.operator], operand(statement.value)
    native, since = f"{{v}}[...] {op}= {{x}}", masks.behaviour("variable-setitem-works")
    if event.owner.arrays == "none":  # a number has no items
        native = f"{{v}}.set_value({{v}}.get_value() {op} {x})"
        since = masks.on("nnx.Variable.set_value")
    return Rewrite(
        statement,
        f"{{nc}}.set_value({{v}}, {{nc}}.get_value({{v}}) {op} {x})",
        native,
        {"v": statement.target, "x": statement.value},
        since,
    )


def find_replaced(event: events.Item) -> Problem | None:
    """``variable[...] = 0``: a number that is broadcast on some releases only."""
    number = isinstance(event.value, ast.Constant) and isinstance(
        event.value.value, (int, float)
    )
    if not (event.stored and not event.operator and number and _whole(event)):
        return None
    if not kinds.is_variable(event.owner):
        return None
    replaced = masks.behaviour("variable-setitem-replaces")
    return Problem(
        "`variable[...] = number` leaves the number in the place of the array on flax "
        f"{releases.spelled(replaced)}",
        replaced,
        certain=False,
        instead="nnx_compat.set_value(v, jnp.full_like(value, number))",
        rewrite=_rewrite_written(event),
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
    remedy="`nnx_compat.set_value(variable, x)`.",
    event=events.Item,
    find=find_written,
)

READ = Rule(
    code="NC332",
    title="reading variable[...]",
    why="The first releases have Variables without items: the value is in `.value`.",
    before="""\
import jax.numpy as jnp
from flax.experimental import nnx

weight = nnx.Param(jnp.ones(2))
assert weight[0] == 1.0
""",
    remedy="`nnx_compat.get_value(variable)`, and the item of that.",
    event=events.Item,
    find=find_read,
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
    remedy="`nnx_compat.set_value(v, nnx_compat.get_value(v) + x)`.",
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
    remedy="Give it an array of the right shape, with `nnx_compat.set_value`.",
    event=events.Item,
    find=find_replaced,
)
