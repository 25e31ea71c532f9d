"""The one table that every form of checkpoint is read as. Imports no flax, no jax.

``Contents`` is a mapping of names to ``Item``, an ``Item`` a mapping of paths to
``Entry``, and an ``Entry`` says what an array is without reading it. All three are what
is *on file*: the rules that match it with a model are in ``_match``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from ..errors import CheckpointLookupError
from ._nearest import nearest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[Any]

#: Names of attributes and dict keys, and indices of lists; many forms have text only.
Path: TypeAlias = tuple["str | int", ...]
Index: TypeAlias = "tuple[slice | int, ...] | EllipsisType"
Reader: TypeAlias = Callable[["Index"], "Array"]
#: ``key``: PRNG keys, read as their uint32 data. ``scalar``: a Python number, read as
#: an array of shape (). ``none``: None, or an empty container. ``text``: a str, in
#: ``Entry.value``.
Kind: TypeAlias = Literal["array", "key", "scalar", "none", "text"]

#: What the array inside a Variable is called in paths, on one release or another.
TAILS = ("value", "raw_value", "_raw_value")


def text(path: Path) -> str:
    """A path as people read it: ``"net/layers/0/kernel"``."""
    return "/".join(map(str, path))


@dataclass(frozen=True)
class Entry:
    """One value of a checkpoint, not read yet.

    Attributes:
        path: where it is in its item, as on file: list indices may be text.
        kind: see ``Kind``.
        shape: of the array; of keys, that of their uint32 data.
        dtype: of the array; None for ``none`` and ``text``.
        impl: of keys, ``"fry"`` or ``"threefry2x32"``, where the file says so.
        type: the name of the Variable's class, where the file says so.
        metadata: of the Variable, where the file has them.
        aliases: other paths of the same Variable, where the file has them.
        value: of a ``text`` or a ``scalar`` that is in the structure itself.
        source: what it is called in the file.
        load: reads a part of the array; use ``read``.
    """

    path: Path
    kind: Kind = "array"
    shape: tuple[int, ...] = ()
    dtype: np.dtype[Any] | None = None
    impl: str | None = None
    type: str | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)
    aliases: tuple[Path, ...] = ()
    value: object = None
    source: str = ""
    load: Reader | None = field(default=None, repr=False, compare=False)

    @property
    def nbytes(self) -> int:
        """How many bytes the array has."""
        return 0 if self.dtype is None else self.dtype.itemsize * _product(self.shape)

    def read(self, index: Index = ...) -> Array:
        """The array, or the part of it that ``index`` selects, in memory of its own.

        Args:
            index: slices, as ``jax.make_array_from_callback`` gives them; all by
                default. No more is read from the file than it selects, as far as the
                form allows.
        """
        if self.load is not None:
            return self.load(index)
        if self.kind in ("none", "text"):
            raise CheckpointLookupError(
                f"{text(self.path)} is {self.value!r}, and no array",
                instead="entry.value",
            )
        return np.asarray(self.value, self.dtype)[index]

    def at(self, path: Path) -> Entry:
        """The same array at another path."""
        return replace(self, path=path)


def _product(shape: tuple[int, ...]) -> int:
    total = 1
    for size in shape:
        total *= size
    return total


def _split(path: str) -> tuple[str, ...]:
    return tuple(path.split("/")) if path else ()


class Item(Mapping["str | Path", Entry]):
    """The values of one item of a checkpoint, by path.

    Args:
        entries: the values; two with one path are an error of the file.
        exact: paths and types are what a model of the newest release has, as the
            canonical form has them: no tail is to be stripped.

    Example:
        >>> import numpy as np
        >>> from nnx_compat.checkpoint import Entry, Item
        >>> item = Item([Entry(("lin", "bias"), dtype=np.dtype("float32"), shape=(3,))])
        >>> item["lin/bias"].nbytes, item["lin", "bias"].nbytes
        (12, 12)
    """

    def __init__(self, entries: list[Entry], *, exact: bool = False) -> None:
        self.exact = exact
        self._entries: dict[tuple[str, ...], Entry] = {}
        for entry in entries:
            key = tuple(map(str, entry.path))
            if key in self._entries:
                raise CheckpointLookupError(
                    f"two arrays have the path {text(entry.path)}",
                    details=[self._entries[key].source, entry.source],
                    instead="rename one of them",
                )
            self._entries[key] = entry

    def __getitem__(self, path: str | Path) -> Entry:
        parts = _split(path) if isinstance(path, str) else path
        key = tuple(map(str, parts))
        if key in self._entries:
            return self._entries[key]
        names = list(map(text, self._entries))
        raise CheckpointLookupError(
            f"no array is called {text(key)}",
            details=nearest(text(key), names),
            instead="one of the paths of this item",
        )

    def __contains__(self, path: object) -> bool:
        if isinstance(path, str):
            path = _split(path)
        return isinstance(path, tuple) and tuple(map(str, path)) in self._entries

    def __iter__(self) -> Iterator[str]:
        return map(text, self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def entries(self) -> dict[tuple[str, ...], Entry]:
        """The values by path, every component as text."""
        return dict(self._entries)


class Contents(Mapping[str, Item]):
    """What is in a checkpoint: its items by name, nothing read yet.

    Args:
        place: the file or folder.
        form: what was recognised, as ``"orbax, ocdbt, zarr3"``.
        items: by name; the only one of a file without names is ``""``.
        metadata: what people saved beside the items.
        writer: versions of what wrote it, by package, where it says so.
        step: of a folder of steps, the one that was read.
        steps: all that are there and finished.
        left_out: what is in the file and is no data, as functions of a pickle are.

    Example:
        >>> from nnx_compat import checkpoint
        >>> contents = checkpoint.Contents("x", "npz", {"model": checkpoint.Item([])})
        >>> list(contents), len(contents["model"])
        (['model'], 0)
    """

    def __init__(
        self,
        place: str,
        form: str,
        items: Mapping[str, Item],
        *,
        metadata: Mapping[str, object] | None = None,
        writer: Mapping[str, str] | None = None,
        step: int | None = None,
        steps: tuple[int, ...] = (),
        left_out: Sequence[str] = (),
    ) -> None:
        self.place, self.form, self.step, self.steps = place, form, step, steps
        self.metadata, self.writer = dict(metadata or {}), dict(writer or {})
        self.left_out = tuple(left_out)
        self._items = dict(items)

    def __getitem__(self, name: str) -> Item:
        if name in self._items:
            return self._items[name]
        raise CheckpointLookupError(
            f"{self.place} has no item {name!r}; it has {named(self._items)}",
            instead="one of these names",
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def with_items(self, items: Mapping[str, Item]) -> Contents:
        """The same checkpoint with other items, as a renaming makes them."""
        return Contents(
            self.place, self.form, items, metadata=self.metadata, writer=self.writer,
            step=self.step, steps=self.steps, left_out=self.left_out,
        )  # fmt: skip

    def at_step(self, step: int | None, steps: tuple[int, ...]) -> Contents:
        """The same checkpoint as one of several steps."""
        found = self.with_items(self._items)
        found.step, found.steps = step, steps
        return found


def named(items: Iterable[str]) -> str:
    """The names of items for the middle of a sentence."""
    shown = (repr(name) if name else "one without a name" for name in items)
    return ", ".join(shown) or "none"
