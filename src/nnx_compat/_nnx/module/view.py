"""Modules in another mode.

``view`` makes a new Module around the same Variables, where ``module.train()`` changes
the Module itself.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from ... import functional
from ...errors import ArgumentValueError
from .._parameters import check
from ._setters import setter_of
from .attributes import changed_modules

if TYPE_CHECKING:
    from flax.nnx import Module

    from ...functional import Filter

__all__ = ["view", "view_info"]

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
        setter(**taken)
        return taken

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
