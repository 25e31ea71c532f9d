"""Choosing a revision: by the facts, by probing, by plug-in; and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import types
import warnings
from pathlib import Path

import pytest

import nnx_compat as nc
from nnx_compat import errors, facts, revisions
from nnx_compat.revisions import nnx

SOURCE = Path(nc.__file__).parent.parent


def run(code, *, path=(), check=True, **env):
    """Run code in a fresh interpreter, with folders before everything else."""
    before = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    where = os.pathsep.join([*map(str, path), str(SOURCE), *filter(None, before)])
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": where, **env},
        check=check,
        capture_output=True,
        text=True,
    )


def fake_flax(folder, version, *, nnx=True, source="pass"):
    """A package ``flax`` of some version, with its distribution metadata."""
    package = folder / "flax"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f"__version__ = {version!r}\n")
    if nnx:
        (package / "nnx.py").write_text(source)
    info = folder / f"flax-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: flax\nVersion: {version}\n"
    )
    return folder


def test_the_installed_release_has_the_revision_of_the_facts():
    row = facts.release(facts.nearest(nc.flax_version))
    assert nc.revision == row.revision


def test_probing_finds_the_revision_that_the_facts_name():
    matching = [
        r.name for r in facts.revisions() if revisions.load(r.name).matches(nnx)
    ]
    assert matching == [nc.revision]


@pytest.mark.parametrize("suffix", ["+abc", ".dev20260101", "rc1", "+g1234.d2026"])
def test_a_build_whose_version_proves_nothing_is_probed(suffix):
    """The real code under a version that lies: of another release, and a local one."""
    served = facts.releases()
    for release in (served[0].version, served[len(served) // 2].version, "0.12.8"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            chosen = revisions.choose(nnx, release + suffix)
        assert chosen.name == nc.revision


def test_a_version_string_that_is_none_is_probed():
    assert revisions.choose(nnx, "unknown").name == nc.revision


def test_a_checkout_that_states_a_release_is_probed(tmp_path):
    """A source tree on the path carries the number of a release and another code."""
    source = """
    class Variable:
        def get_value(self): ...
    def split(): ...
    """
    stated = facts.releases()[0].version
    fake_flax(tmp_path, stated, source=textwrap.dedent(source))
    (tmp_path / f"flax-{stated}.dist-info" / "direct_url.json").write_text("{}")
    code = """
    import flax.nnx
    import importlib.metadata
    from nnx_compat import facts
    import sys, types
    # choose alone: binding to a fake would need all of NNX
    sys.modules["nnx_compat.revisions.stub"] = types.ModuleType("stub")
    import importlib.util
    spec = importlib.util.find_spec("nnx_compat.revisions")
    text = open(spec.origin).read().replace("bound, nnx, flax_version = bind()", "")
    text = text.replace("revision = bound.name", "")
    module = types.ModuleType("nnx_compat.revisions")
    module.__path__ = list(spec.submodule_search_locations)
    module.__package__ = "nnx_compat.revisions"
    sys.modules["nnx_compat.revisions"] = module
    exec(compile(text, spec.origin, "exec"), module.__dict__)
    print(module.choose(flax.nnx, flax.__version__).name)
    """
    assert run(code, path=[tmp_path]).stdout.strip() == "get_value"


def test_a_release_newer_than_all_gets_the_newest_revision_and_one_warning():
    with pytest.warns(
        errors.UntestedFlaxWarning, match=r"flax 99\.0\.0 is newer"
    ) as caught:
        chosen = revisions.choose(nnx, "99.0.0")
    assert chosen.name == facts.revisions()[-1].name
    assert len(caught) == 1


def test_flax_from_before_nnx_is_refused_with_the_command_that_mends_it(tmp_path):
    fake_flax(tmp_path, "0.7.5", nnx=False)
    ran = run(
        """
        try:
            from nnx_compat import split
        except ImportError as error:
            print(type(error).__name__)
            print(error)
        """,
        path=[tmp_path],
    )
    assert ran.stdout == (
        "UnsupportedFlaxError\n"
        f"flax 0.7.5 has no NNX; nnx-compat serves {OLDEST} and later. [NC001]\n"
        f"  instead: pip install --upgrade 'flax>={OLDEST}'\n"
    )


def test_an_old_flax_with_an_nnx_of_its_own_is_refused(tmp_path):
    fake_flax(tmp_path, "0.7.9")
    ran = run("import nnx_compat; nnx_compat.merge", path=[tmp_path], check=False)
    assert "UnsupportedFlaxError: flax 0.7.9 is installed" in ran.stderr
    assert f"instead: pip install --upgrade 'flax>={OLDEST}'" in ran.stderr


def test_without_flax_the_error_says_so(tmp_path):
    hide = tmp_path / "flax.py"
    hide.write_text(
        "raise ModuleNotFoundError(\"No module named 'flax'\", name='flax')"
    )
    ran = run("import nnx_compat; nnx_compat.split", path=[tmp_path], check=False)
    assert "UnsupportedFlaxError: flax is not installed. [NC001]" in ran.stderr
    assert run("import nnx_compat.facts", path=[tmp_path]).returncode == 0


def test_a_flax_that_its_jax_breaks_is_told_apart(tmp_path):
    source = "raise ImportError(\"cannot import name 'MainTrace' from 'jax.core'\")"
    fake_flax(tmp_path, "0.8.5", source=source)
    ran = run("import nnx_compat; nnx_compat.split", path=[tmp_path], check=False)
    row = facts.release("0.8.5")
    assert "flax 0.8.5 cannot be imported with jax" in ran.stderr
    assert "cannot import name 'MainTrace'" in ran.stderr
    assert f"pip install 'jax>={row.jax_oldest},<={row.jax_newest}'" in ran.stderr


def test_importing_changes_nothing_outside():
    code = """
    import json, sys, warnings
    import flax
    try:
        from flax import nnx
    except ImportError:
        from flax.experimental import nnx
    import jax
    def look():
        named = {f"nnx.{n}": id(v) for n, v in vars(nnx).items()}
        for cls in (nnx.Variable, nnx.Module, nnx.State, nnx.Rngs, nnx.RngStream):
            named |= {f"{cls.__name__}.{n}": id(v) for n, v in vars(cls).items()}
        named |= {f"jax.{n}": str(v) for n, v in jax.config.values.items()}
        named["filters"] = len(warnings.filters)
        return named
    before = look()
    import nnx_compat as nc
    nc.split, nc.pure_state_update
    with nc.reproducible_init():
        pass
    after = look()
    print(json.dumps([k for k in after if before.get(k) != after[k]]))
    """
    assert json.loads(run(code).stdout) == []


def test_nothing_of_ours_warns():
    """Under -W error: import, and every kind of access."""
    code = """
    import warnings
    warnings.simplefilter("error", DeprecationWarning)
    import nnx_compat as nc
    from nnx_compat import nnx
    import jax.numpy as jnp, jax
    class Model(nnx.Module):
        def __init__(self, rngs):
            self.linear = nnx.Linear(3, 2, rngs=rngs)
            self.norm = nnx.BatchNorm(2, use_running_average=False, rngs=rngs)
        def __call__(self, x):
            return self.norm(self.linear(x))
    model = Model(nnx.Rngs(0))
    graphdef, params, rest = nc.split(model, nnx.Param, ...)
    nc.merge(graphdef, params, rest)(jnp.ones((2, 3)))
    for v in nc.variables(model).values():
        nc.set_value(v, nc.get_value(v)); nc.set_metadata(v, a=1); nc.get_metadata(v)
    state = nc.state(model)
    nc.from_pure_dict(state, nc.to_pure_dict(state))
    nc.merge_state(*nc.split_state(state, nnx.Param, ...))
    nc.map_state(lambda p, leaf: nc.get_value(leaf), state)
    nc.update(model, state); nc.clone(model); list(nc.iter_modules(model))
    nc.pop(model, nnx.BatchStat)
    nc.pure_state_update(0, jnp.ones(3), 2, 2.0)
    print("quiet")
    """
    assert run(code).stdout == "quiet\n"


# -- plug-ins -----------------------------------------------------------------------


def plugin(folder, name, entry, source):
    """A package with an entry point of our group, installed into a folder by pip's rules."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(textwrap.dedent(source))
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    )
    (info / "entry_points.txt").write_text(f"[{revisions.GROUP}]\n{entry}\n")
    return folder


OLDEST = facts.releases()[0].version
OURS = """
from nnx_compat.revisions.{base} import Revision as Base

class Revision(Base):
    name = "ours"
    releases = {releases!r}
"""


def chosen(folder):
    code = "import nnx_compat as nc; nc.pure_state_update(0, [1.0], 1, 1.0); print(nc.revision)"
    return run(code, path=[folder])


def test_a_plug_in_serves_the_releases_it_names(tmp_path):
    source = OURS.format(base=nc.revision, releases=">=0.8")
    plugin(tmp_path, "extra", "ours = extra:Revision", source)
    assert chosen(tmp_path).stdout.strip() == "ours"


def test_a_plug_in_for_other_releases_is_left_alone(tmp_path):
    source = OURS.format(base=nc.revision, releases=">=99")
    plugin(tmp_path, "extra", "ours = extra:Revision", source)
    assert chosen(tmp_path).stdout.strip() == nc.revision


def test_a_plug_in_replaces_the_revision_it_has_the_name_of(tmp_path):
    source = OURS.format(base=nc.revision, releases=None)
    plugin(tmp_path, "extra", f"{nc.revision} = extra:Revision", source)
    assert chosen(tmp_path).stdout.strip() == "ours"


BROKEN = {
    "raises": ("raise RuntimeError('on purpose')", "RuntimeError: on purpose"),
    "number": ("Revision = 3", "TypeError: 3 is not a subclass of Revision"),
    "imports": ("import no_such_package", "ModuleNotFoundError: No module named"),
    "specifier": (OURS.format(base="get_value", releases="new"), "InvalidSpecifier"),
}


def test_broken_plug_ins_are_named_and_skipped(tmp_path):
    for name, (source, _) in BROKEN.items():
        plugin(tmp_path, f"broken_{name}", f"{name} = broken_{name}:Revision", source)
    ran = chosen(tmp_path)
    assert ran.stdout.strip() == nc.revision
    for name, (_, why) in BROKEN.items():
        text = (
            f"the revision plug-in '{name}' (broken_{name}:Revision) is skipped: {why}"
        )
        assert text in ran.stderr


def test_the_namespace_is_the_native_one():
    assert isinstance(nnx, types.ModuleType)
    assert nnx.__name__ in ("flax.nnx", "flax.experimental.nnx")
