"""NC333: ``nnx_compat.set_value(model.w, x)``, where ``model.w`` is the array."""

from __future__ import annotations

from .. import events, masks, releases
from ..findings import Problem
from ..values import Instance
from . import Rule

_NEED_VARIABLES = ("nnx_compat.set_value", "nnx_compat.set_metadata")


def find(event: events.Call) -> Problem | None:
    """A function for Variables that is given an attribute of a Module."""
    if event.path not in _NEED_VARIABLES or not event.arguments:
        return None
    given = event.arguments[0]
    if not (isinstance(given, Instance) and given.attribute):
        return None
    arrays = masks.behaviour("attribute-unwraps-the-variable")
    return Problem(
        f"`{event.path}` is given the array, and no Variable, on flax "
        f"{releases.spelled(arrays)}",
        arrays,
        error="TypeError",
        instead="nnx_compat.update(model, {name: x})",
    )


RULE = Rule(
    code="NC333",
    title="an attribute in the place of its Variable",
    why=(
        "On the first releases an attribute that holds a Variable reads as its array, "
        "which can be read and not written."
    ),
    before="""\
import nnx_compat as nc
from nnx_compat import nnx


class Scale(nnx.Module):
    def __init__(self):
        self.factor = nnx.Param(1.0)


model = Scale()
nc.set_value(model.factor, 2.0)
""",
    after="""\
import nnx_compat as nc
from nnx_compat import nnx


class Scale(nnx.Module):
    def __init__(self):
        self.factor = nnx.Param(1.0)


model = Scale()
nc.update(model, {"factor": 2.0})
assert nc.get_value(model.factor) == 2.0
""",
    remedy="`nnx_compat.update(model, {...})`, by the path of the Variable.",
    event=events.Call,
    find=find,
    compat=True,
)
