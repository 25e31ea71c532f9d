"""Which releases of Flax name arrays on disk as a file does. Imports no flax, no jax.

What orbax, msgpack and npz write of a State are the key paths of its leaves, and those
are facts of a release. Each fact that shows in a file is one row of ``_SIGNS``: the id
of the behaviour, and what of the paths tells whether it held where they were written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from .. import facts
from ._table import TAILS, Contents, Entry, Item

Name = tuple[str, ...]


class Layout(NamedTuple):
    """What the paths of a file say of the Flax that wrote it.

    Attributes:
        signs: by id of a behaviour, whether it held there; what a file does not show is
            not in it.
        perhaps: ids of what the file may come from and does not prove.
        anywhere: names are those of our own form, which every release reads alike.
    """

    signs: Mapping[str, bool]
    perhaps: tuple[str, ...] = ()
    anywhere: bool = False

    @property
    def releases(self) -> tuple[str, ...]:
        """The releases that name arrays so."""
        every = (release.version for release in facts.releases())
        return tuple(version for version in every if not self.misread(version))

    def misread(self, flax: str) -> tuple[str, ...]:
        """The behaviours by which a release of Flax would look for other names.

        Args:
            flax: the version of one.
        """
        return tuple(
            id
            for id, held in self.signs.items()
            if facts.behaviour(id).holds(flax) != held
        )

    def __str__(self) -> str:
        if self.anywhere:
            return "as nnx_compat saves it, the same on every release"
        if not self.signs:
            return "names that are of no release of Flax"
        if not self.releases:
            return "names as no single release of Flax has them"
        from ..check import releases  # for doctor and inspect alone: 20 ms

        mask = releases.which(lambda version: not self.misread(version))
        where = releases.spelled(mask)
        return f"as {'' if mask == releases.ALL else 'flax '}{where} saves it"


def layout(contents: Contents) -> Layout:
    """Which releases name arrays on disk as a file does, from the names alone.

    Example:
        >>> import numpy as np
        >>> from nnx_compat.checkpoint import Contents, Entry, Item
        >>> entries = [
        ...     Entry((*path.split("/"), "raw_value"), dtype=np.dtype("float32"))
        ...     for path in ("bias", "kernel")
        ... ]
        >>> found = layout(Contents("x", "orbax", {"": Item(entries)}))
        >>> found.signs
        {'state-path-ends-in-raw-value': True}
        >>> set(found.releases) < {release.version for release in facts.releases()}
        True
    """
    signs: dict[str, bool] = {}
    perhaps: list[str] = []
    for item in contents.values():
        if item.exact:
            continue
        for id, sign in _SIGNS.items():
            held = sign(item)
            if held is not None:
                signs[id] = signs.get(id, False) or held
        if _streams_may_be_a_layers(item):
            perhaps.append("dropout-forks-its-rngs")
    anywhere = bool(contents) and all(item.exact for item in contents.values())
    unproved = tuple(id for id in dict.fromkeys(perhaps) if id not in signs)
    return Layout(signs, unproved, anywhere)


def misread(found: Layout, flax: str) -> list[tuple[str, str]]:
    """What a release of Flax would not find in a file, or find wrong, and why.

    Args:
        found: of the file, by ``layout``.
        flax: the version that is to restore it by itself, through orbax or flax.

    Returns:
        ``(id, text)`` of behaviours; nothing where it names arrays as the file does, or
        where no release of Flax has named them.
    """
    rows = [
        (id, f"{_WHERE[found.signs[id]]}: {facts.behaviour(id).text}")
        for id in found.misread(flax)
    ]
    for id in found.perhaps:
        if facts.behaviour(id).holds(flax):
            text = facts.behaviour(id).text
            rows.append(
                (id, f"if its streams are a Dropout's, {_WHERE[False]}: {text}")
            )
    return rows


#: By whether a behaviour held where the file was written.
_WHERE = {True: "where it was saved", False: "on the installed Flax"}
#: What to do with a file that is misread.
REMEDY = "nnx_compat.checkpoint.load(PATH, model=model)"


# -- what of the paths tells ---------------------------------------------------------

#: Those that a native checkpoint has; a pickle may have the third of them.
_TAILS = TAILS[:2]


def _arrays(item: Item) -> dict[Name, Entry]:
    entries = item.entries().items()
    return {name: entry for name, entry in entries if entry.dtype is not None}


def _tails(item: Item) -> set[str]:
    """The last names of all arrays that are not optax's own; a first one is no tail."""
    return {
        name[-1] if len(name) > 1 else ""
        for name in _arrays(item)
        if "opt_state" not in name
    }


def _are_tails(tails: set[str]) -> bool:
    return len(tails) == 1 and tails <= {*_TAILS}


def _ends_in_raw_value(item: Item) -> bool | None:
    tails = _tails(item)
    return "raw_value" in tails if _are_tails(tails) else None


def _has_absent_parameters(item: Item) -> bool | None:
    """None is on disk; a file without it may be of a model with all of its biases."""
    tails = _tails(item)
    absent = {
        name[-1]
        for name, entry in item.entries().items()
        if entry.kind == "none" and "opt_state" not in name and name
    }
    return True if _are_tails(tails) and tails <= absent else None


def _streams(item: Item) -> Iterator[tuple[Name, Name]]:
    """Where each stream is held, and its name; a fork has none."""
    for name in _arrays(item):
        bare = name[:-1] if name[-1] in _TAILS else name
        if "rngs" in bare and bare[-1] in ("count", "key"):
            at = len(bare) - 1 - bare[::-1].index("rngs")
            if len(bare) - at in (2, 3):
                yield bare[:at], bare[at + 1 : -1]


def _has_static_streams(item: Item) -> bool | None:
    return False if any(_streams(item)) else None


def _has_forks(item: Item) -> bool | None:
    return True if any(not name for _, name in _streams(item)) else None


def _streams_may_be_a_layers(item: Item) -> bool:
    """Shared ones below a child: of its Dropout, or of what holds a Rngs itself."""
    found = list(_streams(item))
    return any(where for where, _ in found) and all(name for _, name in found)


def _holds_the_model(item: Item) -> bool | None:
    tops = {name[0] for name in _arrays(item) if name}
    return "model" in tops if "opt_state" in tops else None


def _keeps_raw_arrays(item: Item) -> bool | None:
    """The count of Adam and the like beside averages with a tail."""
    below = [name for name in _arrays(item) if "opt_state" in name]
    if not any(name[-1] in _TAILS for name in below):
        return None
    counts = [name for name in below if "count" in name[-2:]]
    return any(name[-1] == "count" for name in counts) if counts else None


_SIGNS: Mapping[str, Callable[[Item], bool | None]] = {
    "state-path-ends-in-raw-value": _ends_in_raw_value,
    "absent-parameter-is-a-variable": _has_absent_parameters,
    "rngs-are-static": _has_static_streams,
    "dropout-forks-its-rngs": _has_forks,
    "optimizer-state-holds-the-model": _holds_the_model,
    "optimizer-state-keeps-raw-arrays": _keeps_raw_arrays,
}
