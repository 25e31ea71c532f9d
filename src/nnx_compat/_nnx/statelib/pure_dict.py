"""A State as nested dicts of plain values, and back."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from ... import functional
from ...errors import ArgumentTypeError, ArgumentValueError, kind_of
from ...revisions import bound
from ...revisions.get_value import nested
from .flat_state import flat_leaves

if TYPE_CHECKING:
    from flax.nnx import State

__all__ = ["replace_by_pure_dict", "restore_int_paths", "to_pure_dict"]

Key: TypeAlias = "str | int"


def to_pure_dict(
    state: State, extract_fn: Callable[[Any], Any] | None = None
) -> dict[Hashable, Any]:
    """The values of a state as nested dicts, without Variables.

    Args:
        state: a State.
        extract_fn: from a leaf to what is put in its place; the value when not given.

    Raises:
        VariableTypeError: it is not a State.

    Example:
        >>> from nnx_compat import nnx
        >>> state = nnx.state(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
        >>> {key: value.shape for key, value in nnx.to_pure_dict(state).items()}
        {'bias': (3,), 'kernel': (2, 3)}
    """
    take = functional.get_value if extract_fn is None else extract_fn
    leaves = flat_leaves("to_pure_dict", state).items()
    pure: dict[Hashable, Any] = nested({path: take(leaf) for path, leaf in leaves})
    return pure


def restore_int_paths(pure_dict: Mapping[Key, Any]) -> dict[Key, Any]:
    """The same nested dict with ints for keys that are digits.

    A checkpoint stores the indices of lists as strings; this turns them back. Keys that
    were digits in a string before are turned into ints too.

    Args:
        pure_dict: nested dicts, as restored.

    Example:
        >>> from nnx_compat import nnx
        >>> nnx.restore_int_paths({"layers": {"0": {"kernel": 1.0}}})
        {'layers': {0: {'kernel': 1.0}}}
    """
    return {
        _as_int(key): restore_int_paths(value) if isinstance(value, Mapping) else value
        for key, value in pure_dict.items()
    }


def _as_int(key: Key) -> Key:
    try:
        return int(key)
    except ValueError:
        return key


def replace_by_pure_dict(
    state: State,
    pure_dict: Mapping[Hashable, Any],
    replace_fn: Callable[[Any, Any], Any] | None = None,
) -> None:
    """Give a state the values of a nested dict, in place.

    The Variables themselves are not written to: new ones take their places, of the same
    type and metadata, so the model that the state came from stays as it is. Shapes are
    not checked; ``nnx_compat.from_pure_dict`` does that.

    Args:
        state: a State.
        pure_dict: values for some or all of its paths. List indices may be strings, as
            they are in a restored checkpoint.
        replace_fn: from a leaf and its new value to the new leaf.

    Raises:
        ArgumentValueError: a path is not in the state; nothing was replaced.
        VariableTypeError: ``state`` is not a State.

    Example:
        >>> import jax.numpy as jnp
        >>> from nnx_compat import nnx
        >>> state = nnx.state(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
        >>> nnx.replace_by_pure_dict(state, {"bias": jnp.ones(3)})
        >>> nnx.to_pure_dict(state)["bias"].tolist()
        [1.0, 1.0, 1.0]
    """
    flat = flat_leaves("replace_by_pure_dict", state)
    if not isinstance(pure_dict, Mapping):
        raise ArgumentTypeError(
            "replace_by_pure_dict needs a nested dict of values and was given "
            f"{kind_of(pure_dict)}",
            instead="nnx.to_pure_dict(state) for one of the right form",
        )
    given = functional.given_leaves(pure_dict, flat, "replace_by_pure_dict")
    unknown = [functional.show(path) for path in given if path not in flat]
    if unknown:
        raise ArgumentValueError(
            f"{len(unknown)} paths of the pure dict are not available in the state",
            details=unknown,
            instead=f"some of these: {', '.join(map(functional.show, flat))}",
        )
    replace = functional.as_leaf if replace_fn is None else replace_fn
    flat.update({path: replace(flat[path], value) for path, value in given.items()})
    # through the mapping itself: an item assignment means something else on 0.8
    state.raw_mapping.update(bound.unflatten(flat).raw_mapping)
