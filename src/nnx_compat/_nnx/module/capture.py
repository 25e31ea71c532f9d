"""What a Module computes on the way: ``capture`` hands out what it has sown."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from ... import functional
from ..._release import native
from ...functional import Path
from ...revisions import bound, nnx
from .. import newest
from ..graphlib._walk import take

if TYPE_CHECKING:
    from flax.nnx import Module, State, Variable

__all__ = ["capture"]

_R = TypeVar("_R")


class Sown:
    """What a Module had before it ran, and so what it has sown."""

    def __init__(
        self, module: Module, var_types: tuple[type[Variable[Any]], ...]
    ) -> None:
        self.module = module
        self.var_types = var_types
        self.aside: list[tuple[Module, str, Variable[Any]]] = []
        self.known: set[int] = set()

    def prepare(self, init: State | None) -> None:
        """Put earlier results aside, and what ``init`` has in their place."""
        nodes = dict(functional.iter_graph(self.module))
        for path, variable in functional.variables(self.module).items():
            if _is_collected(variable):
                self.aside.append((nodes[path[:-1]], path[-1], variable))
                take(nodes[path[:-1]], path[-1])
            else:
                self.known.add(id(variable))
        for path, leaf in functional.to_flat_state(init).items() if init else ():
            kind = functional.variable_type(leaf)
            setattr(nodes[path[:-1]], path[-1], kind(functional.stored(leaf)))

    def taken(self) -> State:
        """Take the new Variables off the Module: those of the types that count."""
        nodes = dict(functional.iter_graph(self.module))
        leaves = bound.flatten(bound.split(self.module)[1])
        found: dict[Path, Any] = {}
        for path, variable in functional.variables(self.module).items():
            wanted = type(variable) in self.var_types
            if id(variable) in self.known or not (wanted or _is_collected(variable)):
                continue
            take(nodes[path[:-1]], path[-1])
            if wanted:
                name = path[-1].removeprefix(_OUTPUT)
                found[(*path[:-1], name)] = leaves[path]
        for node, name, variable in self.aside:
            setattr(node, name, variable)
        return bound.unflatten(found)


def _is_collected(variable: Variable[Any]) -> bool:
    return isinstance(variable, _COLLECTED)


#: What ``sow`` and ``perturb`` store by themselves; the latter came later.
_COLLECTED: tuple[type, ...] = tuple(
    native[name] for name in ("Intermediate", "Perturbation") if name in native
)

#: How the outputs of methods are called while the Module runs: the plain name is the
#: method's own.
_OUTPUT = "output_of_"


def sowing_methods(
    module: Module, variable_type: type[Variable[Any]] | None
) -> list[tuple[Module, type]]:
    """Give the Modules classes whose methods sow, and say which they had."""
    if variable_type is None:
        return []
    containers = newest("List")
    changed = []
    for _, one in functional.iter_modules(module):
        if not isinstance(one, containers):
            kind = type(one)
            object.__setattr__(one, "__class__", _sowing(kind, variable_type))
            changed.append((one, kind))
    return changed


#: What each Module has from Flax.
_OF_EVERY_MODULE = [
    value for base in nnx.Module.__mro__ for value in vars(base).values()
]

#: One class for each, so that a compiled function is found again.
_SOWING: dict[tuple[type[Module], type[Variable[Any]]], type[Module]] = {}


def _sowing(kind: type[Module], variable_type: type[Variable[Any]]) -> type[Module]:
    """A subclass that sows what each public method of ``kind`` itself returns."""
    if (kind, variable_type) not in _SOWING:
        methods = {
            name: _sown_result(name, method, variable_type)
            for name, method in vars(kind).items()
            if callable(method) and (name == "__call__" or not name.startswith("_"))
            # Flax's tabulate of these releases leaves methods of Module, sow among
            # them, in the classes that it looked at
            if not any(method is own for own in _OF_EVERY_MODULE)
        }
        metaclass: Any = type(kind)
        subclass: type[Module] = metaclass(kind.__name__, (kind,), methods)
        _SOWING[kind, variable_type] = subclass
    return _SOWING[kind, variable_type]


def _sown_result(
    name: str, method: Callable[..., _R], variable_type: type[Variable[Any]]
) -> Callable[..., _R]:
    @functools.wraps(method)
    def sowing(self: Module, *args: Any, **kwargs: Any) -> _R:
        result = method(self, *args, **kwargs)
        self.sow(variable_type, _OUTPUT + name, result)
        return result

    return sowing


# -- What a Module computes on the way: ``capture`` hands out what it has sown ------


def capture(
    fn: Callable[..., Any] | type[Variable[Any]],
    *var_types: type[Variable[Any]],
    init: State | None = None,
    method_outputs: type[Variable[Any]] | None = None,
) -> Callable[..., Any]:
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
    var_types: tuple[type[Variable[Any]], ...],
    fn: Callable[..., Any],
    *,
    init: State | None = None,
    method_outputs: type[Variable[Any]] | None = None,
) -> Callable[..., Any]:
    bound_to = getattr(fn, "__self__", None) if inspect.ismethod(fn) else fn

    def captured(*args: Any, **kwargs: Any) -> Any:
        module = bound_to if isinstance(bound_to, nnx.Module) else args[0]
        sown = Sown(module, var_types)
        sown.prepare(init)
        changed = sowing_methods(module, method_outputs)
        try:
            result = fn(*args, **kwargs)
        finally:
            for one, kind in changed:
                object.__setattr__(one, "__class__", kind)
            state = sown.taken()
        if not var_types:
            return result
        states = functional.split_state(state, *var_types)
        return (result, states) if len(var_types) == 1 else (result, *states)

    return captured
