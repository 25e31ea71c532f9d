"""What a Module computes on the way: ``capture`` hands out what it has sown."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ... import functional
from ...revisions import nnx
from ._sown import Sown, sowing_methods

if TYPE_CHECKING:
    from flax.nnx import State, Variable

__all__ = ["capture"]


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
