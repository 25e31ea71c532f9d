"""What other people's noxfiles use, and the example project that does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
from packaging.version import Version

import nnx_compat.nox as nc_nox
from nnx_compat import band, errors, facts, matrix

SOURCE = Path(nc_nox.__file__).parent.parent
EXAMPLE = Path(__file__).parent.parent / "examples" / "downstream"


# -- pairs --------------------------------------------------------------------------


def test_every_pair_works_natively_and_the_dated_ones_are_of_the_matrix():
    for pair in nc_nox.pairs(jax="each"):
        assert band.measured(pair.flax, pair.jax).works("native"), pair.id
    assert {p.id for p in nc_nox.pairs()} <= {p.id for p in matrix.pairs()}


def test_a_pair_is_flax_jax_python_and_constraints():
    row = facts.releases()[0]
    (pair,) = nc_nox.pairs(f"=={row.version}", jax="oldest")
    assert pair == (row.version, row.jax_oldest, "3.11", pair.constraints)
    assert pair.constraints[:3] == (
        f"flax=={row.version}",
        f"jax=={row.jax_oldest}",
        f"jaxlib<={row.jax_oldest}",
    )
    assert "numpy<2" in pair.constraints
    assert pair.id == f"flax-{row.version}__jax-{row.jax_oldest}"
    assert matrix.dated(row.version).uploaded_before != pair.uploaded_before == ""


def test_a_release_that_was_taken_back_is_no_pair():
    assert not {r.version for r in facts.releases(yanked=True) if r.yanked} & {
        pair.flax for pair in nc_nox.pairs(jax="each")
    }


@pytest.mark.parametrize("jax", ["oldest", "dated", "newest"])
def test_one_jax_a_release(jax):
    found = {p.flax: p.jax for p in nc_nox.pairs(jax=jax)}
    assert found == {r.version: getattr(r, f"jax_{jax}") for r in facts.releases()}


def test_each_jax_once_from_the_oldest_to_the_newest():
    for row in facts.releases():
        found = [p.jax for p in nc_nox.pairs(f"=={row.version}", jax="each")]
        assert found == sorted(set(found), key=Version)
        assert set(found) == {row.jax_oldest, row.jax_dated, row.jax_newest}


def test_per_minor_is_the_newest_in_the_specifier():
    found = [p.flax for p in nc_nox.pairs(">=0.9,<0.12.5", per="minor")]
    assert found == ["0.9.0", "0.10.7", "0.11.2", "0.12.4"]


def test_per_revision_is_the_first_and_the_last_in_the_specifier():
    found = [p.flax for p in nc_nox.pairs(">=0.9,<0.12.5", per="revision")]
    assert found == ["0.9.0", "0.10.7", "0.11.0", "0.12.0", "0.12.1", "0.12.4"]
    assert {r.name for r in facts.revisions()} == {
        facts.release(p.flax).revision for p in nc_nox.pairs(per="revision")
    }


@pytest.mark.parametrize(
    ("arguments", "found", "instead"),
    [
        (
            {"flax": "0.10"},
            "pairs('0.10'): not a version spec",
            'pairs(">=0.10,<0.12")',
        ),
        ({"flax": "flax>=0.10"}, "not a version specifier", 'pairs(">=0.10,<0.12")'),
        ({"flax": 0.1}, "not a version specifier", 'pairs(">=0.10,<0.12")'),
        (
            {"flax": ">99"},
            "no release of Flax is in it",
            f"some of {facts.releases()[0].version} to",
        ),
        ({"jax": "latest"}, "jax='latest' is no choice", "jax='each' or jax='oldest'"),
        ({"per": "patch"}, "per='patch' is no choice", "per='minor' or per='revision'"),
    ],
)
def test_a_wrong_argument_is_refused_with_what_to_write(arguments, found, instead):
    with pytest.raises(errors.ArgumentValueError) as raised:
        nc_nox.pairs(**arguments)
    first, second = str(raised.value).splitlines()
    assert found in first
    assert second.startswith("  instead: ") and instead in second


# -- install ------------------------------------------------------------------------


class Quit(Exception):
    """What nox raises from session.error."""


class CommandFailed(Exception):
    """What nox raises when a command fails."""


class Session:
    """Notes what it is asked, as a session of nox would be."""

    def __init__(self, backend="uv", python="3.11", fails=()):
        self.venv_backend = backend
        self.python = python
        self.fails = fails
        self.installed = []
        self.logged = []

    def run_install(self, *command, **options):
        assert command[0] == "python"
        return self.python and f"{self.python}\n"

    def install(self, *arguments):
        self.installed.append(arguments)
        if set(self.fails) & set(arguments):
            raise CommandFailed

    def log(self, text):
        self.logged.append(text)

    def error(self, text):
        raise Quit(text)


OLD, NEW = nc_nox.pairs("<0.9")[0], nc_nox.pairs(">=0.12")[-1]


def test_the_pair_comes_first_and_stays_when_the_packages_come():
    session = Session()
    nc_nox.install(session, OLD, ".", "pytest")
    assert session.installed == [
        (*OLD.constraints, "--exclude-newer", OLD.uploaded_before),
        (*OLD.constraints, ".", "pytest"),
    ]
    assert session.logged == []
    nc_nox.install(session, OLD)
    assert len(session.installed) == 3


@pytest.mark.parametrize("backend", ["virtualenv", "venv", "conda"])
def test_only_uv_is_given_a_date(backend):
    session = Session(backend)
    nc_nox.install(session, OLD)
    assert session.installed == [OLD.constraints]


def test_a_pair_that_is_not_dated_has_no_date():
    session = Session()
    (oldest,) = nc_nox.pairs(f"=={OLD.flax}", jax="oldest")
    nc_nox.install(session, oldest)
    assert session.installed == [oldest.constraints]


def test_a_session_without_an_environment_is_refused():
    session = Session("none")
    with pytest.raises(Quit, match=r"needs an environment of its own(.|\n)*instead:"):
        nc_nox.install(session, OLD)
    assert session.installed == []


def test_an_older_python_is_refused_and_a_newer_one_is_said():
    session = Session(python="3.9")
    with pytest.raises(Quit, match=r"needs CPython 3\.11 or later, and .* has 3\.9\n"):
        nc_nox.install(session, OLD)
    assert session.installed == []
    nc_nox.install(newer := Session(python="3.13"), OLD)
    assert newer.logged == [f"{OLD.id} was measured on CPython 3.11, this is 3.13"]
    nc_nox.install(told_to_install_nothing := Session(python=None), OLD)
    assert told_to_install_nothing.logged == []


@pytest.mark.parametrize("fails", ["--exclude-newer", "pytest"])
def test_a_failing_installer_ends_the_session_with_what_is_known(monkeypatch, fails):
    for name in ("nox", "nox.command"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    sys.modules["nox.command"].CommandFailed = CommandFailed
    with pytest.raises(Quit) as raised:
        nc_nox.install(Session(python=NEW.python, fails=[fails]), NEW, "pytest")
    assert f"{NEW.id} could not be installed, see above" in str(raised.value)
    assert f"beside packages that admit flax=={NEW.flax}" in str(raised.value)


# -- without Flax -------------------------------------------------------------------

WITHOUT_FLAX = """
import json, sys
sys.modules.update(flax=None, jax=None, jaxlib=None, numpy=None, nox=None)
import nnx_compat.nox
print(json.dumps([p.id for p in nnx_compat.nox.pairs(">=0.8", per="revision")]))
"""


def test_it_works_where_there_is_no_flax_jax_or_numpy():
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_FLAX],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    found = [p.id for p in nc_nox.pairs(">=0.8", per="revision")]
    assert json.loads(ran.stdout) == found


# -- the example --------------------------------------------------------------------


def test_the_noxfile_of_the_example_makes_a_session_of_each_pair(monkeypatch):
    """Read with a stand-in for nox; ``nox -s downstream`` runs it with the real one."""
    nox = types.ModuleType("nox")
    nox.options = types.SimpleNamespace()
    decorated = {}

    def session(function):
        decorated[function.__name__] = function
        return function

    def parametrize(names, values, ids):
        def decorate(function):
            function.rows = names, values, ids
            return function

        return decorate

    nox.session, nox.parametrize = session, parametrize
    nox.Session = Session
    monkeypatch.setitem(sys.modules, "nox", nox)
    text = (EXAMPLE / "noxfile.py").read_text(encoding="utf-8")
    exec(compile(text, "noxfile.py", "exec"), {"__name__": "noxfile"})
    names, values, ids = decorated["tests"].rows
    assert names == "python,pair"
    expected = nc_nox.pairs(">=0.8", per="revision")
    assert values == [(p.python, p) for p in expected]
    assert ids == [p.id for p in expected]
    ran = []
    one = Session()
    one.posargs, one.run = ["-x"], lambda *command: ran.append(command)
    decorated["tests"](one, OLD)
    assert one.installed[-1] == (*OLD.constraints, ".", "pytest>=8")
    assert ran == [("pytest", "-x")]


def test_the_example_passes_its_own_tests_here():
    paths = [str(SOURCE), str(EXAMPLE / "src")]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "nnx_compat.pytest_plugin",
         "-p", "no:cacheprovider"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths),
             "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""},
        cwd=EXAMPLE,
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert " passed" in ran.stdout
    assert "failed" not in ran.stdout
