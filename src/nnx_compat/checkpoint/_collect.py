"""Everything of some items that is saved: arrays by name, and what is said of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from ..errors import ArgumentTypeError, kind_of
from ..functional import AXES, get_metadata
from . import _manifest
from ._slots import Slot, Slots, type_name
from ._table import Entry, Kind, text
from ._values import implementation, is_key


@dataclass
class Saved:
    """What is saved.

    Attributes:
        arrays: by name, ``"model.net.kernel"``; on the host where that was asked.
        paths: of each array, its item and path as text: what names it in a tree.
        rows: of the manifest, by item and name.
    """

    arrays: dict[str, Any] = field(default_factory=dict)
    paths: dict[str, tuple[str, ...]] = field(default_factory=dict)
    rows: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)


def collected(items: Mapping[str, object], *, host: bool) -> Saved:
    """What is saved of some items.

    Args:
        items: by name.
        host: whether arrays are brought to the host, as numpy's; others stay where
            they are, with their shardings.

    Raises:
        ArgumentTypeError: a leaf is no array, number, None or text.
    """
    saved = Saved()
    tables = {name: Slots(item, name) for name, item in items.items()}
    seen = {
        id(slot.variable)
        for slots in tables.values()
        for slot in slots.slots
        if slot.variable is not None and slot.name[:1] != ("model",)
    }
    for item, slots in tables.items():
        rows = saved.rows.setdefault(item, {})
        for slot in slots.slots:
            if slot.name[:1] == ("model",) and id(slot.variable) in seen:
                continue  # an optimizer holds a model that is saved itself
            name = ".".join(slot.name if len(items) == 1 else (item, *slot.name))
            if name in saved.arrays:
                raise ArgumentTypeError(
                    f"two arrays would be called {name}",
                    instead="names of items and attributes without a dot",
                )
            entry, value, left_out = _described(item, slot, host)
            if value is not None:
                saved.arrays[name] = value
                saved.paths[name] = (item, *slot.name)
            rows[name] = _manifest.row(entry, left_out)
    return saved


def _described(item: str, slot: Slot, host: bool) -> tuple[Entry, Any, list[str]]:
    """What the table says of a slot, its array, and the metadata left out."""
    value, impl = slot.value, None
    kind: Kind = "array"
    if value is None or isinstance(value, str):
        kind, value = "none" if value is None else "text", None
    elif is_key(value):
        kind, impl = "key", implementation(value)
        value = jax.random.key_data(value)
    elif isinstance(value, (bool, int, float, complex)):
        kind, value = "scalar", np.asarray(value)
    elif not isinstance(value, (jax.Array, np.ndarray, np.generic)):
        raise ArgumentTypeError(
            f"{item}/{text(slot.path)} holds {kind_of(value)}, and no array",
            instead="arrays, numbers, texts or None in what is saved",
        )
    if isinstance(value, jax.core.Tracer):
        raise ArgumentTypeError(
            f"{item}/{text(slot.path)} is traced: its value is not known yet",
            instead="save outside jax.jit, grad and vmap",
        )
    if host and value is not None:
        value = np.asarray(value)
    metadata, left_out = _metadata(slot)
    entry = Entry(
        _path(slot), kind, dtype=None if value is None else np.dtype(value.dtype),
        impl=impl, type=type_name(slot), metadata=metadata, aliases=slot.others,
        value=slot.value if kind == "text" else None,
    )  # fmt: skip
    return entry, value, left_out


def _path(slot: Slot) -> tuple[str | int, ...]:
    """The path as the newest release has it, list indices as ints."""
    return tuple(
        key if isinstance(key, int) else name
        for key, name in zip(slot.path, slot.name, strict=False)
    )


def _metadata(slot: Slot) -> tuple[dict[str, Any], list[str]]:
    """The metadata of a Variable that are JSON values, and the names of the rest."""
    if slot.owner is None:
        return {}, []
    found, left_out = {}, []
    for name, value in get_metadata(slot.owner).items():
        try:
            plain = json.loads(json.dumps(value))
        except (TypeError, ValueError):
            left_out.append(name)
            continue
        if value is not None:
            found["sharding" if name == AXES[0] else name] = plain
    return found, left_out
