"""NC107: ``nnx.jit(f).lower(...)``, of what was a plain function."""

from __future__ import annotations

from .. import events, masks
from ..findings import Problem, works_on
from . import Rule

_MEMBERS = ("lower", "eval_shape", "trace")


def find(event: events.OfTransformed) -> Problem | None:
    """A method of a compiled function."""
    if event.owner.path != "nnx.jit" or event.node.attr not in _MEMBERS:
        return None
    return works_on(
        masks.behaviour("jit-result-can-be-lowered"),
        f"`nnx.jit(f).{event.node.attr}` is there on flax",
        error="AttributeError",
    )


RULE = Rule(
    code="NC107",
    title="a method of what nnx.jit gives",
    why=(
        "`nnx.jit` gave a plain function. It gives an object since, which can be "
        "lowered and compiled ahead of time."
    ),
    before="""\
from flax.experimental import nnx

double = nnx.jit(lambda x: x * 2)
assert double.lower(1.0) is not None
""",
    after="""\
import jax

from nnx_compat import nnx

assert jax.jit(lambda x: x * 2).lower(1.0) is not None
assert nnx.jit(lambda x: x * 2)(1.0) == 2.0
""",
    remedy="Lower a function of states with `jax.jit`.",
    event=events.OfTransformed,
    find=find,
)
