"""NC410: ``nnx.LoRA``, whose weights became parameters."""

from __future__ import annotations

from .. import events, masks, releases
from ..findings import Problem
from ..values import Dotted
from . import Rule

_KIND = "nnx.LoRAParam"
_MAKING = ("nnx.LoRA", "nnx.LoRALinear", _KIND)


def find(event: events.Call) -> Problem | None:
    """Weights of LoRA that are made, or that a filter for parameters takes first."""
    if event.path in _MAKING:
        what = f"`{event.path}` is no Param" if event.path == _KIND else (
            f"the weights of `{event.path}` are no Params"
        )  # fmt: skip
        text = f"{what}, and not trained with them, on flax"
    elif event.path in ("nnx.split", "nnx.state") and _is_parted(event):
        text = "the filter `nnx.Param` does not take the weights of LoRA on flax"
    else:
        return None
    return _problem(text, event.path)


def _is_parted(event: events.Call) -> bool:
    """Whether a filter for parameters comes before one for the weights of LoRA."""
    paths = [f.path for f in event.arguments[1:] if isinstance(f, Dotted)]
    return (
        "nnx.Param" in paths
        and _KIND in paths
        and paths.index("nnx.Param") < paths.index(_KIND)
    )


def find_asked(event: events.Asked) -> Problem | None:
    """``issubclass(nnx.LoRAParam, nnx.Param)``, ``isinstance(variable, nnx.Param)``."""
    if event.path != _KIND or "nnx.Param" not in event.classes:
        return None
    if not {_KIND, "nnx.Variable"}.isdisjoint(event.classes):
        return None  # which it is, or derives from, on every release
    return _problem(f"`{_KIND}` is no `nnx.Param` on flax", _KIND)


def _problem(text: str, path: str) -> Problem:
    apart = masks.on(path) & masks.on(_KIND) & ~masks.behaviour("lora-is-a-param")
    return Problem(
        f"{text} {releases.spelled(apart)}",
        apart,
        certain=False,
        instead="nnx.LoRA and nnx.LoRAParam of nnx_compat's namespace",
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

ASKED = Rule(
    code="NC412",
    title="whether the weights of LoRA are parameters",
    why=(
        "`nnx.LoRAParam` was a Variable beside `nnx.Param`, and derives from it since: "
        "what asks for the class has another answer."
    ),
    before="""\
from flax import nnx

assert issubclass(nnx.LoRAParam, nnx.Param)
""",
    after="""\
from nnx_compat import nnx

assert issubclass(nnx.LoRAParam, nnx.Param)
""",
    remedy="`nnx.LoRAParam` of nnx_compat's namespace, or name both classes.",
    event=events.Asked,
    find=find_asked,
)
