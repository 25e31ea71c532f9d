"""The decorator."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ParamSpec, TypeVar, cast, overload

import jax

from .._nnx import newest
from .._nnx.transforms._checks import free_function, no_nodes_in
from ._arguments import Labels
from ._compiled import Compiled

P = ParamSpec("P")
R = TypeVar("R")


@overload
def jit(
    fun: Callable[P, R],
    *,
    in_shardings: Any = None,
    out_shardings: Any = None,
    static_argnums: int | Sequence[int] | None = None,
    static_argnames: str | Iterable[str] | None = None,
    donate_argnums: int | Sequence[int] | None = None,
    donate_argnames: str | Iterable[str] | None = None,
    keep_unused: bool = False,
    device: jax.Device | None = None,
    backend: str | None = None,
    inline: bool = False,
    graph: bool | None = None,
    graph_updates: bool | None = None,
) -> Compiled[P, R]: ...
@overload
def jit(
    *,
    in_shardings: Any = None,
    out_shardings: Any = None,
    static_argnums: int | Sequence[int] | None = None,
    static_argnames: str | Iterable[str] | None = None,
    donate_argnums: int | Sequence[int] | None = None,
    donate_argnames: str | Iterable[str] | None = None,
    keep_unused: bool = False,
    device: jax.Device | None = None,
    backend: str | None = None,
    inline: bool = False,
    graph: bool | None = None,
    graph_updates: bool | None = None,
) -> Callable[[Callable[P, R]], Compiled[P, R]]: ...
def jit(
    fun: Callable[P, R] | None = None,
    *,
    in_shardings: Any = None,
    out_shardings: Any = None,
    static_argnums: int | Sequence[int] | None = None,
    static_argnames: str | Iterable[str] | None = None,
    donate_argnums: int | Sequence[int] | None = None,
    donate_argnames: str | Iterable[str] | None = None,
    keep_unused: bool = False,
    device: jax.Device | None = None,
    backend: str | None = None,
    inline: bool = False,
    graph: bool | None = None,
    graph_updates: bool | None = None,
) -> Compiled[P, R] | Callable[[Callable[P, R]], Compiled[P, R]]:
    """``nnx.jit`` without its walk over the model at every call.

    A drop-in for the newest ``nnx.jit``, on every release: Modules anywhere in the
    arguments and in the result, shared ones too; what the function does to them, values
    and structure, is done to the caller's objects; an exception leaves them as they
    were. A call on a structure that was met before costs about what flat leaves by hand
    cost. The rest costs what ``nnx.jit`` costs.

    Nothing inside has to be written otherwise: ``nnx.grad`` and ``nnx.value_and_grad``
    cost at trace time only.

    Args:
        fun: takes Modules and arrays; without it, this is a decorator.
        in_shardings: a prefix of the arguments: shardings, None, or
            ``nnx.StateSharding`` for a Module. Static arguments have no entry.
        out_shardings: likewise of the output.
        static_argnums: positions of arguments that are static: hashable, and compiled
            for each value.
        static_argnames: names of such.
        donate_argnums: positions of arguments whose memory may be used up: a step then
            needs no second copy of the model. The arrays that its Variables held are
            gone after the call; one that two Variables hold is copied first.
        donate_argnames: names of such.
        keep_unused: whether arguments that are not used stay arguments.
        device: where to run.
        backend: the platform to run on.
        inline: whether to inline into an enclosing ``jit``.
        graph: False for the tree mode of the releases that have one.
        graph_updates: False for the releases that can leave them out.

    Returns:
        The compiled function, with ``lower``, ``trace``, ``eval_shape`` and
        ``clear_cache`` as ``jax.jit`` has them, ``traces``, how often it was traced,
        and ``why()``, what was different at the last trace. Programs are kept for 128
        structures.

    Raises:
        ArgumentTypeError: ``fun`` cannot be called.
        ArgumentValueError: ``fun`` is a bound method, or a Module is a sharding.
        RefusedArgumentError: the release cannot do what an argument asks for.

    Example:
        >>> import jax.numpy as jnp
        >>> import nnx_compat as nc
        >>> model = nc.nnx.BatchNorm(2, rngs=nc.nnx.Rngs(0))
        >>> @nc.jit
        ... def call(model, x):
        ...     return model(x, use_running_average=False)
        >>> for _ in range(3):
        ...     y = call(model, jnp.ones((4, 2)))
        >>> y.shape, call.traces, float(nc.get_value(model.mean)[0]) > 0
        ((4, 2), 1, True)
    """
    options: dict[str, Any] = {
        "in_shardings": in_shardings,
        "out_shardings": out_shardings,
        "static_argnums": static_argnums,
        "static_argnames": static_argnames,
        "donate_argnums": donate_argnums,
        "donate_argnames": donate_argnames,
        "keep_unused": keep_unused,
        "device": device,
        "backend": backend,
        "inline": inline,
    }
    # the first release with a tree mode takes None for it
    modes = {"graph": graph, "graph_updates": graph_updates}
    options |= {name: mode for name, mode in modes.items() if mode is not None}
    if fun is None:
        return cast("Callable[..., Any]", functools.partial(jit, **options))
    fun = free_function("jit", fun)
    planned = _propagates_all(graph, graph_updates)
    if planned:  # in tree mode a Module may be one
        no_nodes_in("jit", "in_shardings", in_shardings)
        no_nodes_in("jit", "out_shardings", out_shardings)
    programs = {
        key: options[key]
        for key in ("keep_unused", "device", "backend", "inline")
        if options[key]
    }
    return Compiled(
        fun,
        functools.partial(newest("jit"), **options),
        planned,
        Labels(fun, static_argnums, static_argnames),
        Labels(fun, donate_argnums, donate_argnames),
        (
            list(in_shardings) if isinstance(in_shardings, tuple) else in_shardings,
            out_shardings,
        ),
        **programs,
    )


def _propagates_all(graph: bool | None, graph_updates: bool | None) -> bool:
    """Whether the meaning is the full one: tree mode and values only are Flax's own."""
    if graph is None:
        graph = newest("set_graph_mode").current_value()
    if graph_updates is None:
        graph_updates = newest("set_graph_updates").current_value()
    return bool(graph and graph_updates)
