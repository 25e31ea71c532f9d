"""What Modules sow while they run: found, and taken off them again."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from ... import functional
from ..._release import native
from ...functional import Path
from ...revisions import bound
from .. import newest
from ..graphlib._walk import take

if TYPE_CHECKING:
    from flax.nnx import Module, State, Variable

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


#: One class for each, so that a compiled function is found again.
_SOWING: dict[tuple[type[Module], type[Variable[Any]]], type[Module]] = {}


def _sowing(kind: type[Module], variable_type: type[Variable[Any]]) -> type[Module]:
    """A subclass that sows what each public method of ``kind`` itself returns."""
    if (kind, variable_type) not in _SOWING:
        methods = {
            name: _sown_result(name, method, variable_type)
            for name, method in vars(kind).items()
            if callable(method) and (name == "__call__" or not name.startswith("_"))
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
