"""The model that checkpoints are judged with, by native calls alone: no nnx_compat.

It has what checkpoints went wrong with: a layer without bias, statistics, Dropout on
streams that are shared or forked, layers in a list, a tied one, a Variable of its own
type with metadata, bfloat16, attention whose projections are called ``key`` and
``value``, a recurrent cell where the release has one, and a Param called ``value``.
"""

from __future__ import annotations

import importlib
import sys
import warnings
import zlib
from collections.abc import Iterator
from typing import Any

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax  # type: ignore[import-not-found]

warnings.simplefilter("ignore")


def _namespace() -> Any:
    try:
        return importlib.import_module("flax.nnx")
    except ImportError:
        return importlib.import_module("flax.experimental.nnx")


nnx = _namespace()
#: ``split`` and ``state`` are methods of a Module, and streams are no part of a state.
METHODS = not hasattr(nnx, "split")
_VARIABLES = (nnx.Variable, getattr(nnx, "VariableState", nnx.Variable))
_TAILS = ("value", "raw_value")

if hasattr(flax.config, "flax_always_shard_variable"):
    flax.config.update("flax_always_shard_variable", False)


class Codebook(nnx.Variable):  # type: ignore[misc,name-defined]
    """A Variable type that Flax does not have."""


class Block(nnx.Module):  # type: ignore[misc,name-defined]
    """All layers."""

    def __init__(self, rngs: Any) -> None:
        def linear(**kwargs: Any) -> Any:
            return nnx.Linear(4, 4, rngs=rngs, **kwargs)

        self.lin = linear()
        self.nb = linear(use_bias=False)
        self.bn = nnx.BatchNorm(4, rngs=rngs)
        self.drop = nnx.Dropout(0.5) if METHODS else nnx.Dropout(0.5, rngs=rngs)
        layers = [linear(), linear(), linear(use_bias=False)]
        marked = hasattr(nnx, "data") and hasattr(nnx, "List")
        self.ls = nnx.List(layers) if marked else layers
        self.tied = self.lin
        about = {"sharding": ("data", None), "eager_sharding": False}
        self.code = Codebook(jnp.zeros((2, 4)), note="by hand", **about)
        self.half = nnx.Param(jnp.zeros((3,), jnp.bfloat16))
        self.mha = nnx.MultiHeadAttention(
            num_heads=2, in_features=4, qkv_features=4, dropout_rate=0.1,
            decode=False, rngs=rngs,
        )  # fmt: skip
        if hasattr(nnx, "LSTMCell"):
            self.lstm = nnx.LSTMCell(4, 4, rngs=rngs)
        self.value = nnx.Param(jnp.zeros((2,)))


class Root(nnx.Module):  # type: ignore[misc,name-defined]
    """A block and, where streams are state, the streams."""

    def __init__(self, seed: int) -> None:
        rngs = nnx.Rngs(params=seed, dropout=seed + 1)
        self.net = Block(rngs)
        if not METHODS:
            self.rngs = rngs


def model(seed: int, offset: float) -> Any:
    """A model whose floating-point arrays are known from their paths."""
    made = Root(seed)
    found = state(made)
    for path, leaf in leaves(found):
        array = value(leaf)
        if array is not None and jnp.issubdtype(array.dtype, jnp.floating):
            number = zlib.crc32("/".join(path).encode()) % 9973
            new = jnp.arange(array.size, dtype=jnp.float32).reshape(array.shape)
            _set(leaf, (new + number + offset).astype(array.dtype))
    if METHODS:
        made.update(found)
    else:
        nnx.update(made, found)
    return made


def native_optimizer(model: Any) -> Any:
    """Flax's own optimizer after two steps, or None where there is none."""
    if not hasattr(nnx, "Optimizer"):
        return None
    try:
        optimizer = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)
    except TypeError:
        optimizer = nnx.Optimizer(model, optax.adam(1e-3))
    gradients = jax.tree_util.tree_map(
        lambda array: jnp.ones_like(array) * 0.5, state(model, nnx.Param)
    )
    for _ in range(2):
        try:
            optimizer.update(model, gradients)
        except TypeError:
            optimizer.update(gradients)
    return optimizer


def halved(params: Any) -> Any:
    """An average of parameters, as people keep one: a State of its own arrays."""
    return jax.tree_util.tree_map(
        lambda array: (array * 0.5).astype(array.dtype), params
    )


def with_key_data(found: Any) -> Any:
    """The same State with the data of PRNG keys instead of typed keys."""
    return jax.tree_util.tree_map(
        lambda array: jax.random.key_data(array) if is_key(array) else array, found
    )


def state(node: Any, *filters: Any) -> Any:
    """The native state of a Module, an optimizer or another object."""
    if not METHODS:
        return nnx.state(node, *filters)
    if isinstance(node, nnx.Module):
        return node.extract(*filters) if filters else node.get_state()
    return sys.modules[nnx.GraphDef.__module__].graph_flatten(node)[0]


def leaves(
    found: Any, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The leaves of a State by path, as text."""
    mapping = found.__dict__["_mapping"] if isinstance(found, nnx.State) else found
    pairs = mapping.items() if isinstance(mapping, dict) else enumerate(mapping)
    for key, child in pairs:
        if isinstance(child, (dict, list, tuple, nnx.State)):
            yield from leaves(child, (*path, str(key)))
        else:
            yield (*path, str(key)), child


def value(leaf: Any) -> Any:
    """The array in a leaf, hooks not applied, on every release."""
    if not isinstance(leaf, _VARIABLES):
        return leaf
    stored = vars(leaf) if hasattr(leaf, "__dict__") else {}
    for name in ("raw_value", "_raw_value", "value", "_value"):
        if name in stored:
            return stored[name]
    for name in ("_raw_value", "raw_value", "value"):
        for kind in type(leaf).__mro__:
            slot: Any = vars(kind).get(name)
            if type(slot).__name__ == "member_descriptor":
                return slot.__get__(leaf)
    return leaf.value


def _set(leaf: Any, new: Any) -> None:
    if hasattr(type(leaf), "set_value"):
        leaf.set_value(new)
    else:
        leaf.value = new


def is_key(array: Any) -> bool:
    """Whether these are typed PRNG keys."""
    return hasattr(array, "dtype") and bool(
        jnp.issubdtype(array.dtype, jax.dtypes.prng_key)
    )


def table(node: Any) -> dict[str, np.ndarray[Any, Any]]:
    """All arrays of a node or a State by path, keys as their data, bfloat16 as bits.

    An optimizer that holds its model, and Variables where optax has arrays, are shown
    as the newest release has them.
    """
    found: dict[str, np.ndarray[Any, Any]] = {}
    for path, leaf in leaves(node if isinstance(node, nnx.State) else state(node)):
        array = value(leaf)
        if array is None:
            continue
        inside = not isinstance(leaf, _VARIABLES) and path[-1] in _TAILS
        name = "/".join(path[:-1] if inside else path)
        plain = np.asarray(jax.random.key_data(array) if is_key(array) else array)
        found[name] = plain.view(np.uint16) if plain.dtype == jnp.bfloat16 else plain
    return found
