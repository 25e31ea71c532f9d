"""The functions of ``jax.random`` as methods of random streams."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn, TypeVar

import jax

from ...errors import RefusedNameError
from ...revisions import jax_version

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
