"""NC334: a Variable that is used as its array: ``x @ w``, ``jnp.sum(w)``."""

from __future__ import annotations

from .. import events, masks, releases
from ..findings import Problem
from ..values import ClassInfo
from . import Rule


def find(event: events.Operated) -> Problem | None:
    """Arithmetic on a Variable, or a function of jax that is given one."""
    kind = event.owner.kind
    if kind == "nnx.TreeNode":
        return None  # a Pytree gives its array, as a Module did
    if isinstance(kind, ClassInfo) and any(
        name.startswith("__") for one in kind.families() for name in one.own
    ):
        return None  # it may say itself what an operator does
    # what gave Variables items gave them operators: the example is run on all releases
    there = masks.behaviour("variable-getitem-works")
    if event.owner.attribute:
        there |= masks.behaviour("attribute-unwraps-the-variable")
    excluded = releases.ALL & ~there
    return Problem(
        f"a Variable is taken for its array on flax {releases.spelled(there)}",
        excluded,
        error="TypeError",
        instead="nnx_compat.get_value(variable)",
    )


RULE = Rule(
    code="NC334",
    title="arithmetic on a Variable",
    why=(
        "A Variable stands for its array in arithmetic and in functions of jax. The "
        "first releases have Variables that are no operands: the value is in `.value`."
    ),
    before="""\
import jax.numpy as jnp
from flax.experimental import nnx

weight = nnx.Param(jnp.ones(2))
assert (jnp.ones(2) * weight).sum() == 2.0
""",
    after="""\
import jax.numpy as jnp
import nnx_compat as nc
from nnx_compat import nnx

weight = nnx.Param(jnp.ones(2))
assert (jnp.ones(2) * nc.get_value(weight)).sum() == 2.0
""",
    remedy="`nnx_compat.get_value(variable)`, or `.value`.",
    event=events.Operated,
    find=find,
    compat=True,
)
