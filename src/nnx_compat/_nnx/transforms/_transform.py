"""What all transforms share, so that one is its signature and what is special of it.

A file here defines a transform as the function that builds the transformed one::

    @transform(prefixes=("in_axes", "out_axes"))
    def vmap(f: Function = MISSING, *, in_axes: Axes = 0, ...) -> Function:

``transform`` makes of it what people call. Without a function it is a decorator. With
one it checks that it is no bound method, that ``graph`` and ``graph_updates`` ask for
what the release does, and that no prefix has a Module in it. Then Flax's own transform
is called where it means the same (``native``), or where an argument was given that only
older releases have; elsewhere it is the function here.

The types say what stays of a function's own: ``Transform`` keeps its signature,
``AxisTransform`` what it returns.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    ParamSpec,
    Protocol,
    TypedDict,
    TypeVar,
    cast,
    overload,
)

from ..._release import native as native_names
from ..._release import parameters_of
from ._checks import no_nodes_in, propagates_updates

if TYPE_CHECKING:
    from typing import Unpack

P = ParamSpec("P")
Q = ParamSpec("Q")
K = ParamSpec("K")
R = TypeVar("R")
S = TypeVar("S")
T_co = TypeVar("T_co", covariant=True)
Function = Callable[..., Any]
Builder = Callable[Concatenate[Function, Q], Function]


class _Missing:
    """The function that ``@nnx.jit(...)`` has not been given yet."""

    def __repr__(self) -> str:
        return "<the decorated function>"


#: Stands for the function where a transform is used as a decorator with arguments.
MISSING = cast(Function, _Missing())


class Transform(Protocol[Q]):
    """A transform whose result takes and returns what the function does."""

    @overload
    def __call__(
        self, f: Callable[P, R], /, *args: Q.args, **options: Q.kwargs
    ) -> Callable[P, R]: ...

    @overload
    def __call__(
        self, *args: Q.args, **options: Q.kwargs
    ) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


class Jit(Protocol[P, T_co]):
    """A compiled function, of Flax's or ours: a function that can be lowered."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T_co: ...
    def lower(self, *args: P.args, **kwargs: P.kwargs) -> Any: ...
    def eval_shape(self, *args: P.args, **kwargs: P.kwargs) -> Any: ...
    @overload
    def __get__(self, instance: None, owner: type) -> Jit[P, T_co]: ...
    @overload
    def __get__(
        self: Jit[Concatenate[S, K], T_co], instance: S, owner: type
    ) -> Callable[K, T_co]: ...


class JitTransform(Protocol[Q]):
    """``jit``, whose result is a function that can be lowered."""

    @overload
    def __call__(
        self, f: Callable[P, R], /, *args: Q.args, **options: Q.kwargs
    ) -> Jit[P, R]: ...

    @overload
    def __call__(
        self, *args: Q.args, **options: Q.kwargs
    ) -> Callable[[Callable[P, R]], Jit[P, R]]: ...


class AxisTransform(Protocol[Q]):
    """A transform whose result takes arguments with one axis more."""

    @overload
    def __call__(
        self, f: Callable[..., R], /, *args: Q.args, **options: Q.kwargs
    ) -> Callable[..., R]: ...

    @overload
    def __call__(
        self, *args: Q.args, **options: Q.kwargs
    ) -> Callable[[Callable[..., R]], Callable[..., R]]: ...


class Derived(Protocol[Q, T_co]):
    """A transform whose result takes what the function does and returns something."""

    @overload
    def __call__(
        self, f: Callable[P, object], /, *args: Q.args, **options: Q.kwargs
    ) -> Callable[P, T_co]: ...

    @overload
    def __call__(
        self, *args: Q.args, **options: Q.kwargs
    ) -> Callable[[Callable[P, object]], Callable[P, T_co]]: ...


class Traits(TypedDict, total=False):
    """What ``completed`` has to know of a transform."""

    prefixes: tuple[str, ...]
    native: bool | Callable[..., bool]
    check: Callable[..., Function]
    takes_old: bool


def transform(**traits: Unpack[Traits]) -> Callable[[Builder[Q]], Transform[Q]]:
    """Complete a transform that keeps the signature of the function."""
    return functools.partial(completed, **traits)


def jit_transform(
    **traits: Unpack[Traits],
) -> Callable[[Builder[Q]], JitTransform[Q]]:
    """Complete ``jit``."""
    return functools.partial(completed, **traits)


def axis_transform(
    **traits: Unpack[Traits],
) -> Callable[[Builder[Q]], AxisTransform[Q]]:
    """Complete a transform over an axis of the arguments."""
    return functools.partial(completed, **traits)


def completed(
    build: Function,
    prefixes: tuple[str, ...] = (),
    native: bool | Callable[..., bool] = False,
    check: Callable[..., Function] = propagates_updates,
    takes_old: bool = False,
    like: Function | None = None,
) -> Any:
    """The transform that people call, from what builds a transformed function.

    Args:
        build: takes a function and options.
        prefixes: the options that are pytree prefixes of arguments or outputs.
        native: whether Flax's own transform means the same on this release; a function
            where it depends on the options.
        check: takes the name of the transform, the function, ``graph`` and
            ``graph_updates``; returns the function.
        takes_old: whether it has ``**old``, options that Flax's own transform has on
            some older releases only. Type checkers are not told of them.
        like: the transform whose signature this one has.
    """
    name = build.__name__
    signature = inspect.signature(like or build)
    if takes_old:
        old_options = inspect.Parameter("old", inspect.Parameter.VAR_KEYWORD)
        signature = signature.replace(
            parameters=[*signature.parameters.values(), old_options]
        )
    defaults = {key: p.default for key, p in signature.parameters.items()}
    first = next(iter(defaults))
    modes = [m for m in ("graph", "graph_updates") if m in defaults]

    @functools.wraps(build)
    def call(*args: object, **kwargs: object) -> Function:
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise TypeError(f"{name}() {error}") from None
        old = given.pop("old", {})
        # by identity: an axis may be an array, or a sharding that cannot be compared
        options = {k: v for k, v in given.items() if v is not defaults[k]}
        f = options.pop(first, MISSING)
        if f is MISSING:
            return functools.partial(call, **options, **old)
        f = check(name, f, **{mode: options.get(mode) for mode in modes})
        for prefix in prefixes:
            no_nodes_in(name, prefix, options.get(prefix))
        if old or (native(**options) if callable(native) else native):
            return natively(name, f, options, old)
        return cast(Function, build(f, **options))

    # __wrapped__ alone would not show **old, nor the signature of another transform
    call.__signature__ = signature  # type: ignore[attr-defined]
    return call


def natively(
    name: str,
    f: Function,
    options: Mapping[str, object],
    old: Mapping[str, object] = {},
) -> Function:
    """Flax's own transform of a function, with options that are not at their default.

    With those of older releases their defaults go, and the meaning of axes to them.

    Raises:
        TypeError: the release has no such transform, or it takes no argument like one
            in ``old``.
    """
    known = parameters_of(name)
    unknown = [key for key in old if key not in known]
    if unknown or not known:
        raise TypeError(
            f"{name}() got an unexpected keyword argument {(unknown or list(old))[0]!r}"
        )
    given = {k: v for k, v in options.items() if k in known}
    return cast(Function, native_names[name](f, **given, **old))
