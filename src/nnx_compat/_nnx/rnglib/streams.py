"""``RngStream``: a random key, and a count of how often it was used.

Derived from Flax's own, which on some releases lacks ``split``, ``fork`` and the
samplers. The keys are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn, TypeGuard, TypeVar

import jax
import jax.numpy as jnp

from ..._release import here
from ...errors import ArgumentValueError, RefusedNameError
from ...revisions import jax_version, nnx
from .._native_classes import standing_in_for
from ..errors import TraceContextError

if TYPE_CHECKING:
    from flax.nnx import RngStream as NativeStream
else:
    NativeStream = nnx.RngStream

__all__ = ["RngStream"]

_R = TypeVar("_R")


class Samplers:
    """The functions of ``jax.random`` and the initializers, as methods.

    ``rngs.normal((2, 3))`` is ``jax.random.normal(rngs(), (2, 3))``, and
    ``rngs.lecun_normal()((2, 3))`` is ``lecun_normal()(rngs(), (2, 3))``.
    """

    if TYPE_CHECKING:

        def __call__(self) -> jax.Array:
            """The next key."""


_DISTRIBUTIONS = (
    "ball", "bernoulli", "beta", "binomial", "bits", "categorical", "cauchy",
    "chisquare", "choice", "dirichlet", "double_sided_maxwell", "exponential", "f",
    "gamma", "generalized_normal", "geometric", "gumbel", "laplace", "loggamma",
    "logistic", "lognormal", "maxwell", "multinomial", "multivariate_normal", "normal",
    "orthogonal", "pareto", "permutation", "poisson", "rademacher", "randint",
    "rayleigh", "t", "triangular", "truncated_normal", "uniform", "wald", "weibull_min",
)  # fmt: skip

_INITIALIZERS = (
    "delta_orthogonal", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform",
    "kaiming_normal", "kaiming_uniform", "lecun_normal", "lecun_uniform",
    "variance_scaling", "xavier_normal", "xavier_uniform",
)  # fmt: skip


def _sampler(name: str) -> Callable[..., jax.Array]:
    sample = getattr(jax.random, name, None)

    def method(self: Samplers, *args: object, **kwargs: object) -> jax.Array:
        if sample is None:
            _lacks(f"jax.random.{name}")
        sampled: jax.Array = sample(self(), *args, **kwargs)
        return sampled

    method.__doc__ = f"``jax.random.{name}`` with the next key of the stream."
    return _named(method, name)


def _initializer(name: str) -> Callable[..., Callable[..., jax.Array]]:
    make = getattr(jax.nn.initializers, name, None)

    def method(
        self: Samplers, *args: object, **kwargs: object
    ) -> Callable[..., jax.Array]:
        if make is None:
            _lacks(f"jax.nn.initializers.{name}")
        initialize = make(*args, **kwargs)

        def keyless(*args: object, **kwargs: object) -> jax.Array:
            made: jax.Array = initialize(self(), *args, **kwargs)
            return made

        return keyless

    method.__doc__ = f"The initializer ``{name}``; each call takes the next key."
    return _named(method, name)


def _named(method: Callable[..., _R], name: str) -> Callable[..., _R]:
    method.__name__ = name
    method.__qualname__ = f"Samplers.{name}"
    return method


def _lacks(name: str) -> NoReturn:
    # a method all the same: a Rngs would take its name for that of a stream
    raise RefusedNameError(
        f"{name} is not in jax {jax_version}", instead="pip install --upgrade jax"
    )


for _name in _DISTRIBUTIONS:
    setattr(Samplers, _name, _sampler(_name))
for _name in _INITIALIZERS:
    setattr(Samplers, _name, _initializer(_name))


# -- ``RngStream``: a random key, and a count of how often it was used --------------


#: How many keys, or the shape of an array of them.
Shape = int | tuple[int, ...]


class RngStream(
    Samplers,
    NativeStream,  # type: ignore[misc]
    metaclass=standing_in_for(NativeStream),  # type: ignore[metaclass]
):
    """A random key and a count: each call gives a new key.

    Args:
        key: a seed or a key; an array of keys for a stream that is split.
        tag: the name of the stream, which a filter selects its Variables by.

    Raises:
        ArgumentValueError: ``key`` is neither.

    Example:
        >>> from nnx_compat import nnx
        >>> if hasattr(nnx, "split_rngs"):  # random streams are state
        ...     stream = nnx.RngStream(0, tag="params")
        ...     assert stream() == jax.random.fold_in(jax.random.key(0), 0)
        ...     assert stream.split(4).key[...].shape == (4,)
    """

    def __init__(self, key: int | jax.Array, *, tag: str) -> None:
        key = as_key(key)
        if not here.stream_takes_count:
            super().__init__(key=key, tag=tag)
            return
        count = jnp.zeros(key.shape, jnp.uint32)
        super().__init__(key=key, tag=tag, count=count)
        self.tag = tag
        if getattr(vars(self)["count"], "tag", None) is None:
            self.count = nnx.RngCount(count, tag=tag)

    def __call__(self) -> jax.Array:
        try:
            key: jax.Array = NativeStream.__call__(self)
        except TraceContextError as error:
            text = "Cannot mutate RngCount from a different trace level"
            raise TraceContextError(worded(text, error)) from None
        return key

    def split(self, k: Shape) -> RngStream:
        """A stream of an array of keys, made of the next key.

        Args:
            k: how many, or the shape of the array.
        """
        return split_stream(self, k)

    def fork(self, *, split: Shape | None = None) -> RngStream:
        """A stream of its own that starts with the next key.

        Args:
            split: how many, to split it as well.
        """
        return fork_stream(self) if split is None else split_stream(self, split)

    def broadcast(self, k: Shape) -> RngStream:
        """A stream of an array of keys that are all the next key.

        Args:
            k: how many, or a shape to put before that of the key.
        """
        return broadcast_stream(self, k)


def worded(text: str, error: Exception) -> str:
    """The words of today for an error, and behind them those of the release."""
    native = str(error.args[0])
    return native if text in native else f"{text}: {native}"


def as_key(value: int | jax.Array) -> jax.Array:
    if isinstance(value, int):
        return jax.random.key(value)
    if isinstance(value, jax.Array):
        if value.dtype == jnp.uint32:
            return jax.random.wrap_key_data(value)
        if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
            return value
    raise ArgumentValueError(
        f"Invalid rng value: {value!r} is neither a seed nor a key",
        instead="an int, or a key: jax.random.key(0)",
    )


def split_stream(stream: NativeStream, k: Shape) -> RngStream:
    return RngStream(jax.random.split(stream(), k), tag=tag_of(stream))


def fork_stream(stream: NativeStream) -> RngStream:
    return RngStream(stream(), tag=tag_of(stream))


def broadcast_stream(stream: NativeStream, k: Shape) -> RngStream:
    key = stream()
    shape = (k,) if isinstance(k, int) else tuple(k)
    return RngStream(jnp.broadcast_to(key, shape + key.shape), tag=tag_of(stream))


def is_stream(value: object) -> TypeGuard[NativeStream]:
    return isinstance(value, NativeStream)


def tag_of(stream: NativeStream) -> str:
    tag: str = stream.key.tag
    return tag
