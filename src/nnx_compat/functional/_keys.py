"""The same initial weights everywhere, and what the installed Flax has."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import jax

from .. import facts
from ..revisions import bound, flax_version


@contextlib.contextmanager
def reproducible_init() -> Iterator[None]:
    """Inside, the same seed gives the same initial weights on every release.

    Sets ``jax_threefry_partitionable``, whose default changed with jax 0.5, for this
    thread, and on the first two releases of NNX derives keys as all later ones do.
    Linear, Conv, ConvTranspose, Embed, Einsum, attention, LSTM and GRU layers agree
    within 2 ulp for one layer built from fresh ``Rngs``. What cannot hold: jaxlibs
    differ in the last bits of ``normal``; and where a Dropout is built from shared
    ``Rngs``, the layers after it get other keys from the release on that made Dropout
    fork a stream (``facts.behaviour("dropout-forks-its-rngs")``); give it a stream of
    its own, ``Rngs(0, dropout=1)``.

    Example:
        >>> import nnx_compat as nc
        >>> with nc.reproducible_init():
        ...     model = nc.nnx.Linear(3, 2, rngs=nc.nnx.Rngs(0))
        >>> round(float(nc.get_value(model.kernel)[0, 0]), 4)
        0.6179
    """
    with jax.threefry_partitionable(True), bound.stable_keys():
        yield


def supports(name: str, parameter: str | None = None, /) -> bool:
    """Whether the installed Flax has a public name of NNX, or a parameter of one.

    Answered from the facts, measured on every release; on a build newer than all of
    them it answers for the newest.

    Args:
        name: ``"nnx.List"``, ``"nnx.Variable.get_value"``.
        parameter: of a function or of a class's constructor.

    Raises:
        UnknownFactError: no release ever had that name.

    Example:
        >>> import nnx_compat as nc
        >>> nc.supports("nnx.Linear"), nc.supports("nnx.Linear", "rngs")
        (True, True)
    """
    return facts.name(name).on(flax_version, parameter)
