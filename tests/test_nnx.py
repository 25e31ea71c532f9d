"""The drop-in namespace as a whole: what each name is, and that none is missing."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
import types
import warnings

import pytest

import nnx_compat as nc
import nnx_compat.nnx as imported
from nnx_compat import errors, facts, nnx
from nnx_compat.revisions import nnx as native

NEWEST = facts.releases()[-1].version
PUBLIC = [
    path[4:]
    for path in facts.names()
    if path.count(".") == 1 and facts.name(path).on(NEWEST)
]
#: Those that are Flax's here; the rest are ours or refused: the tests of their topics.
NATIVE = [
    name
    for name in PUBLIC
    if nc.supports(f"nnx.{name}")
    and facts.treatment(f"nnx.{name}", nc.flax_version) is None
]
REMOVED = [
    name
    for name, rows in facts.treatments().items()
    if rows[0].treatment == "deprecated"
]


def test_it_is_one_module_however_it_is_imported():
    from nnx_compat.nnx import Linear, Rngs

    assert nc.nnx is nnx is imported
    assert isinstance(nnx, types.ModuleType)
    assert Linear(1, 2, rngs=Rngs(0)).out_features == 2


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_of_the_newest_release_resolves_or_says_why_not(name):
    try:
        value = getattr(nnx, name)
    except errors.RefusedNameError as error:
        row = facts.treatment(f"nnx.{name}", nc.flax_version)
        assert row is not None
        assert row.treatment == "refused"
        assert row.why in str(error)
        assert row.instead in str(error)
        assert "[NC101]" in str(error)
        assert name not in dir(nnx)
    else:
        assert value is not None
        assert name in dir(nnx)


@pytest.mark.parametrize("name", NATIVE)
def test_flax_s_own_object_where_it_means_what_it_means_today(name):
    ours, theirs = getattr(nnx, name), getattr(native, name)
    if isinstance(theirs, types.ModuleType):
        assert isinstance(ours, types.ModuleType)  # what is in it: test_nnx_paths.py
    elif ours is not theirs:  # it takes the newest's arguments, and does the same
        assert ours.__wrapped__ is theirs
        added = inspect.signature(ours).parameters.keys()
        lacking = added - inspect.signature(theirs).parameters.keys()
        assert lacking
        assert lacking <= {row.name for row in facts.parameters()}


@pytest.mark.skipif(nc.flax_version != NEWEST, reason="about the newest release")
def test_on_the_newest_release_everything_is_flax_s_own():
    # all but the one that Flax itself is about to drop, and the module that shows it
    public = [n for n in PUBLIC if n not in ("VariableState", "variablelib")]
    assert [n for n in public if getattr(nnx, n) is not getattr(native, n)] == []


def test_as_many_names_as_the_facts_say_resolve():
    found = 0
    for name in PUBLIC:
        try:
            getattr(nnx, name)
        except errors.RefusedNameError:
            continue
        found += 1
    assert found == len(facts.resolved(nc.flax_version))


@pytest.mark.parametrize("path", REMOVED)
def test_a_removed_name_is_kept_with_a_warning_that_names_the_replacement(path):
    name = path[4:]
    row = facts.treatment(path, nc.flax_version)
    if row.treatment == "refused":
        with pytest.raises(errors.RefusedNameError, match="instead"):
            getattr(nnx, name)
    else:
        with pytest.warns(errors.RemovedNameWarning) as caught:
            value = getattr(nnx, name)
        assert row.instead in str(caught[0].message)
        assert caught[0].filename == __file__
        assert value is not None
        assert name not in dir(nnx)


def test_a_name_that_never_was_is_python_s_usual_error_with_a_suggestion():
    with pytest.raises(AttributeError, match="no attribute 'Lineer'.*'Linear'"):
        nnx.Lineer
    with pytest.raises(ImportError):
        from nnx_compat.nnx import Lineer  # noqa: F401


def test_a_name_is_looked_up_once():
    assert nnx.Linear is vars(nnx)["Linear"]


def test_the_table_of_contents_is_what_the_files_have():
    contents = {}
    for name, place in facts.backports().items():
        contents.setdefault(place, []).append(name)
        assert f"nnx.{name}" in facts.names(), name
    for place, names in contents.items():
        module = importlib.import_module(f"nnx_compat._nnx.{place}")
        assert sorted(module.__all__) == sorted(names), place


def test_no_row_is_left_over():
    """A name that is refused where Flax has it, or replaced where it has not."""
    for path, rows in facts.treatments().items():
        for row in rows:
            for release in facts.releases():
                if not any(release.version in i for i in row.intervals):
                    continue
                if path in facts.names() and row.treatment in ("refused", "replaced"):
                    has = facts.name(path).on(release.version)
                    assert has == (row.treatment == "replaced"), (path, release.version)


def test_importing_it_touches_nothing_of_flax():
    code = (
        "import sys; import nnx_compat; from nnx_compat.revisions import nnx as native\n"
        "def look(): return {k: dict(vars(m)) for k, m in sys.modules.items()"
        " if k.split('.')[0] == 'flax'}\n"
        "kinds = [v for v in vars(native).values() if isinstance(v, type)]\n"
        "before, classes = look(), [dict(vars(k)) for k in kinds]\n"
        "from nnx_compat import nnx\n"
        "import warnings; warnings.simplefilter('ignore')\n"
        "for n in dir(nnx): getattr(nnx, n)\n"
        "after = look()\n"
        "assert all(after[k].items() >= before[k].items() for k in before"
        " if all(v is after[k].get(n, v) for n, v in before[k].items())), 'modules'\n"
        "for k in before:\n"
        "    changed = [n for n, v in before[k].items() if after[k].get(n) is not v]\n"
        "    assert not changed, (k, changed)\n"
        "for k, was in zip(kinds, classes):\n"
        "    now = dict(vars(k))\n"
        "    changed = [n for n in was.keys() | now.keys()"
        " if was.get(n) is not now.get(n) and not n.startswith('_abc')]\n"
        "    assert not changed, (k, changed)\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


def test_warnings_of_flax_s_own_do_not_come_through():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", nc.errors.OlderMeaningWarning)
        for name in dir(nnx):
            getattr(nnx, name)
