"""NC105: attributes of the array, read from the Variable: ``kernel.T``."""

from __future__ import annotations

from .. import events, kinds, masks
from ..findings import Problem, works_on
from ..rewrites import Rewrite
from . import Rule


def find(event: events.Attribute) -> Problem | None:
    """An attribute of the array, which a Variable forwards on newer releases only."""
    owner = event.owner
    if event.node.attr not in kinds.ARRAY or not kinds.is_variable(owner):
        return None
    # a few were properties of the Variable itself before it forwarded any
    there = masks.behaviour("variable-forwards-attributes")
    there |= masks.on(f"nnx.Variable.{event.node.attr}")
    if owner.attribute:
        there |= masks.behaviour("attribute-unwraps-the-variable")
    return works_on(
        there,
        f"`variable.{event.node.attr}` is the array's on flax",
        error="AttributeError",
        instead=f"nnx_compat.get_value(variable).{event.node.attr}",
        rewrite=Rewrite(
            event.node,
            f"{{nc}}.get_value({{v}}).{event.node.attr}",
            parts={"v": event.node.value},
        ),
    )


RULE = Rule(
    code="NC105",
    title="an attribute of the array, read from the Variable",
    why=(
        "A Variable forwards what it does not have itself to its array, on newer "
        "releases; on older ones it is an AttributeError."
    ),
    before="""\
import jax.numpy as jnp
from flax.experimental import nnx

weight = nnx.Param(jnp.ones((2, 3)))
assert weight.T.shape == (3, 2)
""",
    remedy="Read it from the array: `nnx_compat.get_value(variable).T`.",
    event=events.Attribute,
    find=find,
)
