"""Functions over Modules that jax compiles, or takes apart to look at them.

``jit`` compiles; ``jit_partial`` does so with arguments bound for good; ``remat``
computes again what a gradient needs instead of keeping it; ``checkify`` finds errors at
run time; ``eval_shape`` and ``make_jaxpr`` run nothing.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
from jax.experimental import checkify as jax_checkify

from ...errors import ArgumentValueError
from ...revisions import nnx
from . import _checks as asked
from ._checks import LATER
from ._layout import Inside, Layout, Outcome, Static, merged, of_nodes, positional

__all__ = [
    "cached_partial",
    "checkify",
    "eval_shape",
    "jit",
    "jit_partial",
    "make_jaxpr",
    "remat",
]

_NATIVE_JIT = asked.native("StateSharding")


def jit(
    fun: Any = LATER,
    *,
    in_shardings: Any = None,
    out_shardings: Any = None,
    static_argnums: Any = None,
    static_argnames: Any = None,
    donate_argnums: Any = None,
    donate_argnames: Any = None,
    keep_unused: bool = False,
    device: Any = None,
    backend: str | None = None,
    inline: bool = False,
    graph: bool | None = None,
    graph_updates: bool | None = None,
    **old: Any,
) -> Any:
    """A compiled function over Modules; what it does to its arguments is propagated.

    Without ``fun`` it is a decorator.

    Args:
        fun: takes Modules and arrays.
        in_shardings: a prefix of the arguments: shardings, None, or
            ``nnx.StateSharding`` for a Module. Static arguments have no entry.
        out_shardings: likewise of the output.
        static_argnums: positions of arguments that are static: hashable, and compiled
            for each value.
        static_argnames: names of such.
        donate_argnums: positions of arguments whose memory may be used up.
        donate_argnames: names of such.
        keep_unused: whether arguments that are not used stay arguments.
        device: where to run.
        backend: the platform to run on.
        inline: whether to inline into an enclosing ``jit``.
        graph: True, as there is no tree mode.
        graph_updates: True, as updates are always propagated.
        **old: what the installed Flax takes besides; with any of these it is the native
            function.

    Raises:
        ArgumentValueError: ``fun`` is a bound method, or a Module is a sharding.
        RefusedArgumentError: the release cannot do what an argument asks for.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.BatchNorm(2, rngs=nnx.Rngs(0))
        >>> @nnx.jit
        ... def call(model, x):
        ...     return model(x, use_running_average=False)
        >>> call(model, jnp.ones((4, 2))).shape
        (4, 2)
    """
    options = {
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
    if fun is LATER:
        both = {"graph": graph, "graph_updates": graph_updates}
        return asked.decorator(jit, {**options, **old, **both})
    fun = asked.free_function("jit", fun)
    asked.modes("jit", graph=graph, graph_updates=graph_updates)
    for name, prefix in (("in", in_shardings), ("out", out_shardings)):
        asked.plain_prefix("jit", f"{name}_shardings", prefix)
    if _NATIVE_JIT or old:
        return _native_jit(fun, options, old)
    return _Jitted("jit", fun, options)


def _native_jit(fun: Any, options: dict[str, Any], old: dict[str, Any]) -> Any:
    known = inspect.signature(nnx.jit).parameters
    if unknown := [key for key in old if key not in known]:
        raise TypeError(f"jit() got an unexpected keyword argument {unknown[0]!r}")
    static = options["static_argnums"], options["static_argnames"]
    shardings = options["in_shardings"]
    if isinstance(shardings, (tuple, list)) and static != (None, None):
        return _SplitStatic(fun, options, old)
    if options["static_argnums"] is None and "fun" not in known:
        options["static_argnums"] = ()
    given = {key: v for key, v in options.items() if v is not None and key in known}
    return nnx.jit(fun, **given, **old)


class _SplitStatic:
    """``nnx.jit`` with static arguments and a sharding for each of the others.

    Natively it loses count of the shardings. So there is one compiled function for each
    combination of static values.
    """

    def __init__(self, fun: Any, options: dict[str, Any], old: dict[str, Any]) -> None:
        functools.update_wrapper(self, fun, updated=())
        self.fun = fun
        positions = options.pop("static_argnums")
        names = options.pop("static_argnames")
        self.static = static_positions(fun, positions, names)
        self.options = {k: v for k, v in options.items() if v is not None}
        self.options.update(old)
        self.compiled: dict[Any, Any] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        args = positional(self.fun, args, kwargs)
        fixed = {i: args[i] for i in self.static if i < len(args)}
        rest = [arg for i, arg in enumerate(args) if i not in fixed]
        key = tuple(fixed.items())
        if key not in self.compiled:
            self.compiled[key] = nnx.jit(self._with(fixed), **self.options)
        return self.compiled[key](*rest)

    def _with(self, fixed: dict[int, Any]) -> Any:
        def fun(*rest: Any) -> Any:
            return self.fun(*merged(rest, fixed))

        return functools.wraps(self.fun, assigned=("__name__",), updated=())(fun)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else functools.partial(self, instance)


def static_positions(fun: Any, positions: Any, names: Any) -> tuple[int, ...]:
    """The positions of arguments given by position or name."""
    found = set(as_tuple(positions))
    if as_tuple(names):
        order = list(inspect.signature(fun).parameters)
        found |= {order.index(name) for name in as_tuple(names)}
    return tuple(sorted(found))


def as_tuple(value: Any) -> tuple[Any, ...]:
    """One or several of something, as a tuple."""
    if value is None:
        return ()
    if isinstance(value, Iterable) and not isinstance(value, str):
        return tuple(value)
    return (value,)


class _Jitted:
    """A compiled function over Modules.

    The static part of the arguments is an argument of its own, so jax compiles anew
    where the structure of a Module is another one.
    """

    def __init__(
        self, name: str, fun: Any, options: dict[str, Any], held: tuple[Any, ...] = ()
    ) -> None:
        functools.update_wrapper(self, fun, updated=())
        self.name, self.fun, self.held = name, fun, held
        self.static_names = as_tuple(options.pop("static_argnames", None))
        self.static = as_tuple(options.pop("static_argnums", None))
        self.donated = as_tuple(options.pop("donate_argnums", None))
        self.donated_names = as_tuple(options.pop("donate_argnames", None))
        inward = options.pop("in_shardings", None)
        self.inward = list(inward) if isinstance(inward, (list, tuple)) else inward
        self.outward = options.pop("out_shardings", None)
        self.options = {key: v for key, v in options.items() if v is not None}
        self.compiled: dict[Any, Any] = {}

    def _pure(self, static: Any, gone: list[Any], kept: list[Any]) -> Any:
        layout, fixed, donate = static
        parts = iter(gone), iter(kept)
        inside = Inside(layout, [next(parts[0 if d else 1]) for d in donate])
        args, kwargs = inside.tree
        positions, names = fixed
        out = self.fun(*merged(args, dict(positions)), **kwargs, **dict(names))
        if self.name == "jit":
            prefix = (of_nodes(layout, (self.inward, None)), self.outward)
            arrays, outcome = inside.outcome(out, prefix)
            outcome.layout.empty()
            return _constrained(arrays, outcome.said), Static(_Once(outcome))
        arrays, after, changed = inside.values(self.name, out)
        said = after.spread(self.outward)
        said += [None] * (len(arrays) - len(said))
        after.empty()
        return _constrained(arrays, said), Static(_Once((after, changed)))

    def _taken(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        args = (*self.held, *args)
        count = len(args)
        static = {
            i % count: args[i % count] for i in self.static if -count <= i < count
        }
        names = {k: v for k, v in kwargs.items() if k in self.static_names}
        if self.static_names and set(self.static_names) - set(kwargs):
            order = list(inspect.signature(self.fun).parameters)
            for name in set(self.static_names) & set(order):
                if order.index(name) < count:
                    static[order.index(name)] = args[order.index(name)]
        rest = [arg for i, arg in enumerate(args) if i not in static]
        named = {k: v for k, v in kwargs.items() if k not in names}
        layout = Layout((rest, named))
        positions = [i for i in range(count) if i not in static]
        top = _tops(layout, positions, sorted(named))
        gone = (*self.donated, *self.donated_names)
        donate = tuple(top[position] in gone for position, _ in layout.owners)
        pairs = tuple(sorted(static.items())), tuple(sorted(names.items()))
        arrays = [
            [a for a, d in zip(layout.arrays, donate, strict=True) if d is wanted]
            for wanted in (True, False)
        ]
        said = layout.spread((self.inward, None))
        shardings = tuple(
            tuple(s for s, d in zip(said, donate, strict=True) if d is wanted)
            for wanted in (True, False)
        )
        compiled = self._compiled(shardings)
        return layout, compiled, (_Kept(layout), pairs, donate), arrays

    def _compiled(self, shardings: Any) -> Any:
        """Jax's own compiled function, one for each way to shard the arrays."""
        if shardings not in self.compiled:
            options = dict(self.options)
            if self.inward is not None:
                options["in_shardings"] = tuple(map(list, shardings))
            self.compiled[shardings] = jax.jit(
                self._pure, static_argnums=0, donate_argnums=1, **options
            )
        return self.compiled[shardings]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        layout, compiled, static, arrays = self._taken(args, kwargs)
        return self._applied(layout, compiled(static, *arrays))

    def _applied(self, layout: Layout, result: Any) -> Any:
        arrays, static = result
        if self.name == "jit":
            outcome: Outcome = static.value.value
            return outcome.apply(layout.nodes, arrays)
        out, changed = static.value.value
        changed.apply(layout, arrays[out.count :])
        return out.together(arrays[: out.count])[0]

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def lower(self, *args: Any, **kwargs: Any) -> Lowered:
        """The function, lowered for these arguments; ``compile()`` compiles it."""
        _, compiled, static, arrays = self._taken(args, kwargs)
        return Lowered(self, compiled.lower(static, *arrays))

    def eval_shape(self, *args: Any, **kwargs: Any) -> Any:
        """What the function returns, without values."""
        _, compiled, static, arrays = self._taken(args, kwargs)
        found, about = compiled.eval_shape(static, *arrays)
        if self.name == "jit":
            (_, out), _ = about.value.value.layout.together(found)
            return out
        out, _ = about.value.value
        return out.together(found[: out.count])[0]


class Lowered:
    """What ``lower`` gives: jax's own object, and how to call what it compiles to."""

    def __init__(self, jitted: _Jitted, lowered: Any) -> None:
        self.jitted, self.lowered = jitted, lowered

    def compile(self, **options: Any) -> Compiled:
        """The compiled function."""
        return Compiled(self.jitted, self.lowered.compile(**options))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.lowered, name)


class Compiled:
    """A compiled function over Modules, for arguments of one structure."""

    def __init__(self, jitted: _Jitted, compiled: Any) -> None:
        self.jitted, self.compiled = jitted, compiled

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        layout, _, _, arrays = self.jitted._taken(args, kwargs)
        return self.jitted._applied(layout, self.compiled(*arrays))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.compiled, name)


def _constrained(arrays: Sequence[Any], shardings: Sequence[Any]) -> list[Any]:
    return [
        array if sharding is None else jax.lax.with_sharding_constraint(array, sharding)
        for array, sharding in zip(arrays, shardings, strict=True)
    ]


class _Once:
    """A static value that equals itself only."""

    def __init__(self, value: Any) -> None:
        self.value = value


class _Kept(Layout):
    """A layout as a key: without the nodes and arrays it was made of."""

    def __init__(self, layout: Layout) -> None:
        vars(self).update(vars(layout))
        self.empty()


def _tops(layout: Layout, positions: list[int], names: list[str]) -> list[Any]:
    """For each leaf of ``(args, kwargs)`` the position or the name of its argument."""
    found: list[Any] = []
    args, kwargs = layout.treedef.children()
    for label, child in zip(
        [*positions, *names], [*args.children(), *kwargs.children()], strict=True
    ):
        found += [label] * child.num_leaves
    return found


def jit_partial(
    fun: Callable[..., Any],
    *partial_args: Any,
    in_shardings: Any = None,
    out_shardings: Any = None,
    static_argnums: Any = None,
    static_argnames: Any = None,
    donate_argnums: Any = None,
    donate_argnames: Any = None,
    keep_unused: bool = False,
    device: Any = None,
    backend: str | None = None,
    inline: bool = False,
    graph: bool | None = None,
    graph_updates: bool | None = None,
) -> Any:
    """A compiled function whose first arguments are bound; their values are propagated.

    One of ``graph=False`` and ``graph_updates=False`` has to be said, as to the newest
    Flax. The structure of the bound arguments should not change; where it does, this
    one compiles anew, and the newest Flax does not notice.

    Args:
        fun: takes Modules and arrays.
        *partial_args: its first arguments.
        in_shardings: None, or one sharding for all arguments, or a tuple with one or
            None for each, the bound ones included.
        out_shardings: likewise of the output.
        static_argnums: positions of static arguments.
        static_argnames: names of such.
        donate_argnums: positions of arguments whose memory may be used up.
        donate_argnames: names of such.
        keep_unused: whether arguments that are not used stay arguments.
        device: where to run.
        backend: the platform to run on.
        inline: whether to inline into an enclosing ``jit``.
        graph: False to refuse Modules and Variables that are shared.
        graph_updates: False.

    Raises:
        ArgumentValueError: neither mode is False, or a sharding is a StateSharding.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> call = nnx.jit_partial(lambda m, x: m(x), model, graph_updates=False)
        >>> call(jnp.ones((1, 2))).shape
        (1, 3)
    """
    asked.values_only("jit_partial", graph, graph_updates)
    fun = asked.free_function("jit_partial", fun)
    asked.not_shared("jit_partial", graph, partial_args)
    for prefix in (in_shardings, out_shardings):
        if any(map(_by_filter, jax.tree_util.tree_leaves(prefix, is_leaf=_by_filter))):
            raise ArgumentValueError(
                "in_shardings and out_shardings cannot contain `StateSharding` objects "
                "in `jit_partial`",
                instead="nnx.jit, or the shardings themselves",
            )
    options = {
        "static_argnums": static_argnums,
        "static_argnames": static_argnames,
        "donate_argnums": donate_argnums,
        "donate_argnames": donate_argnames,
        "keep_unused": keep_unused,
        "device": device,
        "backend": backend,
        "inline": inline,
        "in_shardings": in_shardings,
        "out_shardings": out_shardings,
    }
    return _Jitted("jit_partial", fun, options, partial_args)


def _by_filter(value: Any) -> bool:
    return hasattr(value, "filters")


def cached_partial(
    f: Callable[..., Any],
    *cached_args: Any,
    graph: bool | None = None,
    graph_updates: bool | None = None,
) -> Any:
    """A function with its first arguments bound.

    A cache of how the arguments are taken apart makes the native one faster; here is
    none, and the bound arguments are the caller's objects themselves.

    Args:
        f: a transformed function, ``nnx.jit(...)``.
        *cached_args: its first arguments.
        graph: True, as there is no tree mode.
        graph_updates: True, as updates are always propagated.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> call = nnx.cached_partial(nnx.jit(lambda m, x: m(x)), model)
        >>> call(jnp.ones((1, 2))).shape
        (1, 3)
    """
    asked.modes("cached_partial", graph=graph, graph_updates=graph_updates)
    return functools.partial(f, *cached_args)


def remat(
    f: Any = LATER,
    *,
    prevent_cse: bool = True,
    static_argnums: Any = (),
    policy: Any = None,
    graph: bool | None = None,
    graph_updates: bool | None = None,
    **old: Any,
) -> Any:
    """A function whose intermediate values are computed again for the gradient.

    What it does to its arguments is propagated. Without ``f`` it is a decorator.

    Args:
        f: takes Modules and arrays, by position.
        prevent_cse: whether jax is to keep the compiler from undoing it.
        static_argnums: positions of arguments that are static.
        policy: what to keep, one of ``jax.checkpoint_policies``.
        graph: True, as there is no tree mode.
        graph_updates: True, as updates are always propagated.
        **old: what the installed Flax takes besides; with any of these it is the native
            function.

    Raises:
        ArgumentValueError: ``f`` is a bound method.
        RefusedArgumentError: ``graph`` or ``graph_updates`` is False.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> call = nnx.remat(lambda model, x: model(x))
        >>> grads = nnx.grad(lambda model: call(model, jnp.ones((1, 2))).sum())(model)
        >>> [g.shape for g in jax.tree_util.tree_leaves(grads)]
        [(3,), (2, 3)]
    """
    options = {
        "prevent_cse": prevent_cse,
        "static_argnums": static_argnums,
        "policy": policy,
    }
    if f is LATER:
        both = {"graph": graph, "graph_updates": graph_updates}
        return asked.decorator(remat, {**options, **old, **both})
    f = asked.free_function("remat", f)
    asked.modes("remat", graph=graph, graph_updates=graph_updates)
    if _NATIVE_JIT or old:
        return nnx.remat(f, **options, **old)
    static = as_tuple(options.pop("static_argnums"))

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        args = positional(f, args, kwargs)
        fixed = {i % len(args): args[i % len(args)] for i in static}
        layout = Layout([arg for i, arg in enumerate(args) if i not in fixed])
        outcomes: list[Outcome] = []

        def pure(arrays: list[Any]) -> Any:
            inside = Inside(layout, arrays)
            found, outcome = inside.outcome(f(*merged(inside.tree, fixed)))
            outcomes.append(outcome)
            return found

        arrays = jax.checkpoint(pure, prevent_cse=prevent_cse, policy=policy)(
            layout.arrays
        )
        return outcomes[-1].apply(layout.nodes, arrays)

    return call


def checkify(
    f: Callable[..., Any],
    errors: Any = jax_checkify.user_checks,
    graph: bool | None = None,
    graph_updates: bool | None = None,
) -> Any:
    """A function that returns ``(error, output)``; see ``jax.experimental.checkify``.

    Args:
        f: takes Modules and arrays. What it does to them is propagated.
        errors: the set of checks to make.
        graph: True, as there is no tree mode.
        graph_updates: True, as updates are always propagated.

    Raises:
        ArgumentValueError: ``f`` is a bound method.
        RefusedArgumentError: ``graph`` or ``graph_updates`` is False.

    Example:
        >>> from jax.experimental import checkify
        >>> from nnx_compat import nnx
        >>> call = nnx.checkify(jnp.log, errors=checkify.float_checks)
        >>> call(-1.0)[0].get() is not None
        True
    """
    f = asked.free_function("checkify", f)
    asked.modes("checkify", graph=graph, graph_updates=graph_updates)
    if asked.native("checkify"):
        return nnx.checkify(f, errors)

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        layout = Layout((args, kwargs))
        outcomes: list[Outcome] = []

        def pure(arrays: list[Any]) -> Any:
            inside = Inside(layout, arrays)
            given, named = inside.tree
            found, outcome = inside.outcome(f(*given, **named))
            outcomes.append(outcome)
            return found

        error, arrays = jax_checkify.checkify(pure, errors)(layout.arrays)
        return error, outcomes[-1].apply(layout.nodes, arrays)

    return call


def eval_shape(
    f: Callable[..., Any],
    *args: Any,
    graph: bool | None = None,
    graph_updates: bool | None = None,
    **kwargs: Any,
) -> Any:
    """What ``f`` returns, its arrays replaced by ``jax.ShapeDtypeStruct``.

    Nothing is computed, and the arguments stay as they are.

    Args:
        f: takes Modules and arrays.
        *args: its arguments.
        graph: True, as there is no tree mode.
        graph_updates: True, as updates are always propagated.
        **kwargs: its arguments by keyword.

    Raises:
        ArgumentValueError: ``f`` is a bound method.
        RefusedArgumentError: ``graph`` or ``graph_updates`` is False.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.eval_shape(lambda: nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
        >>> [leaf.shape for leaf in jax.tree_util.tree_leaves(nnx.split(model)[1])]
        [(3,), (2, 3)]
    """
    f = asked.free_function("eval_shape", f)
    asked.modes("eval_shape", graph=graph, graph_updates=graph_updates)
    if asked.native("eval_shape"):
        return nnx.eval_shape(f, *args, **kwargs)
    layout = Layout((args, kwargs))
    outs: list[Layout] = []

    def pure(arrays: list[Any]) -> Any:
        given, named = layout.together(arrays)[0]
        outs.append(Layout(f(*given, **named)))
        return outs[-1].arrays

    shapes = jax.eval_shape(pure, layout.arrays)
    return outs[-1].together(shapes)[0]


def make_jaxpr(
    f: Any = LATER,
    *,
    graph: bool | None = None,
    graph_updates: bool | None = None,
    static_argnums: int | Sequence[int] = (),
) -> Any:
    """A function that returns the jaxpr of ``f``; the arguments stay as they are.

    One of ``graph=False`` and ``graph_updates=False`` has to be said, as to the newest
    Flax. Without ``f`` it is a decorator.

    Args:
        f: takes Modules and arrays.
        graph: False to refuse Modules and Variables that are shared.
        graph_updates: False.
        static_argnums: positions of arguments that are static.

    Raises:
        ArgumentValueError: ``f`` is a bound method, or neither mode is False.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> jaxpr = nnx.make_jaxpr(lambda m, x: m(x), graph_updates=False)
        >>> [v.aval.shape for v in jaxpr(model, jnp.ones((1, 2))).jaxpr.outvars]
        [(1, 3)]
    """
    if f is LATER:
        options: dict[str, Any] = {
            "graph": graph,
            "graph_updates": graph_updates,
            "static_argnums": static_argnums,
        }
        return asked.decorator(make_jaxpr, options)
    asked.values_only("make_jaxpr", graph, graph_updates)
    f = asked.free_function("make_jaxpr", f)
    static = as_tuple(static_argnums)

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        asked.not_shared("make_jaxpr", graph, (args, kwargs))
        fixed = {i % len(args): args[i % len(args)] for i in static}
        rest = [arg for i, arg in enumerate(args) if i not in fixed]
        layout = Layout((rest, kwargs))

        def pure(*arrays: Any) -> Any:
            given, named = layout.together(arrays)[0]
            return Layout(f(*merged(given, fixed), **named)).arrays

        return jax.make_jaxpr(pure)(*layout.arrays)

    return call
