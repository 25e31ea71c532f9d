"""Names that are modules, on every release."""

from __future__ import annotations

import sys
import types

import jax.numpy as jnp
import pytest

import nnx_compat as nc
from nnx_compat import errors, facts, nnx
from nnx_compat.revisions import nnx as native

ANYWHERE = [
    *("bridge", "compat", "filterlib", "graph", "graphlib", "helpers", "metrics"),
    *("module", "nn", "optimizer", "proxy_caller", "reprlib", "rnglib", "spmd"),
    *("statelib", "tracers", "training", "transforms", "variablelib"),
    *("visualization", "wrappers"),
]


@pytest.mark.parametrize("name", ANYWHERE)
def test_a_name_of_a_module_is_a_module(name):
    assert isinstance(getattr(nnx, name), types.ModuleType)


def test_what_is_in_them_is_what_the_namespace_has():
    assert nnx.graphlib.GraphDef is nnx.GraphDef
    assert nnx.statelib.State is nnx.State
    assert nnx.variablelib.Param is nnx.Param
    assert issubclass(nnx.Rngs, nnx.rnglib.Rngs)
    assert nnx.module.Module is nnx.Module
    assert nnx.filterlib.All is nnx.All
    assert nnx.nn.linear.Linear is nnx.Linear
    assert nnx.spmd.get_partition_spec is nnx.get_partition_spec


NAMES = [
    (home, path[4:])
    for path in facts.names()
    if (home := facts.name(path).home)
    and facts.name(path).on(facts.releases()[-1].version)
]


def at(home):
    found = nnx
    for part in home.split("."):
        found = getattr(found, part)
    return found


@pytest.mark.parametrize(("home", "name"), NAMES)
def test_a_public_name_is_found_where_the_newest_flax_keeps_it(home, name):
    try:
        flat = getattr(nnx, name)
    except errors.RefusedNameError:
        with pytest.raises(errors.RefusedNameError):  # and so may be the module
            getattr(at(home), name)
    else:
        assert getattr(at(home), name) is flat


HERE = {home: name for home, name in NAMES if name in dir(nnx)}


@pytest.mark.parametrize(("home", "name"), HERE.items())
def test_a_name_in_a_module_is_looked_up_once(home, name):
    assert getattr(at(home), name) is vars(at(home))[name]


def test_what_is_private_to_a_file_of_flax_s_is_shown_as_it_is():
    file = sys.modules[native.State.__module__]
    private = [n for n in vars(file) if n[0] == "_" and n[:2] != "__"]
    assert [n for n in private if getattr(nnx.statelib, n) is not vars(file)[n]] == []


def test_functions_in_them_have_the_newest_meaning():
    model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    for namespace in (nnx.graphlib, nnx.compat):
        graphdef, state = namespace.split(model)
        assert nnx.merge(graphdef, state).out_features == 3
        assert len(list(namespace.iter_graph(model))) >= 3
    assert nnx.compat.jit(lambda m, x: m(x))(model, jnp.ones(2)).shape == (3,)
    assert "split" in dir(nnx.compat) and "split" in dir(nnx.graphlib)


def test_what_is_in_no_file_is_an_attribute_error():
    for namespace in (nnx.graphlib, nnx.compat, nnx.statelib):
        with pytest.raises(AttributeError, match="Linear"):
            namespace.Linear


@pytest.mark.parametrize(
    "name", ["extract", "traversals", "summary", "deprecations", "pytreelib", "object"]
)
def test_a_file_of_later_releases_is_there_or_refused(name):
    row = facts.treatment(f"nnx.{name}", nc.flax_version)
    if row and row.treatment == "refused":
        with pytest.raises(errors.RefusedNameError, match=name):
            getattr(nnx, name)
    else:
        assert isinstance(getattr(nnx, name), types.ModuleType)


def test_vanished_paths_are_kept_with_a_warning():
    with pytest.warns(errors.RemovedNameWarning, match="flax.errors"):
        assert issubclass(nnx.errors.TraceContextError, Exception)
    with pytest.warns(errors.RemovedNameWarning, match=r"nnx.graphlib"):
        assert nnx.graph_utils.GraphDef is nnx.GraphDef
    with pytest.warns(errors.RemovedNameWarning, match=r"nnx.bridge"):
        assert callable(nnx.compatibility.functional)
    with pytest.warns(errors.RemovedNameWarning, match=r"nnx.statelib"):
        inner = nnx.nnx
    assert inner.state.State is nnx.State
    assert inner.variables.Param is nnx.Param
    assert inner.module.Module is nnx.Module
