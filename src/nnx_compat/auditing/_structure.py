"""What a model is as a graph: refused, without a hash, or tied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .. import facts
from .._release import here
from ..errors import NnxCompatError, kind_of
from ..functional import show
from ..revisions import bound, flax_version, nnx
from ._finding import Finding, Path
from ._walk import Walked, attributes, is_object, is_stock

_Module: Any = nnx.Module


class _Holder(_Module):  # type: ignore[misc]
    """Holds one attribute, to ask whether a graphdef with it has a hash."""


def refused(model: object) -> Finding | None:
    """Say why the installed release cannot split this, if it cannot."""
    try:
        bound.live_split(model)
    except NnxCompatError:
        raise
    except (TypeError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return Finding(
            "split-refuses", "wrong", (),
            f"flax {flax_version} cannot split it, so it has no state: {reason}",
            facts.behaviour("split-refuses-raw-arrays").remedy
            if "Arrays leaves" in reason
            else "",
        )  # fmt: skip
    return None


# -- the hash -----------------------------------------------------------------------


def unhashable(model: object, whole: Walked) -> Iterator[Finding]:
    """Attributes, or metadata of Variables, without which the graphdef has a hash."""
    if _has_hash(model):
        return
    found = [*_unhashable_attributes(whole), *_unhashable_metadata(whole)]
    if not found:
        found = [((), kind_of(model))]
    owners = dict(whole.objects())
    for path, what in found:
        if _is_private_to_flax(path, owners):
            yield Finding(
                "unhashable-graphdef", "note", path,
                f"{show(path)}, {what} of Flax's own, leaves the graphdef without a "
                "hash on this release",
                "give jax.jit the graphdef as an argument that is not static",
            )  # fmt: skip
            continue
        yield Finding(
            "unhashable-graphdef", "wrong", path,
            f"{show(path)}, {what}, leaves the graphdef without a hash: jax.jit "
            "refuses it as a static argument, and no dict takes it as a key",
            "make it something that has a hash, as a tuple has, or an nnx.List",
        )  # fmt: skip


def _is_private_to_flax(path: Path, owners: Mapping[Path, object]) -> bool:
    owner = owners.get(path[:-1])
    private = bool(path) and str(path[-1]).startswith("_")
    return private and owner is not None and is_stock(owner)


def _has_hash(node: object) -> bool:
    try:
        hash(bound.live_split(node)[0])
    except TypeError:
        return False
    return True


def _unhashable_attributes(whole: Walked) -> list[tuple[Path, str]]:
    """The attributes to blame: by themselves, not for what a Module in them has."""
    blamed: list[tuple[Path, str]] = []
    for owner_path, owner in reversed(list(whole.objects())):
        for name, value in attributes(owner):
            path = (*owner_path, name)
            if isinstance(value, nnx.Variable) or is_object(value) or _hashes(value):
                continue
            if not any(inner[: len(path)] == path for inner, _ in blamed):
                blamed.append((path, kind_of(value)))
    return sorted(blamed, key=lambda one: tuple(map(str, one[0])))


def _hashes(value: object) -> bool:
    try:
        hash(value)
    except Exception:
        return _hashes_as_attribute(value)
    return True


def _hashes_as_attribute(value: object) -> bool:
    """A list may be a node of the graph, whose hash is not asked for."""
    holder: Any = _Holder()
    # as a value that came in later: nothing looks at what is assigned
    vars(holder)["value"] = value
    try:
        return _has_hash(holder)
    except Exception:
        return True  # refused for another reason


def _unhashable_metadata(whole: Walked) -> Iterator[tuple[Path, str]]:
    if not here.graphdef_carries_metadata:
        return
    for path, variable in whole.variables():
        for key, value in bound.metadata(variable).items():
            try:
                hash(value)
            except TypeError:
                yield path, f"whose metadata {key} is {kind_of(value)}"


# -- ties ---------------------------------------------------------------------------


def ties(walk: Walked) -> Iterator[Finding]:
    """Modules and Variables that are in several places, the outermost ones."""
    places: dict[int, list[Path]] = {}
    values: dict[int, object] = {}
    for path, value in walk.met:
        if _is_weight(value):
            places.setdefault(id(value), []).append(path)
            values[id(value)] = value
    for key, paths in places.items():
        if len(paths) > 1 and paths[0]:
            also = ", ".join(map(show, paths[1:10]))
            yield Finding(
                "tied", "note", paths[0],
                f"{show(paths[0])} is one {type(values[key]).__name__} with {also}: "
                "a state has it once, and a merge ties it again",
            )  # fmt: skip


def _is_weight(value: object) -> bool:
    if isinstance(value, nnx.Variable):
        return not isinstance(value, bound.random_types)
    return isinstance(value, nnx.Module)
