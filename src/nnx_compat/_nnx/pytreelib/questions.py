"""What is data, by itself or inside a value, and where NNX would not see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np

from ..._release import here, native, registry
from ...errors import (
    ArgumentTypeError,
    ArgumentValueError,
    RefusedArgumentError,
    kind_of,
)
from ...functional import is_variable
from ...revisions import bound, flax_version
from .pytrees import Pytree

__all__ = ["check_pytree", "has_data", "is_data", "is_data_type", "register_data_type"]

_T = TypeVar("_T", bound=type)

_native_is_data: Callable[[object], bool] | None = native.get(
    "is_data", native.get("is_data_type")
)


def is_data(value: object, /) -> bool:
    """Whether a value is data as an attribute: a Variable, a Module, an array.

    Lists, tuples and dicts are not, whatever they contain (``has_data``). A ``Rngs`` is
    not where it is static, on the first releases.

    Example:
        >>> import jax.numpy as jnp
        >>> from nnx_compat import nnx
        >>> nnx.is_data(nnx.Param(1)), nnx.is_data(jnp.ones(2)), nnx.is_data([1, 2])
        (True, True, False)
    """
    if _native_is_data is not None:
        return _native_is_data(value)
    return (
        is_variable(value)
        or isinstance(value, (jax.Array, np.ndarray, Pytree))
        # other types that somebody told NNX to walk over
        or (here.registry_tells_graph_nodes and registry.is_graph_node(value))
    )


def is_data_type(value: object, /) -> bool:
    """What ``is_data`` was called in flax 0.11.

    Example:
        >>> import warnings
        >>> from nnx_compat import nnx
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore", DeprecationWarning)
        ...     nnx.is_data_type(nnx.Param(1))
        True
    """
    return is_data(value)


def has_data(value: object, /) -> list[Any]:
    """The data in a value: itself, or what is in lists, tuples, dicts, pytrees.

    Example:
        >>> import jax.numpy as jnp
        >>> from nnx_compat import nnx
        >>> len(nnx.has_data({"a": [nnx.Param(1), 2], "b": jnp.ones(2)}))
        2
    """
    return [leaf for leaf in leaves_of(value) if is_data(leaf)]


def leaves_of(value: object) -> list[Any]:
    """What is in a value: data, and the leaves of the pytrees in it that are none."""
    met: set[int] = set()

    def is_leaf(node: object) -> bool:
        if id(node) in met:  # a container that contains itself
            return True
        met.add(id(node))
        return is_data(node)

    leaves: list[Any] = jax.tree_util.tree_leaves(value, is_leaf=is_leaf)
    return leaves


def register_data_type(type_: _T, /) -> _T:
    """Make values of a class data, as attributes. Also a decorator.

    Args:
        type_: a class; classes that derive from it are not meant.

    Returns:
        The class.

    Raises:
        RefusedArgumentError: it is no pytree of jax, and the release takes only those.

    Example:
        >>> from nnx_compat import nnx
        >>> @nnx.register_data_type
        ... @jax.tree_util.register_pytree_node_class
        ... class Pair:
        ...     def tree_flatten(self):
        ...         return (1.0, 2.0), None
        ...     @classmethod
        ...     def tree_unflatten(cls, aux_data, children):
        ...         return cls()
        >>> Pair.__name__
        'Pair'
    """
    if "register_data_type" in native:
        native["register_data_type"](type_)
    elif _is_leaf(type_):
        raise RefusedArgumentError(
            f"nnx.register_data_type was given {type_.__name__}, no pytree of jax's, "
            f"and flax {flax_version} takes only those, Variables and arrays for data",
            instead="nnx.Variable(value)",
            otherwise="jax.tree_util.register_pytree_node_class first",
        )
    return type_


def _is_leaf(type_: type) -> bool:
    """Whether jax takes objects of a class for leaves.

    Asked of one without attributes: what looks into it and finds none is no leaf.
    """
    try:
        leaf: bool = jax.tree_util.all_leaves([object.__new__(type_)])
    except Exception:
        return False
    return leaf


def check_pytree(pytree: object) -> None:
    """Look for data in attributes of an object where NNX does not see it.

    Where the newest checks are missing that is data which was put into a list or dict
    after this was assigned, bare arrays on the releases that refuse them, and data in
    objects that ``split`` does not walk into.

    Raises:
        TypeError: it is no ``nnx.Pytree``.
        ValueError: there is such data; the message names the attribute.

    Example:
        >>> from nnx_compat import nnx
        >>> nnx.check_pytree(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
    """
    if "check_pytree" in native:
        native["check_pytree"](pytree)
        return
    if not isinstance(pytree, Pytree):
        raise ArgumentTypeError(
            f"check_pytree was given {kind_of(pytree)}",
            instead="a Module or another nnx.Pytree",
        )
    seen = {id(value) for _, value in bound.iter_graph(pytree)}
    data_names = vars(pytree).get(here.data_names) if "data" in native else None
    for name, value in vars(pytree).items():
        found = has_data(value)
        lost = [leaf for leaf in found if id(leaf) not in seen or is_refused(leaf)]
        if found and (lost or not (data_names is None or name in data_names)):
            raise ArgumentValueError(
                f"attribute {name!r} of {type(pytree).__name__} has data in it that "
                f"flax {flax_version} does not see: {shown((lost or found)[0])}",
                instead=f"nnx.List or nnx.Dict, or assign self.{name} again",
            )


def is_refused(value: object) -> bool:
    """Whether it is a bare array where NNX takes none."""
    return isinstance(value, (jax.Array, np.ndarray)) and here.refuses_arrays


def shown(value: object) -> str:
    """A value in the text of an error: short ones as they are, others by class."""
    if isinstance(value, (bool, int, float, complex, str)):
        return repr(value)
    return kind_of(value)
