"""NC345, NC408: a Module that is given to jax itself: ``jax.jit(f)(model)``."""

from __future__ import annotations

from .. import events, kinds, masks, releases
from ..findings import Problem, works_on
from ..values import ClassInfo, Instance, Keys, Several, Value
from . import Rule

_TRANSFORMS = ("jax.jit", "jax.grad", "jax.value_and_grad")
_TREES = frozenset(
    f"jax.{name}" for name in
    ("tree.map", "tree_map", "tree_util.tree_map", "tree.leaves", "tree_leaves",
     "tree_util.tree_leaves", "tree.flatten", "tree_util.tree_flatten")
)  # fmt: skip
_MAPS = frozenset(path for path in _TREES if path.endswith("map"))


def find(event: events.Flattened) -> Problem | None:
    """A Module as an argument of a function that jax compiles or differentiates."""
    if event.path not in _TRANSFORMS:
        return None
    if isinstance(event.value, Instance) and event.value.kind == "nnx.State":
        return None
    there = masks.behaviour("module-is-a-pytree")
    kind = event.value.kind if isinstance(event.value, Instance) else None
    if isinstance(kind, ClassInfo) and any(c.asks_for_pytree for c in kind.families()):
        there |= masks.behaviour("module-takes-experimental-pytree")
    return works_on(
        there,
        f"`{event.path}` takes a Module as an argument on flax",
        error="TypeError",
        instead=f"nnx.{event.path[4:]}, or a function of nnx_compat.split's results",
    )


def find_tree(event: events.Call) -> Problem | None:
    """A function of jax for trees that meets a Module."""
    if event.path not in _TREES or "is_leaf" in event.keywords:
        return None
    trees = event.arguments[1:] if event.path in _MAPS else event.arguments[:1]
    if not any(_meets_module(tree) for tree in trees):
        return None
    sees = masks.behaviour("module-is-a-pytree")
    return Problem(
        f"`{event.path}` sees the arrays in a Module, which is one leaf elsewhere, on "
        f"flax {releases.spelled(sees)}",
        sees,
        certain=False,
        instead="nnx_compat.state(model), or is_leaf=",
    )


def _meets_module(value: Value, depth: int = 0) -> bool:
    if isinstance(value, (Several, Keys)) and depth < 3:
        return any(_meets_module(one, depth + 1) for one in value.all())
    return kinds.is_module(value)


RULE = Rule(
    code="NC345",
    title="a Module as an argument of jax.jit or jax.grad",
    why=(
        "Modules became pytrees, so that jax's own transforms take them. Elsewhere a "
        "Module is no valid argument."
    ),
    before="""\
import jax
import jax.numpy as jnp
from flax.experimental import nnx


@jax.jit
def forward(model, x):
    return model(x)


model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
assert forward(model, jnp.ones((1, 2))).shape == (1, 3)
""",
    after="""\
import jax.numpy as jnp
from nnx_compat import nnx


@nnx.jit
def forward(model, x):
    return model(x)


model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
assert forward(model, jnp.ones((1, 2))).shape == (1, 3)
""",
    remedy="`nnx.jit` and `nnx.grad`, which take Modules on every release.",
    event=events.Flattened,
    find=find,
)

TREE = Rule(
    code="NC408",
    title="a Module in a tree",
    why=(
        "To `jax.tree.map` a Module in a dict was one leaf, handed to the function "
        "whole. Since Modules are pytrees, the function is handed its arrays."
    ),
    before="""\
import jax
from flax.experimental import nnx

tree = {"model": nnx.Linear(2, 3, rngs=nnx.Rngs(0))}
assert len(jax.tree_util.tree_leaves(tree)) == 1
""",
    after="""\
import jax
import nnx_compat as nc
from nnx_compat import nnx

tree = {"model": nc.state(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))}
assert len(jax.tree_util.tree_leaves(tree)) == 2
""",
    remedy="Put the state there, `nnx_compat.state(model)`; or say `is_leaf=`.",
    event=events.Call,
    find=find_tree,
)
