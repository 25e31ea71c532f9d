"""Children that the state has lost, or that merged models share with the original.

Asked of the release itself: what a clone still shares with its model is what NNX does
not see. It is lost when the model's own state lacks it, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import jax

from ..errors import kind_of
from ..functional import show
from ..revisions import bound, nnx
from ._finding import Finding, Path
from ._walk import Walked, attributes, elements, is_object, walked


def lost_children(model: object, whole: Walked, twin: Walked) -> Iterator[Finding]:
    """Modules and Variables that belong to ``model`` and are in its clone.

    Args:
        model: a node.
        whole: the walk of it.
        twin: the walk of its clone, in which ``whole`` is foreign.
    """
    live = {id(variable) for variable in bound.live_variables(model).values()}
    parents = {path: value for path, value in whole.met if is_object(value)}
    for path, child in twin.foreign:
        own = [v for _, v in walked(child).variables()]
        missing = [v for v in own if id(v) not in live]
        remedy = _remedy(path, parents)
        if missing:
            yield Finding(
                "lost-child", "lost", path,
                f"{show(path)}, {_described(child, len(missing))}, is not in the "
                "state: it is not saved and not trained, and merged models share it",
                remedy,
            )  # fmt: skip
        else:
            yield Finding(
                "shared-child", "wrong", path,
                f"{show(path)}, {kind_of(child)}, is held where NNX does not "
                "look: merged and cloned models use that of the original",
                remedy,
            )  # fmt: skip


def lost_arrays(twin: object, walk: Walked) -> Iterator[Finding]:
    """Arrays in attributes, lists, tuples and dicts that are no leaves of the state.

    Args:
        twin: a node.
        walk: the walk of it.
    """
    leaves = bound.flatten(bound.live_split(twin)[1]).values()
    live = {id(leaf) for leaf in leaves}
    seen: set[int] = set()
    for owner_path, owner in walk.objects():
        for path, array in _arrays(owner_path, owner, seen):
            if id(array) not in live:
                yield Finding(
                    "lost-array", "lost", path,
                    f"{show(path)}, an array of shape {array.shape}, is not in the "
                    "state: it is not saved, and a constant of the graphdef",
                    "put it in a Variable that is an attribute: nnx.Variable(array)",
                )  # fmt: skip


def _arrays(
    path: Path, owner: object, seen: set[int]
) -> Iterator[tuple[Path, jax.Array]]:
    pending = [((*path, name), value) for name, value in attributes(owner)]
    while pending:
        at, value = pending.pop(0)
        if isinstance(value, jax.Array):
            yield at, value
        elif isinstance(value, (list, tuple, dict)) and id(value) not in seen:
            seen.add(id(value))
            pending += [((*at, key), child) for key, child in elements(value) or ()]


def _described(child: object, missing: int) -> str:
    if isinstance(child, nnx.Variable):
        return kind_of(child)
    plural = "" if missing == 1 else "s"
    return f"{kind_of(child)} with {missing} Variable{plural}"


def _remedy(path: Path, parents: Mapping[Path, object]) -> str:
    """What to write, by what the attribute that holds the child is."""
    for end in range(len(path) - 1, -1, -1):
        if path[:end] in parents:
            name = path[end]
            container = vars(parents[path[:end]]).get(name)
            break
    else:
        return "make it an attribute of a Module"
    if isinstance(container, list):
        return f"make {name} an nnx.List of nnx_compat.nnx before anything is appended"
    if isinstance(container, dict):
        return f"make {name} an nnx.Dict of nnx_compat.nnx before anything is put in"
    if isinstance(container, tuple):
        return f"make {name} an nnx.List of nnx_compat.nnx, and what is in it as well"
    return (
        f"assign it to an attribute of the Module in __init__, and let {name} not "
        "hold it"
    )
