"""What a step must leave as it is: one compiled program serves one structure."""

from __future__ import annotations

from typing import TypeAlias

import jax

from ..errors import StepStructureError
from ..functional import Path, is_variable, iter_graph, show, stored, variable_type
from ..revisions import bound
from ._leaves import describe


class _Static:
    """A static value as it was, compared by equality; a container by what it held."""

    def __init__(self, value: object) -> None:
        self.value = bound.frozen(value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Static):
            return False
        if self.value is other.value:
            return True
        try:
            return bool(self.value == other.value)
        except Exception:  # an array among the values: not one truth value
            return False

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        text = repr(self.value)
        return text if len(text) <= 60 else text[:57] + "..."


Structure: TypeAlias = "dict[Path, str | _Static]"


def structure(nodes: tuple[object, ...]) -> Structure:
    """What must stay, by path: types, shapes, dtypes, metadata, static attributes."""
    found: Structure = {}
    parents: set[Path] = set()
    for path, value in iter_graph(nodes):
        parents.add(path[:-1])
        if is_variable(value):
            raw = stored(value)
            leaves, tree = jax.tree_util.tree_flatten(raw)
            shown = ", ".join(describe(leaf) for leaf in leaves)
            found[path] = f"{variable_type(value).__name__} of {shown or tree}"
            for key, metadata in bound.metadata(value).items():
                found[(*path, f"metadata {key!r}")] = _Static(metadata)
        elif isinstance(value, jax.Array):  # tracers are such, too
            found[path] = f"array of {describe(value)}"
        elif path in parents or isinstance(value, bound.nnx.Module):
            found[path] = type(value).__name__
        else:
            found[path] = _Static(value)
    return found


def check_structure(before: Structure, after: Structure) -> None:
    """Refuse what a step has changed of its nodes, by path."""
    problems = [
        f"{show(path)}: {'is gone' if path not in after else 'was added'}, "
        f"{before.get(path, after.get(path))}"
        for path in (before.keys() ^ after.keys())
    ]
    problems += [
        f"{show(path)}: was {was}, is {after[path]}"
        for path, was in before.items()
        if path in after and after[path] != was
    ]
    if problems:
        raise StepStructureError(
            "the step changes the structure of its nodes, which one compiled program "
            "cannot; each path begins with the number of its node",
            details=sorted(problems),
            instead="make what is added before compile_step, and pass what changes as "
            "an argument of the step",
            otherwise="nnx.jit, which walks the graph at every call",
        )
