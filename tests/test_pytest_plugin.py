"""The pytest plugin, run by pytest on small projects of its own."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import pytest

import nnx_compat as nc
from nnx_compat import facts, pytest_plugin
from nnx_compat.revisions import nnx as native

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parent.parent
SOURCE = Path(nc.__file__).parent.parent
# bound before any inner run, which forgets the modules that it was first to import
ROW = facts.release(facts.nearest(nc.flax_version))
NNX = "flax.nnx" if "flax.nnx" in sys.modules else "flax.experimental.nnx"
PLUGIN = pytest_plugin.__name__


@pytest.fixture
def run(pytester, monkeypatch):
    """Run a test file in a pytest that has this plugin and no other installed one."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(source, *arguments, **files):
        named = {name: textwrap.dedent(text) for name, text in files.items()}
        pytester.makepyfile(test_user=textwrap.dedent(source), **named)
        arguments = ("-p", "no:cacheprovider", *arguments)
        return pytester.runpytest_inprocess(*arguments, plugins=[pytest_plugin])

    return run


PLAIN = """
    def test_nothing():
        pass
"""


# -- silent until used --------------------------------------------------------------


def test_a_run_that_uses_nothing_of_it_shows_nothing_of_it(run):
    result = run(PLAIN)
    assert result.parseoutcomes() == {"passed": 1}
    assert "nnx" not in re.sub(r"rootdir: .*", "", result.stdout.str())
    assert "flax" not in result.stdout.str()


def test_it_imports_nothing_but_itself_until_used(tmp_path):
    file = tmp_path / "test_user.py"
    file.write_text(
        "import json, sys\n"
        "def test_nothing():\n"
        "    roots = ('flax', 'jax', 'packaging.specifiers')\n"
        "    found = [m for m in sys.modules if m in roots or 'nnx_compat' in m]\n"
        f"    open({str(tmp_path / 'found.json')!r}, 'w').write(json.dumps(found))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", PLUGIN, str(file)],
        env=os.environ
        | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(SOURCE)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = set(json.loads((tmp_path / "found.json").read_text()))
    assert found - {"packaging.specifiers"} == {"nnx_compat", PLUGIN}


def test_warnings_and_the_log_are_as_before_after_a_run(run):
    before = warnings.warn, list(logging.getLogger().handlers)
    run(PLAIN, "--nnx-deprecations=error").assert_outcomes(passed=1)
    assert (warnings.warn, list(logging.getLogger().handlers)) == before


def test_the_entry_point_is_this_module():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'[project.entry-points.pytest11]\nnnx_compat = "{PLUGIN}"\n' in text


# -- the line on what is installed --------------------------------------------------


LINE = f"nnx-compat: flax {nc.flax_version}, jax {nc.jax_version}, revision {nc.revision}, a measured pair"


def test_the_option_puts_it_into_the_header(run):
    lines = run(PLAIN, "--nnx-deprecations=warn").outlines
    assert lines.count(LINE) == 1
    assert lines.index(LINE) < lines.index("collected 1 item")


@pytest.mark.parametrize(
    "used",
    [
        "import pytest\n@pytest.mark.flax('>=0.8')\ndef test_it(): pass",
        "import pytest\n@pytest.mark.jax('>=0.4')\ndef test_it(): pass",
        "def test_it(nnx_release): pass",
    ],
)
def test_a_mark_or_the_fixture_puts_it_after_the_collection(run, used):
    result = run(used)
    result.assert_outcomes(passed=1)
    assert result.outlines.count(LINE) == 1
    assert LINE not in run(used, "-q").outlines


def test_it_says_what_a_pair_was_measured_with_when_this_one_was_not(run, monkeypatch):
    monkeypatch.setattr("jax.__version__", "0.3.0")
    lines = run(PLAIN, "--nnx-deprecations=warn").outlines
    assert (
        f"nnx-compat: flax {nc.flax_version}, jax 0.3.0, revision {nc.revision}, "
        f"not measured: flax {ROW.version} was with jax {ROW.jax_oldest} to "
        f"{ROW.jax_newest}"
    ) in lines


# -- marks --------------------------------------------------------------------------


def test_a_mark_skips_where_the_release_is_not_in_it(run):
    result = run(
        f"""
        import pytest

        @pytest.mark.flax("=={nc.flax_version}")
        @pytest.mark.jax("<={nc.jax_version}", reason="it says so")
        def test_runs():
            pass

        @pytest.mark.flax("!={nc.flax_version}")
        def test_flax():
            raise AssertionError

        @pytest.mark.flax(">=0.8")
        @pytest.mark.jax("<{nc.jax_version}", reason="the reason of the test")
        def test_jax(fixture_that_does_not_exist_and_is_not_asked):
            raise AssertionError
        """,
        "-rs",
    )
    result.assert_outcomes(passed=1, skipped=2)
    result.stdout.fnmatch_lines(
        [
            f"SKIPPED * test_user.py:8: needs flax !={nc.flax_version}, found {nc.flax_version}",
            f"SKIPPED * needs jax <{nc.jax_version}, found {nc.jax_version}: the reason of the test",
        ]
    )


def test_marks_of_a_class_and_a_module_hold_for_their_tests(run):
    result = run(
        f"""
        import pytest

        pytestmark = pytest.mark.flax(">=0.8")

        @pytest.mark.flax("!={nc.flax_version}")
        class TestOne:
            @pytest.mark.flax(">=0.8")
            def test_it(self):
                raise AssertionError

        def test_two():
            pass
        """
    )
    result.assert_outcomes(passed=1, skipped=1)


def test_a_build_counts_as_its_release(run, monkeypatch):
    monkeypatch.setattr("flax.__version__", f"{nc.flax_version}.dev1+abc")
    source = (
        f"import pytest\n@pytest.mark.flax('>={nc.flax_version}')\ndef test_it(): pass"
    )
    run(source).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        ("flax('0.11')", 'flax(">=0.11")'),
        ("flax('> = 0.11')", 'flax(">=0.11")'),
        ("jax('')", 'jax(">=0.11")'),
        ("jax(0.6)", 'jax(">=0.6")'),
        ("flax('>=0.8', '<0.12')", 'flax(">=0.11")'),
        ("jax('<0.7', because='x')", 'jax(">=0.11")'),
    ],
)
def test_a_wrong_specifier_is_a_usage_error_that_names_the_test(run, written, instead):
    result = run(f"import pytest\n@pytest.mark.{written}\ndef test_it(): pass")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    text = result.stderr.str()
    assert f"test_user.py::test_it: @pytest.mark.{written} is not one version" in text
    assert f"instead: @pytest.mark.{instead}" in text
    assert "or:      -p no:nnx_compat" in text


def test_in_a_worker_of_xdist_a_wrong_specifier_fails_its_test_and_no_other(
    run, pytester
):
    """A worker that ends with a usage error is a crash to its controller."""
    pytester.makeconftest("def pytest_configure(config): config.workerinput = {}")
    result = run(
        """
        import pytest

        @pytest.mark.flax("0.11")
        def test_wrong():
            pass

        def test_right():
            pass
        """
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["*test_wrong: @pytest.mark.flax('0.11') is not one version specifier*"]
    )


def test_a_mark_of_the_same_name_without_a_specifier_is_somebody_elses(run):
    result = run(
        """
        import pytest

        @pytest.mark.jax
        @pytest.mark.flax(devices=8)
        def test_it():
            pass
        """,
        "--strict-markers",
    )
    result.assert_outcomes(passed=1)
    assert "nnx-compat" not in result.stdout.str()


def test_the_marks_are_listed(run):
    text = run(PLAIN, "--markers").stdout.str()
    assert "@pytest.mark.flax(specifier, reason=''): skip where" in text
    assert "@pytest.mark.jax(specifier, reason=''): skip where" in text


# -- the fixture --------------------------------------------------------------------


def test_the_fixture_is_what_the_facts_know_of_the_installed_flax(nnx_release_of):
    assert nnx_release_of(nc.flax_version) == ROW
    assert nnx_release_of("99.0") == facts.releases()[-1]


def test_a_failed_test_says_what_is_known_of_its_native_error(run):
    """Of one that the facts know, and of no other."""
    lacking = next(
        row.path.removeprefix("nnx.")
        for row in map(facts.name, facts.names())
        if row.path.count(".") == 1
        and not row.on(facts.nearest(nc.flax_version))
        and not hasattr(native, row.path.removeprefix("nnx."))
    )
    result = run(
        f"""
        from nnx_compat.revisions import nnx

        def test_known():
            nnx.{lacking}

        def test_other():
            raise AttributeError("module 'flax.nnx' has no attribute '{lacking}'")

        def test_passes():
            assert nnx.Linear
        """
    )
    result.assert_outcomes(failed=2, passed=1)
    text = result.stdout.str()
    assert text.count("what nnx-compat knows of this error") == 1
    assert f"nnx-compat explain nnx.{lacking}" in text


def test_without_flax_marks_skip_and_the_fixture_says_so(run, monkeypatch):
    monkeypatch.setattr(pytest_plugin, "_version", lambda package: None)
    result = run(
        """
        import pytest

        @pytest.mark.flax(">=0.8")
        def test_marked():
            raise AssertionError

        def test_asked(nnx_release):
            raise AssertionError
        """,
        "-rs",
    )
    result.assert_outcomes(skipped=1, errors=1)
    lines = [
        "nnx-compat: flax not installed, jax not installed",
        "*UnsupportedFlaxError: nnx_release is of the installed flax, and*",
        "E *instead: pip install 'flax>=*'",
        "SKIPPED * needs flax >=0.8, which is not installed",
    ]
    result.stdout.fnmatch_lines(lines)


@pytest.fixture
def nnx_release_of(run, monkeypatch, tmp_path):
    def row(version):
        monkeypatch.setattr("flax.__version__", version)
        out = tmp_path / "row"
        run(
            f"""
            def test_it(nnx_release):
                with open({str(out)!r}, "w") as file:
                    file.write(nnx_release.version)
            """
        ).assert_outcomes(passed=1)
        return facts.release(out.read_text())

    return row


# -- deprecations -------------------------------------------------------------------

# One module of Flax is stood in for by a file whose frames are Flax's by name: the same
# ways of warning on every release, whatever it has deprecated.
FLAX = """
    import warnings

    __name__ = "flax.nnx.standing_in"

    def plain():
        warnings.warn("plain is deprecated", DeprecationWarning)

    def right():
        warnings.warn("right is deprecated", DeprecationWarning, stacklevel=2)

    def inner():
        right()

    def as_user():
        warnings.warn("Hooks are deprecated. Use others")

    def unrelated():
        warnings.warn("found unknown paths")

    def calls(function):
        return function()
"""
USER = """
    import functools, warnings
    import jax, pytest
    import standing_in as flax

    def test_plain():
        flax.plain()  # caused: plain

    def test_right():
        flax.right()  # caused: right

    def test_inner():
        flax.inner()  # caused: inner

    def test_as_user():
        flax.as_user()  # caused: as_user

    def test_in_a_callback_of_flax():
        def callback():
            flax.plain()  # caused: callback
        flax.calls(callback)

    def test_through_jax():
        jax.jit(lambda x: (flax.plain(), x)[1])(1.0)  # caused: through jax

    def test_through_functools():
        functools.partial(flax.calls, flax.plain)()  # caused: through functools
"""
CAUSED = {
    name: number
    for number, line in enumerate(textwrap.dedent(USER).strip().splitlines(), 1)
    for name in re.findall("# caused: (.*)", line)
}


def test_error_fails_the_line_that_caused_it(run):
    result = run(USER, "--nnx-deprecations=error", standing_in=FLAX)
    result.assert_outcomes(failed=7)
    text = result.stdout.str()
    assert "FlaxUserDeprecationWarning: Hooks are deprecated. Use others" in text
    assert "FlaxDeprecationWarning: plain is deprecated" in text


def test_warn_shows_the_line_that_caused_it(run):
    result = run(USER, "--nnx-deprecations=warn", standing_in=FLAX)
    result.assert_outcomes(passed=7, warnings=7)
    found = re.findall(
        r"test_user\.py:(\d+): Flax(?:User)?DeprecationWarning", result.stdout.str()
    )
    assert sorted(map(int, found)) == sorted(CAUSED.values())
    assert "standing_in.py" not in result.stdout.str()


def test_warn_shows_them_where_a_filter_of_the_project_hides_them(run, pytester):
    pytester.makeini(
        "[pytest]\nfilterwarnings =\n  ignore::DeprecationWarning\n  ignore::UserWarning\n"
    )
    run(USER, standing_in=FLAX).assert_outcomes(passed=7)
    result = run(USER, "--nnx-deprecations=warn", standing_in=FLAX)
    result.assert_outcomes(passed=7, warnings=7)


def test_ignore_hides_them_and_no_other(run, pytester):
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    run(USER, "--nnx-deprecations=ignore", standing_in=FLAX).assert_outcomes(passed=7)
    other = """
        import warnings
        import pytest
        import standing_in as flax

        def test_own():
            with pytest.raises(DeprecationWarning, match="own"):
                warnings.warn("own is deprecated", DeprecationWarning)

        def test_unrelated():
            with pytest.raises(UserWarning, match="unknown paths"):
                flax.unrelated()
    """
    run(other, "--nnx-deprecations=ignore", standing_in=FLAX).assert_outcomes(passed=2)


def test_without_the_option_nothing_is_moved(run):
    result = run(USER, standing_in=FLAX)
    assert "FlaxDeprecationWarning" not in result.stdout.str()
    assert "standing_in.py" in result.stdout.str()


def test_a_mark_and_a_test_that_expects_the_warning_still_win(run):
    source = """
        import pytest
        import standing_in as flax

        @pytest.mark.filterwarnings("ignore:plain")
        def test_marked():
            flax.plain()

        def test_expected():
            with pytest.warns(DeprecationWarning, match="plain") as caught:
                flax.plain()
            assert caught[0].filename == __file__
            with pytest.warns(UserWarning, match="Hooks"):
                flax.as_user()
            with pytest.deprecated_call():
                flax.right()
    """
    run(source, "--nnx-deprecations=error", standing_in=FLAX).assert_outcomes(passed=2)


def test_warnings_of_others_keep_their_lines(run):
    source = """
        import os, sys, warnings
        import pytest

        def direct():
            warnings.warn("one")

        def caller():
            warnings.warn("two", DeprecationWarning, stacklevel=2)

        def instance():
            warnings.warn(FutureWarning("three"), stacklevel=3)

        def zero():
            warnings.warn("four", stacklevel=0)

        def outside():
            here = (os.path.dirname(__file__),)
            warnings.warn("five", skip_file_prefixes=here)

        def lines(function):
            with pytest.warns(Warning) as caught:
                function()
            return [(w.filename, w.lineno, w.category) for w in caught]

        functions = [direct, caller, instance, zero]
        functions += [outside] if sys.version_info >= (3, 12) else []

        def everywhere():
            return [lines(f) for f in functions]

        def test_they_do():
            moving = warnings.warn
            found = everywhere()
            assert type(moving).__name__ == "function"
            warnings.warn = moving.__closure__[0].cell_contents
            try:
                assert type(warnings.warn).__name__ == "builtin_function_or_method"
                assert everywhere() == found
            finally:
                warnings.warn = moving
    """
    run(source, "--nnx-deprecations=error").assert_outcomes(passed=1)


def test_what_is_deprecated_at_import_points_to_the_import(run):
    source = """
        from standing_in import old

        def test_it():
            pass
    """
    module = """
        import warnings

        __name__ = "flax.nnx.standing_in"

        def __getattr__(name):
            if name == "old":
                warnings.warn("old was removed", DeprecationWarning)
                return None
            raise AttributeError(name)
    """
    result = run(source, "--nnx-deprecations=error", standing_in=module)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["test_user.py:1: in <module>", "*old was removed"])


def test_what_flax_only_logs_is_a_deprecation_too(run):
    source = """
        import standing_in as flax

        def test_it():
            flax.logged()
    """
    module = """
        from absl import logging

        __name__ = "flax.experimental.standing_in"

        def logged():
            logging.warning("they will share parameters")
            logging.warning("flax.experimental.x is deprecated")
    """
    result = run(source, "--nnx-deprecations=warn", standing_in=module)
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(
        ["*test_user.py:4: FlaxUserDeprecationWarning: flax.experimental.x is deprec*"]
    )
    run(source, "--nnx-deprecations=error", standing_in=module).assert_outcomes(
        failed=1
    )


def test_a_conftest_is_watched_too(run, pytester):
    pytester.makeconftest("import standing_in\nstanding_in.plain()\n")
    result = run(PLAIN, "--nnx-deprecations=warn", standing_in=FLAX)
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(["*conftest.py:2: FlaxDeprecationWarning: plain*"])


def test_it_says_so_when_warnings_are_switched_off(run):
    result = run(PLAIN, "-p", "no:warnings", "--nnx-deprecations=error")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "leave out -p no:warnings" in result.stderr.str()


def test_another_action_is_refused(run):
    result = run(PLAIN, "--nnx-deprecations=fail")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "invalid choice: 'fail'" in result.stderr.str()


# -- what the installed release itself has deprecated -------------------------------

NATIVE = f"""
    import jax, jax.numpy as jnp
    import {NNX} as nnx

    class Net(nnx.Module):
        def __init__(self, rngs):
            self.dense = nnx.Linear(4, 4, rngs=rngs)
            self.norm = nnx.BatchNorm(4, use_running_average=False, rngs=rngs)

        def __call__(self, x):
            return self.norm(self.dense(x))
"""


def test_plain_native_code_has_no_deprecation_on_any_release(run):
    source = (
        NATIVE
        + """
    import nnx_compat as nc

    def test_it():
        model = Net(nnx.Rngs(0))
        x = jnp.ones((2, 4))
        graphdef, state = nc.split(model)
        merged = nc.merge(graphdef, jax.tree_util.tree_map(lambda a: a, state))
        jax.jit(lambda s: nc.merge(graphdef, s)(x))(state)
        merged(x), repr(state), repr(model), nc.clone(model)
        nc.update(model, state)
        attention = nnx.MultiHeadAttention(
            num_heads=2, in_features=4, qkv_features=4, decode=False, rngs=nnx.Rngs(0)
        )
        attention(jnp.ones((1, 3, 4)))
    """
    )
    run(source, "--nnx-deprecations=error").assert_outcomes(passed=1)


def test_what_this_release_has_deprecated_points_to_the_user(run):
    """The methods of State, VariableState, hooks and .value, where it says so."""
    version = nc.flax_version
    source = (
        NATIVE
        + """
    def test_methods_of_state():
        model = Net(nnx.Rngs(0))
        state = nnx.state(model) if hasattr(nnx, "state") else model.get_state()
        state.flat_state()  # methods of state

    def test_hooks():
        if hasattr(nnx, "with_metadata"):
            nnx.with_metadata(lambda: 1.0, on_set_value=lambda v, x: x)  # hooks

    def test_value():
        nnx.Param(jnp.ones(1)).value  # value
    """
    )
    expected = {}
    if facts.behaviour(STATE_METHODS).holds(version):
        expected["methods of state"] = 1
    if facts.behaviour("variable-value-is-deprecated").holds(version):
        expected["value"] = 1
    hooks = _warns_of_hooks()
    if hooks:
        expected["hooks"] = 1
    lines = textwrap.dedent(source).strip().splitlines()
    at = {
        n: i
        for i, line in enumerate(lines, 1)
        for n in expected
        if line.endswith(f"# {n}")
    }
    result = run(source, "--nnx-deprecations=warn")
    result.assert_outcomes(passed=3, warnings=len(expected))
    found = re.findall(
        r"test_user\.py:(\d+): Flax(?:User)?DeprecationWarning", result.stdout.str()
    )
    assert sorted(map(int, found)) == sorted(at.values())


def _warns_of_hooks():
    nnx = sys.modules[NNX]
    if not hasattr(nnx, "with_metadata"):
        return False
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        nnx.with_metadata(lambda: 1.0, on_set_value=lambda v, x: x)
    return any("deprecated" in str(w.message) for w in caught)


STATE_METHODS = next(
    b.id for b in facts.behaviours() if b.text.startswith("The methods of State (")
)
