"""NC111: a class of NNX that is given types in brackets: ``nnx.Optimizer[Model]``."""

from __future__ import annotations

from .. import events, masks
from ..findings import Problem, works_on
from . import Rule

_TAKES = {"nnx.Optimizer": "optimizer-is-subscriptable"}


def find(event: events.Subscripted) -> Problem | None:
    """Brackets behind a class that not every release can be given types in."""
    behaviour = _TAKES.get(event.path)
    if behaviour is None:
        return None
    return works_on(
        masks.behaviour(behaviour),
        f"`{event.path}[...]` can be written on flax",
        error="TypeError",
        instead="the annotation as text, which is not evaluated",
    )


RULE = Rule(
    code="NC111",
    title="types in brackets behind a class of NNX",
    why=(
        "`nnx.Optimizer` became a generic class. Before that Python refuses the "
        "brackets, where it evaluates them: in an annotation, too."
    ),
    before="""\
from flax import nnx

Optimizers = list[nnx.Optimizer[nnx.Module]]
""",
    after="""\
from nnx_compat import nnx

Optimizers = list["nnx.Optimizer[nnx.Module]"]
assert nnx.Linear is not None
""",
    remedy="Write the annotation as text, or `from __future__ import annotations`.",
    event=events.Subscripted,
    find=find,
)
