"""The Variables of a node by attribute, also where reading an attribute unwraps them.

On the first releases ``module.kernel`` is the array and has no setter of its own, so
what is built here reads and writes the Variable in ``vars(module)``, which is the same
object on every release.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..functional import get_value, is_variable, set_value
from ..revisions import nnx

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import jax
    from flax.nnx import Param, Pytree, Rngs
    from jax.nn.initializers import Initializer
    from jax.typing import DTypeLike


def value_of(node: Pytree, name: str) -> Any:
    """The value of an attribute, that of the Variable if it is one.

    None where there is none: an absent bias is a None or, on older releases, a Param
    that holds None.
    """
    found = vars(node)[name]
    return get_value(found) if is_variable(found) else found


def set_value_of(node: Pytree, name: str, value: jax.typing.ArrayLike) -> None:
    """Replace the value of a Variable attribute: no broadcast, no cast."""
    set_value(vars(node)[name], value)


def new_param(
    initializer: Initializer,
    rngs: Rngs,
    shape: Sequence[int],
    dtype: DTypeLike,
    metadata: Mapping[str, Any],
) -> Param[jax.Array]:
    """A Param from an initializer and the next key of the ``params`` stream."""
    return nnx.Param(initializer(rngs.params(), shape, dtype), **metadata)
