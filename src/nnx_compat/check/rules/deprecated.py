"""NC501, NC502: what the newest release still has, with a warning."""

from __future__ import annotations

import ast

from .. import events, kinds, masks, releases
from ..findings import Problem
from ..rewrites import OPERATORS, Rewrite, operand, positional
from ..syntax import Located, dotted
from . import Rule


def find_value(event: events.Attribute) -> Problem | None:
    """``variable.value``."""
    attribute = event.node.attr
    if attribute not in ("value", "raw_value") or not kinds.is_variable(event.owner):
        return None
    warns = masks.behaviour("variable-value-is-deprecated")
    use = "set_value(variable, x)" if event.stored else "get_value(variable)"
    return Problem(
        f"`variable.{attribute}` warns on flax {releases.spelled(warns)}",
        0,
        warns=warns,
        instead=f"nnx_compat.{use}",
        rewrite=_rewrite_value(event) if attribute == "value" else None,
    )


def _rewrite_value(event: events.Attribute) -> Rewrite | None:
    parts: dict[str, Located] = {"v": event.node.value}
    since = masks.behaviour("variable-has-get-value") & masks.behaviour(
        "variable-value-is-deprecated"
    )
    if not event.stored:
        read, native = "{nc}.get_value({v})", "{v}.get_value()"
        return Rewrite(event.node, read, native, parts, since)
    statement = event.statement
    if isinstance(statement, ast.Assign):
        parts["x"] = statement.value
        write, native = "{nc}.set_value({v}, {x})", "{v}.set_value({x})"
        return Rewrite(statement, write, native, parts, since)
    if isinstance(statement, ast.AugAssign) and dotted(event.node.value):
        parts["x"] = statement.value
        op, x = OPERATORS[type(statement.op).__name__], operand(statement.value)
        return Rewrite(
            statement,
            f"{{nc}}.set_value({{v}}, {{nc}}.get_value({{v}}) {op} {x})",
            f"{{v}}.set_value({{v}}.get_value() {op} {x})",
            parts,
            since,
        )
    return None


#: Methods of State, and the functions that took their place.
_METHODS = {
    "flat_state": "to_flat_state(state)",
    "filter": "filter_state(state, filter, ...)",
    "split": "split_state(state, filter, ...)",
    "map": "map_state(f, state)",
    "to_pure_dict": "to_pure_dict(state)",
    "replace_by_pure_dict": "from_pure_dict(state, values)",
}


def find_method(event: events.Attribute) -> Problem | None:
    """``state.flat_state()`` and its like."""
    if event.owner.kind != "nnx.State" or event.node.attr not in _METHODS:
        return None
    warns = masks.behaviour("state-methods-warn")
    return Problem(
        f"`State.{event.node.attr}` warns on flax {releases.spelled(warns)}",
        0,
        warns=warns,
        instead=f"nnx_compat.{_METHODS[event.node.attr]}",
        rewrite=_rewrite_method(event),
    )


def _rewrite_method(event: events.Attribute) -> Rewrite | None:
    call, method = event.called, event.node.attr
    if call is None or call.keywords or method == "replace_by_pure_dict":
        return None
    if any(isinstance(a, ast.Starred) for a in call.args):
        return None
    name = _METHODS[method].partition("(")[0]
    fields, parts = positional(call, v=event.node.value)
    if method == "map":  # its function comes first
        fields = "{a0}, {v}"
    # what flat_state gives became a sequence, and to_flat_state's is a dict
    return Rewrite(
        call,
        f"{{nc}}.{name}({fields})",
        f"{{nnx}}.{name}({fields})",
        parts,
        masks.on(f"nnx.{name}"),
        unsafe=method == "flat_state",
    )


RULE = Rule(
    code="NC501",
    title="variable.value",
    why=(
        "`.value` is on every release, and emits a DeprecationWarning on the newest: "
        "what is deprecated today is what breaks next."
    ),
    before="""\
import warnings

from flax.experimental import nnx

warnings.simplefilter("error", DeprecationWarning)
weight = nnx.Param(2.0)
assert weight.value == 2.0
""",
    remedy="`nnx_compat.get_value(variable)` and `nnx_compat.set_value(variable, x)`.",
    event=events.Attribute,
    find=find_value,
)

METHODS = Rule(
    code="NC502",
    title="methods of State",
    why=(
        "The methods of State became functions, and emit a DeprecationWarning; what "
        "`flat_state()` returns has changed as well."
    ),
    before="""\
import warnings

from flax.experimental import nnx

warnings.simplefilter("error", DeprecationWarning)
state = nnx.state(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
assert len(state.flat_state()) == 2
""",
    after="""\
import nnx_compat as nc
from nnx_compat import nnx

state = nc.state(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
assert len(nc.to_flat_state(state)) == 2
""",
    remedy="The functions of nnx_compat of the same names.",
    event=events.Attribute,
    find=find_method,
)
