"""Low-rank adaptation that changes nothing at first: its second matrix is zero.

On the first releases that have the layer both matrices began at random.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax.nn import initializers

from ..._release import here, native
from ...errors import ArgumentTypeError
from ...revisions import nnx
from .. import is_ours
from .._variable_attributes import value_of
from .._warnings import warn_removed
from . import dtypes
from ._absent import drop_absent, lending
from ._types import NO_METADATA, Metadata, PromoteDtype

if TYPE_CHECKING:
    from flax.nnx import Param, Rngs
    from jax.nn.initializers import Initializer
    from jax.typing import DTypeLike

__all__ = ["LoRA", "LoRALinear", "LoRAParam"]


class LoRAParam(nnx.Param):  # type: ignore[misc, name-defined]
    """The type of the two low-rank factors of a LoRA layer.

    Example:
        >>> from nnx_compat import nnx
        >>> issubclass(nnx.LoRAParam, nnx.Variable)
        True
    """


#: Flax's own, but for the first one (lora-param-is-no-param in internals.toml): with
#: it, nnx.grad and an optimizer of nnx.Param would pass the two matrices over.
_Param: Any = LoRAParam
if not here.lora_param_is_no_param:
    _Param = native.get("LoRAParam", LoRAParam)
_Base: Any = native.get("LoRA", nnx.Module)
_LinearBase: Any = native.get("LoRALinear", nnx.Linear)
#: Whether a Linear without a bias has a Param of None in Flax, and none in ours.
_IS_LENT = is_ours("Linear")


def _initializers(
    argument: str,
    old: Initializer | None,
    a_initializer: Initializer,
    b_initializer: Initializer,
) -> tuple[Initializer, Initializer]:
    """The two to use, when one for both was given under its former name."""
    if old is None:
        return a_initializer, b_initializer
    warn_removed(
        f"{argument} initializes both matrices of a LoRA, as it once did; nnx-compat "
        "keeps it\n  instead: a_initializer= and b_initializer="
    )
    return old, old


class LoRA(_Base):  # type: ignore[misc]
    """``x @ lora_a @ lora_b``, added to what a base module gives (arXiv:2106.09685).

    Args:
        in_features: the size of the input's last axis.
        lora_rank: the size between the two matrices.
        out_features: the size of the output's last axis.
        base_module: called with the same input, when there is one.
        dtype: of the result; by default that of the input and parameters.
        param_dtype: of the matrices.
        a_initializer: of ``lora_a``.
        b_initializer: of ``lora_b``; zeros, so that nothing changes at first.
        lora_param_type: the class of the two Variables.
        promote_dtype: ``((x, lora_a, lora_b), dtype=)`` to arrays of one dtype.
        rngs: its ``params`` stream gives the keys.
        a_metadata: for the Variable.
        b_metadata: for the Variable.
        kernel_init: the former name, for both.

    Example:
        >>> from nnx_compat import nnx
        >>> linear = nnx.Linear(3, 4, rngs=nnx.Rngs(0))
        >>> layer = nnx.LoRA(3, 2, 4, base_module=linear, rngs=nnx.Rngs(1))
        >>> x = jnp.ones((1, 3))
        >>> bool((layer(x) == linear(x)).all())
        True
    """

    def __init__(
        self,
        in_features: int,
        lora_rank: int,
        out_features: int,
        *,
        base_module: Callable[..., jax.Array] | None = None,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        a_initializer: Initializer = initializers.he_uniform(),  # noqa: B008
        b_initializer: Initializer = initializers.zeros,
        lora_param_type: type[Param[jax.Array]] = _Param,
        promote_dtype: PromoteDtype = dtypes.promote_dtype,
        rngs: Rngs,
        a_metadata: Metadata = NO_METADATA,
        b_metadata: Metadata = NO_METADATA,
        kernel_init: Initializer | None = None,
    ) -> None:
        init_a, init_b = _initializers(
            "kernel_init=", kernel_init, a_initializer, b_initializer
        )
        if base_module is not None and not callable(base_module):
            raise ArgumentTypeError("`base_module` must be callable")
        self.in_features = in_features
        self.out_features = out_features
        self.dtype = dtype
        self.param_dtype = param_dtype
        self.lora_param_type = lora_param_type
        self.base_module = base_module
        self.promote_dtype = promote_dtype
        a = init_a(rngs.params(), (in_features, lora_rank), param_dtype)
        b = init_b(rngs.params(), (lora_rank, out_features), param_dtype)
        self.lora_a = lora_param_type(a, **a_metadata)
        self.lora_b = lora_param_type(b, **b_metadata)

    def __call__(self, x: jax.Array, **kwargs: object) -> jax.Array:
        """``(..., in_features)`` to ``(..., out_features)``."""
        given = (x, value_of(self, "lora_a"), value_of(self, "lora_b"))
        cast, a, b = self.promote_dtype(given, dtype=self.dtype)
        y: jax.Array = cast @ a @ b
        return y if self.base_module is None else y + self.base_module(cast, **kwargs)


class LoRALinear(_LinearBase):  # type: ignore[misc]
    """A ``Linear`` with a ``LoRA`` beside it, whose kernel and bias keep their paths.

    Args:
        in_features: the size of the input's last axis.
        out_features: the size of the output's last axis.
        lora_rank: the size between the two matrices.
        lora_dtype: as ``dtype`` of ``LoRA``.
        lora_param_dtype: as ``param_dtype`` of ``LoRA``.
        a_initializer: of ``lora_a``.
        b_initializer: of ``lora_b``.
        lora_param_type: the class of the two Variables.
        lora_promote_dtype: as ``promote_dtype`` of ``LoRA``.
        rngs: its ``params`` stream gives the keys.
        a_metadata: for the Variable.
        b_metadata: for the Variable.
        lora_kernel_init: the former name, for both.
        **kwargs: further arguments of ``Linear``.

    Example:
        >>> from nnx_compat import nnx
        >>> layer = nnx.LoRALinear(3, 4, lora_rank=2, rngs=nnx.Rngs(0))
        >>> layer(jnp.ones((5, 3))).shape
        (5, 4)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        lora_rank: int,
        lora_dtype: DTypeLike | None = None,
        lora_param_dtype: DTypeLike = jnp.float32,
        a_initializer: Initializer = initializers.he_uniform(),  # noqa: B008
        b_initializer: Initializer = initializers.zeros,
        lora_param_type: type[Param[jax.Array]] = _Param,
        lora_promote_dtype: PromoteDtype = dtypes.promote_dtype,
        rngs: Rngs,
        a_metadata: Metadata = NO_METADATA,
        b_metadata: Metadata = NO_METADATA,
        lora_kernel_init: Initializer | None = None,
        **kwargs: Any,
    ) -> None:
        init_a, init_b = _initializers(
            "lora_kernel_init=", lora_kernel_init, a_initializer, b_initializer
        )
        nnx.Linear.__init__(self, in_features, out_features, rngs=rngs, **kwargs)
        if _IS_LENT:
            drop_absent(self)
        self.lora = LoRA(
            in_features,
            lora_rank,
            out_features,
            dtype=lora_dtype,
            param_dtype=lora_param_dtype,
            a_initializer=init_a,
            b_initializer=init_b,
            lora_param_type=lora_param_type,
            promote_dtype=lora_promote_dtype,
            rngs=rngs,
            a_metadata=a_metadata,
            b_metadata=b_metadata,
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        """``(..., in_features)`` to ``(..., out_features)``."""
        call = nnx.Linear.__call__
        dense = lending(call, self, self, x) if _IS_LENT else call(self, x)
        y: jax.Array = dense + self.lora(x)
        return y
