"""The first revision: reading an attribute of a Module unwraps its Variable.

``model.kernel`` is the array; the Variable is in ``vars(model)``. A Variable has
``get_value`` and ``set_value`` (its first life: they went away and came back), and keys
are derived from a hash of the counts.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from types import ModuleType
from typing import TYPE_CHECKING, Any

import jax

from . import methods as newer
from .get_value import Path

if TYPE_CHECKING:
    from flax.nnx import RngStream, State, Variable

    from .get_value import Leaf

_stable: ContextVar[bool] = ContextVar("nnx_compat_stable_keys", default=False)
_lock = threading.Lock()
_users = 0


class Revision(newer.Revision):
    """Spelled with ``Variable.get_value`` of the first kind."""

    name = "methods_unwrapped"
    storage = "value"

    @staticmethod
    def matches(nnx: ModuleType) -> bool:
        """No function ``split``, and Variables with ``get_value``."""
        return not hasattr(nnx, "split") and hasattr(nnx.Variable, "get_value")

    def reader(self, kind: type) -> Callable[[Any], Any]:
        """The first ``get_value``: ``.value`` is the stored one here."""
        found: Callable[[Any], Any] = kind.get_value  # type: ignore[attr-defined]
        return found

    def raw(self, variable: Leaf) -> Any:
        """The value as it is stored, hooks not applied."""
        return variable.value

    def belong_here(self, variables: Sequence[Variable[Any]]) -> bool:
        """A Variable keeps nothing of where it was made: its Module does."""
        return False

    def write(self, variable: Leaf, value: object) -> None:
        """Replace the value, through the hooks."""
        variable.set_value(value)

    def with_value(self, leaf: Leaf, value: object) -> Leaf:
        """A new leaf of the same type and metadata that holds ``value``."""
        made: Leaf = leaf.replace(value=value)
        return made

    def pop(self, node: object, chosen: Callable[[Path], bool]) -> State:
        """By hand: the native one leaves an empty Variable behind."""
        nodes = dict(self.iter_graph(node))
        taken = {p: v for p, v in self.live_variables(node).items() if chosen(p)}
        for path in taken:
            del vars(nodes[path[:-1]])[path[-1]]
        return self.unflatten({path: v.copy() for path, v in taken.items()})

    def key_derivation(self) -> str:
        """Keys are a hash of the counts unless ``stable_keys`` is active."""
        return "fold_in" if _stable.get() else "hash"

    @contextlib.contextmanager
    def stable_keys(self) -> Iterator[None]:
        """Fold the count in, as every later release does, instead of its hash.

        The method is replaced while at least one thread is inside, and looks at a
        context variable, so other threads keep the native keys.
        """
        global _users
        stream_type = self.nnx.RngStream
        with _lock:
            if _users == 0:
                _replace_make_rng(stream_type)
            _users += 1
        token = _stable.set(True)
        try:
            yield
        finally:
            _stable.reset(token)
            with _lock:
                _users -= 1
                if _users == 0:
                    stream_type.make_rng = stream_type.make_rng.native


def _replace_make_rng(stream_type: type[RngStream]) -> None:
    native = stream_type.make_rng

    def make_rng(self: RngStream) -> jax.Array:
        if not _stable.get():
            return native(self)
        count = self.counts[-1]
        self.counts[-1] += 1
        return jax.random.fold_in(self.key, count)

    make_rng.native = native  # type: ignore[attr-defined]
    stream_type.make_rng = make_rng
