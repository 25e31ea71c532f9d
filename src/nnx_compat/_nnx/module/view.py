"""Modules in another mode.

``view`` makes a new Module around the same Variables, where ``module.train()`` changes
the Module itself.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import jax.numpy as jnp

from ... import functional
from ...errors import ArgumentTypeError, ArgumentValueError
from ...revisions import nnx
from .. import newest
from .._parameters import check
from .attributes import changed_modules

if TYPE_CHECKING:
    from flax.nnx import BatchNorm, Dropout, Module, MultiHeadAttention

    from ...functional import Filter

__all__ = ["eval_mode", "set_mode", "set_mode_info", "train_mode", "view", "view_info"]


def setter_of(module: Module) -> functools.partial[None] | None:
    """What sets the mode of a Module: its own method, or ours for a layer of Flax's."""
    own = getattr(type(module), "set_view", None)
    if own is not None:
        return functools.partial(own, module)
    for kind, setter in _SETTERS.items():
        if isinstance(module, kind):
            return functools.partial(setter, module)
    return None


def _view_of_dropout(layer: Dropout, deterministic: bool | None = None) -> None:
    """The mode of a Dropout.

    Args:
        layer: the layer; it is changed.
        deterministic: whether everything is kept.
    """
    if deterministic is not None:
        layer.deterministic = deterministic


def _view_of_batch_norm(
    layer: BatchNorm, use_running_average: bool | None = None
) -> None:
    """The mode of a BatchNorm.

    Args:
        layer: the layer; it is changed.
        use_running_average: whether the stored statistics are used rather than
            those of the batch.
    """
    if use_running_average is not None:
        layer.use_running_average = use_running_average


def _view_of_attention(
    layer: MultiHeadAttention,
    deterministic: bool | None = None,
    decode: bool | None = None,
    batch_size: int | tuple[int, ...] | None = None,
    max_length: int | None = None,
) -> None:
    """The mode of a MultiHeadAttention.

    Args:
        layer: the layer; it is changed.
        deterministic: whether its dropout keeps everything.
        decode: whether it takes one position at a time and remembers the earlier ones.
        batch_size: of the memory, when there is none yet.
        max_length: of the memory, in positions, when there is none yet.
    """
    if deterministic is not None:
        layer.deterministic = deterministic
    if decode is None:
        return
    layer.decode = decode
    if all(hasattr(layer, name) for name in _MEMORY):  # None before init_cache
        return
    if batch_size is None or max_length is None:
        missing = "batch_size" if batch_size is None else "max_length"
        raise ArgumentTypeError(
            f"'{missing}' must be provided when initializing cache",
            instead="nnx.view(model, decode=True, batch_size=..., max_length=...)",
        )
    batch = (batch_size,) if isinstance(batch_size, int) else tuple(batch_size)
    shape = (*batch, max_length, layer.num_heads, layer.head_dim)
    dtype = layer.dtype or jnp.float32
    for name, value in zip(
        _MEMORY,
        (jnp.zeros(shape, dtype), jnp.zeros(shape, dtype), jnp.array(0, jnp.int32)),
        strict=True,
    ):
        setattr(layer, name, nnx.Cache(value))


_MEMORY = ("cached_key", "cached_value", "cache_index")

_SETTERS: dict[type, Callable[..., None]] = {
    nnx.Dropout: _view_of_dropout,
    nnx.BatchNorm: _view_of_batch_norm,
    nnx.MultiHeadAttention: _view_of_attention,
}


# -- Modules in another mode --------------------------------------------------------


_N = TypeVar("_N")


def view(
    node: _N,
    /,
    *,
    only: Filter = ...,
    raise_if_not_found: bool = True,
    graph: bool | None = None,
    **kwargs: Any,
) -> _N:
    """A new node in another mode; it shares the Variables of the old one.

    Each Module with a method ``set_view`` is given those of the arguments that it
    takes. Dropout takes ``deterministic``, BatchNorm ``use_running_average``,
    MultiHeadAttention ``deterministic``, ``decode``, ``batch_size``, ``max_length``.

    Args:
        node: a Module, or a list, tuple or dict of Modules; it is not changed.
        only: a filter: which Modules it is about.
        raise_if_not_found: whether an argument that no Module takes is an error.
        graph: only graph mode is known here.
        **kwargs: the mode.

    Raises:
        ValueError: no Module takes one of the arguments.

    Example:
        >>> from nnx_compat import nnx
        >>> model = [nnx.Dropout(0.5), nnx.Linear(2, 3, rngs=nnx.Rngs(0))]
        >>> test = nnx.view(model, deterministic=True)
        >>> test[0].deterministic, vars(test[1])["bias"] is vars(model[1])["bias"]
        (True, True)
    """
    check("view", graph=graph)

    def switch(module: Module) -> Iterable[str]:
        setter = setter_of(module)
        if setter is None:
            return ()
        taken = _accepted(setter, kwargs)
        left: object = setter(**taken)
        # one release's layers take any argument, and return what they have no use for
        return taken.keys() - left.keys() if isinstance(left, dict) else taken

    changed, used = changed_modules(node, only, switch)
    if raise_if_not_found and (unused := kwargs.keys() - used):
        raise ArgumentValueError(
            f"Unused keys found in nnx.view: {sorted(unused)}: no Module takes them",
            instead="nnx.view_info(model), which lists what they take",
        )
    return changed


def _accepted(setter: Callable[..., None], wanted: dict[str, Any]) -> dict[str, Any]:
    parameters = inspect.signature(setter).parameters
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return wanted
    return {key: value for key, value in wanted.items() if key in parameters}


def view_info(node: object, /, *, only: Filter = ..., graph: bool | None = None) -> str:
    """What ``view`` takes for the Modules of a node, class by class.

    Args:
        node: as in ``view``.
        only: a filter: which Modules it is about.
        graph: only graph mode is known here.

    Returns:
        The parameters of each class's ``set_view``, with what its docstring says.

    Example:
        >>> from nnx_compat import nnx
        >>> print(nnx.view_info(nnx.Dropout(0.5)).splitlines()[0])
        Dropout:
    """
    check("view_info", graph=graph)
    chosen = functional.predicate(only)
    setters: dict[type, functools.partial[None]] = {}
    for path, module in functional.iter_modules(node):
        setter = setter_of(module)
        if setter is not None and chosen(path, module):
            setters[type(module)] = setter
    lines: list[str] = []
    for kind in sorted(setters, key=lambda kind: kind.__qualname__):
        lines += [f"{kind.__qualname__}:", *_described(setters[kind])]
    return "\n".join(lines)


def _described(setter: functools.partial[None]) -> Iterator[str]:
    signature = inspect.signature(setter)
    text = inspect.getdoc(setter.func)
    if not text:
        yield f"  set_view{signature}"
        return
    described = _arguments(text)
    for name, parameter in signature.parameters.items():
        if name in ("self", "args", "kwargs"):
            continue
        required = parameter.default is parameter.empty
        default = "" if required else f" = {parameter.default}"
        yield f"  {name}: {parameter.annotation}{default}"
        yield from described.get(name, ())


def _arguments(text: str) -> dict[str, list[str]]:
    """The lines on each argument in the ``Args:`` section of a docstring."""
    _, _, section = text.partition("Args:\n")
    found: dict[str, list[str]] = {}
    indent = len(section) - len(section.lstrip(" "))
    current: list[str] = []
    for line in section.splitlines():
        depth = len(line) - len(line.lstrip(" "))
        if not line.strip():
            continue
        if depth < indent:
            break
        if depth == indent:
            name, _, line = line.strip().partition(":")
            current = found.setdefault(name.split(" ")[0], [])
        current.append(f"    {line.strip()}")
    return found


# -- The names before ``view``, which are gone from the newest Flax -----------------


def set_mode(
    node: _N,
    /,
    *,
    only: Filter = ...,
    raise_if_not_found: bool = True,
    **kwargs: Any,
) -> _N:
    """The former name of ``view``.

    Example:
        >>> from nnx_compat import nnx
        >>> nnx.view(nnx.Dropout(0.5), deterministic=True).deterministic
        True
    """
    changed: _N = newest("view")(
        node, only=only, raise_if_not_found=raise_if_not_found, **kwargs
    )
    return changed


def train_mode(node: _N, /, *, only: Filter = ..., **kwargs: Any) -> _N:
    """A view for training: dropout drops, and BatchNorm uses and learns statistics.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Dropout(0.5, deterministic=True)
        >>> nnx.view(model, deterministic=False).deterministic
        False
    """
    mode = {"deterministic": False, "use_running_average": False, **kwargs}
    return set_mode(node, only=only, raise_if_not_found=False, **mode)


def eval_mode(node: _N, /, *, only: Filter = ..., **kwargs: Any) -> _N:
    """A view for evaluation: dropout keeps all, and BatchNorm uses what it has learnt.

    Example:
        >>> from nnx_compat import nnx
        >>> nnx.view(nnx.Dropout(0.5), deterministic=True).deterministic
        True
    """
    mode = {"deterministic": True, "use_running_average": True, **kwargs}
    return set_mode(node, only=only, raise_if_not_found=False, **mode)


def set_mode_info(node: object, /, *, only: Filter = ...) -> str:
    """The former name of ``view_info``.

    Example:
        >>> from nnx_compat import nnx
        >>> nnx.view_info(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
        ''
    """
    info: str = newest("view_info")(node, only=only)
    return info
