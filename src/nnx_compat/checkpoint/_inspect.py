"""``inspect``: what is in a checkpoint, without reading an array.

Imports neither flax nor jax.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ._canonical import canonical
from ._layout import Layout, layout
from ._table import Contents, Entry, text
from .forms import opened


@dataclass(frozen=True)
class Inspection:
    """What is in a checkpoint.

    Attributes:
        contents: its table, with the names of the newest release.
        layout: which releases name arrays on disk so, where that was asked.
    """

    contents: Contents
    layout: Layout | None = None

    def entries(self) -> Iterator[tuple[str, Entry]]:
        """Every value with the name of its item."""
        for name, item in self.contents.items():
            for entry in item.entries().values():
                yield name, entry

    @property
    def arrays(self) -> int:
        """How many arrays and keys there are."""
        return sum(entry.dtype is not None for _, entry in self.entries())

    @property
    def nbytes(self) -> int:
        """How many bytes they have together."""
        return sum(entry.nbytes for _, entry in self.entries())

    def as_json(self) -> dict[str, Any]:
        """All of it, as JSON has it."""
        found = self.contents
        return {
            "place": found.place,
            "form": found.form,
            "step": found.step,
            "steps": list(found.steps),
            "writer": found.writer,
            "metadata": found.metadata,
            "releases": list(self.layout.releases) if self.layout else [],
            "left_out": list(found.left_out),
            "arrays": self.arrays,
            "bytes": self.nbytes,
            "items": {
                name: {text(e.path): _as_json(e) for e in item.entries().values()}
                for name, item in found.items()
            },
        }

    def rows(self) -> list[tuple[str, str, str, str, str]]:
        """A row a line of a table: name, shape, dtype, size, Variable type.

        Arrays that differ in the number of their layer alone share a row.
        """
        groups: dict[tuple[object, ...], list[Entry]] = {}
        for item, entry in self.entries():
            pattern = _NUMBER.sub("*", text(entry.path))
            look = entry.shape, entry.dtype, entry.kind, entry.impl, entry.type
            value = None if entry.dtype is not None else repr(entry.value)
            groups.setdefault((item, pattern, look, value), []).append(entry)
        several = len(self.contents) > 1
        return [
            (_name(str(key[0]) if several else "", group), *_look(group[0], len(group)))
            for key, group in groups.items()
        ]

    def __str__(self) -> str:
        lines = [f"{self.contents.place}: {self.contents.form}"]
        lines += ["  ".join(row).rstrip() for row in self.rows()]
        return "\n".join([*lines, f"{self.arrays} arrays, {size(self.nbytes)}"])


def inspect(path: str | os.PathLike[str], *, step: int | None = None) -> Inspection:
    """What is in a checkpoint of any form and release, without reading an array.

    Neither Flax nor jax is imported, and nothing of what a file names is run.

    Args:
        path: a file or folder, recognised by content.
        step: of a folder of steps, which one; the newest that is finished by default.

    Returns:
        The items with names, shapes, dtypes and Variable types; print it for a table.

    Raises:
        CheckpointNotFoundError: there is nothing at the path, or no such step.
        CheckpointFormError: it is of no known form, damaged, or an unfinished save.

    Example:
        >>> import os, tempfile
        >>> import numpy as np
        >>> from nnx_compat import checkpoint
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = os.path.join(folder, "w.npz")
        ...     layers = {f"layers/{i}/bias": np.zeros(3, "float32") for i in range(4)}
        ...     np.savez(file, **layers)
        ...     found = checkpoint.inspect(file)
        >>> found.arrays, found.nbytes, found.rows()
        (4, 48, [('layers/0-3/bias', '(3,)', 'float32', '4 x 12 B', '')])
    """
    found = opened(path, step)
    return Inspection(canonical(found), layout(found))


_NUMBER = re.compile(r"(?<![^/])\d+(?![^/])")


def _look(entry: Entry, count: int = 1) -> tuple[str, str, str, str]:
    """Shape, dtype, size and Variable type of an entry, as a table has them."""
    if entry.dtype is None:
        return "", entry.kind, repr(entry.value)[:40], entry.type or ""
    dtype = f"key<{entry.impl or '?'}>" if entry.kind == "key" else str(entry.dtype)
    times = f"{count} x " if count > 1 else ""
    return str(entry.shape), dtype, times + size(entry.nbytes), entry.type or ""


def _name(item: str, group: list[Entry]) -> str:
    """The name of a group: ``layers/0-31/kernel``."""
    parts = []
    for names in zip(*(entry.path for entry in group), strict=True):
        distinct = list(dict.fromkeys(map(str, names)))
        parts.append(_span(distinct) if len(distinct) > 1 else distinct[0])
    return "/".join([item, *parts] if item else parts)


def _span(numbers: list[str]) -> str:
    found = sorted(map(int, numbers))
    if found == list(range(found[0], found[-1] + 1)):
        return f"{found[0]}-{found[-1]}"
    return ",".join(map(str, found))


def size(count: int) -> str:
    """A number of bytes for people."""
    number, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if number < 1024 or unit == "TiB":
            break
        number /= 1024
    return f"{count} B" if unit == "B" else f"{number:.1f} {unit}"


def _as_json(entry: Entry) -> dict[str, Any]:
    found: dict[str, Any] = {"kind": entry.kind}
    if entry.dtype is not None:
        found |= {"shape": list(entry.shape), "dtype": str(entry.dtype)}
        found["bytes"] = entry.nbytes
    if entry.value is not None:
        found["value"] = entry.value
    for name in ("type", "impl"):
        if getattr(entry, name) is not None:
            found[name] = getattr(entry, name)
    if entry.metadata:
        found["metadata"] = dict(entry.metadata)
    if entry.aliases:
        found["aliases"] = [text(path) for path in entry.aliases]
    return {**found, "source": entry.source or text(entry.path)}
