"""Leaves that are given for a node or a state, checked against what it has."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import jax

from ..errors import StateStructureError, VariableTypeError, kind_of
from ..revisions import bound, nnx
from ..revisions.get_value import Path
from ._variables import as_leaf, is_variable, stored

if TYPE_CHECKING:
    from flax.nnx import State

    from ..revisions.get_value import Leaf

#: Values in dicts in dicts, by the keys of their paths.
Nested: TypeAlias = Mapping[Any, object]


def fitted(
    template: Mapping[Path, Leaf],
    given: State | Nested,
    operation: str,
    *,
    dtypes: bool,
    partial: bool,
) -> dict[Path, Leaf]:
    """The leaves of ``given``, checked against ``template``, as leaves of its kind."""
    flat = given_leaves(given, template, operation)
    fitting: dict[Path, Leaf] = {}
    problems: list[str] = []
    for path, new in flat.items():
        if path not in template:
            problems.append(f"{show(path)}: not in the template")
            continue
        old = template[path]
        for what in ("type", "shape", "dtype") if dtypes else ("type", "shape"):
            was, now = _aspect(old, what), _aspect(new, what)
            if was != now and not (what == "type" and now is None):
                problems.append(f"{show(path)}: {what} was {was}, is {now}")
        fitting[path] = as_leaf(old, new)
    if not partial:
        missing = [path for path in template if path not in fitting]
        problems += [f"{show(p)}: missing" for p in missing if p not in flat]
    if problems:
        raise StateStructureError(
            f"{operation}: {len(problems)} of the leaves do not fit",
            details=problems,
            instead="values for the paths, shapes"
            + (" and dtypes" if dtypes else "")
            + " of nnx_compat.to_pure_dict(nnx_compat.state(model))",
        )
    return fitting


def given_leaves(
    given: State | Nested, paths: Collection[Path], operation: str
) -> dict[Path, Leaf]:
    """The leaves of a State or of nested dicts, by path.

    Args:
        given: a State, or nested dicts; a dict at one of ``paths`` is a value.
        paths: of what it is given for. List indices that are strings in ``given``
            become those of ``paths``.
        operation: its name, for the error.

    Raises:
        VariableTypeError: it is neither.
    """
    by_text = {tuple(map(str, path)): path for path in paths}
    flat: dict[Path, Leaf] = {}

    def visit(path: Path, value: Any) -> None:
        if isinstance(value, Mapping) and tuple(map(str, path)) not in by_text:
            for key, child in value.items():
                visit((*path, key), child)
        else:
            flat[path] = value

    if isinstance(given, (nnx.State, *bound.variable_types)):
        flat = bound.flatten(given)
    elif isinstance(given, Mapping) or () in by_text:
        visit((), given)
    else:
        raise VariableTypeError(
            f"{operation} needs a State or a nested dict and was given "
            f"{kind_of(given)}",
            instead=f"{operation}(..., nnx_compat.state(model))",
        )
    return {by_text.get(tuple(map(str, p)), p): leaf for p, leaf in flat.items()}


def _aspect(leaf: Leaf, what: str) -> object:
    """What a leaf has to agree in: its Variable type, its value's shape and dtype."""
    if what == "type":
        return bound.variable_type(leaf).__name__ if is_variable(leaf) else None
    value = stored(leaf)
    if isinstance(value, (bool, int, float, complex)):
        value = jax.numpy.asarray(value)
    # a value without a shape is a dict, a tuple, None: its type has to agree
    return getattr(value, what, f"none ({kind_of(value)})")


def show(path: Path) -> str:
    """A path as errors have it."""
    return "/".join(map(str, path)) or "the root"
