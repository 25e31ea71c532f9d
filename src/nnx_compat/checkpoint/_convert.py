"""``convert``: a checkpoint of any form, written as the portable one."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from ..errors import CheckpointLookupError
from . import _manifest
from ._canonical import canonical
from ._collect import Saved
from ._read import read
from ._rename import Rename, renamed
from ._save import stored
from ._table import Contents, Item, text


def convert(
    src: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    *,
    step: int | None = None,
    format: Literal["safetensors", "orbax"] = "safetensors",
    rename: Rename | None = None,
    only: str | Sequence[str] = "*",
    overwrite: bool = False,
    max_shard_bytes: int = 5 << 30,
    progress: Callable[[int, int], None] | None = None,
) -> Contents:
    """Write a checkpoint of any form and release as one that every release reads.

    Args:
        src: a file or folder, recognised by content.
        dst: where to write; as ``path`` of ``save``.
        step: of a folder of steps, which one; the newest that is finished by default.
        format: as in ``save``.
        rename: rules for the names of another framework, as in ``load``.
        only: a glob of the arrays to write (``"model/encoder/*"``), or several.
        overwrite: whether what is at ``dst`` is replaced.
        max_shard_bytes: as in ``save``.
        progress: called with the bytes that are read and those there are.

    Returns:
        What was written, as ``read`` has it.

    Raises:
        CheckpointNotFoundError: there is nothing at ``src``.
        CheckpointFormError: it is of no known form, damaged, or an unfinished save.
        CheckpointLookupError: ``only`` leaves nothing.
        CheckpointStructureError: ``rename`` does not fit.
        CheckpointExistsError: something is at ``dst``.

    Example:
        >>> import importlib.util, os, tempfile
        >>> import numpy as np
        >>> from nnx_compat import checkpoint
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     src, dst = (os.path.join(folder, n) for n in ("old.npz", "new"))
        ...     np.savez(src, **{"lin/bias/value": np.ones(3, "float32")})
        ...     if importlib.util.find_spec("safetensors"):
        ...         assert list(checkpoint.convert(src, dst)[""]) == ["lin/bias"]
    """
    contents = canonical(read(src, step=step))
    if rename is not None:
        contents = renamed(contents, rename)
    contents = _chosen(contents, [only] if isinstance(only, str) else only)
    place = Path(dst).absolute()
    stored(
        place,
        lambda _: _saved(contents, progress),
        contents.metadata,
        format=format,
        overwrite=overwrite,
        max_shard_bytes=max_shard_bytes,
    )
    return read(place)


def _chosen(contents: Contents, globs: Sequence[str]) -> Contents:
    items = {}
    for name, item in contents.items():
        kept = [
            entry
            for entry in item.entries().values()
            for path in [text(entry.path)]
            if any(
                fnmatch.fnmatchcase(one, glob)
                for glob in globs
                for one in (path, f"{name}/{path}")
            )
        ]
        if kept:
            items[name] = Item(kept, exact=item.exact)
    if not items:
        raise CheckpointLookupError(
            f"nothing in {contents.place} is called {' or '.join(globs)}",
            instead="nnx-compat checkpoint inspect, which lists the names",
        )
    return contents.with_items(items)


def _saved(contents: Contents, progress: Callable[[int, int], None] | None) -> Saved:
    """All arrays, read, under the names of the portable form."""
    saved = Saved()
    entries = [(n, e) for n, i in contents.items() for e in i.entries().values()]
    total, done = sum(entry.nbytes for _, entry in entries), 0
    for item, entry in entries:
        path = tuple(map(str, entry.path))
        name = ".".join(path if len(contents) == 1 else (item, *path))
        if name in saved.rows.get(item, ()):
            raise CheckpointLookupError(
                f"two arrays of {contents.place} would be called {name}",
                instead="rename= for one of them",
            )
        if entry.kind not in ("none", "text"):
            saved.arrays[name] = entry.read()
            saved.paths[name] = (item, *path)
        saved.rows.setdefault(item, {})[name] = _manifest.row(entry, [])
        done += entry.nbytes
        if progress is not None:
            progress(done, total)
    return saved
