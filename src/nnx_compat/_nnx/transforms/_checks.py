"""What every transform checks before it starts, with the meaning of the newest Flax."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable
from typing import Any, TypeVar

import jax

from ... import facts
from ...errors import ArgumentTypeError, ArgumentValueError, RefusedArgumentError
from ...functional import show
from ...revisions import flax_version, nnx
from .. import _parameters as parameters
from ._layout import is_node, is_prefix_leaf, nodes_of, objects

F = TypeVar("F", bound=Callable[..., Any])


class _Missing:
    """The function that ``@nnx.jit(...)`` has not been given yet."""

    def __repr__(self) -> str:
        return "<the function, in a later call>"


#: Stands for the function where a transform is used as a decorator with arguments.
LATER: Any = _Missing()


def native(name: str) -> bool:
    """Whether the installed Flax has a name, before ``install()`` as after."""
    return facts.name(f"nnx.{name}").on(flax_version)


def decorator(transform: Callable[..., Any], options: dict[str, Any]) -> Any:
    """What ``@transform(**options)`` decorates with."""
    return functools.partial(transform, **options)


def free_function(asked: str, f: Any) -> Any:
    """Check that a function is no bound method of a Module.

    Natively, the state that such a method changes is lost or leaks a tracer before
    this is checked.

    Returns:
        The function; a callable object as a function.

    Raises:
        ArgumentTypeError: it cannot be called.
        ArgumentValueError: it is one.
    """
    inner = f
    while isinstance(inner, functools.partial):
        inner = inner.func
    if not callable(inner):
        raise ArgumentTypeError(
            f"nnx.{asked} was given a {type(f).__name__}, which cannot be called",
            instead=f"nnx.{asked}(function)",
        )
    if inspect.ismethod(inner) and isinstance(inner.__self__, nnx.Module):
        kind, name = type(inner.__self__).__name__, inner.__name__
        raise ArgumentValueError(
            f"nnx.{asked} does not support bound methods, and {kind}.{name} is one: "
            "its Module would be no argument",
            instead=f"nnx.{asked}({kind}.{name})(module, ...), or @nnx.{asked} on it",
        )
    return f if isinstance(inner, _FUNCTIONS) else _as_function(f)


_FUNCTIONS = (
    types.FunctionType,
    types.MethodType,
    types.BuiltinFunctionType,
    type,
    type(jax.jit(abs)),
)


def _as_function(f: Any) -> Any:
    """A callable object as a function.

    Natively a transform copies the attributes of such an object over its own.
    """

    @functools.wraps(f, updated=())
    def function(*args: Any, **kwargs: Any) -> Any:
        return f(*args, **kwargs)

    return function


def plain_prefix(asked: str, name: str, prefix: Any) -> None:
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
                f"{name} of nnx.{asked} holds a {type(leaf).__name__}. Graph nodes are "
                "not allowed as prefixes",
                instead="nnx.StateAxes or nnx.StateSharding, or one value for all",
            )


def modes(asked: str, **given: Any) -> None:
    """Check ``graph`` and ``graph_updates`` of a transform that propagates updates.

    Raises:
        RefusedArgumentError: they ask for what the release cannot do.
    """
    parameters.check(asked, **given)


def values_only(asked: str, graph: bool | None, graph_updates: bool | None) -> None:
    """Check the modes of a transform that propagates values and nothing else.

    Raises:
        ArgumentValueError: neither mode says that this is enough. The newest Flax
            cannot do more in these functions either, and asks to be told.
    """
    if graph is not False and graph_updates is not False:
        raise ArgumentValueError(
            f"nnx.{asked} does not support graph_updates=True. It propagates "
            "the values of Variables; new attributes that the function sets are lost",
            instead=f"nnx.{asked}(..., graph_updates=False)",
        )


def not_shared(asked: str, graph: bool | None, tree: Any) -> None:
    """Check what tree mode asks for: no Module or Variable twice in the arguments.

    Raises:
        ArgumentValueError: there is one.
    """
    if graph is not False:
        return
    seen: set[int] = set()
    for node in nodes_of(tree):
        for path, value in objects((node,)):
            if id(value) in seen:
                where = show(path[1:])
                raise ArgumentValueError(
                    f"Duplicate {type(value).__name__} in the arguments of "
                    f"nnx.{asked}, at {where}: graph=False admits no sharing",
                    instead="graph_updates=False, without graph=False",
                )
            seen.add(id(value))


def unsupported(asked: str, name: str, why: str) -> RefusedArgumentError:
    """The error for an argument that cannot be had on this release."""
    return RefusedArgumentError(
        f"nnx.{asked} was given {name}, which flax {flax_version} cannot do: {why}",
        instead="a newer Flax: pip install --upgrade flax",
    )
