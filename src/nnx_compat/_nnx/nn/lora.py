"""Low-rank adaptation that changes nothing at first: its second matrix is zero.

On the first releases that have the layer both matrices began at random.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
from jax.nn import initializers

from ...errors import ArgumentTypeError
from ...revisions import nnx
from .._attributes import promoted, read, warn_removed
from ..variablelib import types as variables

__all__ = ["LoRA", "LoRALinear"]

Metadata = Mapping[str, Any]
NONE: Metadata = MappingProxyType({})


def _param_type() -> Any:
    """Flax's own ``LoRAParam``, but not the first one, which is no Param."""
    native = getattr(nnx, "LoRAParam", None)
    if native is not None and issubclass(native, nnx.Param):
        return native
    return variables.LoRAParam


_LoRAParam: Any = _param_type()
_Old: Any = getattr(nnx, "LoRA", nnx.Module)
_OldLinear: Any = getattr(nnx, "LoRALinear", nnx.Linear)


def _initializers(
    asked: str, old: Any, a_initializer: Any, b_initializer: Any
) -> tuple[Any, Any]:
    """The two to use, when one for both was given under its former name."""
    if old is None:
        return a_initializer, b_initializer
    warn_removed(
        f"{asked} initializes both matrices of a LoRA, as it once did; nnx-compat "
        "keeps it\n  instead: a_initializer= and b_initializer="
    )
    return old, old


class LoRA(_Old):  # type: ignore[misc]
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
        base_module: Any = None,
        dtype: Any = None,
        param_dtype: Any = jnp.float32,
        a_initializer: Any = initializers.he_uniform(),  # noqa: B008
        b_initializer: Any = initializers.zeros,
        lora_param_type: Any = _LoRAParam,
        promote_dtype: Any = promoted,
        rngs: Any,
        a_metadata: Metadata = NONE,
        b_metadata: Metadata = NONE,
        kernel_init: Any = None,
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

    def __call__(self, x: jax.Array, **kwargs: Any) -> jax.Array:
        """``(..., in_features)`` to ``(..., out_features)``."""
        given = (x, read(self, "lora_a"), read(self, "lora_b"))
        cast, a, b = self.promote_dtype(given, dtype=self.dtype)
        y: jax.Array = cast @ a @ b
        return y if self.base_module is None else y + self.base_module(cast, **kwargs)


class LoRALinear(_OldLinear):  # type: ignore[misc]
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
        lora_dtype: Any = None,
        lora_param_dtype: Any = jnp.float32,
        a_initializer: Any = initializers.he_uniform(),  # noqa: B008
        b_initializer: Any = initializers.zeros,
        lora_param_type: Any = _LoRAParam,
        lora_promote_dtype: Any = promoted,
        rngs: Any,
        a_metadata: Metadata = NONE,
        b_metadata: Metadata = NONE,
        lora_kernel_init: Any = None,
        **kwargs: Any,
    ) -> None:
        init_a, init_b = _initializers(
            "lora_kernel_init=", lora_kernel_init, a_initializer, b_initializer
        )
        nnx.Linear.__init__(self, in_features, out_features, rngs=rngs, **kwargs)
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
        y: jax.Array = nnx.Linear.__call__(self, x) + self.lora(x)
        return y
