"""NC410: ``nnx.LoRA``, whose weights became parameters."""

from __future__ import annotations

from .. import events, masks, releases
from ..findings import Problem
from . import Rule


def find(event: events.Call) -> Problem | None:
    """A layer of LoRA, where no filter for parameters selects its weights."""
    if event.path not in ("nnx.LoRA", "nnx.LoRALinear"):
        return None
    apart = masks.on(event.path) & ~masks.behaviour("lora-is-a-param")
    return Problem(
        f"the weights of `{event.path}` are no Params, and not trained with them, on "
        f"flax {releases.spelled(apart)}",
        apart,
        certain=False,
        instead="nnx.LoRA of nnx_compat's namespace",
    )


RULE = Rule(
    code="NC410",
    title="LoRA, trained or not",
    why=(
        "`nnx.LoRAParam` was a Variable beside `nnx.Param`: gradients and optimizers "
        "left it out unless it was named. It is a Param since."
    ),
    before="""\
import jax
from flax import nnx

layer = nnx.LoRA(2, 1, 2, rngs=nnx.Rngs(0))
assert len(jax.tree_util.tree_leaves(nnx.state(layer, nnx.Param))) == 2
""",
    after="""\
import jax
import nnx_compat as nc
from nnx_compat import nnx

layer = nnx.LoRA(2, 1, 2, rngs=nnx.Rngs(0))
assert len(jax.tree_util.tree_leaves(nc.state(layer, nnx.Param))) == 2
""",
    remedy="`nnx.LoRA` of nnx_compat's namespace, or a filter that names LoRAParam.",
    event=events.Call,
    find=find,
)
