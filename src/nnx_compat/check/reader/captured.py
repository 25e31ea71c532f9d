"""What a traced function takes from outside of it, and changes there.

A Variable remembers the trace that it was made in, and refuses to be written in
another: a Module, a Rngs or a state that ``nnx.grad(loss)`` closes over is of another.
"""

from __future__ import annotations

import ast
from dataclasses import replace

from .. import events, kinds
from ..syntax import root_of
from ..values import Bound, Function, Instance, Partial, Transformed, Value
from .arguments import Given
from .effects import changes_when_run
from .reading import Reading

__all__ = ["note_captured", "shared", "trace"]

_TRACING = frozenset(
    f"{root}.{name}"
    for root in ("nnx", "jax")
    for name in ("jit", "grad", "value_and_grad", "vmap", "pmap")
)


def trace(reading: Reading, path: str, inner: Value) -> None:
    """Note that a transform runs a function."""
    while isinstance(inner, (Transformed, Partial)):
        inner = inner.inner
    if path not in _TRACING or reading.quiet or not isinstance(inner, Function):
        return
    how = path.rpartition(".")[2]
    if inner.traced not in (how, "jit") and inner.unit is not None:
        inner.traced = how
        reading.program.stale.add(inner)


def _crossed(reading: Reading, node: ast.expr) -> set[str]:
    """The transforms that are between here and what a name from outside stands for."""
    name = root_of(node)
    crossed = dict[Function, str]()
    for scope in reading.scope.chain() if name else ():
        if name in scope.values:
            if scope.function is not None:
                crossed.pop(scope.function, None)
            return set(crossed.values())
        if scope.function is not None and scope.function.traced:
            crossed[scope.function] = scope.function.traced
    return set()


def shared(reading: Reading, node: ast.expr, model: Value) -> Value:
    """A model that was merged: of states from outside, if the last of them is one.

    The last has what no filter asked for; the others are what is differentiated.
    """
    states = node.args[1:] if isinstance(node, ast.Call) else []
    if not states or any(isinstance(one, ast.Starred) for one in states):
        return model
    if not _crossed(reading, states[-1]):
        return model
    known = model if isinstance(model, Instance) else Instance("nnx.Module")
    return replace(known, shared=True)


def note_captured(
    reading: Reading, node: ast.Call, called: Value, given: Given
) -> None:
    """Show that running something changes what is outside of a traced function."""
    owner, method = called, "__call__"
    where = node.func
    if isinstance(called, Bound):
        owner, method = called.owner, getattr(called.function.node, "name", "")
        where = node.func.value if isinstance(node.func, ast.Attribute) else where
    if not isinstance(owner, Instance) or (owner.compat and not owner.shared):
        return
    crossed = _of_streams(reading, node, given)
    if crossed and kinds.is_module(owner):
        reading.show(events.Captured(node, owner, False, "jit" in crossed))
        return
    crossed = _crossed(reading, where)
    if not owner.shared and not crossed:
        return
    program = reading.program
    is_stream = owner.kind == "nnx.RngStream"
    unknown = owner.shared and owner.kind == "nnx.Module" and program.has_changing
    if is_stream or unknown or changes_when_run(owner, method):
        sure = is_stream or not (unknown or program.is_moded)
        reading.show(events.Captured(node, owner, sure, "jit" in crossed))


def _of_streams(reading: Reading, node: ast.Call, given: Given) -> set[str]:
    """The transforms that a Rngs comes from outside of that is handed on."""
    handed = {k.arg: k.value for k in node.keywords if k.arg is not None}
    pairs = [*zip(node.args, given.arguments, strict=False)]
    pairs += [(handed[name], v) for name, v in given.keywords.items() if name in handed]
    found = set[str]()
    for one, value in pairs:
        if "nnx.Rngs" in kinds.of(value):
            found |= _crossed(reading, one)
    return found
