"""Which part of a checkpoint each target is loaded from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ..errors import CheckpointLookupError, CheckpointStructureError
from ._nearest import nearest
from ._slots import Slot, Slots
from ._table import TAILS, Contents, Entry, Item, named

Name = tuple[str, ...]


@dataclass
class View:
    """The arrays of one item of a file, or of a part of it, by path.

    Attributes:
        item: the name of the item.
        label: what the part is called in a report.
        entries: the arrays; None and empty containers are left out.
        exact: no path has the name of the value inside a Variable.
        used: the paths that something was loaded from.
    """

    item: str
    label: str
    entries: dict[Name, Entry]
    exact: bool
    used: set[Name] = field(default_factory=set)

    def below(self, first: str) -> View:
        """What is below one first component."""
        inside = {p[1:]: e for p, e in self.entries.items() if p[:1] == (first,)}
        return View(self.item, shown(self.label, (first,)), inside, self.exact)

    def find(self, name: Name) -> tuple[Name, str] | None:
        """The path of an array, with the rule by which it was found."""
        found = [name] if name in self.entries else []
        if not self.exact:
            found += [(*name, t) for t in TAILS if (*name, t) in self.entries]
        if len(found) > 1:
            raise CheckpointStructureError(
                f"two arrays of the file could be {shown(self.label, name)}",
                details=[shown(self.label, one) for one in found],
                instead="rename= for one of them",
            )
        return (found[0], "path" if found[0] == name else "tail") if found else None

    def nearest(self, name: Name) -> list[str]:
        """The names of the file that resemble one that is not there."""
        return nearest("/".join(name), map("/".join, self.entries), 2)

    def bare(self, path: Name) -> Name:
        """A path of the file without the name of the value inside a Variable."""
        return path[:-1] if not self.exact and path[-1] in TAILS else path


def shown(label: str, name: Iterable[str]) -> str:
    """An item and a path as reports have it."""
    return "/".join([label, *name] if label else name)


def view(item: Item, label: str) -> View:
    """All arrays of an item."""
    arrays = {
        path: entry
        for path, entry in item.entries().items()
        if entry.kind in ("array", "key", "scalar")
    }
    return View(label, label, arrays, item.exact)


def resolved(contents: Contents, targets: Mapping[str, Slots]) -> dict[str, View]:
    """The view for every target, by its name.

    The item of that name; in a file with one item and no such name, what is below it by
    that name, or all of it. A model may also be inside the optimizer that held it.

    Raises:
        CheckpointLookupError: there is none; the message lists those that are there.
    """
    views = {name: view(item, name) for name, item in contents.items()}
    found: dict[str, View] = {}
    for name, slots in targets.items():
        if name in views:
            found[name] = views[name]
            continue
        held = [one for one in views.values() if _holds_a_model(one)]
        names: list[str] = list(views)
        if len(held) == 1 and not _has(slots, "opt_state"):
            found[name] = held[0].below("model")
        elif len(views) == 1:
            (whole,) = views.values()
            tops = {path[0] for path in whole.entries if path}
            if name in tops and set(targets) <= tops and not _has(slots, name):
                found[name] = whole.below(name)
            elif len(targets) == 1:
                found[name] = whole
            elif tops & set(targets):
                names = sorted(tops)
        if name not in found:
            missing = next((n for n in targets if n not in names), name)
            raise CheckpointLookupError(
                f"{contents.place} has no item {missing!r}; it has {named(names)}",
                details=nearest(missing, names),
                instead="load(path, NAME=...), with one of these names",
            )
    return found


def without_prefix(found: View, slots: Slots) -> tuple[View, Name]:
    """A view in which paths begin as those of the target do.

    The averages of an EMA are its ``params``; people save the averages alone.

    Returns:
        The view, and what a name of the target begins with that the file has not.
    """
    mine = {slot.name[:1] for slot in slots.slots}
    theirs = {path[:1] for path in found.entries}
    if mine == {("params",)} and not theirs & mine:
        return found, ("params",)
    if theirs == {("params",)} and not theirs & mine:
        return found.below("params"), ()
    return found, ()


def _holds_a_model(found: View) -> bool:
    tops = {path[0] for path in found.entries if path}
    return {"model", "opt_state"} <= tops


def _has(slots: Slots, first: str) -> bool:
    return any(slot.name[:1] == (first,) for slot in slots.slots)


def names_of(slot: Slot, dropped: Name) -> list[Name]:
    """The names by which a file may have an array, its own first."""
    every = [slot.name, *slot.others]
    return [n[len(dropped) :] for n in every if n[: len(dropped)] == dropped]
