r"""``rename=``: names and layouts of another framework. Imports no flax, no jax.

The rules are the dict that JAX model libraries write to read weights from Hugging
Face::

    {r"layers\.([0-9]+)\.up\.weight": (r"layers.\1.up.kernel", ((1, 0), None))}

The regex of a name on file, and the target's name with what is to be done to the array:
``None``, ``(permute, reshape)`` or ``(permute, reshape, reshape_first)``, or a member
of an ``Enum`` with one of these. Every name on file has to match one rule.
"""

from __future__ import annotations

import enum
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path as File
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypeGuard

from ..errors import (
    ArgumentTypeError,
    ArgumentValueError,
    CheckpointFormError,
    CheckpointStructureError,
    kind_of,
)
from ._nearest import nearest
from ._table import Contents, Entry, Index, Item, Path

if TYPE_CHECKING:
    from ._table import Array, Reader

#: A target's name, alone or with a transform; None leaves the array out.
Target: TypeAlias = "str | tuple[str, object] | None"
Rename: TypeAlias = "Mapping[str, Target] | Callable[[str], Target]"


class _Transform(NamedTuple):
    """What is done to an array: axes permuted, shape changed, in either order."""

    permute: tuple[int, ...] | None = None
    reshape: tuple[int, ...] | None = None
    reshape_first: bool = False


def renamed(contents: Contents, rename: Rename) -> Contents:
    r"""The same checkpoint under the names of a target; arrays are still not read.

    Args:
        contents: of any form. Names are joined by dots; of a file with several items,
            the item's name comes first.
        rename: rules by regex, or a function of a name that returns what a rule has on
            its right side. A regex that matches the whole name goes before one that
            matches its beginning, of which the rest is kept as ``re.sub`` does.

    Raises:
        CheckpointStructureError: a name matches no rule or several, two names have one
            target, or an array does not fit its transform.
        ArgumentTypeError: rules of another kind.

    Example:
        >>> import numpy as np
        >>> from nnx_compat.checkpoint import Contents, Entry, Item
        >>> from nnx_compat.checkpoint._rename import renamed
        >>> entry = Entry(("fc", "weight"), shape=(3, 2), dtype=np.dtype("float32"))
        >>> contents = Contents("file", "safetensors", {"": Item([entry])})
        >>> rules = {r"fc\.weight": ("head.kernel", ((1, 0), None))}
        >>> renamed(contents, rules)[""]["head/kernel"].shape
        (2, 3)
    """
    rule = _rules(rename)
    several = len(contents) > 1
    placed: dict[tuple[str, Path], tuple[str, Entry]] = {}
    problems: list[str] = []
    for item, entries in contents.items():
        for entry in entries.entries().values():
            name = ".".join(map(str, (item, *entry.path) if several else entry.path))
            try:
                _place(name, item, several, entry, rule, placed)
            except _Problem as problem:
                problems.append(str(problem))
    if problems:
        raise CheckpointStructureError(
            f"{contents.place}: rename= does not fit {len(problems)} arrays",
            details=problems,
            instead="one rule for each name, and None for what is to be left out",
        )
    items: dict[str, list[Entry]] = {}
    for (item, _), (_, entry) in placed.items():
        items.setdefault(item, []).append(entry)
    return contents.with_items({item: Item(found) for item, found in items.items()})


def from_file(file: str | File) -> Mapping[str, Target]:
    """Rules of a JSON file: ``{"regex": ["target", [[1, 0], null]]}``.

    Raises:
        CheckpointFormError: it is no JSON object.
    """
    try:
        found = json.loads(File(file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointFormError(
            f"the rules in {file} cannot be read: {error}",
            instead='a JSON object: {"regex": ["target", [[1, 0], null]]}',
        ) from None
    if not isinstance(found, dict):
        raise ArgumentTypeError(
            f"the rules in {file} are {kind_of(found)}",
            instead='a JSON object: {"regex": ["target", [[1, 0], null]]}',
        )
    return found


class _Problem(Exception):
    """Why the rules do not fit a name."""


_Placed: TypeAlias = "dict[tuple[str, Path], tuple[str, Entry]]"
_Rule: TypeAlias = "Callable[[str], tuple[str, _Transform] | None]"


def _place(
    name: str, item: str, several: bool, entry: Entry, rule: _Rule, placed: _Placed
) -> None:
    found = rule(name)
    if found is None:
        return
    target, transform = found
    path: Path = tuple(target.split("."))
    if several:
        item, path = str(path[0]), path[1:]
    if (item, path) in placed:
        raise _Problem(f"{name} and {placed[item, path][0]} both become {target}")
    placed[item, path] = name, _transformed(name, entry.at(path), transform)


def _rules(rename: Rename) -> _Rule:
    if isinstance(rename, Mapping):
        return _by_regex(rename)
    if callable(rename):
        return lambda name: _right_side(name, rename(name))
    raise ArgumentTypeError(
        f"rename is {kind_of(rename)}",
        instead="a dict {regex: (target, (permute, reshape))}, or a function of a name",
    )


def _by_regex(rename: Mapping[str, Target]) -> _Rule:
    compiled = []
    for text, target in rename.items():
        to = _right_side(text, target)
        try:
            compiled.append((re.compile(text), to))
        except (re.error, TypeError) as error:
            raise ArgumentValueError(
                f"{text!r} in rename is no regular expression: {error}",
                instead="escape what is to be taken literally: re.escape(name)",
            ) from None

    def rule(name: str) -> tuple[str, _Transform] | None:
        for matches in (re.Pattern.fullmatch, re.Pattern.match):
            found = [(regex, to) for regex, to in compiled if matches(regex, name)]
            if len(found) > 1:
                raise _Problem(
                    f"{name} matches {' and '.join(r.pattern for r, _ in found)}"
                )
            if found:
                regex, to = found[0]
                return None if to is None else (regex.sub(to[0], name, 1), to[1])
        near = nearest(name, rename)
        raise _Problem(
            f"{name} matches no rule" + (f"; near: {near[0]}" if near else "")
        )

    return rule


def _right_side(of: str, target: object) -> tuple[str, _Transform] | None:
    """The target and the transform of a rule, of whichever spelling."""
    if target is None:
        return None
    name, transform = target, None
    if isinstance(target, (tuple, list)) and len(target) == 2:
        name, transform = target
    if isinstance(transform, enum.Enum):
        transform = transform.value
    if isinstance(name, str):
        if transform is None:
            return name, _Transform()
        if isinstance(transform, (tuple, list)) and len(transform) in (2, 3):
            permute, reshape, *first = transform
            if _is_sizes(permute) and _is_sizes(reshape):
                return name, _Transform(
                    None if permute is None else tuple(permute),
                    None if reshape is None else tuple(reshape),
                    bool(first and first[0]),
                )
    raise ArgumentTypeError(
        f"rename has {target!r} for {of}",
        instead="a target, (target, (permute, reshape)) or "
        "(target, (permute, reshape, reshape_first)); None leaves it out",
    )


def _is_sizes(value: object) -> bool:
    return value is None or (
        isinstance(value, (tuple, list)) and all(type(size) is int for size in value)
    )


# -- arrays -------------------------------------------------------------------------


def _transformed(name: str, entry: Entry, transform: _Transform) -> Entry:
    """The entry with its array permuted and reshaped when it is read."""
    permute, reshape, first = transform
    if permute is None and reshape is None:
        return entry
    if entry.kind != "array":
        raise _Problem(f"{name} is {entry.kind}, which cannot be permuted or reshaped")
    shape = entry.shape
    if first:
        shape = _reshaped(name, shape, reshape)
    shape = _permuted(name, shape, permute)
    if not first:
        shape = _reshaped(name, shape, reshape)
    return replace(entry, shape=shape, load=_loads(entry, transform))


def _permuted(
    name: str, shape: tuple[int, ...], permute: tuple[int, ...] | None
) -> tuple[int, ...]:
    if permute is None:
        return shape
    if sorted(permute) != list(range(len(shape))):
        raise _Problem(f"{name} has shape {list(shape)}: no axes {list(permute)}")
    return tuple(shape[axis] for axis in permute)


def _reshaped(
    name: str, shape: tuple[int, ...], reshape: tuple[int, ...] | None
) -> tuple[int, ...]:
    if reshape is None:
        return shape
    known = math.prod(size for size in reshape if size != -1)
    total = math.prod(shape)
    if reshape.count(-1) == 1 and known and total % known == 0:
        return tuple(total // known if size == -1 else size for size in reshape)
    if -1 in reshape or known != total:
        raise _Problem(f"{name} has shape {list(shape)}: no reshape to {list(reshape)}")
    return reshape


def _loads(entry: Entry, transform: _Transform) -> Reader:
    permute, reshape, first = transform

    def load(index: Index) -> Array:
        if reshape is None and permute and _is_slices(index, len(permute)):
            # only the part that is needed is read: axes change, elements do not move
            source = tuple(index[permute.index(axis)] for axis in range(len(permute)))
            return entry.read(source).transpose(permute).copy()
        array = entry.read()
        if first and reshape is not None:
            array = array.reshape(reshape)
        if permute is not None:
            array = array.transpose(permute)
        if not first and reshape is not None:
            array = array.reshape(reshape)
        part: Array = array[index].copy(order="C")
        return part

    return load


def _is_slices(index: Index, count: int) -> TypeGuard[tuple[slice, ...]]:
    return (
        isinstance(index, tuple)
        and len(index) == count
        and all(isinstance(part, slice) for part in index)
    )
