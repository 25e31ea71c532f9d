"""The differential judge: programs, their results on the newest Flax, the count."""

from __future__ import annotations

import json

import jax
import pytest

import nnx_compat as nc
from tools import differential

PROGRAMS = differential.programs(differential.PROGRAMS.read_text())
EXPECTED = json.loads(differential.RESULTS.read_text())

#: Programs whose results are the newest ones on every release from the first with
#: streams that are state.
SURE = (
    "linear",
    "dropout",
    "dropout before linear",
    "scan layers dropout",
    "partition spec",
    "sequential kwargs",
    "average mask",
)


@pytest.fixture
def partitionable():
    before = jax.config.jax_threefry_partitionable
    yield
    jax.config.update("jax_threefry_partitionable", before)


def test_every_program_has_a_result():
    assert list(EXPECTED) == list(PROGRAMS)
    assert len(PROGRAMS) > 100
    for source in PROGRAMS.values():
        compile(source, "<program>", "exec")


@pytest.mark.skipif(not hasattr(nc.nnx, "split_rngs"), reason="streams are static")
@pytest.mark.parametrize("name", SURE)
def test_the_drop_in_namespace_gives_what_the_newest_flax_gives(name, partitionable):
    given = differential.given(nc.nnx, nc)
    found = differential.result(PROGRAMS[name], given, nc)
    assert found["gives"] == EXPECTED[name]["gives"]


def test_outcomes_are_told_apart():
    expected = {name: {"gives": "1"} for name in "abcdf"} | {"e": {"error": "x"}}
    found = {
        "a": {"gives": "1"},
        "b": {"gives": "2"},
        "c": {"refused": "why"},
        "d": {"error": "TypeError"},
        "e": {"gives": "1"},
        "f": {"gives": "2", "warned": "nnx.split"},
    }
    assert differential.compared(found, expected) == {
        "agree": ["a"],
        "different": ["b"],
        "warned": ["f"],
        "refused": ["c"],
        "error": ["d"],
    }


def test_a_program_that_is_refused_or_fails_says_so(partitionable):
    given = differential.given(nc.nnx, nc)
    refused = differential.result("nnx.Jit", dict(given), nc)
    failed = differential.result("1 / 0", dict(given), nc)
    assert list(failed) == ["error"] and "ZeroDivisionError" in failed["error"]
    assert list(refused) == ["refused"] or nc.supports("nnx.Jit")
