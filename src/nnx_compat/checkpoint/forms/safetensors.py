"""safetensors: one file, or shards beside an index. The canonical form of ours too.

Read without the library of that name: the header is JSON, its checks have to hold here
anyway before anything is read, and no environment needs one more package to read.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from ...errors import CheckpointFormError, NnxCompatError
from .. import _manifest
from .._dtypes import named
from .._table import Contents, Entry, Item
from . import without_steps
from ._spans import Span

_LIMIT = 100 << 20
#: The dtypes of the format whose elements are whole bytes, by their names in numpy.
DTYPES = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16",
    "U32": "uint32", "I32": "int32", "U64": "uint64", "I64": "int64",
    "F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64",
    "C64": "complex64", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2",
    "F8_E8M0": "float8_e8m0fnu", "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
}  # fmt: skip
_INDEX = ".safetensors.index.json"


def recognises(place: Path, head: bytes) -> bool:
    """A header of JSON behind its length; an index of shards; a folder with either."""
    if place.is_dir():
        return _inside(place) is not None
    if head[:1] == b"{":
        return "weight_map" in _index(place)
    return head[8:9] == b"{" and struct.unpack("<Q", head[:8])[0] <= _LIMIT


def contents(place: Path, step: int | None) -> Contents:
    """The table of a file, of an index or of a folder, from the headers."""
    without_steps(place, step)
    inner = _inside(place) if place.is_dir() else None
    file = inner or place
    with file.open("rb") as stream:
        is_index = stream.read(1) == b"{"
    if not is_index:
        entries, header = _header(file)
        return _table(place, "safetensors", entries, header)
    index = _index(file)
    shards = sorted(set(index["weight_map"].values()))
    entries = {}
    for shard in shards:
        if Path(shard).name != shard:
            raise _damaged(file, f"the shard {shard!r} is not beside it")
        if not (file.parent / shard).is_file():
            raise _damaged(file, f"the shard {shard} is missing")
        entries.update(_header(file.parent / shard)[0])
    missing = sorted(set(index["weight_map"]) - set(entries))
    if missing:
        raise _damaged(file, f"no shard has the array {missing[0]}")
    form = f"safetensors, {len(shards)} shards"
    return _table(place, form, entries, index.get("metadata") or {})


def _table(
    place: Path, form: str, entries: dict[str, Entry], header: dict[str, Any]
) -> Contents:
    if _manifest.KEY in header:
        return _manifest.contents(
            str(place),
            form,
            header[_manifest.KEY],
            lambda item, name: entries.get(name),
        )
    return Contents(
        str(place), form, {"": Item(list(entries.values()))}, metadata=header
    )


def _inside(folder: Path) -> Path | None:
    """The index in a folder, or its only file of this form."""
    found = sorted(folder.glob(f"*{_INDEX}")) or sorted(folder.glob("*.safetensors"))
    return found[0] if len(found) == 1 else None


def _index(place: Path) -> dict[str, Any]:
    if place.stat().st_size > _LIMIT:
        return {}
    try:
        found = json.loads(place.read_bytes())
    except ValueError:
        return {}
    shards = found.get("weight_map") if isinstance(found, dict) else None
    return found if isinstance(shards, dict) else {}


def _header(place: Path) -> tuple[dict[str, Entry], dict[str, Any]]:
    """The arrays of one file and its ``__metadata__``, all checked."""
    size = place.stat().st_size
    with place.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8).ljust(8, b"\xff"))
        if length > _LIMIT or 8 + length > size:
            raise _damaged(place, f"a header of {length} bytes in a file of {size}")
        text = file.read(length)
    try:
        rows = json.loads(text, object_pairs_hook=_each_once)
        metadata = rows.pop("__metadata__", None) or {}
        span, end, entries = Span(place), 0, {}
        for name in sorted(rows, key=lambda one: rows[one]["data_offsets"]):
            entry, end = _entry(span, name, rows[name], 8 + length, end)
            entries[name] = entry
    except NnxCompatError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(place, f"its header: {error}") from None
    if end != size - 8 - length:
        raise _damaged(
            place, f"arrays of {end} bytes in a file with room for {size - 8 - length}"
        )
    return {name: entries[name] for name in rows}, metadata


def _entry(
    span: Span, name: str, row: dict[str, Any], base: int, expected: int
) -> tuple[Entry, int]:
    begin, end = row["data_offsets"]
    shape = tuple(row["shape"])
    if row["dtype"] not in DTYPES:
        raise _damaged(span.place, f"{name} has the dtype {row['dtype']}, not known")
    dtype = named(DTYPES[row["dtype"]])
    if not all(type(n) is int and n >= 0 for n in (begin, end, *shape)):
        raise _damaged(span.place, f"{name} has a negative or broken size")
    entry = Entry(tuple(name.split(".")), "array", shape, dtype, source=name)
    if end - begin != entry.nbytes:
        raise _damaged(
            span.place, f"{name} needs {entry.nbytes} bytes and has {end - begin}"
        )
    if begin != expected:
        what = "overlaps another" if begin < expected else "leaves a gap before it"
        raise _damaged(span.place, f"the array {name} {what}")
    load = span.reader(base + begin, shape, dtype)
    return Entry(entry.path, "array", shape, dtype, source=name, load=load), end


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice")
    return found


def _damaged(place: Path, why: str) -> CheckpointFormError:
    return CheckpointFormError(
        f"{place} is damaged: {why}", instead="a copy of the file that is whole"
    )
