"""Why a function was traced again: what was not as it was the last time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax

from .._nnx.transforms._layout import is_node
from .._plan import OBJECT, Walk
from .._release import registry
from ..functional import INTERNAL, Path, is_variable, variable_type
from ..revisions import bound
from ..revisions.get_value import plain_key

if TYPE_CHECKING:
    from .._nnx.transforms._layout import Layout


class Described(NamedTuple):
    """The arguments of a structure in words, as far as a program depends on them."""

    labels: list[str]
    fixed: dict[str, str]


class History:
    """How often a function was traced, and with what the last two times."""

    def __init__(self) -> None:
        self.count = 0
        self._last: list[dict[str, str]] = []

    def note(self, described: Described, arrays: Sequence[jax.Array]) -> None:
        """A trace: the structure of the arguments, and their arrays."""
        self.count += 1
        shapes = {
            label: _shown(array)
            for label, array in zip(described.labels, arrays, strict=True)
        }
        self._last = [*self._last[-1:], {**described.fixed, **shapes}]

    def why(self) -> str:
        """What is different, a line each."""
        if len(self._last) < 2:
            return "traced once" if self._last else "not traced"
        old, new = self._last
        lines = []
        for label in [*new, *(label for label in old if label not in new)]:
            if label not in old:
                lines.append(f"{label}: {new[label]} is new")
            elif label not in new:
                lines.append(f"{label}: {old[label]} is gone")
            elif old[label] != new[label]:
                lines.append(f"{label}: {old[label]} became {new[label]}")
        return (
            "\n".join(lines)
            or "nothing in the arguments: a setting of jax, or clear_cache()"
        )


def described(
    tree: tuple[Any, ...], layout: Layout, static: Mapping[str, object]
) -> Described:
    """The arguments of a call in words.

    Args:
        tree: the arguments that are not static.
        layout: of the tree, with its nodes.
        static: the others by label.
    """
    keyed, _ = jax.tree_util.tree_flatten_with_path(tree, is_leaf=is_node)
    names = [_label(path) for path, _ in keyed]
    of_nodes = [
        n for n, number in zip(names, layout.at, strict=True) if number is not None
    ]
    fixed = {label: _short(value) for label, value in static.items()}
    walk = Walk(layout.nodes)
    for seen in walk.met:
        if isinstance(seen.path[-1], str) and seen.path[-1].startswith(INTERNAL):
            continue
        label = of_nodes[seen.path[0]] + _dotted(seen.path[1:])
        fixed[label] = _what(seen.value)
    labels = [names[leaf] + _dotted(path[1:]) for leaf, path in layout.owners]
    return Described(
        [f"{label} (value)" if label in fixed else label for label in labels], fixed
    )


def _label(path: tuple[Any, ...]) -> str:
    """``args[0]``, ``kwargs['x']``: jax names the two parts of a call 0 and 1."""
    first, *rest = path
    inside: str = jax.tree_util.keystr(tuple(rest))
    return ("args", "kwargs")[plain_key(first)] + inside


def _dotted(path: Path) -> str:
    return "".join(f".{k}" if isinstance(k, str) else f"[{k!r}]" for k in path)


def _what(value: Any) -> str:
    if is_variable(value):
        kept = {
            k: v for k, v in bound.metadata(value).items() if v not in (None, (), False)
        }
        return f"{variable_type(value).__name__}{_short(kept) if kept else ''}"
    if isinstance(value, OBJECT) or (value is not None and registry.is_node(value)):
        return type(value).__name__
    return (
        "an array"
        if hasattr(value, "dtype") and hasattr(value, "shape")
        else _short(value)
    )


def _short(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."


def _shown(array: Any) -> str:
    if not hasattr(array, "dtype"):
        return type(array).__name__
    weak = ", weakly typed" if getattr(array, "weak_type", False) else ""
    return f"{array.dtype}[{','.join(map(str, array.shape))}]{weak}"
