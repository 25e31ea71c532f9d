"""Arguments of layers that came later: what ``install`` makes their constructors take.

A layer of an older release computes the same, with fewer choices. Where the choice can
be had by what the release does offer, it is: a ``preferred_element_type`` goes into the
``dot_general`` that a layer takes, metadata are set on the Variable once it is made.
Where it asks for what the release does anyway, it is dropped; else it is refused.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from .. import facts, functional
from .._release import parameters_of
from ..errors import RefusedArgumentError
from ..revisions import flax_version

if TYPE_CHECKING:
    from flax.nnx import Module
    from jax.typing import DTypeLike

#: Layers, and the argument through which each takes its product.
LAYERS: dict[str, str] = {
    "BatchNorm": "",
    "Conv": "conv_general_dilated",
    "ConvTranspose": "",
    "Einsum": "einsum_op",
    "Embed": "",
    "GRUCell": "",
    "GroupNorm": "",
    "InstanceNorm": "",
    "LSTMCell": "",
    "LayerNorm": "",
    "Linear": "dot_general",
    "LinearGeneral": "dot_general",
    "MultiHeadAttention": "",
    "OptimizedLSTMCell": "",
    "RMSNorm": "",
    "SimpleCell": "",
}


def _each(layers: str, name: str) -> tuple[str, ...]:
    return tuple(f"{layer}.{name}" for layer in layers.split())


_GATES: dict[str, tuple[str, ...]] = {
    "kernel": ("dense_i.kernel",),
    "recurrent_kernel": ("dense_h.kernel",),
    "bias": ("dense_i.bias",),
}
#: The Variables that an argument ``..._metadata`` is for, unless it is the layer's own.
_VARIABLES: dict[str, dict[str, tuple[str, ...]]] = {
    "MultiHeadAttention": {
        "kernel": _each("query key value", "kernel"),
        "bias": _each("query key value", "bias"),
        "out_kernel": ("out.kernel",),
        "out_bias": ("out.bias",),
        "query_ln_scale": ("query_ln.scale",),
        "key_ln_scale": ("key_ln.scale",),
    },
    "LSTMCell": {
        "kernel": _each("ii if_ ig io", "kernel"),
        "recurrent_kernel": _each("hi hf hg ho", "kernel"),
        "bias": _each("hi hf hg ho", "bias"),
    },
    "OptimizedLSTMCell": {**_GATES, "bias": ("dense_h.bias",)},
    "SimpleCell": _GATES,
    "GRUCell": _GATES,
}

_PRODUCTS: dict[str, Callable[..., jax.Array]] = {
    "conv_general_dilated": jax.lax.conv_general_dilated,
    "einsum_op": jnp.einsum,
    "dot_general": jax.lax.dot_general,
}


def taking_later_arguments(
    layer: str, native: Callable[..., None]
) -> Callable[..., None]:
    """A constructor of ``layer`` that takes the arguments of the newest too."""
    newest = facts.releases()[-1].version
    row = facts.name(f"nnx.{layer}")
    taken = parameters_of(layer)
    later = {p for p in row.parameters if row.on(newest, p)} - taken

    def __init__(self: Module, *args: Any, **kwargs: Any) -> None:
        metadata = {}
        for name in sorted(later & kwargs.keys()):
            value = kwargs.pop(name)
            variable = name.removesuffix("_metadata")
            if value is None or (variable != name and not value):
                continue
            product = LAYERS[layer]
            if name == "preferred_element_type" and product in taken:
                given = kwargs.get(product) or _PRODUCTS[product]
                kwargs[product] = _preferring(given, value)
            elif variable != name:
                metadata[variable] = value
            elif not (name.endswith("promote_dtype") and _as_before(value)):
                raise RefusedArgumentError(
                    f"nnx.{layer} was given {name}={value!r}, which the layer of flax "
                    f"{flax_version} does not have",
                    instead=f"leave {name}= out",
                    otherwise="a release that has it: pip install --upgrade flax",
                )
        native(self, *args, **kwargs)
        paths = _VARIABLES.get(layer, {})
        for variable, values in metadata.items():
            for path in paths.get(variable, (variable,)):
                found = functools.reduce(_attribute, path.split("."), self)
                if functional.is_variable(found):
                    functional.set_metadata(found, **values)

    return __init__


def _attribute(node: object, name: str) -> Any:
    """What is stored, and None where there is nothing, as without a bias."""
    return None if node is None else vars(node).get(name)


@functools.cache  # equal layers have one product, or their graphdefs would differ
def _preferring(
    product: Callable[..., jax.Array], dtype: DTypeLike
) -> Callable[..., jax.Array]:
    return functools.partial(product, preferred_element_type=dtype)


def _as_before(promote_dtype: Callable[..., Any]) -> bool:
    """Whether it does what layers did before they could be told: promote nothing new.

    That is Flax's own function for products; for norms, one that changes nothing.
    """
    from flax.nnx.nn import dtypes

    if promote_dtype is dtypes.promote_dtype:
        return True
    arrays = (jnp.zeros(1, jnp.float16), jnp.zeros(1, jnp.float32))
    try:
        return promote_dtype(arrays, dtype=None) is arrays
    except Exception:
        return False
