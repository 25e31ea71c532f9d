"""``Sequential``, and the list that could be called like one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..._release import here, native
from ...errors import ArgumentTypeError
from .._native_classes import standing_in_for
from .containers import List, bases

__all__ = ["Sequence", "Sequential"]

#: Flax's own; the first was an ``nnx.List``, which none is today.
_native: type | None = None if here.sequential_is_a_list else native.get("Sequential")
_bases = bases(Iterable, _native)
_Metaclass: Any = standing_in_for(_native)

#: The newest List: Flax's, or ours.
_list: Any = native["List"] if here.list_can_grow else List


class Sequential(*_bases, metaclass=_Metaclass):  # type: ignore[misc, metaclass]
    """A Module that calls others, or any callables, one after the other.

    What one returns is the argument of the next: a tuple its arguments, a dict its
    keyword arguments. Keyword arguments of the call go to every layer that takes them.

    Args:
        *fns: callables; they are the ``List`` ``.layers``.

    Raises:
        TypeError: at the call, when one of them cannot be called, or is given an
            argument twice.

    Example:
        >>> import jax.numpy as jnp
        >>> from nnx_compat import nnx
        >>> rngs = nnx.Rngs(0)
        >>> model = nnx.Sequential(
        ...     nnx.Linear(2, 8, rngs=rngs), nnx.relu, nnx.Linear(8, 3, rngs=rngs)
        ... )
        >>> model(jnp.ones((1, 2))).shape, len(model.layers)
        ((1, 3), 3)
    """

    def __init__(self, *fns: Callable[..., Any]) -> None:
        self.layers = _list(fns)

    def __iter__(self) -> Iterator[Callable[..., Any]]:
        return iter(self.layers)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the layers in order."""
        return _in_order(list(self.layers), args, kwargs)


class Sequence(_list):  # type: ignore[misc]
    """A List that can be called like a Sequential, as on the first releases.

    Args:
        layers: callables.

    Example:
        >>> import jax.numpy as jnp
        >>> import warnings
        >>> from nnx_compat import nnx
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore", DeprecationWarning)
        ...     model = nnx.Sequence([nnx.Linear(2, 3, rngs=nnx.Rngs(0)), nnx.relu])
        >>> model(jnp.ones((1, 2))).shape
        (1, 3)
    """

    def __init__(self, layers: Iterable[Callable[..., Any]]) -> None:
        super().__init__(layers)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the elements in order."""
        return _in_order(list(self), args, kwargs)


def _in_order(
    layers: list[Callable[..., Any]], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    if not layers:
        return args[0] if len(args) == 1 else args or kwargs or None
    handed: dict[str, Any] = {}  # keyword arguments that come from the layer before
    output: Any = None
    for index, layer in enumerate(layers):
        if not callable(layer):
            raise ArgumentTypeError(
                f"layer {index} of a Sequential is not callable: {layer!r}",
                instead="Modules and functions",
            )
        taken = _accepted(layer, len(args), kwargs) if kwargs else {}
        if twice := sorted(handed.keys() & taken.keys()):
            raise ArgumentTypeError(
                f"layer {index} of a Sequential is given {', '.join(twice)} twice: by "
                "the call and by the layer before",
                instead="other names in the dict that the layer before returns",
            )
        output = layer(*args, **handed, **taken)
        args = output if isinstance(output, tuple) else (output,)
        handed = {}
        if isinstance(output, dict):
            args, handed = (), output
    return output


def _accepted(
    layer: Callable[..., Any], positional: int, kwargs: dict[str, Any]
) -> dict[str, Any]:
    """The keyword arguments that a callable takes besides so many positional ones."""
    try:
        parameters = list(inspect.signature(layer).parameters.values())
    except (TypeError, ValueError):  # a builtin may have no signature
        return {}
    placed = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, _EITHER)]
    filled = {p.name for p in placed[:positional] if p.kind is _EITHER}
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return {key: value for key, value in kwargs.items() if key not in filled}
    named = {p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, _EITHER)}
    return {key: value for key, value in kwargs.items() if key in named - filled}


_EITHER = inspect.Parameter.POSITIONAL_OR_KEYWORD
