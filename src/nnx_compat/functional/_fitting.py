"""Leaves that are given for a node or a state, checked against what it has."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import jax

from .._release import here
from ..errors import ArgumentTypeError, StateStructureError, VariableTypeError, kind_of
from ..revisions import bound, flax_version, nnx
from ..revisions.get_value import Path
from ..revisions.graphdefs import is_graphdef, leaf_paths
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


def refuse_misfits(graphdef: object, states: Sequence[object]) -> None:
    """Say what of the arguments of ``merge`` does not go together.

    Raises:
        ArgumentTypeError: one of them is of another kind.
        StateStructureError: leaves are missing, or left over.
    """
    order = "merge(graphdef, state), in the order in which split gives them"
    if not is_graphdef(graphdef):
        raise ArgumentTypeError(
            f"merge was given {kind_of(graphdef)} for a graphdef", instead=order
        )
    given: list[Path] = []
    for state in states:
        if is_graphdef(state) or not isinstance(
            state, (nnx.State, Mapping, *bound.variable_types)
        ):
            raise ArgumentTypeError(
                f"merge was given {kind_of(state)} for a state", instead=order
            )
        if isinstance(state, Mapping) and not isinstance(state, nnx.State):
            if here.merge_takes_dicts:
                return  # what is natively said of it stands
            raise ArgumentTypeError(
                f"flax {flax_version} merges States alone, and was given "
                f"{kind_of(state)}",
                instead="merge(graphdef, nnx_compat.from_pure_dict(state, values))",
            )
        given += bound.flatten(state)
    wanted = leaf_paths(graphdef)
    if given == wanted:
        return
    texts = {tuple(map(str, path)) for path in given}
    names = {tuple(map(str, path)) for path in wanted}
    problems = [f"{show(path)}: missing" for path in sorted(names - texts)]
    problems += [f"{show(p)}: not in the graphdef" for p in sorted(texts - names)]
    if problems:
        raise StateStructureError(
            f"merge: {len(problems)} of the leaves do not fit",
            details=problems,
            instead="all the states that split gave beside this graphdef",
        )


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
