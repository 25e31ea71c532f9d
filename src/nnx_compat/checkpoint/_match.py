"""Targets matched with a checkpoint: what is read into what, before it is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ..errors import CheckpointStructureError
from ._report import Row
from ._slots import Slot, Slots
from ._streams import Pick, Streams, of_model
from ._streams import matched as matched_streams
from ._table import Contents
from ._views import Name, View, names_of, resolved, shown, without_prefix

#: To compare names with all of a large file takes milliseconds each.
_SHOWN = 10
#: Whether a slot of an item is to be loaded.
Chosen = Callable[[str, Slot], bool]


@dataclass
class Match:
    """What is loaded into one item.

    Attributes:
        item: the name of the target.
        view: the part of the file.
        picks: for each slot that is read.
        rows: of the report, for what is not.
        spare: the paths of the file's PRNG streams that the model has no place for.
        missing: the slots that are not in the file.
    """

    item: str
    slots: Slots
    view: View
    picks: list[Pick] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    spare: set[Name] = field(default_factory=set)
    missing: list[Slot] = field(default_factory=list)

    def target(self, slot: Slot) -> str:
        """An array of the item as reports name it."""
        return shown(self.item, slot.name)


def matched(
    contents: Contents,
    targets: Mapping[str, Slots],
    *,
    chosen: Chosen,
    own_streams: bool,
    strict: bool,
) -> list[Match]:
    """Match every target with its part of the file.

    Args:
        contents: the file.
        targets: what is loaded, by name.
        chosen: which slots.
        own_streams: whether the model's PRNG streams are to stay as they are.
        strict: whether what is missing or unused is an error.

    Raises:
        CheckpointLookupError: the file has no such item.
        CheckpointStructureError: arrays are missing or unused, and ``strict``.
    """
    views = resolved(contents, targets)
    shared, ties = _shared(targets), _ties(contents, targets)
    matches = []
    for name, slots in targets.items():
        view, dropped = without_prefix(views[name], slots)
        match = Match(name, slots, view)
        wanted = [s for s in slots.slots if s.value is not None and chosen(name, s)]
        for slot in wanted:
            if id(slot.variable) in shared.get(name, ()):
                match.rows.append(Row(match.target(slot), "", "same Variable"))
        wanted = [s for s in wanted if id(s.variable) not in shared.get(name, ())]
        streams = _streams(match, wanted, dropped, own_streams)
        random = {id(pick.slot) for pick in streams.picks} | set(map(id, streams.own))
        for slot in wanted:
            if id(slot) not in random:
                _find(match, slot, dropped, ties)
        view.used |= {pick.source for pick in match.picks}
        matches.append(match)
    every = all(chosen(name, s) for name, t in targets.items() for s in t.slots)
    unused = _unused(contents, matches) if every else []
    if strict:
        _check(contents, matches, unused)
    return matches


def _shared(targets: Mapping[str, Slots]) -> dict[str, set[int]]:
    """By item, the Variables that are loaded as a part of another one.

    An Optimizer that holds its model has the model's own Variables.
    """
    owner: dict[int, str] = {}
    for held in (False, True):
        for name, slots in targets.items():
            for slot in slots.slots:
                if slot.variable is None or (slot.name[:1] == ("model",)) != held:
                    continue
                if not held and owner.get(id(slot.variable), name) != name:
                    raise CheckpointStructureError(
                        f"{owner[id(slot.variable)]} and {name} hold the same "
                        f"Variables, {shown(name, slot.name)} among them",
                        instead=f"{name}=nnx_compat.state(...), which is detached",
                    )
                owner.setdefault(id(slot.variable), name)
    return {
        name: {
            id(slot.variable)
            for slot in slots.slots
            if slot.variable is not None and owner[id(slot.variable)] != name
        }
        for name, slots in targets.items()
    }


def _streams(
    match: Match, wanted: list[Slot], dropped: Name, own_streams: bool
) -> Streams:
    if own_streams:
        slots = [s for one in of_model(wanted) for s in (one.key, one.count)]
        streams = Streams(own=slots)
    else:
        streams = matched_streams(match.view, wanted, dropped)
    match.picks += streams.picks
    match.rows += [Row(match.target(slot), "", "own stream") for slot in streams.own]
    match.spare.update(streams.unused)
    return streams


def _ties(
    contents: Contents, targets: Mapping[str, Slots]
) -> dict[Name, frozenset[Name]]:
    """The names of each tied Variable, of the targets and of the file, by each name."""
    groups = [
        frozenset([slot.name, *slot.others])
        for slots in targets.values()
        for slot in slots.slots
        if slot.others
    ]
    groups += [
        frozenset(tuple(map(str, path)) for path in (entry.path, *entry.aliases))
        for item in contents.values()
        for entry in item.entries().values()
        if entry.aliases
    ]
    return {name: group for group in groups for name in group}


def _find(
    match: Match, slot: Slot, dropped: Name, ties: Mapping[Name, frozenset[Name]]
) -> None:
    """Where one slot is read from."""
    names = names_of(slot, dropped)
    # A moment of an optimizer, or an average, is called as the Variable it is of.
    own = names[0] if names else slot.name
    for start in range(len(own) if ties else 0):
        others = ties.get(own[start:], ())
        names += [(*own[:start], *name) for name in sorted(others)]
    for name in names:
        found = match.view.find(name)
        if found is not None:
            path, rule = found
            if name != names[0]:
                rule = "tied"
            elif dropped:
                rule = "prefix"
            match.picks.append(Pick(slot, path, rule))
            return
    match.rows.append(Row(match.target(slot), "", "missing"))
    match.missing.append(slot)


def _unused(contents: Contents, matches: list[Match]) -> list[str]:
    """Rows for what is on file and goes nowhere; and which of it is an error."""
    errors: list[str] = []
    for match in matches:
        held = ("opt_state",) in {path[:1] for path in match.view.used}
        for path in match.view.entries:
            if path in match.view.used:
                continue
            source = shown(match.view.label, path)
            rule = "unused stream" if path in match.spare else "unused"
            rule = "model of the optimizer" if held and path[0] == "model" else rule
            note = ""
            if rule == "model of the optimizer":
                note = _compared(match, path, matches)
            match.rows.append(Row("", source, rule, note))
            if rule == "unused":
                errors.append(f"{source}: in the file, and not in {match.item}")
            elif note.startswith("not"):
                errors.append(f"{source}: {note}")
    matches[-1].rows += [
        Row("", name, "other item") for name in _others(contents, matches)
    ]
    return errors


def _compared(match: Match, path: Name, matches: list[Match]) -> str:
    """Whether a model inside an optimizer says the same as the model itself."""
    for other in matches:
        name = match.view.bare(path)[1:]
        found = None if other is match else other.view.find(name)
        if found is not None:
            one, two = match.view.entries[path], other.view.entries[found[0]]
            same = one.dtype == two.dtype and one.shape == two.shape
            same = same and one.read().tobytes() == two.read().tobytes()
            where = shown(other.view.label, found[0])
            return f"equal to {where}" if same else f"not what {where} is"
    return ""


def _others(contents: Contents, matches: list[Match]) -> list[str]:
    """What nobody asked for: items, and what is beside a part of the only item."""
    views = [match.view for match in matches]
    read = {one.item for one in views}
    found = [name for name in contents if name not in read]
    parts = {one.label for one in views}
    for name in read - parts:
        tops = {shown(name, path[:1]) for path in contents[name].entries()}
        found += sorted(tops - parts)
    return found


def _check(contents: Contents, matches: list[Match], unused: list[str]) -> None:
    missing = [(match, slot) for match in matches for slot in match.missing]
    if not missing and not unused:
        return
    parts = []
    if missing:
        parts.append(f"{len(missing)} arrays are not in the file")
    if unused:
        parts.append(f"{len(unused)} arrays of the file have no place")
    raise CheckpointStructureError(
        f"{contents.place} does not fit: {' and '.join(parts)}; nothing was changed",
        details=[*_hinted(missing), *unused],
        instead="strict=False to keep and leave these, each with a row in the report",
        otherwise="rename=, where only names differ",
    )


def _hinted(missing: list[tuple[Match, Slot]]) -> list[str]:
    """What is missing; for as many as an error shows, with what resembles it."""
    lines = []
    for number, (match, slot) in enumerate(missing):
        near = match.view.nearest(slot.name) if number < _SHOWN else []
        hint = f"; the file has {' and '.join(near)}" if near else ""
        lines.append(f"{match.target(slot)}: not in the file{hint}")
    return lines
