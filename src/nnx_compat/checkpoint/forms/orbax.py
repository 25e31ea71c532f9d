"""Orbax folders of every release: one tree, items side by side, steps, or both.

What is where (each row measured on all 30 releases of Flax with the orbax of its day):
a tree is a folder with ``_METADATA`` or, by the oldest, with a msgpack ``checkpoint``
alone; an item is a subfolder with a tree or with a JSON file ``metadata``; a step is a
folder called by its number, or ``<prefix>_<number>``, which holds a tree or items. What
is still being written, or was never finished, has ``.orbax-checkpoint-tmp-`` in its
name.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ...errors import CheckpointFormError, NnxCompatError
from .. import _manifest
from .._table import Contents, Item
from . import without_steps
from ._orbax_tree import Tree, is_tree
from ._steps import chosen

_UNFINISHED = ".orbax-checkpoint-tmp"
_STEP = re.compile(r"(?:.*_)?(\d+)$")


def recognises(place: Path, head: bytes) -> bool:
    """A folder with a tree, items or steps; or one of a save that never ended."""
    if not place.is_dir():
        return False
    return (
        _UNFINISHED in place.name
        or is_tree(place)
        or bool(_items(place))
        or bool(_steps(place))
        or bool(_unfinished(place))
    )


def contents(place: Path, step: int | None) -> Contents:
    """The table of a folder, of the newest finished step where it has steps."""
    if any(_UNFINISHED in part for part in place.parts):
        raise _refused(place, [])
    if is_tree(place) or _items(place):
        without_steps(place, step)
        return _table(place, place)
    steps = _steps(place)
    if not steps:
        raise _refused(place, _unfinished(place))
    number = chosen(place, step, steps)
    return _table(place, steps[number], number, tuple(sorted(steps)))


def _table(
    place: Path, folder: Path, step: int | None = None, steps: tuple[int, ...] = ()
) -> Contents:
    """The tree or the items of one folder that has no steps."""
    unfinished = _unfinished(folder)
    if unfinished:
        raise _refused(folder, unfinished)
    found = {"": folder} if is_tree(folder) else _items(folder)
    trees = {name: Tree(one) for name, one in found.items() if is_tree(one)}
    notes = {name: _json(one) for name, one in found.items() if name not in trees}
    forms = {tree.form for tree in trees.values()}
    form = f"orbax, {' and '.join(sorted(forms))}" if forms else "orbax"
    if _manifest.KEY in notes and len(trees) == 1:
        (tree,) = trees.values()
        stored = {entry.source: entry for entry in tree.entries()}
        whole = _manifest.contents(
            str(place), form, notes[_manifest.KEY]["manifest"],
            lambda item, name: stored.get(name),
        )  # fmt: skip
        return whole.at_step(step, steps)
    items = {name: Item(tree.entries()) for name, tree in trees.items()}
    return Contents(str(place), form, items, metadata=notes, step=step, steps=steps)


def _items(folder: Path) -> dict[str, Path]:
    """The subfolders that hold a tree or JSON, by name."""
    return {
        one.name: one
        for one in sorted(folder.iterdir())
        if one.is_dir()
        and _UNFINISHED not in one.name
        and (is_tree(one) or (one / "metadata").is_file())
        and not _STEP.fullmatch(one.name)
    }


def _steps(folder: Path) -> dict[int, Path]:
    """The finished steps, by number."""
    found = {}
    for one in folder.iterdir():
        match = _STEP.fullmatch(one.name)
        if not match or not one.is_dir() or _unfinished(one):
            continue
        if is_tree(one) or _items(one):
            found[int(match[1])] = one
    return found


def _unfinished(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir() if _UNFINISHED in one.name)


def _json(folder: Path) -> Any:
    try:
        return json.loads((folder / "metadata").read_bytes())
    except ValueError as error:
        raise CheckpointFormError(
            f"{folder / 'metadata'} is no JSON: {error}",
            instead="a copy of the folder that is whole",
        ) from None


def _refused(place: Path, inside: list[str]) -> NnxCompatError:
    return CheckpointFormError(
        f"{place} is a save that was never finished",
        details=inside,
        instead="another step, or a copy that was finished",
        otherwise="save again: what is there has only a part of the arrays",
    )
