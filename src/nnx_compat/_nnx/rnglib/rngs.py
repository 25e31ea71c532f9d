"""Random streams: ``Rngs`` with all that it can do today, and functions over nodes.

A ``RngStream`` holds a key and a count; each call folds the count into the key and
counts on. ``Rngs`` holds streams by name. Both are derived from Flax's own here, which
on some releases lack ``fork``, ``split`` and the samplers: ``Rngs`` takes any attribute
for a stream, so ``rngs.fork()`` was silently a key there. The keys are the same.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import jax
import jax.numpy as jnp

from ... import functional
from ...errors import ArgumentValueError, RefusedNameError
from ...functional import Path, Predicate
from ...revisions import jax_version, nnx
from ..filterlib import to_predicate
from ..variablelib.types import TraceContextError

__all__ = ["RngStream", "Rngs"]

_NativeRngs: Any = nnx.Rngs
_NativeStream: Any = nnx.RngStream
Shape = int | tuple[int, ...]

# -- streams ------------------------------------------------------------------------


class _StreamMeta(type(_NativeStream)):  # type: ignore[misc]
    """Makes Flax's own streams instances of ours too, and not only the reverse."""

    def __instancecheck__(cls, instance: object) -> bool:
        if cls is RngStream:
            return isinstance(instance, _NativeStream)
        return bool(super().__instancecheck__(instance))


class _RngsMeta(type(_NativeRngs)):  # type: ignore[misc]
    """Makes a Rngs of Flax's own an instance of ours too."""

    def __instancecheck__(cls, instance: object) -> bool:
        if cls is Rngs:
            return isinstance(instance, _NativeRngs)
        return bool(super().__instancecheck__(instance))


class _Samplers:
    """The functions of ``jax.random`` and the initializers, as methods.

    ``rngs.normal((2, 3))`` is ``jax.random.normal(rngs(), (2, 3))``, and
    ``rngs.lecun_normal()((2, 3))`` is ``lecun_normal()(rngs(), (2, 3))``.
    """


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


def _sampler(name: str) -> Callable[..., Any]:
    sample = getattr(jax.random, name, None)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if sample is None:
            _lacks(f"jax.random.{name}")
        return sample(self(), *args, **kwargs)

    method.__doc__ = f"``jax.random.{name}`` with the next key of the stream."
    return _named(method, name)


def _initializer(name: str) -> Callable[..., Any]:
    make = getattr(jax.nn.initializers, name, None)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if make is None:
            _lacks(f"jax.nn.initializers.{name}")
        initialize = make(*args, **kwargs)

        def keyless(*args: Any, **kwargs: Any) -> Any:
            return initialize(self(), *args, **kwargs)

        return keyless

    method.__doc__ = f"The initializer ``{name}``; each call takes the next key."
    return _named(method, name)


def _named(method: Callable[..., Any], name: str) -> Callable[..., Any]:
    method.__name__ = name
    method.__qualname__ = f"_Samplers.{name}"
    return method


def _lacks(name: str) -> NoReturn:
    # a method all the same: a Rngs would take its name for that of a stream
    raise RefusedNameError(
        f"{name} is not in jax {jax_version}", instead="pip install --upgrade jax"
    )


for _name in _DISTRIBUTIONS:
    setattr(_Samplers, _name, _sampler(_name))
for _name in _INITIALIZERS:
    setattr(_Samplers, _name, _initializer(_name))

#: Whether the class underneath is given its count; it made none and had no tag then.
_TAKES_COUNT = "count" in inspect.signature(_NativeStream.__init__).parameters


class RngStream(_Samplers, _NativeStream, metaclass=_StreamMeta):  # type: ignore[misc]
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

    def __init__(self, key: Any, *, tag: str) -> None:
        key = _key(key)
        if not _TAKES_COUNT:
            super().__init__(key=key, tag=tag)
            return
        count = jnp.zeros(key.shape, jnp.uint32)
        super().__init__(key=key, tag=tag, count=count)
        self.tag = tag
        if getattr(vars(self)["count"], "tag", None) is None:
            self.count = nnx.RngCount(count, tag=tag)

    def __call__(self) -> Any:
        try:
            return super().__call__()
        except TraceContextError as error:
            text = "Cannot mutate RngCount from a different trace level"
            raise TraceContextError(_worded(text, error)) from None

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


def _worded(text: str, error: Exception) -> str:
    """The words of today for an error, and behind them those of the release."""
    native = str(error.args[0])
    return native if text in native else f"{text}: {native}"


def _key(value: Any) -> Any:
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


def split_stream(stream: Any, k: Shape) -> RngStream:
    return RngStream(jax.random.split(stream(), k), tag=tag_of(stream))


def fork_stream(stream: Any) -> RngStream:
    return RngStream(stream(), tag=tag_of(stream))


def broadcast_stream(stream: Any, k: Shape) -> RngStream:
    key = stream()
    shape = (k,) if isinstance(k, int) else tuple(k)
    return RngStream(jnp.broadcast_to(key, shape + key.shape), tag=tag_of(stream))


def tag_of(stream: Any) -> str:
    tag: str = stream.key.tag
    return tag


# -- Rngs ---------------------------------------------------------------------------


class Rngs(_Samplers, _NativeRngs, metaclass=_RngsMeta):  # type: ignore[misc]
    """Random streams by name: ``rngs.params()`` gives a new key of the stream "params".

    A name that was not given stands for the stream "default". Samplers of
    ``jax.random`` are methods, of ``rngs`` for the default stream and of each stream.

    Args:
        default: a seed, a key or a stream for "default"; or a mapping of such by name.
        **rngs: seeds, keys or streams by name.

    Raises:
        ArgumentValueError: a value is none of these.

    Example:
        >>> from nnx_compat import nnx
        >>> rngs = nnx.Rngs(0, dropout=1)
        >>> if hasattr(nnx, "split_rngs"):  # random streams are state
        ...     assert rngs.dropout() == jax.random.fold_in(jax.random.key(1), 0)
        ...     assert rngs.normal((2, 3)).shape == (2, 3)
        ...     assert rngs.fork().dropout() != rngs.dropout()
    """

    def __init__(self, default: Any = None, **rngs: Any) -> None:
        if isinstance(default, Mapping) and not isinstance(default, _NativeStream):
            rngs = {**default, **rngs}
        elif default is not None:
            rngs["default"] = default
        for name, value in rngs.items():
            key = functional.get_value(value.key) if is_stream(value) else value
            setattr(self, name, RngStream(key, tag=name))

    def _get_stream(self, name: str, error_type: type[Exception]) -> Any:
        if name[:2] == "__" == name[-2:]:
            raise error_type(name)  # Python asks for such names, and means no stream
        try:
            return super()._get_stream(name, error_type)
        except error_type as error:
            text = f"No RngStream named '{name}' found in Rngs"
            raise error_type(_worded(text, error)) from None

    def items(self) -> Any:
        """Pairs of a name and its stream."""
        return [(k, v) for k, v in vars(self).items() if is_stream(v)]

    def split(self, k: Shape | Mapping[Any, Shape | None]) -> Rngs:
        """New streams, each of an array of keys made of its next key.

        Args:
            k: how many keys or the shape of the array; or such by filter, ``None`` to
                take a stream as it is. Streams that no filter selects are taken as
                they are, too; their counts start anew.
        """
        return _each(self, k, split_stream, _same)

    def broadcast(self, k: Shape | Mapping[Any, Shape | None] | None) -> Rngs:
        """New streams, each of an array of keys that are all its next key.

        Args:
            k: as in ``split``.
        """
        return _each(self, k, broadcast_stream, _same)

    def fork(
        self, /, *, split: Shape | Mapping[Any, Shape | None] | None = None
    ) -> Rngs:
        """New streams that draw on their own, each starting with a next key.

        Args:
            split: how many, to split them as well; or such by filter.
        """
        return _each(self, split, split_stream, fork_stream)


def is_stream(value: Any) -> bool:
    return isinstance(value, _NativeStream)


def _same(stream: Any) -> Any:
    return stream


def _each(
    rngs: Any,
    shapes: Any,
    make: Callable[[Any, Shape], Any],
    otherwise: Callable[[Any], Any],
) -> Rngs:
    """A Rngs of streams made by the first rule that selects them.

    Args:
        rngs: any Rngs.
        shapes: a shape, or shapes by filter; where there is none, ``otherwise``.
        make: from a stream and a shape to the new one.
        otherwise: from a stream to the new one.
    """
    rules = by_filter(shapes)
    made = {}
    for name, stream in rngs.items():
        shape = next(
            (s for _, selects, s in rules if chosen(selects, (), stream)), None
        )
        made[name] = otherwise(stream) if shape is None else make(stream, shape)
    return Rngs(made)


def by_filter(shapes: Any) -> list[tuple[Any, Predicate, Any]]:
    """Rules from what may be one value for all streams, or values by filter."""
    if shapes is None:
        shapes = {}
    elif not isinstance(shapes, Mapping):
        shapes = {...: shapes}
    return [(wanted, to_predicate(wanted), s) for wanted, s in shapes.items()]


def chosen(selects: Predicate, path: Path, stream: Any) -> bool:
    """Whether a filter selects a stream; without a tag of its own, its key has it."""
    return selects(path, stream if "tag" in vars(stream) else stream.key)
