"""Transforms of NNX and of jax: what function they run, on what, what they give."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace

from ..joining import element
from ..values import (
    Dotted,
    Instance,
    Several,
    Transformed,
    Value,
)
from .arguments import Given

__all__ = [
    "FIRST", "GRADIENTS", "LOOPS", "MAPPING", "MAPS", "RUNS", "SPLITTING", "axis",
    "gradients", "is_transform", "split", "transformed",
]  # fmt: skip

_NAMES = (
    "jit", "grad", "value_and_grad", "vmap", "pmap", "scan", "remat", "checkpoint",
    "split_rngs", "shard_map", "cached_partial", "custom_vjp", "custom_jvp", "jvp",
    "vjp",
)  # fmt: skip
_TRANSFORMS = frozenset(
    f"{root}.{name}" for root in ("nnx", "jax") for name in _NAMES
) - {"jax.split_rngs", "jax.cached_partial", "jax.scan", "nnx.jvp", "nnx.vjp"}

#: What gives gradients.
GRADIENTS = frozenset(
    ("nnx.grad", "nnx.value_and_grad", "jax.grad", "jax.value_and_grad")
)
#: What calls a function with the leaves of something.
MAPS = frozenset(("jax.tree.map", "jax.tree_util.tree_map", "jax.tree_map"))
#: What gives something like its first argument.
FIRST = MAPS | frozenset(
    ("jax.lax.stop_gradient", "jax.lax.pmean", "jax.lax.psum", "jax.device_get",
     "copy.copy", "copy.deepcopy")
)  # fmt: skip


def is_transform(path: str) -> bool:
    """Whether what a path names makes a function out of a function."""
    return path in _TRANSFORMS


#: What runs a function over an axis.
MAPPING = frozenset(("nnx.scan", "nnx.vmap", "nnx.pmap"))


def transformed(by: Dotted, inner: Value, node: ast.expr) -> Transformed:
    """What a transform gives for a function."""
    if by.path == "nnx.split_rngs":
        inner = split(inner)
    return Transformed(by.path, inner, node, by.compat)


#: What else splits keys around a function, called with how many.
SPLITTING = ("nnx.graph.split_rngs", "nnx.graphlib.split_rngs", "nnx.with_rngs")


def split(inner: Value) -> Value:
    """A function with keys that are split around it."""
    return replace(inner, split=True) if isinstance(inner, Transformed) else inner


def axis(called: Transformed, index: int) -> ast.expr | None:
    """How ``in_axes`` of an argument are written, ``None`` where they are not."""
    node = called.node
    if not isinstance(node, ast.Call):
        return None
    axes = next((k.value for k in node.keywords if k.arg == "in_axes"), None)
    if isinstance(axes, (ast.Tuple, ast.List)):
        return axes.elts[index] if index < len(axes.elts) else None
    return axes


def gradients(called: Transformed, given: Given, value: Value) -> Value:
    """What a function that gives gradients gives.

    Args:
        called: it.
        given: what it is called with.
        value: what the function gives that is differentiated.
    """
    options = {}
    if isinstance(called.node, ast.Call):
        options = {k.arg: k.value for k in called.node.keywords if k.arg is not None}
    index, several = _place(options.get("argnums"))
    model = given.arguments[index] if index < len(given.arguments) else None
    is_state = called.path.startswith("nnx.") or _is_state(model)
    kind = "nnx.State" if is_state else "gradients"
    one = Instance(kind, compat=called.compat, gradient=True, filtered=True)
    grads: Value = Several((), one, "tuple") if several else one
    aux = options.get("has_aux")
    if called.path.endswith("value_and_grad"):
        return Several((value, grads), None, "tuple")
    if isinstance(aux, ast.Constant) and aux.value is True:
        second = value.item(1) if isinstance(value, Several) else None
        return Several((grads, second), None, "tuple")
    return grads


def _is_state(model: Value) -> bool:
    return isinstance(model, Instance) and model.kind == "nnx.State"


def _place(argnums: ast.expr | None) -> tuple[int, bool]:
    """Of which argument the gradients are, and whether they are of several."""
    if isinstance(argnums, ast.Call) and argnums.args:
        argnums = argnums.args[0]  # nnx.DiffState(0, filter)
    if isinstance(argnums, (ast.Tuple, ast.List)):
        return 0, True
    if isinstance(argnums, ast.Constant) and isinstance(argnums.value, int):
        return argnums.value, False
    return 0, False


# -- what runs functions at once ----------------------------------------------------

_Run = tuple[list[Value], Given, Value]


def _from(given: Given, index: int) -> Value:
    return given.arguments[index] if index < len(given.arguments) else None


def _cond(given: Given) -> _Run:
    return [*given.arguments[1:3]], Given(given.arguments[3:]), None


def _switch(given: Given) -> _Run:
    branches = _from(given, 1)
    listed = list(branches.all()) if isinstance(branches, Several) else []
    return listed, Given(given.arguments[2:]), None


def _while(given: Given) -> _Run:
    init = given.keywords.get("init_val", _from(given, 2))
    return [*given.arguments[:2]], Given((init,)), init


def _fori(given: Given) -> _Run:
    init = given.keywords.get("init_val", _from(given, 3))
    return [_from(given, 2)], Given((None, init)), init


def _scan(given: Given) -> _Run:
    init, over = given.keywords.get("init", _from(given, 1)), _from(given, 2)
    return (
        [_from(given, 0)],
        Given((init, element(over))),
        Several((init, None), None, "tuple"),
    )


def _map(given: Given) -> _Run:
    return [_from(given, 0)], Given((element(_from(given, 1)),)), None


LOOPS: dict[str, Callable[[Given], _Run]] = {
    "nnx.cond": _cond,
    "jax.lax.cond": _cond,
    "nnx.switch": _switch,
    "jax.lax.switch": _switch,
    "nnx.while_loop": _while,
    "jax.lax.while_loop": _while,
    "nnx.fori_loop": _fori,
    "jax.lax.fori_loop": _fori,
    "jax.lax.scan": _scan,
    "jax.lax.map": _map,
}
#: What runs functions that it is given, at once.
RUNS = frozenset(LOOPS)
