"""NC344, NC407: Variables that are annotated with a sharding."""

from __future__ import annotations

import ast

from .. import events, kinds, masks, releases
from ..findings import Problem, works_on
from ..values import Instance, Made
from . import Rule

_NAMES = ("sharding", "sharding_names", "out_sharding")


def find(event: events.Call) -> Problem | None:
    """A Variable, or a layer, that is annotated, and nothing that makes a mesh."""
    if "eager_sharding" in event.keywords or event.open:
        return None
    made = Instance(event.path)
    if kinds.is_variable(made):
        first = event.arguments[0] if event.arguments else None
        annotated = not event.keywords.isdisjoint(_NAMES) or _is_annotation(first)
    elif kinds.is_module(made):
        annotated = any(
            name.endswith("_init") and _is_annotation(value)
            for name, value in event.named.items()
        )
    else:
        return None
    if not annotated or _is_none(event):
        return None
    needs = masks.behaviour("variable-sharding-needs-a-mesh")
    return works_on(
        releases.ALL & ~needs,
        f"`{event.path}` annotated with a sharding, without a mesh, is made on flax",
        error="ValueError",
        instead="eager_sharding=False, which every release accepts",
    ).surely(event.meshless)


def _is_annotation(value: object) -> bool:
    if not isinstance(value, Made) or value.path != "nnx.with_partitioning":
        return False
    return all(keyword.arg != "eager_sharding" for keyword in value.node.keywords)


def _is_none(event: events.Call) -> bool:
    """Whether the annotation is written out as none at all."""
    given = [k.value for k in getattr(event.node, "keywords", ()) if k.arg in _NAMES]
    return bool(given) and all(
        isinstance(value, ast.Constant) and value.value is None for value in given
    )


def find_read(event: events.Attribute) -> Problem | None:
    """``variable.sharding``."""
    if (
        event.node.attr != "sharding"
        or not kinds.is_variable(event.owner)
        or event.stored
    ):
        return None
    changed = masks.behaviour("variable-sharding-is-the-arrays")
    return Problem(
        "`variable.sharding` is the sharding of the array, and not the names, on flax "
        f"{releases.spelled(changed)}",
        changed,
        certain=False,
        instead="nnx_compat.get_metadata(variable)",
    )


RULE = Rule(
    code="NC344",
    title="a Variable that is annotated with a sharding",
    why=(
        "The names of axes were only noted. Newer releases shard the array when the "
        "Variable is made, and refuse to without a mesh."
    ),
    before="""\
import jax.numpy as jnp
from flax.experimental import nnx

weight = nnx.Param(jnp.ones((2, 2)), sharding=("rows", None))
""",
    after="""\
import jax.numpy as jnp
from nnx_compat import nnx

weight = nnx.Param(jnp.ones((2, 2)), sharding=("rows", None), eager_sharding=False)
""",
    remedy="Make it inside of a mesh, or with `eager_sharding=False`.",
    event=events.Call,
    find=find,
    compat=True,
)

READ = Rule(
    code="NC407",
    title="reading variable.sharding",
    why=(
        "It was the annotation, a tuple of names. Since a Variable forwards it to its "
        "array it is how that is laid out, on one device too."
    ),
    before="""\
import jax.numpy as jnp
from flax.experimental import nnx

weight = nnx.Param(jnp.ones((2, 2)), sharding=("rows", None), eager_sharding=False)
assert weight.sharding == ("rows", None)
""",
    after="""\
import jax.numpy as jnp
import nnx_compat as nc
from nnx_compat import nnx

weight = nnx.Param(jnp.ones((2, 2)), sharding=("rows", None), eager_sharding=False)
assert ("rows", None) in nc.get_metadata(weight).values()
""",
    remedy="`nnx_compat.get_metadata(variable)` has the names on every release.",
    event=events.Attribute,
    find=find_read,
)
