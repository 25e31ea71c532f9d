"""Modules in another mode, and what they compute on the way.

``view`` and ``with_attributes`` make a new Module around the same Variables, where
``module.train()`` changes the Module itself. ``capture`` runs a Module and hands out
what it has sown, leaving nothing behind on it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import jax.numpy as jnp

from ... import functional
from ...errors import ArgumentTypeError, ArgumentValueError
from ...revisions import bound, nnx
from ...revisions.get_value import Path
from .. import resolve
from .._parameters import check
from ..graphlib import _walk as walk
from ..graphlib import splitting as graphs

__all__ = [
    "capture",
    "eval_mode",
    "set_mode",
    "set_mode_info",
    "train_mode",
    "view",
    "view_info",
    "with_attributes",
]


# -- view ---------------------------------------------------------------------------


def view(
    node: Any,
    /,
    *,
    only: Any = ...,
    raise_if_not_found: bool = True,
    graph: bool | None = None,
    **kwargs: Any,
) -> Any:
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
    chosen = functional.predicate(only)
    unused = set(kwargs)

    def switched(path: Path, value: Any) -> Any:
        setter = _setter(value)
        if setter is not None and chosen(path, value):
            taken = _accepted(setter, kwargs)
            setter(**taken)
            unused.difference_update(taken)
        return value

    made = graphs.recursive_map(switched, node)
    if unused and raise_if_not_found:
        raise ArgumentValueError(
            f"Unused keys found in nnx.view: {sorted(unused)}: no Module takes them",
            instead="nnx.view_info(model), which lists what they take",
        )
    return made


def _setter(value: Any) -> functools.partial[Any] | None:
    """What sets the mode of a Module: its own method, or ours for a layer of Flax's."""
    if not isinstance(value, nnx.Module):
        return None
    own = getattr(type(value), "set_view", None)
    for kind, setter in _SETTERS.items():
        if isinstance(value, kind) and own is getattr(kind, "set_view", None):
            return functools.partial(setter, value)
    return functools.partial(own, value) if own is not None else None


def _accepted(setter: Callable[..., Any], wanted: dict[str, Any]) -> dict[str, Any]:
    parameters = inspect.signature(setter).parameters
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return wanted
    return {key: value for key, value in wanted.items() if key in parameters}


def _view_of_dropout(layer: Any, deterministic: bool | None = None) -> None:
    """The mode of a Dropout.

    Args:
        layer: the layer; it is changed.
        deterministic: whether everything is kept.
    """
    if deterministic is not None:
        layer.deterministic = deterministic


def _view_of_batch_norm(layer: Any, use_running_average: bool | None = None) -> None:
    """The mode of a BatchNorm.

    Args:
        layer: the layer; it is changed.
        use_running_average: whether the stored statistics are used rather than
            those of the batch.
    """
    if use_running_average is not None:
        layer.use_running_average = use_running_average


def _view_of_attention(
    layer: Any,
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


def view_info(node: Any, /, *, only: Any = ..., graph: bool | None = None) -> str:
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
    setters: dict[type, functools.partial[Any]] = {}
    for path, module in functional.iter_modules(node):
        setter = _setter(module)
        if setter is not None and chosen(path, module):
            setters[type(module)] = setter
    lines: list[str] = []
    for kind in sorted(setters, key=lambda kind: kind.__qualname__):
        lines += [f"{kind.__qualname__}:", *_described(setters[kind])]
    return "\n".join(lines)


def _described(setter: functools.partial[Any]) -> Iterator[str]:
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


def with_attributes(
    node: Any,
    /,
    *,
    only: Any = ...,
    raise_if_not_found: bool = True,
    graph: bool | None = None,
    **attributes: Any,
) -> Any:
    """A new node whose Modules have other attributes; it shares the Variables.

    Args:
        node: a Module, or a list, tuple or dict of Modules; it is not changed.
        only: a filter: which Modules it is about.
        raise_if_not_found: whether an attribute that no Module has is an error.
        graph: only graph mode is known here.
        **attributes: set on every Module that has them.

    Raises:
        ValueError: no Module has one of the attributes.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Dropout(0.5)
        >>> nnx.with_attributes(model, rate=0.1).rate, model.rate
        (0.1, 0.5)
    """
    check("with_attributes", graph=graph)
    chosen = functional.predicate(only)
    missing = set(attributes)

    def changed(path: Path, value: Any) -> Any:
        if isinstance(value, nnx.Module) and chosen(path, value):
            for name, new in attributes.items():
                if hasattr(value, name):
                    setattr(value, name, new)
                    missing.discard(name)
        return value

    made = graphs.recursive_map(changed, node)
    if missing and raise_if_not_found:
        raise ArgumentValueError(
            "Could not find at least one instance of the following attributes: "
            f"{sorted(missing)}",
            instead="with_attributes(..., raise_if_not_found=False)",
        )
    return made


# -- the names before view ----------------------------------------------------------


def set_mode(
    node: Any,
    /,
    *,
    only: Any = ...,
    raise_if_not_found: bool = True,
    **kwargs: Any,
) -> Any:
    """The former name of ``view``.

    Example:
        >>> from nnx_compat import nnx
        >>> nnx.view(nnx.Dropout(0.5), deterministic=True).deterministic
        True
    """
    newest = resolve("view")[0]
    return newest(node, only=only, raise_if_not_found=raise_if_not_found, **kwargs)


def train_mode(node: Any, /, *, only: Any = ..., **kwargs: Any) -> Any:
    """A view for training: dropout drops, and BatchNorm uses and learns statistics.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Dropout(0.5, deterministic=True)
        >>> nnx.view(model, deterministic=False).deterministic
        False
    """
    mode = {"deterministic": False, "use_running_average": False, **kwargs}
    return set_mode(node, only=only, raise_if_not_found=False, **mode)


def eval_mode(node: Any, /, *, only: Any = ..., **kwargs: Any) -> Any:
    """A view for evaluation: dropout keeps all, and BatchNorm uses what it has learnt.

    Example:
        >>> from nnx_compat import nnx
        >>> nnx.view(nnx.Dropout(0.5), deterministic=True).deterministic
        True
    """
    mode = {"deterministic": True, "use_running_average": True, **kwargs}
    return set_mode(node, only=only, raise_if_not_found=False, **mode)


def set_mode_info(node: Any, /, *, only: Any = ...) -> str:
    """The former name of ``view_info``.

    Example:
        >>> from nnx_compat import nnx
        >>> nnx.view_info(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
        ''
    """
    info: str = resolve("view_info")[0](node, only=only)
    return info


# -- capture ------------------------------------------------------------------------


def capture(
    fn: Any,
    *var_types: type,
    init: Any = None,
    method_outputs: type | None = None,
) -> Any:
    """``fn`` with what its Module sows while it runs, as States.

    What ``sow`` and ``perturb`` store in Variables of a captured type is taken off the
    Module again; what they store as another Intermediate or Perturbation is dropped. On
    this release they write to attributes meanwhile, so a sown name must not be that of
    another attribute, and a copy of the Module that ``fn`` makes for itself keeps what
    it has sown.

    Args:
        fn: a Module, a bound method of one, or a function whose first argument is one.
            When it is a Variable class it is the first of ``var_types``, and the result
            is a decorator.
        *var_types: the Variable classes to collect.
        init: a State of values that ``perturb`` finds, from an earlier ``capture``.
        method_outputs: a Variable class; the results of all public methods and of
            ``__call__`` are sown in it, under the name of the method.

    Returns:
        A function that returns ``(result, state, ...)``, one State for each class; the
        result alone when there is none.

    Example:
        >>> from nnx_compat import nnx
        >>> class Model(nnx.Module):
        ...     def __call__(self, x):
        ...         self.sow(nnx.Intermediate, "seen", x)
        ...         return 2 * x
        >>> y, state = nnx.capture(Model(), nnx.Intermediate)(3)
        >>> y, nnx.to_pure_dict(state)["seen"]
        (6, (3,))
    """
    if isinstance(fn, type) and issubclass(fn, nnx.Variable):
        return functools.partial(
            _capturing, (fn, *var_types), init=init, method_outputs=method_outputs
        )
    return _capturing(var_types, fn, init=init, method_outputs=method_outputs)


def _capturing(
    var_types: tuple[type, ...],
    fn: Any,
    *,
    init: Any = None,
    method_outputs: type | None = None,
) -> Callable[..., Any]:
    bound_to = getattr(fn, "__self__", None) if inspect.ismethod(fn) else fn

    def captured(*args: Any, **kwargs: Any) -> Any:
        module = bound_to if isinstance(bound_to, nnx.Module) else args[0]
        sown = _Sown(module, var_types)
        sown.prepare(init)
        instrumented = _instrumented(module, method_outputs)
        try:
            result = fn(*args, **kwargs)
        finally:
            for one, kind in instrumented:
                object.__setattr__(one, "__class__", kind)
            state = sown.taken()
        if not var_types:
            return result
        states = functional.split_state(state, *var_types)
        return (result, states) if len(var_types) == 1 else (result, *states)

    return captured


class _Sown:
    """What a Module had before it ran, and so what it has sown."""

    def __init__(self, module: Any, var_types: tuple[type, ...]) -> None:
        self.module = module
        self.var_types = var_types
        self.aside: list[tuple[Any, str, Any]] = []
        self.known: set[int] = set()

    def prepare(self, init: Any) -> None:
        """Put earlier results aside, and what ``init`` has in their place."""
        nodes = dict(functional.iter_graph(self.module))
        for path, variable in functional.variables(self.module).items():
            if _is_collected(variable):
                self.aside.append((nodes[path[:-1]], path[-1], variable))
                walk.take(nodes[path[:-1]], path[-1])
            else:
                self.known.add(id(variable))
        for path, leaf in functional.to_flat_state(init).items() if init else ():
            kind = functional.variable_type(leaf)
            setattr(nodes[path[:-1]], path[-1], kind(functional.stored(leaf)))

    def taken(self) -> Any:
        """Take the new Variables off the Module: those of the types that count."""
        nodes = dict(functional.iter_graph(self.module))
        leaves = bound.flatten(bound.split(self.module)[1])
        found: dict[Path, Any] = {}
        for path, variable in functional.variables(self.module).items():
            wanted = type(variable) in self.var_types
            if id(variable) in self.known or not (wanted or _is_collected(variable)):
                continue
            walk.take(nodes[path[:-1]], path[-1])
            if wanted:
                name = path[-1].removeprefix(_OUTPUT)
                found[(*path[:-1], name)] = leaves[path]
        for node, name, variable in self.aside:
            setattr(node, name, variable)
        return bound.unflatten(found)


def _is_collected(variable: Any) -> bool:
    return isinstance(variable, _COLLECTED)


_COLLECTED: tuple[type, ...] = (
    nnx.Intermediate,
    *([nnx.Perturbation] if hasattr(nnx, "Perturbation") else []),
)

#: How the outputs of methods are called while the Module runs: the plain name is the
#: method's own.
_OUTPUT = "output_of_"


def _instrumented(module: Any, variable_type: type | None) -> list[tuple[Any, type]]:
    """Give the Modules classes whose methods sow, and say which they had."""
    if variable_type is None:
        return []
    containers = resolve("List")[0]
    changed = []
    for _, one in functional.iter_modules(module):
        if not isinstance(one, containers):
            kind = type(one)
            object.__setattr__(one, "__class__", _sowing(kind, variable_type))
            changed.append((one, kind))
    return changed


#: One class for each, so that a compiled function is found again.
_SOWING: dict[tuple[type, type], type] = {}


def _sowing(kind: type, variable_type: type) -> type:
    """A subclass that sows what each public method of ``kind`` itself returns."""
    if (kind, variable_type) not in _SOWING:
        methods = {
            name: _sown_result(name, method, variable_type)
            for name, method in vars(kind).items()
            if callable(method) and (name == "__call__" or not name.startswith("_"))
        }
        made = type(kind)(kind.__name__, (kind,), methods)
        _SOWING[kind, variable_type] = made
    return _SOWING[kind, variable_type]


def _sown_result(name: str, method: Any, variable_type: type) -> Callable[..., Any]:
    @functools.wraps(method)
    def sowing(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = method(self, *args, **kwargs)
        self.sow(variable_type, _OUTPUT + name, result)
        return result

    return sowing
