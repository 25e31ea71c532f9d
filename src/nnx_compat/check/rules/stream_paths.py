"""NC411: the paths of random streams in a state, as a checkpoint has them."""

from __future__ import annotations

from .. import events, masks, releases
from ..findings import Problem
from ..values import Instance
from . import Rule
from .mapped_streams import holds_dropout

_WITH_PATHS = frozenset(
    ("jax.tree_util.tree_leaves_with_path", "jax.tree_util.tree_flatten_with_path",
     "jax.tree.leaves_with_path", "jax.tree.flatten_with_path", "nnx.to_flat_state",
     "nnx.to_pure_dict", "nnx.State.flat_state", "nnx.State.to_pure_dict")
)  # fmt: skip


def find(event: events.Call) -> Problem | None:
    """A state with the streams of a Dropout whose paths are looked at, or written."""
    if event.path not in _WITH_PATHS:
        return None
    state = event.arguments[0] if event.arguments else event.owner
    if not isinstance(state, Instance) or state.kind != "nnx.State" or state.filtered:
        return None
    if not holds_dropout(state.origin, set(), native=True):
        return None
    forks = masks.behaviour("dropout-forks-its-rngs")
    return Problem(
        "the streams of a Dropout have other paths in the state (`rngs.count`, and not "
        f"`rngs.dropout.count`) on flax {releases.spelled(forks)}",
        forks,
        certain=False,
        instead="a filter that leaves nnx.RngState out, or nnx_compat's checkpoints",
    )


RULE = Rule(
    code="NC411",
    title="the paths of random streams in a state",
    why=(
        "A Dropout held a whole Rngs and holds one stream since, so that its keys and "
        "counters have other paths. A checkpoint with all of the state does not fit "
        "across that, and a pickle of typed keys not across releases of jax either."
    ),
    before="""\
import jax
from flax import nnx


class Model(nnx.Module):
    def __init__(self, rngs):
        self.dropout = nnx.Dropout(0.5, rngs=rngs)


paths = jax.tree_util.tree_leaves_with_path(nnx.state(Model(nnx.Rngs(0))))
assert any("default" in str(path) for path, _ in paths)
""",
    after="""\
import jax
import nnx_compat as nc
from nnx_compat import nnx

model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
assert len(jax.tree_util.tree_leaves(nc.state(model, nnx.Param))) == 2
""",
    remedy="Save parameters and statistics, and let the streams begin anew.",
    event=events.Call,
    find=find,
)
