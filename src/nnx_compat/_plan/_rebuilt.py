"""New arrays in the place of leaves that are no Variables.

As Flax does it: the object that has such a leaf stays; a container below it is made
anew, so that whoever has the old one still has the old arrays. Optimizers kept their
state so until Variables held it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple, TypeAlias

from ._walk import OBJECT, Unplanned, Walk

#: The number of a leaf, or the recipes of what is inside by key.
Recipe: TypeAlias = "int | dict[Hashable, Recipe]"
Way: TypeAlias = "list[tuple[Hashable, str | None]]"


class _Place(NamedTuple):
    """An attribute of an object with such leaves in it, and how to get to it."""

    way: Way
    key: Hashable
    recipe: Recipe


class Rebuilding:
    """Where the leaves are that are no Variables.

    Args:
        walk: over the nodes.
        numbers: of these leaves.

    Raises:
        Unplanned: one of them is in no object.
    """

    def __init__(self, walk: Walk, numbers: Sequence[int]) -> None:
        roots: dict[int, dict[Hashable, Recipe]] = {}
        for leaf, number in enumerate(numbers):
            container, key = walk.where[number]
            keys = [key]
            while not isinstance(walk.containers[container], OBJECT):
                if container == 0:
                    raise Unplanned("an array that is in no object")
                step = walk.steps[container - 1]
                container, key = step.parent, step.key
                keys.insert(0, key)
            at = roots.setdefault(container, {})
            for key in keys[:-1]:
                inside = at.setdefault(key, {})
                assert isinstance(inside, dict)
                at = inside
            at[keys[-1]] = leaf
        self._places = [
            _Place(_way(walk, container), key, recipe)
            for container, recipes in roots.items()
            for key, recipe in recipes.items()
        ]

    def apply(self, nodes: tuple[Any, ...], new: Sequence[Any]) -> None:
        """Put new leaves where these are, once all of them are ready."""
        made = []
        for place in self._places:
            content: Any = nodes
            for key, attribute in place.way:
                content = content[key]
                if attribute is not None:
                    content = getattr(content, attribute)
            value = _rebuilt(content[place.key], place.recipe, new)
            made.append((content, place.key, value))
        for content, key, value in made:
            content[key] = value


def _way(walk: Walk, container: int) -> Way:
    way: Way = []
    while container:
        step = walk.steps[container - 1]
        way.insert(0, (step.key, step.attribute))
        container = step.parent
    return way


def _rebuilt(value: Any, recipe: Recipe, new: Sequence[Any]) -> Any:
    if isinstance(recipe, int):
        return new[recipe]
    if isinstance(value, tuple):
        items: Any = list(value)
    elif isinstance(value, (list, dict)):
        items = value.copy()
    else:  # a State, or what stood for a Variable in one
        made = object.__new__(type(value))
        content = vars(made)
        content.update(vars(value))
        if "_mapping" in content:
            content["_mapping"] = _rebuilt(content["_mapping"], recipe, new)
            return made
        for key, inside in recipe.items():
            content[key] = _rebuilt(content[key], inside, new)
        return made
    for key, inside in recipe.items():
        items[key] = _rebuilt(items[key], inside, new)
    if not isinstance(value, tuple):
        return items
    kind: Any = type(value)
    return kind(*items) if hasattr(kind, "_fields") else kind(items)
