"""What every transform checks before it starts, with the meaning of the newest Flax."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable
from typing import Any, TypeVar

import jax

from ...errors import (
    ArgumentTypeError,
    ArgumentValueError,
    RefusedArgumentError,
    kind_of,
)
from ...functional import show
from ...revisions import flax_version, nnx
from .. import _parameters as parameters
from ._layout import is_node, nodes_of, objects
from ._prefixes import is_prefix_leaf

F = TypeVar("F", bound=Callable[..., Any])


def propagates_updates(
    name: str, f: F, graph: bool | None = None, graph_updates: bool | None = None
) -> F:
    """Check the function and the modes of a transform that propagates all updates.

    Raises:
        ArgumentValueError: the function is a bound method of a Module.
        RefusedArgumentError: the modes ask for what the release cannot do.
    """
    f = free_function(name, f)
    parameters.check(name, graph=graph, graph_updates=graph_updates)
    return f


def propagates_values(
    name: str, f: F, graph: bool | None = None, graph_updates: bool | None = None
) -> F:
    """Check the function and the modes of a transform that propagates values only.

    Raises:
        ArgumentValueError: the function is a bound method of a Module, or neither mode
            says that values are enough.
    """
    values_only(name, graph, graph_updates)
    return free_function(name, f)


def values_only(name: str, graph: bool | None, graph_updates: bool | None) -> None:
    """Check the modes of a transform that propagates values and nothing else.

    Raises:
        ArgumentValueError: neither mode says that this is enough. The newest Flax
            cannot do more in these functions either, and wants to be told.
    """
    if graph is not False and graph_updates is not False:
        raise ArgumentValueError(
            f"nnx.{name} does not support graph_updates=True. It propagates "
            "the values of Variables; new attributes that the function sets are lost",
            instead=f"nnx.{name}(..., graph_updates=False)",
        )


def free_function(name: str, f: F) -> F:
    """Check that a function is no bound method of a Module.

    Natively, the state that such a method changes is lost or leaks a tracer before
    this is checked.

    Returns:
        The function; a callable object as a function.

    Raises:
        ArgumentTypeError: it cannot be called.
        ArgumentValueError: it is one.
    """
    inner: Callable[..., object] = f
    while isinstance(inner, functools.partial):
        inner = inner.func
    if not callable(inner):
        raise ArgumentTypeError(
            f"nnx.{name} was given {kind_of(f)}, which cannot be called",
            instead=f"nnx.{name}(function)",
        )
    if inspect.ismethod(inner) and isinstance(inner.__self__, nnx.Module):
        kind, method = type(inner.__self__).__name__, inner.__name__
        raise ArgumentValueError(
            f"nnx.{name} does not support bound methods, and {kind}.{method} is one: "
            "its Module would be no argument",
            instead=f"nnx.{name}({kind}.{method})(module, ...), or @nnx.{name} on it",
        )
    return f if isinstance(inner, _FUNCTIONS) else _as_function(f)


_FUNCTIONS = (
    types.FunctionType,
    types.MethodType,
    types.BuiltinFunctionType,
    type,
    type(jax.jit(abs)),
)


def _as_function(f: F) -> F:
    """A callable object as a function.

    Natively a transform copies the attributes of such an object over its own.
    """

    @functools.wraps(f, updated=())
    def function(*args: object, **kwargs: object) -> object:
        return f(*args, **kwargs)

    return function  # type: ignore[return-value]


def no_nodes_in(name: str, option: str, prefix: object) -> None:
    """Check that a prefix of the arguments holds no Modules.

    Raises:
        ArgumentValueError: it does.
    """
    leaves = jax.tree_util.tree_leaves(
        prefix, is_leaf=lambda x: is_node(x) or is_prefix_leaf(x)
    )
    for leaf in leaves:
        if is_node(leaf):
            raise ArgumentValueError(
                f"{option} of nnx.{name} holds {kind_of(leaf)}. Graph nodes "
                "are not allowed as prefixes",
                instead="nnx.StateAxes or nnx.StateSharding, or one value for all",
            )


def not_shared(name: str, graph: bool | None, tree: object) -> None:
    """Check what tree mode requires: no Module or Variable twice in the arguments.

    Raises:
        ArgumentValueError: there is one.
    """
    if graph is not False:
        return
    seen: set[int] = set()
    for node in nodes_of(tree):
        for path, value in objects((node,)):
            if id(value) in seen:
                raise ArgumentValueError(
                    f"Duplicate {type(value).__name__} in the arguments of "
                    f"nnx.{name}, at {show(path[1:])}: graph=False admits no sharing",
                    instead="graph_updates=False, without graph=False",
                )
            seen.add(id(value))


def unsupported(name: str, argument: str, why: str) -> RefusedArgumentError:
    """The error for an argument that this release cannot honour."""
    return RefusedArgumentError(
        f"nnx.{name} was given {argument}, which flax {flax_version} cannot do: {why}",
        instead="a newer Flax: pip install --upgrade flax",
    )
