"""Names of the newest release for what any release wrote. Imports no flax, no jax.

For looking at a file without a model: ``load`` matches names with those of its target
and knows more. Here one rule holds for a whole item: where every array is called
``kernel/value`` or ``kernel/raw_value``, Flax wrote the value of a Variable that way.
"""

from __future__ import annotations

from collections.abc import Iterable

from ._table import TAILS, Contents, Entry, Item, Path


def canonical(contents: Contents) -> Contents:
    """The same checkpoint with the names of the newest release, and without None.

    Example:
        >>> from nnx_compat.checkpoint import Contents, Entry, Item
        >>> from nnx_compat.checkpoint._canonical import canonical
        >>> item = Item([Entry(("bias", "value")), Entry(("kernel", "value"))])
        >>> list(canonical(Contents("x", "orbax", {"": item}))[""])
        ['bias', 'kernel']
    """
    return contents.with_items(
        {name: _renamed(item) for name, item in contents.items()}
    )


def _renamed(item: Item) -> Item:
    entries = [entry for entry in item.entries().values() if entry.kind != "none"]
    if item.exact:
        return Item(entries, exact=True)
    inside = [entry for entry in entries if "opt_state" in entry.path]
    outside = [entry for entry in entries if "opt_state" not in entry.path]
    # optax's own numbers (count, ...) are no Variables where the other arrays are
    ours = [entry for entry in inside if entry.shape]
    stripped = {
        entry.path: entry.path[:-1]
        for part, judged in ((outside, outside), (inside, ours))
        if judged and all(map(_has_tail, judged))
        for entry in part
        if _has_tail(entry)
    }
    if not stripped:
        return Item(entries)
    paths = [stripped.get(entry.path, entry.path) for entry in entries]
    if _are_clear(paths):
        entries = [e.at(path) for e, path in zip(entries, paths, strict=True)]
    return Item(entries)


def _has_tail(entry: Entry) -> bool:
    return len(entry.path) > 1 and entry.path[-1] in TAILS and entry.type is None


def _are_clear(paths: Iterable[Path]) -> bool:
    """Whether no path is there twice, and none is inside another one."""
    found = {tuple(map(str, path)) for path in paths}
    above = {path[:at] for path in found for at in range(len(path))}
    return len(found) == len(list(paths)) and not found & above
