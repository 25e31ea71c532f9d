"""Models as plain trees, for people's own CheckpointManager."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from ..functional import Filter
from ._collect import collected
from ._load import into
from ._report import LoadReport
from ._table import Contents, Entry, Index, Item, Kind, Path
from ._values import implementation, is_key


def tree(**items: object) -> dict[str, Any]:
    """Items as nested dicts of arrays with text as keys, the same on every release.

    For orbax and its like, whose async saving, several hosts and remote stores stay
    theirs: the names are those of the newest release, PRNG keys are their data, tied
    Variables are there once, and arrays keep their shardings.

    Args:
        **items: as in ``save``.

    Returns:
        ``{item: {name: {...: array}}}``.

    Example:
        >>> import nnx_compat as nc
        >>> model = nc.nnx.Linear(2, 3, rngs=nc.nnx.Rngs(0))
        >>> plain = nc.checkpoint.tree(model=model)
        >>> sorted(plain["model"])
        ['bias', 'kernel']
    """
    saved = collected(items, host=False)
    found: dict[str, Any] = {name: {} for name in items}
    for name, array in saved.arrays.items():
        inside: dict[str, Any] = found
        *above, last = saved.paths[name]
        for key in above:
            inside = inside.setdefault(key, {})
        inside[last] = array
    return found


def load_tree(
    tree: Mapping[str, Any],
    /,
    *,
    only: Any = ...,
    strict: bool = True,
    cast: bool = False,
    rngs: Literal["file", "model"] = "file",
    **items: object,
) -> LoadReport:
    """Load nested dicts of arrays, as a CheckpointManager restores them, into items.

    Args:
        tree: from ``tree``, or what any release of Flax saved: the names of values
            inside Variables, and keys that became text, are matched as in ``load``.
        only: as in ``load``.
        strict: as in ``load``.
        cast: as in ``load``.
        rngs: as in ``load``.
        **items: as in ``load``.

    Returns:
        As ``load``.

    Raises:
        CheckpointLookupError: the tree has no such item.
        CheckpointStructureError: it does not fit; nothing was changed.

    Example:
        >>> import nnx_compat as nc
        >>> model = nc.nnx.Linear(2, 3, rngs=nc.nnx.Rngs(0))
        >>> other = nc.nnx.Linear(2, 3, rngs=nc.nnx.Rngs(1))
        >>> report = nc.checkpoint.load_tree(
        ...     nc.checkpoint.tree(model=model), model=other)
        >>> bool((nc.get_value(model.kernel) == nc.get_value(other.kernel)).all())
        True
    """
    wanted: Filter = only
    contents = Contents("the tree", "tree", {"": Item(list(_entries((), tree)))})
    return into(contents, items, only=wanted, strict=strict, cast=cast, rngs=rngs)


def _entries(path: Path, value: Any) -> Iterator[Entry]:
    if isinstance(value, Mapping):
        pairs: Any = value.items()
    elif isinstance(value, (list, tuple)):
        pairs = enumerate(value)
    else:
        yield _entry(path, value)
        return
    for key, child in pairs:
        yield from _entries((*path, key if isinstance(key, int) else str(key)), child)


def _entry(path: Path, value: Any) -> Entry:
    if value is None:
        return Entry(path, "none")
    if isinstance(value, (str, bytes)):
        return Entry(path, "text", value=value)
    impl = implementation(value) if is_key(value) else None
    array = jax.random.key_data(value) if impl else value
    kind: Kind = "key" if impl else "array" if hasattr(array, "dtype") else "scalar"

    def load(index: Index) -> Any:
        return np.asarray(array)[index] if index is not ... else np.asarray(array)

    return Entry(
        path, kind, jnp.shape(array), np.asarray(array).dtype, impl=impl, load=load
    )
