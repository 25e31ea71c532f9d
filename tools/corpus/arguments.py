"""Small arguments for a class or a call, as far as its signature tells.

By the annotation first and the name second: a size is 4, a rate is 0.5, an ``Rngs`` is
``Rngs(0)``. What has a default keeps it. Where nothing tells what a parameter is to be,
nothing is tried: a wrong guess would say nothing about Flax.
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
import re
import types
import typing
from collections.abc import Callable
from typing import Any

#: Shapes in which an array is tried, in this order; the last is of whole numbers.
SHAPES = ((2, 4), (4,), (2, 4, 4), (2, 8, 8, 4), (2, 8))
_SIZE = 4
_SIZES = re.compile(
    r"(^|_)(dims?|features?|size|width|depth|num|n|channels?|hidden|units|layers?|"
    r"heads?|rank|length|len|in|out|vocab|seq|degree|order|k|d|steps?|blocks?)(_|$)"
)
_NOT_A_NUMBER = re.compile(r"(^|_)(fn|func|cls|module|layer|init|name|type|path)(_|$)")
_RATES = re.compile(r"rate|prob|alpha|beta|eps|scale|sigma|momentum|decay|tau|gamma")
_SWITCHES = re.compile(r"^(use|with|is|has|return)_|train|deterministic|bias$|causal")


class CannotTell(Exception):
    """No argument can be made from what a signature says."""


def arguments(function: Callable[..., Any], nnx: Any, array: Any = None) -> Any:
    """Positional and keyword arguments for what has no default.

    Args:
        function: with ``self`` first, as ``cls.__init__``.
        nnx: Flax's namespace.
        array: what the first parameter gets when it may be an array.

    Raises:
        CannotTell: for one parameter nothing can be made.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        raise CannotTell("no signature") from None
    hints = _hints(function)
    positional, named = [], {}
    for index, parameter in enumerate(list(signature.parameters.values())[1:]):
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            if array is not None and not index:
                positional.append(array)
            continue
        hint = hints.get(parameter.name, parameter.annotation)
        if array is not None and not index and _may_be_array(parameter.name, hint):
            value = array
        elif parameter.name == "rngs" or "Rngs" in str(hint):
            value = nnx.Rngs(0)
        elif parameter.default is not parameter.empty:
            continue
        else:
            value = _made(parameter.name, hint, nnx)
        if parameter.kind is parameter.KEYWORD_ONLY:
            named[parameter.name] = value
        else:
            positional.append(value)
            if len(positional) != index + 1:  # one with a default was passed over
                named[parameter.name] = positional.pop()
    return positional, named


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except Exception:  # a name that is there for type checkers alone
        return {}


def _may_be_array(name: str, hint: Any) -> bool:
    text = str(hint)
    if hint is inspect.Parameter.empty or hint is Any:
        return not _SWITCHES.search(name)
    return bool(re.search(r"Array|ndarray|Float|Num\[|Tensor|PyTree", text))


def _made(name: str, hint: Any, nnx: Any) -> Any:
    if isinstance(hint, str):
        hint = _SPELLED.get(hint.split("|")[0].strip(), hint)
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if type(None) in inside:
            return None
        return _made(name, inside[0], nnx)
    if origin is typing.Annotated:
        return _made(name, inside[0], nnx)
    if origin is typing.Literal:
        return inside[0]
    if origin in (tuple, list) or _is_sequence(origin):
        return _several(name, origin, inside, nnx)
    if isinstance(hint, type) and hint is not inspect.Parameter.empty:
        return _of_class(name, hint, nnx)
    return _by_name(name, hint, nnx)


_SPELLED: dict[str, Any] = {
    "int": int, "float": float, "bool": bool, "tuple[int, ...]": tuple[int, ...],
    "Sequence[int]": tuple[int, ...], "list[int]": list[int],
}  # fmt: skip


def _is_sequence(origin: Any) -> bool:
    return getattr(origin, "__name__", "") in ("Sequence", "Iterable", "Collection")


def _several(name: str, origin: Any, inside: tuple[Any, ...], nnx: Any) -> Any:
    kinds = [kind for kind in inside if kind is not Ellipsis]
    if not kinds:
        raise CannotTell(name)
    if len(kinds) == 1:
        kinds *= 2
    values = [_made(name, kind, nnx) for kind in kinds]
    return values if origin is list else tuple(values)


def _of_class(name: str, kind: type, nnx: Any) -> Any:
    import jax

    if kind is bool:
        return False
    if kind is int:
        return 2 if "head" in name or "group" in name else _SIZE
    if kind is float:
        return 0.5
    if issubclass(kind, enum.Enum):
        return next(iter(kind))
    if issubclass(kind, nnx.Module) or kind is nnx.Module:
        return nnx.Linear(_SIZE, _SIZE, rngs=nnx.Rngs(0))
    if dataclasses.is_dataclass(kind):
        positional, named = arguments(kind.__init__, nnx)
        return kind(*positional, **named)
    if issubclass(kind, jax.Array):
        return _by_name(name, kind, nnx)
    raise CannotTell(name)


def _by_name(name: str, hint: Any, nnx: Any) -> Any:
    import jax
    import jax.numpy as jnp

    text = str(hint)
    if name == "key" or name.endswith("_key") or "PRNGKey" in text:
        return jax.random.PRNGKey(0)
    if "dtype" in name:
        return jnp.float32
    if "Array" in text or "Float" in text:
        return jnp.ones((_SIZE, _SIZE))
    if "Callable" in text or name in ("activation", "act", "act_fn", "activation_fn"):
        return jax.nn.relu
    if hint is not inspect.Parameter.empty and hint is not Any:
        raise CannotTell(name)
    if _SWITCHES.search(name):
        return False
    if _RATES.search(name):
        return 0.5
    if _SIZES.search(name) and not _NOT_A_NUMBER.search(name):
        return _of_class(name, int, nnx)
    raise CannotTell(name)
