"""``save``: the canonical form, or orbax's own; whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import jax

from .. import __version__
from ..errors import (
    ArgumentTypeError,
    ArgumentValueError,
    CheckpointExistsError,
    MissingPackageError,
    RefusedArgumentError,
)
from ..revisions import flax_version, jax_version
from . import _manifest
from ._collect import Saved, collected
from ._dtypes import is_extended

if TYPE_CHECKING:
    from ._table import Array

_INDEX = "model.safetensors.index.json"
#: What every version of the library writes as it is; of the rest, the bits.
_STORED = {
    "bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64",
    "float16", "bfloat16", "float32", "float64",
}  # fmt: skip


def save(
    path: str | os.PathLike[str],
    *,
    format: Literal["safetensors", "orbax"] = "safetensors",
    metadata: Mapping[str, object] | None = None,
    overwrite: bool = False,
    max_shard_bytes: int = 5 << 30,
    **items: object,
) -> None:
    """Save models so that every release of Flax, and others' tools, can read them.

    One safetensors file: arrays by the path of the newest release
    (``model.layers.0.kernel``, without the item's name when there is only one), tied
    ones once, typed PRNG keys as their data; Variable types, metadata, ties and kinds
    of keys in its header. It is written beside its place under another name, synced and
    renamed: what is at ``path`` is the old file or the new one at every moment.

    Args:
        path: the file. Above ``max_shard_bytes``, and with ``format="orbax"``, a
            folder is made there.
        format: ``"orbax"`` writes through the installed orbax, also from several
            processes; ``load`` reads both.
        metadata: JSON values to keep beside the items.
        overwrite: whether what is at ``path`` is replaced.
        max_shard_bytes: of arrays in one file.
        **items: what is saved, by name: Modules, Optimizers, EMAs, metrics, States, or
            dicts of arrays.

    Raises:
        CheckpointExistsError: something is at ``path``.
        MissingPackageError: the package safetensors is not installed.
        RefusedArgumentError: several processes, without ``format="orbax"``.
        ArgumentTypeError: an item holds something that is no array.

    Example:
        >>> import os, tempfile
        >>> import nnx_compat as nc
        >>> model = nc.nnx.Linear(2, 3, rngs=nc.nnx.Rngs(0))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     place = os.path.join(folder, "model")
        ...     nc.checkpoint.save(place, format="orbax", model=model)
        ...     print(nc.checkpoint.load(place, model=model))
        2 read
          2 path: read from the same path
    """
    if not items:
        raise ArgumentTypeError(
            "save was given nothing to save", instead="save(path, model=model)"
        )
    stored(
        Path(path).absolute(),
        lambda host: collected(items, host=host),
        metadata or {},
        format=format,
        overwrite=overwrite,
        max_shard_bytes=max_shard_bytes,
    )


def stored(
    place: Path,
    collect: Callable[[bool], Saved],
    metadata: Mapping[str, object],
    *,
    format: str,
    overwrite: bool,
    max_shard_bytes: int,
) -> None:
    """Write what ``collect`` gives, on the host or not, to a place. As ``save``."""
    about = _plain(dict(metadata))
    if place.exists() and not overwrite:
        raise CheckpointExistsError(
            f"{place} is there already", instead="overwrite=True, or another path"
        )
    if format == "orbax":
        from ._orbax_save import written

        written(place, collect(False), about, _writer(), overwrite)
        return
    if format != "safetensors":
        raise ArgumentValueError(
            f"format={format!r} was asked for",
            instead='format="safetensors" or format="orbax"',
        )
    if jax.process_count() > 1:
        raise RefusedArgumentError(
            f"{jax.process_count()} processes cannot write one file together",
            instead='save(..., format="orbax"), which every process calls',
            otherwise="checkpoint.tree(...) with your own CheckpointManager",
        )
    library = _library()
    saved = collect(True)
    place.parent.mkdir(parents=True, exist_ok=True)
    _write(library, place, saved, about, max_shard_bytes)


def _library() -> Any:
    try:
        import safetensors.numpy as library
    except ImportError:
        raise MissingPackageError(
            "saving a checkpoint needs the package safetensors",
            instead="pip install 'nnx-compat[checkpoint]'",
            otherwise='save(..., format="orbax")',
        ) from None
    return library


def _writer() -> dict[str, str]:
    """The versions of what writes."""
    found = {"nnx_compat": __version__, "flax": flax_version, "jax": jax_version}
    try:
        import optax  # type: ignore[import-not-found]
    except ImportError:
        return found
    return {**found, "optax": optax.__version__}


def _write(
    library: Any, place: Path, saved: Saved, about: dict[str, Any], limit: int
) -> None:
    """Write one file, or a folder of shards with their index."""
    manifest = _manifest.written(saved.rows, _writer(), about)
    arrays = {name: _storable(array) for name, array in saved.arrays.items()}
    groups = _groups(arrays, limit)
    if place.exists() and place.is_dir() != (len(groups) > 1):
        raise CheckpointExistsError(
            f"{place} is a {'folder' if place.is_dir() else 'file'}, and a "
            f"{'folder of shards' if len(groups) > 1 else 'file'} would replace it",
            instead="remove it first, or another path",
        )
    if len(groups) == 1:
        with _scratch(place) as scratch:
            library.save_file(arrays, str(scratch), {_manifest.KEY: manifest})
            _sync(scratch)
            os.replace(scratch, place)
        _sync(place.parent)
    elif place.is_dir():
        _replace_shards(library, place, arrays, groups, manifest)
    else:
        with _scratch(place) as scratch:
            scratch.mkdir()
            index = _write_shards(library, scratch, "model", arrays, groups, manifest)
            _write_text(scratch / _INDEX, index)
            _sync(scratch)
            os.rename(scratch, place)
        _sync(place.parent)


def _replace_shards(
    library: Any,
    place: Path,
    arrays: Mapping[str, Array],
    groups: list[list[str]],
    manifest: str,
) -> None:
    """Put shards of other names beside the old ones; the index is what counts."""
    if not (place / _INDEX).is_file():
        raise CheckpointExistsError(
            f"{place} is a folder that save did not make",
            instead="remove it first, or another path",
        )
    old = set(place.glob("*.safetensors"))
    prefix = f"model-{uuid.uuid4().hex[:8]}"
    index = _write_shards(library, place, prefix, arrays, groups, manifest)
    with _scratch(place / _INDEX) as scratch:
        _write_text(scratch, index)
        os.replace(scratch, place / _INDEX)
    _sync(place)
    for file in old:
        file.unlink()


def _write_shards(
    library: Any,
    folder: Path,
    prefix: str,
    arrays: Mapping[str, Array],
    groups: list[list[str]],
    manifest: str,
) -> str:
    """Write the shards and return their index."""
    where: dict[str, str] = {}
    for number, names in enumerate(groups, 1):
        shard = f"{prefix}-{number:05}-of-{len(groups):05}.safetensors"
        library.save_file({name: arrays[name] for name in names}, str(folder / shard))
        _sync(folder / shard)
        where.update(dict.fromkeys(names, shard))
    total = sum(array.nbytes for array in arrays.values())
    about = {"total_size": total, _manifest.KEY: manifest}
    return json.dumps({"metadata": about, "weight_map": where})


@contextlib.contextmanager
def _scratch(place: Path) -> Iterator[Path]:
    """A name beside a place to write under; nothing of it stays."""
    scratch = place.with_name(f".{place.name}.nnx-compat-tmp.{os.getpid()}")
    _remove(scratch)
    try:
        yield scratch
    finally:
        _remove(scratch)


def _write_text(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")
    _sync(file)


def _storable(array: Array) -> Array:
    """The array, or its bits where the format has no such dtype."""
    whole = array if array.flags.c_contiguous else array.copy(order="C")
    if array.dtype.name in _STORED:
        return whole
    numbers = is_extended(array.dtype) or array.dtype.kind in "fiuc"
    if numbers and array.dtype.itemsize <= 8:
        return whole.view(f"u{array.dtype.itemsize}")
    raise ArgumentTypeError(
        f"an array of {array.dtype} cannot be saved",
        instead="an array of numbers of at most 8 bytes",
    )


def _groups(arrays: Mapping[str, Array], limit: int) -> list[list[str]]:
    """Names of arrays in groups of at most ``limit`` bytes, in order."""
    groups: list[list[str]] = [[]]
    size = 0
    for name, array in arrays.items():
        if groups[-1] and size + array.nbytes > limit:
            groups.append([])
            size = 0
        groups[-1].append(name)
        size += array.nbytes
    return groups


def _sync(place: Path) -> None:
    descriptor = os.open(place, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(place: Path) -> None:
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def _plain(metadata: dict[str, Any]) -> dict[str, Any]:
    """The user's metadata, refused before anything is written if they are no JSON."""
    try:
        json.dumps(metadata)
    except (TypeError, ValueError) as error:
        raise ArgumentTypeError(
            f"metadata= holds what is no JSON value: {error}",
            instead="numbers, texts, lists and dicts of them",
        ) from None
    return metadata
