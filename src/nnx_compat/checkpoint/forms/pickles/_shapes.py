"""Finds arrays in the inert content of a pickle, by what holds them looks like.

Classes are in other modules in other releases (``flax.experimental.nnx.nnx.state``,
``flax.nnx.nnx.state``, ``flax.nnx.statelib``) or in the file itself, so a State, a
Variable and a Module are told by their attributes:

* a Variable has ``raw_value`` or ``_raw_value``, or ``value`` and what comes with it;
* a State has ``_mapping``, a flat state ``_keys`` and ``_values``;
* a Module has an attribute that ends in ``__state``, and lists its nodes where Flax has
  them listed;
* a PRNG key has ``_base_array`` and ``_impl``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from ....errors import CheckpointFormError, UnsafePickleError
from ..._table import Contents, Entry, Index, Item, Path, text
from ._known import Stored
from ._optax import fields
from ._stand_ins import Global, Made, class_name

if TYPE_CHECKING:
    from ..._table import Array, Reader

__all__ = ["table"]

_Attributes: TypeAlias = "dict[object, object]"
#: How deep a checkpoint may be, and into how many values a small file may unfold.
_DEEPEST, _MOST = 200, 50_000


def table(place: str, root: object, instructions: int) -> Contents:
    """The table of a pickle.

    A tuple of a graphdef and States is one item; a dict or a list of States, optimizers
    or Modules has one item for each; all else is one item without a name.

    Args:
        place: the file.
        root: its inert content.
        instructions: how many made it: a few can spell a value of any size.

    Raises:
        UnsafePickleError: nothing in it can be read without running code.
        CheckpointFormError: it is nested too deeply or unfolds into too much.
    """
    items, metadata = {}, {}
    left_out: list[str] = []
    most = _MOST + 4 * instructions
    for name, part in _parts(root):
        if isinstance(part, (str, int, float)) and _plain(part) is not _NOT_PLAIN:
            metadata[name] = part
        else:
            items[name] = Item(_Walk(place, most, left_out).entries(part))
    entries = [entry for item in items.values() for entry in item.values()]
    if all(entry.kind == "none" for entry in entries):
        raise UnsafePickleError(
            f"{place} holds no arrays that can be read without running code",
            details=left_out,
            instead="nc.checkpoint.save, where the file was made",
        )
    return Contents(place, "pickle", items, metadata=metadata, left_out=left_out)


def _parts(root: object) -> list[tuple[str, object]]:
    if isinstance(root, tuple) and any(map(_is_graphdef, root)):
        parts = [part for part in root if not _is_graphdef(part)]
        return [("", parts[0] if len(parts) == 1 else _Together(parts))]
    if isinstance(root, (list, tuple)) and any(map(_is_node, root)):
        return [(str(at), part) for at, part in enumerate(root)]
    if (
        isinstance(root, dict)
        and all(isinstance(name, str) for name in root)
        and any(_is_node(part) for part in root.values())
    ):
        return [(str(name), part) for name, part in root.items()]
    return [("", root)]


class _Together:
    """Several States with the paths of one, as ``split`` makes them."""

    def __init__(self, parts: list[object]) -> None:
        self.parts = parts


def _is_graphdef(value: object) -> bool:
    return class_name(value) in ("GraphDef", "NodeDef", "NodeRef", "ModuleDef")


def _is_node(value: object) -> bool:
    """A State, a flat state or a Module: what is an item of its own."""
    if not isinstance(value, Made):
        return False
    attributes = value.attributes
    return (
        isinstance(attributes.get("_mapping"), dict)
        or "_keys" in attributes
        or _is_module(attributes)
    )


def _is_module(attributes: _Attributes) -> bool:
    return any(
        isinstance(name, str) and name.endswith("__state") for name in attributes
    )


@dataclass(frozen=True)
class _Variable:
    """What is known of the Variable that a value is in."""

    id: int
    path: Path
    type: str
    metadata: dict[str, object]


class _Spot(NamedTuple):
    """A value of a pickle, and where it is.

    Attributes:
        value: of the file.
        path: in its item.
        holders: the ids of what it is inside of.
        variable: the Variable that it is in.
        fixed: whether it belongs to a Module, where only arrays are state: numbers and
            functions are its configuration.
    """

    value: object
    path: Path
    holders: tuple[int, ...] = ()
    variable: _Variable | None = None
    fixed: bool = False

    def below(self, pairs: Iterable[tuple[object, object]]) -> list[_Spot]:
        """What is inside, each value under its key or index."""
        inner = (*self.holders, id(self.value))
        return [
            _Spot(value, (*self.path, *_names(key)), inner, self.variable, self.fixed)
            for key, value in pairs
        ]

    def holding(
        self, value: object, variable: _Variable | None = None, fixed: bool = False
    ) -> _Spot:
        """What is inside under the same path, as an array is in a Variable."""
        inner = (*self.holders, id(self.value))
        return _Spot(value, self.path, inner, variable or self.variable, fixed)


def _names(key: object) -> tuple[str | int, ...]:
    """The path that a key of a dict is: text with slashes is one of several names."""
    if isinstance(key, tuple):
        return tuple(name for part in key for name in _names(part))
    if isinstance(key, int):
        return (key,)
    return tuple(str(key).split("/"))


class _Walk:
    """The entries of one item: dicts in the order of the file, Modules by name."""

    def __init__(self, place: str, most: int, left_out: list[str]) -> None:
        self.place = place
        self.most = most
        self.left_out = left_out
        self.found: list[Entry] = []
        self.variables: dict[tuple[int, Path], int] = {}

    def entries(self, root: object) -> list[Entry]:
        """All entries below a value."""
        waiting = [_Spot(root, ())]
        for _ in range(self.most):
            if not waiting:
                return self.found
            spot = waiting.pop()
            if len(spot.holders) > _DEEPEST:
                raise self._refused(f"nested more than {_DEEPEST} levels deep")
            if id(spot.value) in spot.holders:
                continue  # a cycle adds no array
            inside = self._inside(spot)
            if inside is None:
                self._leaf(spot)
            else:
                waiting += inside[::-1]
        raise self._refused(f"that unfolds into more than {self.most:,} values")

    def _refused(self, why: str) -> CheckpointFormError:
        return CheckpointFormError(
            f"{self.place} is a pickle {why}",
            instead="nc.checkpoint.save, where the file was made",
        )

    # -- what is inside -------------------------------------------------------------

    def _inside(self, spot: _Spot) -> list[_Spot] | None:
        """The values inside of one, or None where it has no inside."""
        value = spot.value
        if isinstance(value, dict):
            return spot.below(value.items()) or None
        if isinstance(value, (list, tuple)):
            return spot.below(enumerate(value)) or None
        if isinstance(value, _Together):
            return [spot.holding(part) for part in value.parts]
        if not isinstance(value, Made) or _is_key(value):
            return None
        attributes = value.attributes
        if not spot.variable and _value_of(attributes) is not None:
            return [_in_variable(spot, value, attributes)]
        if isinstance(attributes.get("_mapping"), dict):  # a State
            return [spot.holding(attributes["_mapping"])]
        if "_keys" in attributes and "_values" in attributes:  # a flat state
            return _of_flat_state(spot, attributes)
        if isinstance(attributes.get("_dict"), dict):  # a FrozenDict
            return [spot.holding(attributes["_dict"], fixed=spot.fixed)]
        if attributes:
            return _of_object(spot, attributes)
        return _of_namedtuple(spot, value)

    # -- what has no inside ---------------------------------------------------------

    def _leaf(self, spot: _Spot) -> None:
        value, path, about = spot.value, spot.path, spot.variable
        entry = _entry(value, path, none=not spot.fixed)
        if entry is None:
            if not spot.fixed:
                self.left_out.append(f"{text(path) or 'all of it'}: {_what(value)}")
        elif spot.fixed and entry.kind in ("scalar", "text", "none") and not about:
            pass  # a size, a name, a flag of a Module
        elif about is None:
            self.found.append(entry)
        else:
            self._of_variable(entry, about)

    def _of_variable(self, entry: Entry, about: _Variable) -> None:
        key = about.id, entry.path[len(about.path) :]
        if key in self.variables:
            at = self.variables[key]
            first = self.found[at]
            aliases = (*first.aliases, entry.path)
            self.found[at] = replace(first, aliases=aliases)
        else:
            self.variables[key] = len(self.found)
            self.found.append(replace(entry, type=about.type, metadata=about.metadata))


def _in_variable(spot: _Spot, made: Made, attributes: _Attributes) -> _Spot:
    name = _value_of(attributes)
    of = attributes.get("type")
    known = attributes.get("_var_metadata")
    metadata = known if isinstance(known, dict) else {
        key: value
        for key, value in attributes.items()
        if key not in (name, "type", "_trace_state") and not str(key).endswith("_hooks")
    }  # fmt: skip
    about = _Variable(
        id(made), spot.path, class_name(of) or class_name(made), _plain_dict(metadata)
    )
    return spot.holding(attributes[name], about)


def _value_of(attributes: _Attributes) -> str | None:
    """The attribute in which a Variable has its value; None for what is none."""
    for name in ("_raw_value", "raw_value"):
        if name in attributes:
            return name
    marks = ("_var_metadata", "type", "get_value_hooks", "set_value_hooks")
    if "value" in attributes and any(mark in attributes for mark in marks):
        return "value"
    return None


def _of_flat_state(spot: _Spot, attributes: _Attributes) -> list[_Spot]:
    keys, values = attributes["_keys"], attributes["_values"]
    if not isinstance(keys, (list, tuple)) or not isinstance(values, (list, tuple)):
        return []
    return [
        spot._replace(value=value, path=(*spot.path, *_names(key)), fixed=False)
        for key, value in zip(keys, values, strict=False)
        if isinstance(key, tuple) and all(isinstance(part, (str, int)) for part in key)
    ]


def _of_object(spot: _Spot, attributes: _Attributes) -> list[_Spot]:
    """The attributes of a Module, or of another object that holds arrays."""
    listed = attributes.get("_pytree__nodes")
    nodes = listed.attributes.get("_mapping") if isinstance(listed, Made) else None
    module = _is_module(attributes)
    names = [
        name
        for name in sorted(attributes, key=str)  # a List has numbers among them
        if isinstance(name, (str, int))
        and not (module and str(name).endswith(("__state", "__nodes")))
        and not (isinstance(nodes, dict) and nodes.get(name, True) is False)
    ]
    inside = spot.below((name, attributes[name]) for name in names)
    return [one._replace(fixed=True) for one in inside] if module else inside


def _of_namedtuple(spot: _Spot, made: Made) -> list[_Spot] | None:
    """The fields of a namedtuple: by name if it is one of optax's, else by position."""
    if not made.new or made.items or made.pairs:
        return None
    names = fields(class_name(made), len(made.arguments))
    keys = names or range(len(made.arguments))
    return spot.below(zip(keys, made.arguments, strict=True))


# -- entries ------------------------------------------------------------------------


def _entry(value: object, path: Path, *, none: bool) -> Entry | None:
    """The entry of a value without inside; None for what is no data."""
    source = text(path)
    if isinstance(value, Stored) and value.dtype is not None:
        return Entry(
            path, "array", value.shape, value.dtype, source=source, load=_loads(value)
        )
    if isinstance(value, Made) and _is_key(value):
        data = value.attributes["_base_array"]
        if isinstance(data, Stored) and data.dtype is not None:
            return Entry(
                path, "key", data.shape, data.dtype, impl=_impl(value), source=source,
                load=_loads(data),
            )  # fmt: skip
        return None
    if isinstance(value, (bool, int, float)):
        dtype = np.asarray(value).dtype
        if dtype.hasobject:  # an int of more than 64 bits
            return None
        return Entry(path, "scalar", (), dtype, value=value, source=source)
    if isinstance(value, str):
        return Entry(path, "text", value=value, source=source)
    if value is None or (isinstance(value, (dict, list, tuple)) and not value):
        return Entry(path, "none", source=source)
    return None


def _loads(stored: Stored) -> Reader:
    def load(index: Index) -> Array:
        part: Array = np.array(stored.read()[index], order="C")
        return part

    return load


def _is_key(made: Made) -> bool:
    attributes = made.attributes
    return "_base_array" in attributes and "_impl" in attributes


def _impl(key: Made) -> str | None:
    """The name of the generator; jax has it among the fields of a namedtuple."""
    impl = key.attributes["_impl"]
    names = impl.arguments if isinstance(impl, Made) else (impl,)
    return next((name for name in names if isinstance(name, str)), None)


def _what(value: object) -> str:
    """What a value is that is no data, for the list of what was left out."""
    if isinstance(value, Stored):
        return value.why
    if isinstance(value, Global):
        return value.path
    if isinstance(value, Made):
        function = value.function
        while isinstance(function, Made):
            function = function.function
        where = function.path if isinstance(function, Global) else "a class of its own"
        return f"{'an object of' if value.new else 'a call of'} {where}"
    return type(value).__name__


def _plain_dict(metadata: _Attributes) -> dict[str, object]:
    found = {}
    for name, value in metadata.items():
        plain = _plain(value)
        if isinstance(name, str) and plain is not _NOT_PLAIN:
            found[name] = plain
    return found


_NOT_PLAIN = object()


def _plain(value: object) -> object:
    """A value as JSON could have it: text, numbers, None, and tuples of them."""
    if isinstance(value, int) and abs(value) >> 63:
        return _NOT_PLAIN
    if isinstance(value, (str, int, float, type(None))):
        return value
    if isinstance(value, Made) and class_name(value) == "PartitionSpec":
        value = value.arguments
    if isinstance(value, (tuple, list)) and len(value) <= 64:
        parts = [_plain_part(part) for part in value]
        return _NOT_PLAIN if _NOT_PLAIN in parts else type(value)(parts)
    return _NOT_PLAIN


def _plain_part(value: object) -> object:
    """What is in a tuple of metadata: an axis, or several of them."""
    if isinstance(value, (tuple, list)):
        plain = all(isinstance(part, (str, int, float, type(None))) for part in value)
        return value if plain and len(value) <= 64 else _NOT_PLAIN
    return _plain(value) if not isinstance(value, Made) else _NOT_PLAIN
