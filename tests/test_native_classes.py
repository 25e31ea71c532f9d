"""Classes that stand in for Flax's own."""

from collections.abc import MutableMapping

import pytest

from nnx_compat._nnx._native_classes import standing_in_for
from nnx_compat.revisions import nnx


class Streams(nnx.Rngs, metaclass=standing_in_for(nnx.Rngs)):
    pass


class MoreStreams(Streams):
    pass


class Layer(MutableMapping, nnx.Linear, metaclass=standing_in_for(nnx.Linear)):
    __getitem__ = __setitem__ = __delitem__ = __iter__ = __len__ = None


class Other(metaclass=standing_in_for(nnx.Variable, type)):
    """One that does not derive from Flax's."""


class Alone(nnx.Module, metaclass=standing_in_for(None)):
    """One where Flax has none."""


def linear():
    return nnx.Linear(2, 3, rngs=nnx.Rngs(0))


MADE_BY_FLAX = {
    Streams: lambda: nnx.Rngs(0),
    Layer: linear,
    Other: lambda: nnx.Param(1.0),
}


@pytest.mark.parametrize("kind", MADE_BY_FLAX, ids=lambda kind: kind.__name__)
def test_what_flax_makes_is_an_instance_of_the_class_that_stands_in(kind):
    made = MADE_BY_FLAX[kind]()
    assert isinstance(made, kind)
    assert issubclass(type(made), kind)


@pytest.mark.parametrize("kind", [MoreStreams, Layer, Other, Alone])
def test_nothing_else_is(kind):
    assert not isinstance(nnx.Module(), kind)
    assert not issubclass(nnx.Module, kind)
    assert not isinstance(1, kind)
    assert not issubclass(int, kind)


def test_a_class_that_derives_from_one_that_stands_in_is_like_any_other():
    assert not isinstance(nnx.Rngs(0), MoreStreams)
    assert isinstance(MoreStreams(0), MoreStreams)
    assert isinstance(MoreStreams(0), Streams)
    assert isinstance(MoreStreams(0), nnx.Rngs)
