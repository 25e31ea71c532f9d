"""What the canonical form says beside its arrays. Imports no flax, no jax.

One JSON text: for each item, by the name of an array, its path, Variable type, kind,
key implementation, true dtype, metadata and the other paths of a tied Variable.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import CheckpointFormError
from ._dtypes import named
from ._table import Contents, Entry, Item, Path, text

FORMAT = 1
#: The key of it in the header of a file, and the name of the item in an orbax folder.
KEY = "nnx_compat"


def row(entry: Entry, left_out: list[str]) -> dict[str, Any]:
    """What the manifest says of one entry; what is usual is left away."""
    found: dict[str, Any] = {"path": list(entry.path)}
    if entry.kind != "array":
        found["kind"] = entry.kind
    if entry.dtype is not None:
        found["dtype"] = entry.dtype.name
    for name in ("type", "impl"):
        if getattr(entry, name) is not None:
            found[name] = getattr(entry, name)
    if entry.kind == "text":
        found["value"] = entry.value
    if entry.metadata:
        found["meta"] = dict(entry.metadata)
    if left_out:
        found["left_out"] = left_out
    if entry.aliases:
        found["aliases"] = [list(path) for path in entry.aliases]
    return found


def written(
    items: Mapping[str, Mapping[str, Mapping[str, Any]]],
    writer: Mapping[str, str],
    metadata: Mapping[str, Any],
) -> str:
    """The manifest as text.

    Args:
        items: by item and by the name of an array, its ``row``.
        writer: versions of what writes it.
        metadata: of the user; JSON values.
    """
    whole = {"format": FORMAT, "writer": writer, "items": items, "metadata": metadata}
    return json.dumps(whole, separators=(",", ":"))


def contents(
    place: str, form: str, manifest: str, stored: Callable[[str, str], Entry | None]
) -> Contents:
    """The table that a manifest describes.

    Args:
        place: the file or folder.
        form: as ``Contents`` has it.
        manifest: the text.
        stored: the array of an item and a name, as its container describes it.

    Raises:
        CheckpointFormError: it is damaged, or of a later format.
    """
    try:
        whole = json.loads(manifest)
        if whole["format"] > FORMAT:
            raise CheckpointFormError(
                f"{place} has format {whole['format']}, and this nnx-compat knows "
                f"{FORMAT}",
                instead="pip install --upgrade nnx-compat",
            )
        items = {
            str(item): Item(
                [_entry(name, row, stored(item, name)) for name, row in rows.items()],
                exact=True,
            )
            for item, rows in whole["items"].items()
        }
        return Contents(
            place, form, items, metadata=whole["metadata"], writer=whole["writer"]
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, CheckpointFormError):
            raise
        raise CheckpointFormError(
            f"{place}: its nnx_compat manifest is damaged: "
            f"{type(error).__name__}: {error}",
            instead="a copy of the file that is whole",
        ) from None


def _entry(name: str, row: Mapping[str, Any], stored: Entry | None) -> Entry:
    path = _path(row["path"])
    kind = row.get("kind", "array")
    about: dict[str, Any] = {
        "type": row.get("type"),
        "metadata": dict(row.get("meta", {})),
        "aliases": tuple(map(_path, row.get("aliases", []))),
        "impl": row.get("impl"),
        "source": name,
    }
    if kind in ("none", "text"):
        return Entry(path, kind, value=row.get("value"), **about)
    if stored is None or stored.dtype is None or kind not in ("array", "key", "scalar"):
        raise ValueError(f"{text(path)} has no array {name!r} of the kind {kind!r}")
    dtype = named(row["dtype"])
    if dtype.itemsize != stored.dtype.itemsize:
        raise ValueError(f"{name} is {stored.dtype} and said to be {dtype}")
    load = stored.load
    if dtype != stored.dtype and load is not None:
        inner = load

        def load(index: Any) -> Any:
            return inner(index).view(dtype)

    return Entry(path, kind, stored.shape, dtype, load=load, **about)


def _path(given: object) -> Path:
    if not isinstance(given, list) or not all(isinstance(k, (str, int)) for k in given):
        raise ValueError(f"{given!r} is no path")
    return tuple(given)
