"""NC103: methods and properties, ``variable.get_value()``, ``rngs.fork()``."""

from __future__ import annotations

import ast

from .. import events, kinds, masks, releases
from ..findings import Problem
from ..rewrites import Rewrite
from ..syntax import Located
from . import Rule

#: What behaves alike on every release, by member, or by its whole path.
INSTEAD = {
    "clone": "nnx_compat.clone(node)",
    "copy_from_state": "nnx_compat.set_value(variable, nnx_compat.get_value(leaf))",
    "create_abstract": "nnx.eval_shape(lambda: Model(...))",
    "extract": "nnx_compat.state(node, ...)",
    "get_graphdef": "nnx_compat.graphdef(node)",
    "get_state": "nnx_compat.state(node, ...)",
    "modules": "nnx_compat.iter_modules(node)",
    "nnx.GraphDef.merge": "nnx_compat.merge(graphdef, state)",
    "nnx.Optimizer.model": "nnx.ModelAndOptimizer, or the model itself",
    "nnx.Module.pop": "nnx_compat.pop(node, ...)",
    "nnx.Module.update": "nnx_compat.update(node, state)",
    "get_value": "nnx_compat.get_value(variable)",
    "set_value": "nnx_compat.set_value(variable, value)",
    "get_metadata": "nnx_compat.get_metadata(variable)",
    "set_metadata": "nnx_compat.set_metadata(variable, name=value)",
    "split": "nnx_compat.split(node)",
    "iter_modules": "nnx_compat.iter_modules(node)",
}
#: Attributes that instances have although no class shows them, and none can be made
#: that has them without data.
_FIELDS = frozenset({"value", "type", "raw_value", "key", "count", "tag"})

#: What has any name that it was made with.
_OPEN = ("nnx.TrainState",)
#: What a Variable has if it was annotated with a sharding.
_ANNOTATIONS = ("sharding", "sharding_names", "out_sharding", "mesh")

#: Classes of NNX that nnx_compat hands on as they are, where it has none of its own.
_NATIVE = ("nnx.State", "nnx.Rngs", "nnx.RngStream")


def find(event: events.Attribute) -> Problem | None:
    """A member that not every release has."""
    attribute, owner = event.node.attr, event.owner
    ours = owner.compat and not kinds.is_variable(owner)
    if ours and owner.kind not in _NATIVE:
        return None
    path = kinds.member(owner, attribute)
    if not path or attribute in kinds.ARRAY or owner.kind in _OPEN:
        return None
    if event.stored and kinds.is_module(owner):
        return None  # every release takes it as an attribute of that Module
    there = masks.member(path)
    kind_there = (masks.native if ours else masks.on)(kinds.of(owner)[0])
    if attribute in _FIELDS:
        there = releases.ALL
    if owner.attribute and kinds.is_variable(owner):
        # what is read from a Module is the array there, and not the Variable
        there &= ~masks.behaviour("attribute-unwraps-the-variable")
    excluded = kind_there & ~there
    if not excluded:
        return None
    annotation = attribute in _ANNOTATIONS and kinds.is_variable(owner)
    text, error = f"is in flax {releases.spelled(there)}", "AttributeError"
    if owner.kind == "nnx.Rngs":  # it has a stream for every name
        call = event.called
        if attribute == "default" and call is not None:
            return None
        text += ", and a stream of that name elsewhere"
        error = "TypeError" if call is not None and (call.args or call.keywords) else ""
    return Problem(
        f"`{path.removeprefix('nnx.')}` {text}",
        excluded,
        error=error,
        instead=_instead(path, event),
        rewrite=_rewrite(event),
    ).surely(event.sure and not annotation)


def _instead(path: str, event: events.Attribute) -> str:
    name = event.node.attr
    of_module = f"nnx.Module.{name}" if kinds.is_module(event.owner) else ""
    return next((INSTEAD[key] for key in (path, of_module, name) if key in INSTEAD), "")


def _rewrite(event: events.Attribute) -> Rewrite | None:
    """The function of nnx_compat, for a method that is called in a plain way."""
    call, name = event.called, event.node.attr
    if call is None or any(isinstance(a, ast.Starred) for a in call.args):
        return None
    parts: dict[str, Located] = {"v": event.node.value}
    given = len(call.args), [keyword.arg for keyword in call.keywords]
    native = ""
    if given == (0, []) and name in ("get_value", "get_metadata", "iter_modules"):
        template = f"{{nc}}.{name}({{v}})"
        native = "{nnx}.iter_modules({v})" if name == "iter_modules" else ""
    elif given == (0, ["index"]) and name == "get_value":
        template = "{nc}.get_value({v})[{i}]"
        parts["i"] = call.keywords[0].value
    elif given == (1, []) and name == "set_value":
        template = "{nc}.set_value({v}, {x})"
        parts["x"] = call.args[0]
    else:
        return None
    since = masks.on(f"nnx.{name}")
    return Rewrite(call, template, native, parts, since)


RULE = Rule(
    code="NC103",
    title="a method or attribute that some releases do not have",
    why=(
        "The class is there and lacks this member. On a Variable the error can be "
        "about the array instead, to which newer releases forward unknown names."
    ),
    before="""\
from flax import nnx

weight = nnx.Param(2.0)
assert weight.get_value() == 2.0
""",
    remedy=(
        "Use the function of nnx_compat, which takes the object as its first argument: "
        "`nnx_compat.get_value(variable)`."
    ),
    event=events.Attribute,
    find=find,
    compat=True,
)
