"""The new value of a slot: read, checked, cast, with the target's kind and sharding."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from ._slots import Slot
from ._streams import Pick
from ._table import Entry, Index
from ._views import View

if TYPE_CHECKING:
    from ._table import Array

#: How many arrays are read ahead, and by how many threads.
_AHEAD = 4
#: The short names that some files have for the implementations of PRNG keys.
_IMPLEMENTATIONS = {"fry": "threefry2x32", "urbg": "unsafe_rbg"}


def is_key(value: object) -> bool:
    """Whether these are typed PRNG keys, abstract ones included."""
    dtype = getattr(value, "dtype", None)
    return dtype is not None and bool(jnp.issubdtype(dtype, jax.dtypes.prng_key))


def implementation(keys: Any) -> str:
    """The name of the implementation of typed keys: ``"threefry2x32"``."""
    return full_name(str(keys.dtype).removeprefix("key<").removesuffix(">"))


def full_name(impl: str) -> str:
    """The full name of an implementation, from either."""
    return _IMPLEMENTATIONS.get(impl, impl)


def problem(slot: Slot, entry: Entry, cast: bool) -> tuple[str, str]:
    """What keeps an entry from being read into a slot, and the cast if there is one.

    Returns:
        ``(problem, note)``, of which either may be ``""``.
    """
    shape, dtype = tuple(np.shape(slot.value)), _dtype(slot.value)
    if is_key(slot.value):
        known, mine = full_name(entry.impl or ""), implementation(slot.value)
        if known and known != mine:
            return f"keys of {known} in the file, of {mine} in the model", ""
        shape, dtype = (*shape, *_data(mine)), np.dtype("uint32")
    elif entry.kind == "key" and shape == entry.shape[:-1]:
        return "a PRNG key in the file, and none in the model", ""
    if entry.shape != shape:
        return f"shape {_list(entry.shape)} in the file, {_list(shape)} wanted", ""
    assert entry.dtype is not None
    if entry.dtype == dtype or not isinstance(dtype, np.dtype):
        return "", ""
    note = f"{entry.dtype} to {dtype}"
    if not cast and shape and not np.can_cast(entry.dtype, dtype, "safe"):
        return f"{entry.dtype} in the file, {dtype} wanted: a cast would lose", ""
    return "", note


class Values:
    """Reads the values of the picks of one item.

    Args:
        view: the part of the file.
        cast: whether casts that lose are allowed.
    """

    def __init__(self, view: View, cast: bool) -> None:
        self._entries: Mapping[tuple[str, ...], Entry] = view.entries
        self._cast = cast

    def each(self, picks: list[Pick]) -> Iterator[tuple[Pick, Callable[[], Any]]]:
        """Each pick with what gives its value, read from the file a few ahead.

        Files are read in threads, arrays made in this one, whose settings of jax (a
        default device) they so follow. Two threads take half the time of one where
        orbax has compressed, and four take no less on two cores.
        """
        with ThreadPoolExecutor(_AHEAD) as pool:
            pending: deque[tuple[Pick, Callable[[], Any]]] = deque()
            for pick in picks:
                if len(pending) == _AHEAD:
                    yield pending.popleft()
                pending.append((pick, self._begun(pick, pool)))
            yield from pending

    def _begun(self, pick: Pick, pool: ThreadPoolExecutor) -> Callable[[], Any]:
        slot, entry = pick.slot, self._entries[pick.source]
        whole = pick.fold is None and not pick.zero and not _is_sharded(slot.value)
        if not whole or entry.load is None:
            return lambda: self.of(pick, entry)
        read = pool.submit(entry.load, ...)

        def value() -> Any:
            array = read.result()
            return self.of(pick, replace(entry, load=lambda index: array[index]))

        return value

    def of(self, pick: Pick, entry: Entry) -> Any:
        """The new value of a slot.

        Raises:
            ValueError: a number loses by the cast to its slot's dtype.
        """
        slot = pick.slot
        if pick.zero:
            zero = Entry(entry.path, "scalar", (), entry.dtype, value=0)
            return self._array(slot, zero)
        if pick.fold is not None:
            return self._forked(pick, entry)
        if pick.shared is not None and pick.shared.forks:
            moved = entry.read() + np.asarray(pick.shared.forks, entry.dtype)
            moved_on = Entry(
                entry.path, "scalar", entry.shape, entry.dtype, value=moved
            )
            return self._array(slot, moved_on)
        if is_key(slot.value):
            return self._keys(slot.value, entry)
        return self._array(slot, entry)

    def _keys(self, like: Any, entry: Entry) -> jax.Array:
        data = entry.read()
        sharding = getattr(like, "sharding", None)
        keys = jax.random.wrap_key_data(jnp.asarray(data), impl=implementation(like))
        if sharding is not None and len(sharding.device_set) > 1:
            keys = jax.device_put(keys, sharding)
        return keys

    def _forked(self, pick: Pick, entry: Entry) -> jax.Array:
        """The key that the constructor of a layer draws from the shared stream."""
        assert pick.fold is not None
        count, number = pick.fold
        drawn = int(self._entries[count].read()) + number
        like = pick.slot.value
        impl = implementation(like) if is_key(like) else full_name(entry.impl or "fry")
        keys = jax.random.wrap_key_data(jnp.asarray(entry.read()), impl=impl)
        key = jax.random.fold_in(keys, drawn)
        return key if is_key(like) else jax.random.key_data(key)

    def _array(self, slot: Slot, entry: Entry) -> Any:
        like, dtype = slot.value, _dtype(slot.value)

        def read(index: Index) -> Array:
            part = entry.read(index)
            if not isinstance(dtype, np.dtype) or part.dtype == dtype:
                return part
            made = part.astype(dtype)
            if not self._cast and not entry.shape and made.astype(part.dtype) != part:
                raise ValueError(f"{part} is no {dtype}")
            return made

        if isinstance(like, (bool, int, float, complex)):
            return type(like)(entry.read().item())
        if isinstance(like, (np.ndarray, np.generic)):
            return read(...) if isinstance(like, np.ndarray) else read(...)[()]
        if not _is_sharded(like):
            # What was read is nobody else's: a CPU takes it without a copy, which
            # jnp.asarray makes on the newest jax.
            return jax.device_put(read(...))
        return jax.make_array_from_callback(entry.shape, like.sharding, read)


def _is_sharded(value: Any) -> bool:
    """Whether an array is elsewhere, or otherwise, than jax would put a new one."""
    sharding = getattr(value, "sharding", None)
    if sharding is None:
        return False
    devices = sharding.device_set
    alone = isinstance(sharding, jax.sharding.SingleDeviceSharding)
    return not alone or next(iter(devices)) != jax.local_devices()[0]


def _dtype(value: Any) -> Any:
    """The dtype of an array; None for a Python number."""
    return getattr(value, "dtype", None)


def _data(impl: str) -> tuple[int, ...]:
    """The trailing shape of the uint32 data of a key."""
    return (2,) if impl == "threefry2x32" else (4,)


def _list(shape: tuple[int, ...]) -> str:
    return str(list(shape))
