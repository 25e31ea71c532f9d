"""``diff``: in what two checkpoints differ. Imports neither flax nor jax."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._canonical import canonical
from ._table import Contents, Entry, Item
from .forms import opened


@dataclass(frozen=True)
class Difference:
    """One thing that two checkpoints do not have in common.

    Attributes:
        path: of the array, with its item's name where there are several.
        what: ``"only in a"``, ``"only in b"``, ``"kind"``, ``"shape"``, ``"dtype"``,
            ``"type"`` or ``"values"``.
        a: what the first one has.
        b: what the second one has.
    """

    path: str
    what: str
    a: str
    b: str


def diff(
    a: str | os.PathLike[str],
    b: str | os.PathLike[str],
    *,
    values: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[Difference]:
    """In what two checkpoints differ, whatever form and release they are of.

    Names are those of the newest release on both sides. Neither Flax nor jax is
    imported.

    Args:
        a: a file or folder.
        b: another one.
        values: whether arrays are read and compared bit for bit as well.
        progress: called with the bytes that are compared and those there are.

    Returns:
        The differences, in the order of ``a``; an empty list when there are none.

    Raises:
        CheckpointNotFoundError: there is nothing at one of the paths.
        CheckpointFormError: one is of no known form, damaged, or an unfinished save.

    Example:
        >>> import os, tempfile
        >>> import numpy as np
        >>> from nnx_compat import checkpoint
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     a, b = os.path.join(folder, "a.npz"), os.path.join(folder, "b.npz")
        ...     np.savez(a, bias=np.zeros(3, "float32"))
        ...     np.savez(b, bias=np.array([0, 0, 0.5], "float32"))
        ...     checkpoint.diff(a, b), checkpoint.diff(a, b, values=True)[0].b
        ([], '1 of 3 differ, by 0.5 at most')
    """
    pairs = list(_pairs(canonical(opened(a)), canonical(opened(b))))
    total = sum(entry.nbytes for _, entry, _ in pairs if entry is not None)
    done, found = 0, []
    for name, one, other in pairs:
        if one is None or other is None:
            there = one or other
            assert there is not None
            found.append(_only(name, there, one is not None))
            continue
        different = _difference(name, one, other, values)
        found += [different] if different else []
        done += one.nbytes
        if progress is not None:
            progress(done, total)
    return found


def _pairs(
    a: Contents, b: Contents
) -> Iterator[tuple[str, Entry | None, Entry | None]]:
    """Every name with its entry on either side."""
    if len(a) == len(b) == 1:  # what the only item is called is not compared
        yield from _pairs_of("", next(iter(a.values())), next(iter(b.values())))
        return
    none = Item([])
    left, right = dict(a.items()), dict(b.items())
    for name in dict.fromkeys([*a, *b]):
        yield from _pairs_of(name, left.get(name, none), right.get(name, none))


def _pairs_of(
    name: str, a: Item, b: Item
) -> Iterator[tuple[str, Entry | None, Entry | None]]:
    theirs = _by_every_name(b)
    alone = set(map(id, theirs.values()))
    for path, entry in a.entries().items():
        names = [path, *(tuple(map(str, alias)) for alias in entry.aliases)]
        match = next((theirs[n] for n in names if n in theirs), None)
        alone.discard(id(match))
        yield _full(name, path), entry, match
    for path, entry in b.entries().items():
        if id(entry) in alone:
            yield _full(name, path), None, entry


def _by_every_name(item: Item) -> dict[tuple[str, ...], Entry]:
    """The values by path; tied ones by each of their paths."""
    found: dict[tuple[str, ...], Entry] = {}
    for path, entry in item.entries().items():
        for alias in entry.aliases:
            found.setdefault(tuple(map(str, alias)), entry)
        found[path] = entry
    return found


def _full(item: str, path: tuple[str, ...]) -> str:
    return "/".join((item, *path) if item else path)


def _only(name: str, entry: Entry, first: bool) -> Difference:
    what = f"{entry.dtype or entry.kind}{list(entry.shape)}"
    if first:
        return Difference(name, "only in a", what, "")
    return Difference(name, "only in b", "", what)


def _difference(name: str, a: Entry, b: Entry, values: bool) -> Difference | None:
    looks: list[tuple[str, Any, Any]] = [
        ("kind", a.kind, b.kind),
        ("shape", a.shape, b.shape),
        ("dtype", a.dtype, b.dtype),
    ]
    if a.type and b.type:  # many forms have none
        looks.append(("type", a.type, b.type))
    for what, one, other in looks:
        if one != other:
            return Difference(name, what, str(one), str(other))
    if a.dtype is None or b.dtype is None:
        same = a.value == b.value
        return (
            None if same else Difference(name, "values", repr(a.value), repr(b.value))
        )
    return _of_values(name, a.read(), b.read()) if values else None


def _of_values(name: str, a: Any, b: Any) -> Difference | None:
    if a.tobytes() == b.tobytes():
        return None
    differ = np.frombuffer(a.tobytes(), f"V{a.itemsize}") != np.frombuffer(
        b.tobytes(), f"V{b.itemsize}"
    )
    text = f"{int(differ.sum())} of {a.size} differ"
    if a.dtype.kind not in "bc":
        exact = a.dtype.kind in "iu"
        one, other = (x.astype("O" if exact else "float64") for x in (a, b))
        text += f", by {np.nanmax(np.abs(one - other)):g} at most"
    return Difference(name, "values", "", text)
