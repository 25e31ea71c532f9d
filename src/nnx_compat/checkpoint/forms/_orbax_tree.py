"""One tree of orbax: its structure from ``_METADATA``, its arrays through tensorstore.

Never through the installed orbax: those of 13 releases refused 176 of 470 folders that
others had written. Tensorstore read every file of every release, in both directions,
and comes with every orbax.

The arrays are zarr or zarr3, each in a folder of its own or all in one OCDBT store.
Their shapes and dtypes are read from the JSON beside the chunks, so that a table takes
no tensorstore at all for folders, and one read per array for OCDBT.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import CheckpointFormError, MissingPackageError
from .. import _table
from .._dtypes import named
from .._table import Entry, Index
from . import damaged, msgpack

if TYPE_CHECKING:
    from .._table import Array, Reader

_PLACEHOLDER = "PLACEHOLDER://"
_NOTHING = ("None", "Dict", "List", "Tuple", "NamedTuple")


def is_tree(folder: Path) -> bool:
    """Whether this folder holds one tree, without looking into it."""
    if (folder / "_METADATA").is_file():
        return True
    old = folder / "checkpoint"
    if not old.is_file():
        return False
    with old.open("rb") as file:
        return msgpack.recognises(old, file.read(64))


class Tree:
    """The tree of one folder.

    Args:
        folder: for which ``is_tree`` holds.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ocdbt = (folder / "manifest.ocdbt").is_file()
        self._about = self._json("_METADATA")
        self.zarr3 = bool(self._about.get("use_zarr3"))

    @property
    def form(self) -> str:
        """How the arrays are stored, in words."""
        engine = "ocdbt" if self.ocdbt else "folders"
        return f"{engine}, {'zarr3' if self.zarr3 else 'zarr'}"

    def entries(self) -> list[Entry]:
        """The values, by path."""
        if "tree_metadata" in self._about:
            found = self._of_metadata()
        else:
            found = self._of_msgpack()
        return list(found)

    def _of_metadata(self) -> Iterator[Entry]:
        for row in self._about["tree_metadata"].values():
            keys = [(one["key"], one["key_type"]) for one in row["key_metadata"]]
            path = tuple(int(k) if kind == 1 else str(k) for k, kind in keys)
            name = ".".join(str(key) for key, _ in keys)
            kind = row["value_metadata"]["value_type"]
            if kind in _NOTHING:
                yield Entry(path, "none", source=name)
            elif kind == "string":
                yield Entry(path, "text", value=self._texts.get(name), source=name)
            else:
                inline = self._inline.get(tuple(map(str, path)))
                yield inline or self._stored(path, name, kind == "scalar")

    def _of_msgpack(self) -> Iterator[Entry]:
        for entry in msgpack.entries(self._structure):
            value = entry.value
            if entry.kind == "text" and str(value).startswith(_PLACEHOLDER):
                name = str(value).removeprefix(_PLACEHOLDER)
                yield self._stored(entry.path, name, False)
            else:
                yield entry

    # -- the structure ---------------------------------------------------------------

    def _json(self, name: str) -> dict[str, Any]:
        file = self.folder / name
        if not file.is_file():
            return {}
        try:
            found: dict[str, Any] = json.loads(file.read_bytes())
        except ValueError as error:
            raise self._damaged(f"{name} is no JSON: {error}") from None
        return found

    @cached_property
    def _texts(self) -> dict[str, Any]:
        return self._json("_strings.json")

    @cached_property
    def _structure(self) -> Any:
        return msgpack.decoded((self.folder / "checkpoint").read_bytes())

    @cached_property
    def _inline(self) -> dict[tuple[str, ...], Entry]:
        """Values that the oldest orbax may keep in the structure itself."""
        if not (self.folder / "checkpoint").is_file():
            return {}
        return {
            tuple(map(str, entry.path)): entry
            for entry in msgpack.entries(self._structure)
            if entry.kind in ("array", "scalar")
        }

    @cached_property
    def _implementations(self) -> dict[str, str]:
        """The PRNG implementation of typed keys, by name: their only mark."""
        found = {}
        for file in sorted(self.folder.glob("array_metadatas/process_*")):
            for row in json.loads(file.read_bytes())["array_metadatas"]:
                about = row["array_metadata"]
                extra = about.get("ext_metadata") or {}
                if "random_key_impl" in extra:
                    found[about["param_name"]] = extra["random_key_impl"]
        return found

    # -- the arrays ------------------------------------------------------------------

    def _stored(self, path: _table.Path, name: str, scalar: bool) -> Entry:
        shape, dtype, chunks = self._described(name)
        impl = self._implementations.get(name)
        kind: _table.Kind = "key" if impl else "scalar" if scalar else "array"
        load = self._reader(name, chunks)
        return Entry(path, kind, shape, dtype, impl=impl, source=name, load=load)

    def _described(self, name: str) -> tuple[tuple[int, ...], np.dtype[Any], int]:
        """Shape, dtype and number of chunks, from the JSON beside these.

        Every orbax writes all chunks of zarr; of zarr3 the oldest leave out those that
        are zero, and 0 stands for a number that is not known.
        """
        part = "zarr.json" if self.zarr3 else ".zarray"
        if self.ocdbt:
            data = self._store.read(f"{name}/{part}").result().value
        else:
            file = self.folder / name / part
            data = file.read_bytes() if file.is_file() else b""
        if not data:
            raise self._damaged(f"the array {name} is in its structure and not stored")
        about = json.loads(data)
        dtype = named(about["data_type" if self.zarr3 else "dtype"])
        shape, chunks = tuple(about["shape"]), 0
        if not (self.ocdbt or self.zarr3):
            sizes = zip(shape, about["chunks"], strict=True)
            chunks = math.prod(-(-size // chunk) for size, chunk in sizes)
        return shape, dtype, chunks

    @cached_property
    def _tensorstore(self) -> Any:
        try:
            import tensorstore
        except ImportError:
            raise MissingPackageError(
                f"reading {self.folder} needs the package tensorstore",
                instead="pip install tensorstore",
                otherwise="pip install flax, which brings it",
            ) from None
        return tensorstore

    @cached_property
    def _context(self) -> Any:
        # Without it each array would read the B-tree of the store anew.
        return self._tensorstore.Context({"cache_pool": {"total_bytes_limit": 1 << 24}})

    @cached_property
    def _store(self) -> Any:
        spec = self._location("")
        return self._tensorstore.KvStore.open(spec, context=self._context).result()

    def _location(self, path: str) -> dict[str, Any]:
        if self.ocdbt:
            base = {"driver": "file", "path": f"{self.folder}/"}
            return {"driver": "ocdbt", "base": base, "path": path}
        return {"driver": "file", "path": f"{self.folder}/{path}"}

    def _reader(self, name: str, chunks: int) -> Reader:
        def load(index: Index) -> Array:
            # tensorstore reads zeros where a chunk is not there
            if chunks and self._chunks(name) < chunks:
                raise self._damaged(f"of the array {name} chunks are missing")
            spec = {
                "driver": "zarr3" if self.zarr3 else "zarr",
                "kvstore": self._location(f"{name}/"),
            }
            try:
                opened = self._tensorstore.open(
                    spec, open=True, read=True, context=self._context
                ).result()
                return np.asarray(opened[index].read().result())
            except ValueError as error:
                raise self._damaged(f"the array {name}: {error}") from None

        return load

    def _chunks(self, name: str) -> int:
        folder = self.folder / name
        return sum(one.name[:1].isdigit() for one in folder.rglob("*") if one.is_file())

    def _damaged(self, why: str) -> CheckpointFormError:
        return damaged(self.folder, why)
