"""PRNG streams between the releases that share them and those that fork them.

At first layers hold the ``Rngs`` they are given: one key and one count per stream, at
the first of their paths, ``drop/rngs/dropout/key``. From the behaviour
``dropout-forks-its-rngs`` on each layer holds a fork of a stream, ``drop/rngs/key``,
and the ``Rngs`` is in the state where the model keeps it.

A stream is loaded from the same path, else from the one of its name. Where the file has
shared streams and the model forks, fork number i gets the key that the constructor
would have drawn, ``fold_in(key, count + i)``, and the shared count moves on by their
number: never one key for two layers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..functional import variable_type
from ..revisions import bound
from ._slots import Slot
from ._table import Entry
from ._views import Name, View, names_of

#: Streams that a layer falls back to.
_USUAL = "default"


@dataclass
class FileStream:
    """One stream of a file.

    Attributes:
        holder: the path of what has ``key`` and ``count``.
        key: the path of its key, with the name of the value inside a Variable.
        count: of its count.
        name: of a shared one; None for the fork of one layer.
        forks: how many forks were drawn from it.
    """

    holder: Name
    key: Name
    count: Name
    name: str | None
    forks: int = 0


@dataclass
class ModelStream:
    """One stream of a model: the slots of its key and count."""

    holder: Name
    tag: str
    key: Slot
    count: Slot

    @property
    def is_fork(self) -> bool:
        """Whether it is of one layer, and not one of a ``Rngs`` by name."""
        return self.holder[-1:] != (self.tag,)


@dataclass(frozen=True)
class Pick:
    """Where the new value of a slot comes from.

    Attributes:
        slot: what is loaded.
        source: the path in the file.
        rule: as in ``RULES``.
        fold: for the key of a fork, the path of the count to fold in and the number of
            the fork.
        plus: what is added to a count, once all forks are drawn.
        zero: the count of a fork.
    """

    slot: Slot
    source: Name
    rule: str
    fold: tuple[Name, int] | None = None
    shared: FileStream | None = None
    zero: bool = False


@dataclass
class Streams:
    """What the streams of a model are loaded from.

    Attributes:
        picks: for each slot that is loaded.
        own: the slots whose value is kept, for the file has no such stream.
        unused: the paths of what the model has no place for.
    """

    picks: list[Pick] = field(default_factory=list)
    own: list[Slot] = field(default_factory=list)
    unused: list[Name] = field(default_factory=list)


def of_file(view: View) -> list[FileStream]:
    """The streams of a file: a uint32 key beside a count."""
    found = []
    by_name = {view.bare(path): path for path in view.entries}
    for name, path in by_name.items():
        count = by_name.get((*name[:-1], "count"))
        if name[-1] != "key" or count is None or len(name) < 2:
            continue
        if _is_key(view.entries[path]) and _is_count(view.entries[count]):
            holder = name[:-1]
            shared = _shared_name(view.entries[path], holder)
            found.append(FileStream(holder, path, count, shared))
    return found


def of_model(slots: list[Slot]) -> list[ModelStream]:
    """The streams of a model, in the order of its state."""
    keys: dict[Name, Slot] = {}
    counts: dict[Name, Slot] = {}
    for slot in slots:
        if slot.owner is None or slot.name[-1] not in ("key", "count"):
            continue
        if issubclass(variable_type(slot.owner), bound.random_types):
            (keys if slot.name[-1] == "key" else counts)[slot.name[:-1]] = slot
    return [
        ModelStream(holder, str(getattr(slot.owner, "tag", None)), slot, counts[holder])
        for holder, slot in keys.items()
        if holder in counts
    ]


def matched(view: View, slots: list[Slot], dropped: Name) -> Streams:
    """The streams of a model matched with those of a file."""
    streams, wanted = of_file(view), of_model(slots)
    found = Streams()
    by_holder = {stream.holder: stream for stream in streams}
    forked = any(stream.name is None for stream in streams)
    taken: set[Name] = set()
    later = []
    for one in wanted:
        names = [name[:-1] for name in names_of(one.key, dropped)]
        same = [by_holder[name] for name in names if name in by_holder]
        if same:
            _take(found, one, same[0], "path" if same[0].holder == names[0] else "tied")
            taken.add(same[0].holder)
        else:
            later.append(one)
    for one in later:
        if one.is_fork:
            continue
        stream = _called(streams, one.tag, taken)
        if stream is None:
            found.own += [one.key, one.count]
        else:
            _take(found, one, stream, "stream")
            taken.add(stream.holder)
    for one in later:
        if not one.is_fork:
            continue
        stream = None if forked else _called(streams, one.tag, set())
        if stream is None or getattr(one.count.value, "shape", ()) != ():
            found.own += [one.key, one.count]
        else:
            fold = (stream.count, stream.forks)
            stream.forks += 1
            found.picks.append(Pick(one.key, stream.key, "fork", fold))
            found.picks.append(Pick(one.count, stream.count, "fork", zero=True))
            taken.add(stream.holder)
    for stream in streams:
        if stream.holder not in taken:
            found.unused += [stream.key, stream.count]
    return found


def _take(found: Streams, one: ModelStream, stream: FileStream, rule: str) -> None:
    found.picks.append(Pick(one.key, stream.key, rule))
    found.picks.append(Pick(one.count, stream.count, rule, shared=stream))


def _called(streams: list[FileStream], tag: str, taken: set[Name]) -> FileStream | None:
    free = [one for one in streams if one.name and one.holder not in taken]
    for name in (tag, _USUAL):
        for one in free:
            if one.name == name:
                return one
    return None


def _shared_name(key: Entry, holder: Name) -> str | None:
    """The name of a shared stream: of a fork, the holder is called otherwise."""
    tag = key.metadata.get("tag")
    if isinstance(tag, str):
        return tag if holder[-1] == tag else None
    if holder[-1] == "rngs":
        return None
    return holder[-1]


def _is_key(entry: Entry) -> bool:
    if entry.kind == "key":
        return True
    return entry.dtype is not None and (
        entry.dtype.name == "uint32" and entry.shape[-1:] in ((2,), (4,))
    )


def _is_count(entry: Entry) -> bool:
    return entry.dtype is not None and entry.dtype.kind in "ui"
