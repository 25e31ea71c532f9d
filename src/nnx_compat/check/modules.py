"""The module paths of NNX and of nnx_compat, and what dotted paths name."""

from __future__ import annotations

from . import masks, releases
from .values import Dotted

__all__ = [
    "ROOTS", "importable", "imported", "is_of_others", "module_path",
    "through_nnx_compat",
]  # fmt: skip

#: Where NNX is imported from.
ROOTS = ("flax.nnx", "flax.experimental.nnx")
#: Where its namespace is imported from in nnx_compat.
_OUR_ROOTS = ("nnx_compat.stable.v1.nnx", "nnx_compat.nnx")
#: Operations of ours whose native counterparts have the same result.
_OPERATIONS = ("split", "state", "merge", "clone", "update")


def module_path(dotted: str) -> str | None:
    """The path itself when it is of a module of NNX, ``None`` for others."""
    return dotted if any(_is_in(dotted, root) for root in ROOTS) else None


def is_of_others(dotted: str) -> bool:
    """Whether a path is of a package that no project has in a folder of that name."""
    return dotted.partition(".")[0] in _OTHERS


_OTHERS = frozenset(("flax", "jax", "jaxlib", "optax", "numpy", "nnx_compat", "orbax"))


def _is_in(dotted: str, root: str) -> bool:
    return dotted == root or dotted.startswith(f"{root}.")


def _within(module: str) -> str:
    """The rest of a path behind its root: ``""``, or ``.graph``."""
    root = next(root for root in ROOTS if module.startswith(root))
    return module.removeprefix(root)


def importable(path: str, *, by_import: bool = False) -> int:
    """The releases on which a module of NNX is reached by a path.

    Args:
        path: ``flax.nnx.graph``.
        by_import: whether it is imported, and not read as an attribute.
    """
    mask = releases.ALL
    if path.startswith(ROOTS[0]):
        mask &= ~masks.behaviour("nnx-is-experimental")
    if by_import and path not in ROOTS:
        return mask & masks.module("nnx" + _within(path))
    # files inside NNX were moved with most minors (graph, graphlib, object, pytreelib);
    # the facts have those that can be reached as an attribute of the namespace
    inside = _within(path).strip(".").split(".")[0]
    if inside and masks.name(f"nnx.{inside}"):
        mask &= masks.on(f"nnx.{inside}")
    return mask


def imported(dotted: str) -> Dotted:
    """What an import statement binds to a name."""
    if _is_in(dotted, "nnx_compat"):
        return through_nnx_compat(dotted)
    module = module_path(dotted)
    return Dotted(dotted if module is None else "nnx" + _within(module))


def through_nnx_compat(path: str) -> Dotted:
    """What a path in ``nnx_compat`` names."""
    for root in _OUR_ROOTS:
        if _is_in(path, root):
            return Dotted("nnx" + path.removeprefix(root), compat=True)
    last = path.rpartition(".")[2]
    return Dotted(f"nnx.{last}" if last in _OPERATIONS else path, compat=True)
