"""The static checker: what it finds, what it must not find, and what follows.

About no installed release (``test_rules`` is): `nox` alone runs it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nnx_compat import cli, facts
from nnx_compat.check import (
    SourceError,
    check,
    check_source,
    declared,
    output,
    releases,
)
from nnx_compat.check.rules import RULES
from nnx_compat.check.sources import Source

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))

from tools import rendered  # noqa: E402

BREAKS = sorted((HERE / "fixtures" / "breaks").glob("*.py"))
SILENT = sorted((HERE / "fixtures" / "silent").glob("*.py"))
PROJECTS = HERE / "fixtures" / "projects"
NEWEST = facts.releases()[-1].version


def found(script, **options):
    return check_source(Source("example.py", script), **options)


def codes(script):
    return [finding.code for finding in found(script)]


def runs(script):
    mask = releases.ALL
    for finding in found(script):
        mask &= ~finding.excluded
    return releases.spelled(mask)


def intervals(text):
    mask = 0
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        interval = facts.Interval(first, (last or None) if dash else first)
        mask |= releases.of((interval,))
    return mask


# -- the fixtures -------------------------------------------------------------------


@pytest.mark.parametrize("file", BREAKS, ids=lambda file: file.stem)
def test_what_breaks_is_found_and_runs_where_it_says(file):
    said = file.read_text().splitlines()[0].removeprefix("# runs on: ")
    report = check([str(file)], target=">=0.8")
    assert report.runs == intervals(said), releases.spelled(report.runs)
    assert all(finding.certain for finding in report.findings if finding.excluded)
    assert not report.holds


@pytest.mark.parametrize("file", SILENT, ids=lambda file: file.stem)
def test_what_runs_everywhere_is_not_spoken_of(file):
    report = check([str(file)], target=">=0.8")
    assert [f for f in report.findings if f.excluded] == []
    assert report.holds


def test_there_are_twenty_of_each():
    assert len(BREAKS) >= 20
    assert len(SILENT) >= 20


def test_a_subclass_with_methods_of_its_own_need_not_be_called_as_the_layer(tmp_path):
    text = "from nnx_compat import nnx\nclass Counter(nnx.Linear):\n"
    text += "    def __init__(self):\n        self.count = 0\n"
    file = tmp_path / "counter.py"
    for more, certain in (
        ("", True),
        ("    def add(self):\n        return 1\n", False),
    ):
        file.write_text(text + more)
        assert [f.certain for f in check([str(file)]).findings] == [certain]


def test_what_a_method_that_went_away_is_now_is_said(tmp_path):
    file = tmp_path / "old.py"
    lines = {
        "model.update({})": "nnx_compat.update(node, state)",
        "model.get_state()": "nnx_compat.state(node, ...)",
        "model.clone()": "nnx_compat.clone(node)",
        "optimizer.model": "nnx.ModelAndOptimizer, or the model itself",
    }
    code = "from flax import nnx\nimport optax\nmodel = nnx.Linear(2, 3, rngs=nnx.Rngs(0))\n"
    code += "optimizer = nnx.Optimizer(model, optax.sgd(0.1))\n"
    file.write_text(code + "\n".join(lines) + "\n")
    found = {
        finding.line: finding.instead
        for finding in check([str(file)], target=">=0.8").findings
        if finding.code == "NC103"
    }
    assert found == dict(enumerate(lines.values(), code.count("\n") + 1))


# -- the declared range -------------------------------------------------------------


@pytest.mark.parametrize("name", ["half_a_patch", "a_patch_too_low"])
def test_a_floor_that_is_one_patch_too_low_is_reported_with_the_right_one(name, capsys):
    assert cli.main(["check", str(PROJECTS / name)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("Runs on flax from 0.12.1.") for line in lines)
    (asks,) = [line for line in lines if " asks for " in line]
    assert asks.endswith("does not hold")
    assert lines[-1] == "  instead: flax>=0.12.1"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pyproject.toml", '[project]\ndependencies = ["jax", "Flax>=0.10 , <0.12"]\n'),
        (
            "pyproject.toml",
            '[project]\n[project.optional-dependencies]\nnn = ["flax >=0.10,<0.12"]\n',
        ),
        ("pyproject.toml", '[tool.poetry.dependencies]\nflax = ">=0.10,<0.12"\n'),
        ("setup.cfg", "[options]\ninstall_requires =\n  jax\n  flax>=0.10,<0.12\n"),
        (
            "setup.py",
            "from setuptools import setup\nNEEDS = ['jax', 'flax>=0.10,<0.12']\nsetup(install_requires=NEEDS)\n",
        ),
        ("requirements.txt", "jax\nflax>=0.10,<0.12  # for now\n-r more.txt\n"),
    ],
)
def test_the_range_is_read_where_projects_write_it(tmp_path, name, text):
    if "poetry" in text and sys.version_info < (3, 11):
        pytest.skip("CPython 3.10 has no tomllib, and Poetry's form is no requirement")
    (tmp_path / name).write_text(text)
    inside = tmp_path / "src" / "model.py"
    inside.parent.mkdir()
    inside.write_text("")
    for path in (tmp_path, inside):
        given = declared.around([str(path)])
        assert given is not None
        assert releases.spelled(given.mask) == "0.10.0-0.11.2"


def test_requirements_are_read_without_tomllib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tomllib", None)
    text = '[project]\nname = "flax-user"\ndependencies = ["jax", "flax>=0.10,<0.12"]\n'
    (tmp_path / "pyproject.toml").write_text(text)
    given = declared.around([str(tmp_path)])
    assert given.specifier in ("<0.12,>=0.10", ">=0.10,<0.12")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="CPython 3.10 has no tomllib")
def test_poetry_has_a_form_of_its_own(tmp_path):
    text = '[tool.poetry.dependencies]\nflax = {version = "^0.10.2"}\n'
    (tmp_path / "pyproject.toml").write_text(text)
    given = declared.around([str(tmp_path)])
    assert releases.spelled(given.mask) == "0.10.2-0.10.7"


def test_a_project_without_flax_declares_nothing(tmp_path, capsys):
    (tmp_path / ".git").mkdir()
    (tmp_path / "requirements.txt").write_text("numpy\nflaxen>=1\n")
    (tmp_path / "a.py").write_text("from flax import nnx\n")
    assert cli.main(["check", str(tmp_path)]) == 0
    assert "asks for" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("script", "target", "expected"),
    [
        ("from flax import nnx\nnnx.view\n", ">=0.12", ">=0.12.4"),
        ("from flax import nnx\nnnx.eval_mode\n", ">=0.12", ">=0.12.1,<0.12.4"),
        ("from flax import nnx\nnnx.List\n", ">=0.8,<0.11", ">=0.8.4,<0.10.0"),
        ("from flax import nnx\nnnx.List\n", ">=0.8", ">=0.12.0"),
        ("from flax import nnx\nnnx.List\n", "==0.10.*", ">=0.12.0"),
        ("from flax import nnx\nnnx.eval_mode\nnnx.EMA\n", ">=0.8", ""),
    ],
)
def test_the_exact_range_that_would_be_right_is_named(
    tmp_path, script, target, expected
):
    (tmp_path / "a.py").write_text(script)
    report = check([str(tmp_path)], target=target)
    assert not report.holds
    assert declared.right(report.runs, report.declared) == expected


def test_what_mending_one_rule_would_give_is_said(tmp_path, capsys):
    (tmp_path / "train.py").write_text(
        "import optax\nfrom flax import nnx\n"
        "def train(model):\n"
        "    layers = nnx.List([1])\n"
        "    opt = nnx.Optimizer(model, optax.sgd(1.0), wrt=nnx.Param)\n"
        "    opt.update(1)\n"
    )
    assert cli.main(["check", str(tmp_path), "--target", ">=0.12.0"]) == 1
    out = capsys.readouterr().out
    assert "Without NC310: 0.8.5-0.9.0 and from 0.12.0." in out
    assert "--target asks for flax>=0.12.0: does not hold" in out


# -- what is known of values --------------------------------------------------------


def test_a_class_attribute_assigned_two_things_is_not_known():
    assert "NC103" not in codes(
        "from flax import nnx\n"
        "class M(nnx.Module):\n"
        "  def __init__(self, x, w):\n"
        "    self.w = nnx.Param(1.0) if x else w\n"
        "  def __call__(self): return self.w.get_value()\n"
    )


def test_an_attribute_of_a_subclass_in_the_file_is_known():
    script = (
        "from flax import nnx\n"
        "class A(nnx.Module):\n"
        "  def __init__(self): self.w: nnx.Param = nnx.Param(1.0)\n"
        "class B(A):\n"
        "  def read(self): return self.w.get_value()\n"
        "def f(b: B | None): return b.w.get_value()\n"
        "def g(b: 'B'): return b.w.set_value(1)\n"
    )
    assert codes(script).count("NC103") == 3


def test_a_base_that_is_not_known_may_have_any_method():
    assert "NC103" not in codes(
        "from flax import nnx\nfrom other import Base\n"
        "class M(Base, nnx.Module): pass\n"
        "M().split()\n"
    )


def test_what_goes_through_a_tuple_or_a_loop_is_known():
    script = (
        "from flax import nnx\n"
        "a, b = nnx.Param(1.0), 2\n"
        "a.get_value()\n"
        "for v in [nnx.Param(1.0), nnx.Param(2.0)]:\n"
        "  v.get_value()\n"
        "if (w := nnx.Param(1.0)) is not None: w.get_value()\n"
        "[v.get_value() for v in [nnx.Param(1.0)]]\n"
    )
    assert codes(script).count("NC103") == 4


def test_a_function_says_what_it_returns():
    script = (
        "from flax import nnx\ndef make() -> nnx.Variable: ...\nmake().get_value()\n"
    )
    assert "NC103" in codes(script)


def test_bodies_are_read_after_the_module_as_they_are_run():
    script = "from flax import nnx\ndef f(): return W.get_value()\nW = nnx.Param(1.0)\n"
    assert "NC103" in codes(script)


def test_a_state_used_after_its_model_was_changed_is_likely_stale():
    script = (
        "from flax import nnx\n"
        "def f(model):\n"
        "  before = nnx.state(model)\n"
        "  {change}\n"
        "  return before\n"
    )
    for change in (
        "model.w.value = 1", "nnx.update(model, x)", "model.layers[0].w[...] = 1",
        "model.w.value += 1",
    ):  # fmt: skip
        (finding,) = [
            f for f in found(script.format(change=change)) if f.code == "NC401"
        ]
        assert not finding.certain
        assert finding.line == 5
    for harmless in ("other.w.value = 1", "before = 2", "pass"):
        assert "NC401" not in codes(script.format(change=harmless))


def test_a_state_of_ours_is_never_stale():
    assert (
        codes(
            "import nnx_compat as nc\n"
            "def f(model):\n"
            "  before = nc.state(model)\n"
            "  nc.update(model, {})\n"
            "  return before\n"
        )
        == []
    )


def test_arithmetic_on_a_filtered_state_is_fine():
    script = (
        "import jax\nfrom flax import nnx\n"
        "class M(nnx.Module):\n"
        "  def __init__(self, rngs: nnx.Rngs): self.rngs = rngs\n"
        "state = nnx.state(M(nnx.Rngs(0)){filter})\n"
        "half = jax.tree.map({function}, state)\n"
    )
    arithmetic = "lambda x: x * 0.5"
    assert "NC402" in codes(script.format(filter="", function=arithmetic))
    assert "NC402" not in codes(
        script.format(filter=", nnx.Param", function=arithmetic)
    )
    assert "NC402" not in codes(script.format(filter="", function="lambda x: x"))


# -- guards -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("guard", "expected"),
    [
        ('hasattr(nnx, "view")', "every release"),
        ('not hasattr(nnx, "view")', "from 0.12.4"),
        ('hasattr(nnx, "view") or x', "from 0.12.4"),
        ('hasattr(nnx, "view") and x', "every release"),
        ('hasattr(nnx.Variable, "dtype")', "up to 0.8.5 and from 0.10.0"),
        ("flax.__version__ == '0.12.0'", "up to 0.11.2 and from 0.12.1"),
        ("Version(flax.__version__).minor >= 12", "up to 0.11.2 and from 0.12.4"),
        ("Version(flax.__version__).release >= (0, 12, 4)", "every release"),
        ("Version(flax.__version__) in SpecifierSet('>0.1')", "from 0.12.4"),
        ("flax.__version__.split('.')[1] == '9'", "up to 0.8.5 and from 0.10.0"),
        ("int(flax.__version__.split('.')[1]) > 11", "up to 0.11.2 and from 0.12.4"),
        ("0 < len(flax.__version__) < 3", "every release"),
        ("x", "from 0.12.4"),
        ("False", "every release"),
        ("getattr(nnx, 'view', None)", "every release"),
        ("getattr(nnx, 'view', None) is None", "from 0.12.4"),
        ("'copy' in inspect.signature(nnx.merge).parameters", "up to 0.11.1 and from 0.12.4"),
        ("'copy' in inspect.signature(nnx.merge).parameters.keys()", "up to 0.11.1 and from 0.12.4"),
        ("x.__version__ > '1'", "from 0.12.4"),
    ],
)  # fmt: skip
def test_a_guard_is_honoured(guard, expected):
    head = (
        "import inspect\nimport flax\nfrom packaging.version import Version\n"
        "from packaging.specifiers import SpecifierSet\n"
        "from flax.experimental import nnx\n"
    )
    assert runs(f"{head}if {guard}:\n    nnx.view\n") == expected
    assert runs(f"{head}y = nnx.view if {guard} else 1\n") == expected
    assert runs(f"{head}if not ({guard}):\n    pass\nelse:\n    nnx.view\n") == expected
    early = f"{head}def f():\n    if not ({guard}): return\n    nnx.view\n"
    assert runs(early) == expected


@pytest.mark.parametrize(
    ("handler", "guarded"),
    [
        ("except AttributeError", True),
        ("except (ImportError, AttributeError)", True),
        ("except Exception", True),
        ("except", True),
        ("except ImportError", False),
        ("except KeyError", False),
    ],
)
def test_a_try_guards_against_what_it_catches(handler, guarded):
    script = (
        f"from flax.experimental import nnx\ntry:\n    nnx.view\n{handler}:\n    pass\n"
    )
    assert (codes(script) == []) is guarded
    again = script.replace("pass", "raise")
    assert codes(again) == ["NC101"]


def test_what_follows_a_failure_in_a_try_is_read_for_where_it_is_reached():
    assert (
        codes(
            "from flax.experimental import nnx\n"
            "try:\n    nnx.view\n    nnx.List\nexcept AttributeError:\n    nnx.Param\n"
        )
        == []
    )
    assert (
        runs(
            "from flax.experimental import nnx\n"
            "try:\n    nnx.view\nexcept AttributeError:\n    nnx.List\n"
        )
        == "0.8.3-0.9.0 and from 0.12.0"
    )


def test_a_condition_that_is_defined_by_itself_tells_nothing():
    script = (
        "x = [x for y in z if x(y)]\nif x() and [i for i in x() if x(i)]: nnx = 1\n"
    )
    assert codes(f"from flax import nnx\n{script}") == ["NC104"]


def test_what_is_nested_too_deeply_is_named(tmp_path, capsys):
    (tmp_path / "a.py").write_text("y = nnx" + " + 1" * 5000 + "\n")
    assert cli.main(["check", str(tmp_path)]) == 2
    assert "a.py" in capsys.readouterr().err


# -- files --------------------------------------------------------------------------


def notebook(*cells):
    return json.dumps(
        {"cells": [{"cell_type": kind, "source": source} for kind, source in cells]}
    )


def test_cells_of_a_notebook_are_one_module(tmp_path):
    file = tmp_path / "lesson.ipynb"
    file.write_text(
        notebook(
            ("markdown", "# NNX"),
            ("code", ["%matplotlib inline\n", "from flax import nnx\n"]),
            ("code", "!pip install flax\nmodel = nnx.view\nnnx.view?"),
            ("code", "%%bash\nls | wc"),
        )
    )
    report = check([str(file)], target=">=0.12")
    (finding,) = [f for f in report.findings if f.code == "NC101"]
    assert finding.where == f"{file}:cell 3:2:9"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("broken.py", b"def f(:\n"),
        ("latin.py", b"# \xe9\n"),
        ("null.py", b"x = '\x00'; nnx"),
        ("broken.ipynb", b"{"),
        ("odd.ipynb", b"[]"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, name, content, capsys):
    (tmp_path / name).write_bytes(content.replace(b"def", b"nnx = 1\ndef"))
    (tmp_path / "good.py").write_text("from flax import nnx\nnnx.view\n")
    assert cli.main(["check", str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert name in said.err
    assert "NC101" in said.out, "the other files are checked all the same"


def test_the_declared_encoding_is_used(tmp_path):
    file = tmp_path / "latin.py"
    file.write_bytes("# -*- coding: latin-1 -*-\nnnx = 'é'\n".encode("latin-1"))
    assert check([str(file)]).files == 1


def test_a_path_that_is_not_there_is_named(capsys):
    assert cli.main(["check", "no/such/file.py"]) == 2
    assert "no/such/file.py: there is no such file" in capsys.readouterr().err


def test_a_target_that_is_no_range_is_an_error(capsys):
    assert cli.main(["check", str(BREAKS[0]), "--target", "latest"]) == 2
    assert "instead: '>=0.10,<0.13', a version" in capsys.readouterr().err
    assert cli.main(["check", str(BREAKS[0]), "--target", "<0.5"]) == 2


def test_folders_that_hold_no_sources_of_the_project_are_left_out(tmp_path):
    for folder in (".venv", "build", "__pycache__", "pkg"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.py").write_text("import flax.nnx\n")
    assert check([str(tmp_path)]).files == 1
    assert check([str(tmp_path), str(tmp_path / "pkg")]).files == 1


@pytest.mark.parametrize(
    ("comment", "left"),
    [
        ("# nnx-compat: ignore", []),
        ("# nnx-compat: ignore[NC101]", []),
        ("# nnx-compat: ignore[NC102, NC101]", []),
        ("# nnx-compat: ignore[NC102]", ["NC101"]),
        ("# nnx-compat: ignore[]", ["NC101"]),
        ("# ignore", ["NC101"]),
    ],
)
def test_a_comment_ignores_what_it_names(comment, left, tmp_path):
    file = tmp_path / "a.py"
    file.write_text(f"from flax.experimental import nnx\nnnx.view  {comment}\n")
    assert [f.code for f in check([str(file)]).findings] == left


# -- what is printed ----------------------------------------------------------------


def test_the_text_has_the_form_of_a_linter(tmp_path, capsys):
    file = tmp_path / "model.py"
    file.write_text("from flax.experimental import nnx\nlayers = nnx.List([1])\n")
    assert cli.main(["check", str(file)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{file}:2:10: NC101 `nnx.List` is in flax 0.8.3-0.9.0 and from 0.12.0",
        "  instead: from nnx_compat import nnx; nnx.List",
        "Runs on flax 0.8.3-0.9.0 and from 0.12.0.",
    ]


def test_json_has_what_the_text_has(tmp_path, capsys):
    file = tmp_path / "model.py"
    file.write_text("from flax import nnx\nnnx.view\n")
    command = ["check", str(file), "--format", "json", "--target", ">=0.12"]
    assert cli.main(command) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["runs"][0] == "0.12.4"
    assert report["right"] == ">=0.12.4"
    assert report["findings"][1]["code"] == "NC101"
    assert report["findings"][1]["line"] == 2
    assert NEWEST not in report["findings"][1]["excluded"]


def test_github_gets_commands_and_code_scanning_gets_sarif(tmp_path, capsys):
    file = tmp_path / "model.py"
    file.write_text("from flax import nnx\nnnx.Param(1.0).value\nnnx.view\n")
    cli.main(["check", str(file), "--format", "github"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith(
        f"::warning file={file},line=2,col=1,endLine=2,title=NC501"
    )
    assert lines[2].startswith(f"::error file={file},line=3,")
    cli.main(["check", str(file), "--format", "sarif"])
    log = json.loads(capsys.readouterr().out)
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    ids = {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    assert {result["ruleId"] for result in run["results"]} == ids
    assert {r["level"] for r in run["results"]} == {"error", "note"}


def test_findings_outside_the_declared_range_are_counted_and_shown_on_demand(capsys):
    command = ["check", str(PROJECTS / "half_a_patch")]
    assert cli.main(command) == 1
    out = capsys.readouterr().out
    assert "NC104" not in out
    assert "2 findings about other releases are not shown (--all)" in out
    assert cli.main([*command, "--all"]) == 1
    out = capsys.readouterr().out
    assert "NC104" in out
    assert "not shown" not in out


def test_what_is_likely_counts_with_strict_only(tmp_path, capsys):
    file = tmp_path / "a.py"
    file.write_text(
        "from flax import nnx\nweight = nnx.Param(1.0)\nweight[...] = 0.0\n"
    )
    command = ["check", str(file), "--target", ">=0.11"]
    assert cli.main(command) == 0
    assert "(likely)" in capsys.readouterr().out
    assert cli.main([*command, "--strict"]) == 1


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_every_rule_is_explained(rule, capsys):
    assert cli.main(["explain", rule.code.lower()]) == 0
    page = capsys.readouterr().out
    assert page.startswith(f"# {rule.code}: {rule.title}\n")
    assert "How to fix it" in page
    assert rule.before in page


def test_rules_are_listed_and_a_wrong_code_is_an_error(capsys):
    assert cli.main(["explain"]) == 0
    assert all(rule.code in capsys.readouterr().out for rule in RULES[:1])
    assert cli.main(["explain", "NC999"]) == 2
    assert "instead: nnx-compat explain" in capsys.readouterr().err


def test_codes_are_used_once():
    assert len({rule.code for rule in RULES}) == len(RULES)


def test_the_pages_are_what_the_rules_give():
    assert [f for f in rendered.stale() if f != rendered.STUB] == [], "nox -s render"


# -- where it runs ------------------------------------------------------------------


def test_it_runs_without_flax_and_jax(tmp_path):
    """Only packaging besides: -S leaves out site-packages."""
    import packaging

    folder = Path(packaging.__file__).parent
    (tmp_path / "packaging").symlink_to(folder)
    env = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{tmp_path}"}
    command = [sys.executable, "-S", "-m", "nnx_compat"]
    ran = subprocess.run(
        [*command, "check", str(PROJECTS / "a_patch_too_low")],
        env=env, capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 1, ran.stderr
    assert ran.stdout.endswith("instead: flax>=0.12.1\n")
    ran = subprocess.run(
        [*command, "explain", "NC101"], env=env, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr


def test_no_file_that_is_checked_is_run(tmp_path):
    (tmp_path / "a.py").write_text(
        f"import flax.nnx, pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\n"
    )
    check([str(tmp_path)])
    assert not (tmp_path / "ran").exists()


def test_flax_itself_runs_on_its_own_release():
    nnx = Path(pytest.importorskip("flax").__file__).parent / "nnx"
    here = pytest.importorskip("flax").__version__
    report = check([str(nnx)], target=f"=={here}")
    assert report.files > 10
    assert report.holds, output.text(report)


def test_errors_of_the_checker_are_errors_of_files():
    with pytest.raises(SourceError, match="no such file"):
        check(["no.py"])


# -- a program of several files -------------------------------------------------------


def program(folder, **files):
    """What a check of some files says: the releases, and where findings are."""
    for name, text in files.items():
        file = folder / f"{name.replace('__', '/')}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        (file.parent / "__init__.py").touch()
    (folder / "__init__.py").unlink(missing_ok=True)
    return check([str(folder)], target=">=0.8")


LAYERS = """\
from flax import nnx


class Base(nnx.Module):
    pass


class Block(Base):
    def __init__(self, rngs):
        self.linear = nnx.Linear(2, 2, rngs=rngs)
"""


@pytest.mark.parametrize(
    ("head", "name"),
    [
        ("from .layers import Block", "Block"),
        ("from lib.layers import Block as B", "B"),
        ("from lib import layers", "layers.Block"),
        ("import lib.layers", "lib.layers.Block"),
        ("from lib import layers as l", "l.Block"),
        ("from .layers import *", "Block"),
        ("from .api import Block", "Block"),
    ],
)
def test_a_class_is_known_in_the_files_that_import_it(tmp_path, head, name):
    report = program(
        tmp_path,
        lib__layers=LAYERS,
        lib__api="from .layers import Block\n__all__ = ['Block']\n",
        lib__net=(
            f"from flax import nnx\n{head}\nfrom .layers import Base\n"
            "class Net(Base):\n"
            "    def __init__(self, rngs):\n"
            f"        self.blocks = [{name}(rngs) for _ in range(2)]\n"
        ),
    )
    found = [f for f in report.findings if f.code == "NC320"]
    assert [f.line for f in found] == [6]
    assert releases.spelled(report.runs) == "0.8.4-0.11.2"


def test_what_a_function_of_another_file_gives_and_is_given_is_known(tmp_path):
    report = program(
        tmp_path,
        make=(
            "import optax\nfrom flax import nnx\n"
            "def make(model):\n"
            "    return {'opt': nnx.Optimizer(model, optax.sgd(1.0), wrt=nnx.Param)}\n"
        ),
        step="def step(state, model, grads):\n    state['opt'].update(model, grads)\n",
        main=(
            "from flax import nnx\nfrom make import make\nimport step\n"
            "model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))\n"
            "step.step(make(model), model, 1)\n"
        ),
    )
    (found,) = [f for f in report.findings if f.code == "NC310"]
    assert found.path.endswith("step.py")
    assert releases.spelled(report.runs) == "from 0.11.0"


def test_a_flag_of_another_file_guards(tmp_path):
    report = program(
        tmp_path,
        lib__compat="from flax.experimental import nnx\nHAS = hasattr(nnx, 'view')\n",
        lib__use=(
            "from flax.experimental import nnx\nfrom .compat import HAS as has_view\n"
            "if has_view:\n    nnx.view\n"
        ),
    )
    assert report.runs == releases.ALL


def test_a_name_that_an_import_of_everything_brings_fails_where_it_is_used():
    script = "from flax.nnx import *\nlayers = List([Linear(2, 2, rngs=Rngs(0))])\n"
    assert runs(script) == "0.8.4-0.9.0 and from 0.12.0"


FORMS = {
    "comprehension": "[Block(rngs) for _ in range(2)]",
    "conditional": "[Block(rngs) if n else None for n in range(2)]",
    "repeated": "[Block(rngs)] * 3",
    "call of list": "list(Block(rngs) for _ in range(2))",
    "dict": "{f'b{i}': Block(rngs) for i in range(2)}",
    "dict by call": "dict(first=Block(rngs))",
    "made elsewhere": "[make(rngs) for _ in range(2)]",
    "a class as an argument": "[kind(2, 2, rngs=rngs) for _ in range(2)]",
    "tuple": "(Block(rngs), Block(rngs))",
    "variables": "[nnx.Param(jnp.ones(2))]",
    "arrays": "[jnp.ones(2)]",
    "sum": "[Block(rngs)] + [None]",
    "nested": "[[Block(rngs)]]",
    "map": "list(map(lambda i: Block(rngs), range(2)))",
    "zip": "[layer for layer, _ in zip([Block(rngs)], [1])]",
}


@pytest.mark.parametrize("form", FORMS)
def test_a_container_of_modules_is_found_in_every_form(form):
    script = (
        "import jax.numpy as jnp\n"
        + LAYERS
        + "def make(rngs): return Block(rngs)\n"
        + "class Net(nnx.Module):\n"
        + "    def __init__(self, rngs, kind=nnx.Linear):\n"
        + f"        self.blocks = {FORMS[form]}\n"
    )
    assert "NC320" in codes(script)
    told = script.replace("self.blocks = ", "self.blocks = nnx.data(") + "        )\n"
    assert "NC320" not in codes(told)


# -- what could not be followed -------------------------------------------------------


def test_an_optimizer_that_is_not_known_is_likely_one():
    script = (
        "from flax import nnx\n"
        "def step(model, {0}):\n"
        "    value, grads = nnx.value_and_grad(lambda m: m(1).sum())(model)\n"
        "    {0}.update({1})\n"
    )
    for arguments in ("grads", "model, grads"):
        (found_one,) = [
            f for f in found(script.format("opt", arguments)) if f.excluded
        ][1:]
        assert (found_one.code, found_one.certain) == ("NC312", False)
    assert "NC312" not in codes(script.format("tx", "grads, state"))
    ours = script.replace("from flax", "from nnx_compat")
    assert "NC312" not in codes(ours.format("opt", "model, grads"))


def test_the_verdict_says_how_much_could_be_followed(tmp_path, capsys):
    file = tmp_path / "a.py"
    (tmp_path / ".git").mkdir()
    file.write_text("from flax import nnx\nw = nnx.Param(1)\nx = load().value\n")
    command = ["check", str(file)]
    assert cli.main(command) == 0
    out = capsys.readouterr().out
    assert "as far as followed (2 of 3 uses)" in out
    assert "not followed" not in out
    assert cli.main([*command, "--verbose"]) == 0
    assert f"{file}:3:5: not followed: " in capsys.readouterr().out
    assert cli.main([*command, "--strict", "--followed", "0.9"]) == 1
    assert cli.main([*command, "--strict", "--followed", "0.5"]) == 0


def test_what_was_not_read_or_meets_no_nnx_never_runs_on_every_release(
    tmp_path, capsys
):
    (tmp_path / ".git").mkdir()
    (tmp_path / "a.py").write_text("x = 1\n")
    assert cli.main(["check", str(tmp_path)]) == 1
    assert "not judged" in capsys.readouterr().out
    (tmp_path / "b.py").write_text("from flax import nnx\nnnx.Linear\n")
    (tmp_path / "c.py").write_bytes(b"\xff\xfe nnx")
    assert cli.main(["check", "--format", "json", str(tmp_path)]) == 2
    assert json.loads(capsys.readouterr().out)["holds"] is False


# -- ranges as projects write them ----------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("pyproject.toml", '[project]\ndependencies=["flax<0.9; python_version<\'3.11\'", "flax>=0.12; python_version>=\'3.11\'"]\n', "up to 0.8.5 and from 0.12.0"),
        ("pyproject.toml", '[dependency-groups]\ndev=["flax>=0.10,<0.11"]\n', "0.10.0-0.10.7"),
        ("pyproject.toml", '[tool.poetry.dependencies]\nflax=[{version="^0.10",python="<3.11"},{version="^0.12",python=">=3.11"}]\n', "0.10.0-0.10.7 and from 0.12.0"),
        ("pyproject.toml", '[tool.poetry.dependencies]\nflax="^0"\n', "every release"),
        ("pyproject.toml", '[tool.poetry.group.dev.dependencies]\nflax="0.9.* || ~0.11.1"\n', "0.9.0 and 0.11.1-0.11.2"),
        ("pyproject.toml", '[tool.pixi.dependencies]\nflax="0.10.*"\n', "0.10.0-0.10.7"),
        ("pyproject.toml", '[project]\ndependencies=["flax==0.7.5"]\n', "no release"),
        ("environment.yml", "dependencies:\n  - conda-forge::flax=0.11\n", "0.11.0-0.11.2"),
        ("environment.yml", "dependencies:\n  - pip:\n    - flax>=0.9,<0.10  # old\n", "0.9.0"),
        ("requirements.txt", "flax==0.9.0 \\\n    --hash=sha256:abc\n", "0.9.0"),
        ("requirements.in", "\ufeffflax<0.9\n", "up to 0.8.5"),
        ("setup.cfg", "[options.extras_require]\nnn =\n  flax>=0.12.1,<0.12.3\n", "0.12.1-0.12.2"),
        ("uv.lock", '[[package]]\nname = "flax"\nversion = "0.10.2"\n', "0.10.2"),
    ],
)  # fmt: skip
def test_a_range_is_the_union_of_what_is_written_for_each_environment(
    tmp_path, name, text, expected
):
    if name == "pyproject.toml" and sys.version_info < (3, 11):
        pytest.skip("CPython 3.10 has no tomllib")
    (tmp_path / ".git").mkdir()
    (tmp_path / name).write_text(text, encoding="utf-8")
    given = declared.around([str(tmp_path)])
    assert releases.spelled(given.mask) == expected


def test_requirements_of_windows_and_those_that_name_others_are_read(tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / "requirements.txt").write_text("-r more.txt\n")
    (tmp_path / "more.txt").write_bytes("flax==0.9.0\r\n".encode("utf-16"))
    assert releases.spelled(declared.around([str(tmp_path)]).mask) == "0.9.0"


def test_a_range_that_no_file_has_is_said_and_an_odd_file_ends_nothing(
    tmp_path, capsys
):
    (tmp_path / ".git").mkdir()
    (tmp_path / "a.py").write_text("from flax import nnx\nnnx.Linear\n")
    (tmp_path / "requirements.txt").write_text("flax @ git+https://example.org/x\n")
    (tmp_path / "setup.cfg").write_text("no section\n")
    assert cli.main(["check", str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert "setup.cfg" in said.err
    (tmp_path / "setup.cfg").unlink()
    (tmp_path / "requirements.txt").write_text("jax\n")
    assert cli.main(["check", str(tmp_path)]) == 0
    assert "No range of flax found in" in capsys.readouterr().out


# -- walks ----------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such files")
def test_links_in_a_circle_and_pipes_end_no_walk(tmp_path):
    (tmp_path / "a.py").write_text("from flax import nnx\nnnx.Linear\n")
    (tmp_path / "round").symlink_to(tmp_path)
    (tmp_path / "again").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe.py")
    assert check([str(tmp_path)]).files == 1


def test_a_name_with_control_characters_steers_nothing(tmp_path, capsys):
    if sys.platform == "win32":
        pytest.skip("Windows has no such names")
    (tmp_path / "x\n::error::made up.py").write_text("from flax import nnx\n")
    cli.main(["check", "--format", "github", str(tmp_path)])
    lines = capsys.readouterr().out.splitlines()
    assert not any(line.startswith("::error::made up") for line in lines)
    cli.main(["check", str(tmp_path)])
    assert r"x\n::error::made up.py" in capsys.readouterr().out


# -- what a class has itself --------------------------------------------------------

_OWN = """\
from flax import nnx

class Automaton(nnx.Module):
    def __init__(self, update, **parts):
        {given}

    def __call__(self, x):
        return self.update(x)

    def __repr__(self):
        return "Automaton"

automaton = Automaton(lambda x: x)
automaton.update(3)
"""


@pytest.mark.parametrize(
    "given",
    [
        "self.update = update",
        "self.rule, self.update = None, update",
        'setattr(self, "update", update)',
        'object.__setattr__(self, "update", update)',
        'super().__setattr__("update", update)',
        'self.__dict__["update"] = update',
        "vars(self).update(update=update)",
        "[setattr(self, k, v) for k, v in (dict(update=update) | parts).items()]",
        "with update as self.update: pass",
    ],
)
def test_an_attribute_that_a_class_gives_its_instances_is_its_own(given):
    assert codes(_OWN.format(given=given)) == ["NC104"]


def test_a_name_that_is_put_together_is_told_from_others():
    script = _OWN.format(given='setattr(self, f"block{len(parts)}", update)')
    assert codes(script) == ["NC104", "NC103", "NC103"]
    finding = found(
        script.replace("update", "blocks_sow").replace("blocks_sow(", "sow(")
    )
    assert all(one.certain for one in finding)


@pytest.mark.parametrize(
    "body",
    [
        "update: object",
        "update, clone = None, None",
        "from math import floor as update",
        "for update in (abs,): pass",
        "def __getattr__(self, name): return abs",
        "def setup(self, update): self.update = update",
    ],
)
def test_what_a_class_body_binds_is_its_own(body):
    script = f"""\
from flax import nnx

class Automaton(nnx.Module):
    {body}

    def __call__(self, x):
        return self.update(x)
"""
    assert codes(script) == ["NC104"]


def test_what_an_heir_a_decorator_or_another_file_gives_is_its_own(tmp_path):
    (tmp_path / "base.py").write_text(
        "from flax import nnx\n\nclass Base(nnx.Module):\n"
        "    def run(self, x):\n        return self.update(x)\n"
    )
    (tmp_path / "heir.py").write_text(
        "from flax import nnx\nfrom base import Base\n\n"
        "def told(cls):\n    cls.split = lambda self: self\n    return cls\n\n"
        "@told\nclass Heir(Base):\n"
        "    def __init__(self, update):\n        self.update = update\n\n"
        "    def halves(self):\n        return self.split()\n\n"
        "def changed(layer: nnx.Linear):\n    layer.clone = 3\n    return layer.clone\n"
    )
    assert {f.code for f in check([str(tmp_path)]).findings} == {"NC104"}


# -- what a plain container holds ---------------------------------------------------

_HELD = """\
from flax import nnx
import jax.numpy as jnp

class Gate(nnx.Module):
    def __init__(self):
        self.value = nnx.Param(1.0)

class Act(nnx.Module):
    def __call__(self, x):
        return x

def make(value):
    return nnx.Param(value)

class Model(nnx.Module):
    def __init__(self, rngs):
        self.held = {held}

Model(nnx.Rngs(0))
"""


@pytest.mark.parametrize(
    ("held", "where"),
    [
        ("[nnx.Param(1.0), nnx.Param(-2)]", "0.8.4-0.12.4"),
        ("(nnx.Variable(None), nnx.Param('a'))", "0.8.4-0.12.4"),
        ("{'a': [nnx.Param(1.0)], 'b': (Gate(),)}", "0.8.4-0.12.4"),
        ("[Act(), nnx.Dropout(0.5)]", "0.8.4-0.12.4"),
        ("[nnx.Param(float(i)) for i in range(2)]", "0.8.4-0.12.4"),
        ("[nnx.Param(1.0), nnx.Param(jnp.ones(2))]", "0.8.4-0.11.2"),
        ("{'a': nnx.Param(jnp.ones(2))}", "0.8.4-0.11.2"),
        ("[Act(), nnx.Dropout(0.5, rngs=rngs)]", "0.8.4-0.11.2"),
        ("[nnx.Sequential(nnx.Linear(2, 2, rngs=rngs))]", "0.8.4-0.11.2"),
        ("[nnx.Param(nnx.initializers.ones_init()(rngs(), (2,)))]", "0.8.4-0.11.2"),
        ("[1.0, None, nnx.relu]", "from 0.8.4"),
    ],
)
def test_a_container_is_refused_for_what_is_in_it(held, where):
    # measured on each release: up to 0.12.4 for arrays, then for Modules and Variables
    assert runs(_HELD.format(held=held)) == where


def test_what_may_be_an_array_is_likely_one():
    script = _HELD.format(held="[make(x) for x in rngs.held]")
    sure, likely = (f for f in found(script) if f.code == "NC320")
    assert releases.spelled(sure.excluded) == "from 0.12.5"
    assert sure.certain
    assert releases.spelled(likely.excluded) == "0.12.0-0.12.4"
    assert not likely.certain


def test_the_first_releases_walk_into_containers():
    script = _HELD.format(held="[nnx.Linear(2, 2, rngs=rngs)]")
    first = script.replace("from flax import nnx", "from flax.experimental import nnx")
    lists = [f for f in found(first) if f.code == "NC320"]
    assert [releases.spelled(f.excluded) for f in lists] == ["from 0.12.0"]


# -- what running a copy does ---------------------------------------------------------

_COPY = """\
from flax import nnx
import jax.numpy as jnp

class Inner(nnx.Module):
    def __init__(self):
        self.seen = nnx.Variable(jnp.array(0))

    def __call__(self, x):
        {inner}
        return x

class Net(nnx.Module):
    def __init__(self):
        self.inner = Inner()

    def forward(self, x):
        return self.inner(x)

def run(net, x):
    return net.forward(x)

def main(x):
    model = Net()
    graphdef, state = nnx.split(model)
    copy = nnx.merge(graphdef, state)
    {used}
    print(model.inner.seen)
"""


@pytest.mark.parametrize(
    ("inner", "used", "changes"),
    [
        ("self.seen.value += 1", "copy.forward(x)", True),
        ("self.seen[...] = self.seen[...] + 1", "run(copy, x)", True),
        ("self.seen.set_value(1)", "nnx.jit(run)(copy, x)", True),
        ("self.seen += 1", "copy.inner(x)", True),
        ("x = x + self.seen.value", "copy.forward(x)", False),
        ("y = {}; y[0] = x", "run(copy, x)", False),
        ("self.seen.value += 1", "run(Net(), x)", False),
    ],
)
def test_a_copy_that_is_run_changes_what_its_code_changes(inner, used, changes):
    script = _COPY.format(inner=inner, used=used)
    assert ("NC403" in codes(script)) is changes


_LATER = """\
import dataclasses
from flax import nnx

def layers():
    return [nnx.Linear(2, 2, rngs=nnx.Rngs(0))]

{decorator}
class Model(nnx.Module):
    {body}
    def build(self):
        self.layers = layers()
"""


@pytest.mark.parametrize(
    ("decorator", "body", "where"),
    [
        ("", "def __init__(self): self.build()", "from 0.12.0"),
        ("", "def __init__(self): self.layers = None", "from 0.12.0"),
        ("", "def __init__(self): self.other = None", "from 0.12.5"),
        (
            "@dataclasses.dataclass",
            "def __post_init__(self): self.build()",
            "from 0.12.0",
        ),
        ("", "layers: nnx.Data[list]\n    def __init__(self): self.build()", ""),
        ("", "layers: 'nnx.Data'\n    def __init__(self): self.build()", ""),
    ],
)
def test_when_a_container_is_assigned_and_what_is_told_of_it_counts(
    decorator, body, where
):
    finding = found(_LATER.format(decorator=decorator, body=body))
    lists = [releases.spelled(f.excluded) for f in finding if f.code == "NC320"]
    assert lists == ([where] if where else [])


def test_a_container_that_is_given_for_a_field_is_assigned():
    script = """\
import dataclasses
from flax import nnx

@dataclasses.dataclass
class Model(nnx.Module):
    layers: list
    told: list = nnx.data()

layers = [nnx.Linear(2, 2, rngs=nnx.Rngs(0)), nnx.relu]
Model(layers, told=layers)
"""
    lists = [f for f in found(script) if f.code == "NC320"]
    assert [(f.line, releases.spelled(f.excluded)) for f in lists] == [
        (10, "from 0.12.0")
    ]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("issubclass(nnx.LoRAParam, nnx.Param)", ["NC412"]),
        ("isinstance(nnx.LoRAParam(1.0), (int, nnx.Param))", ["NC410", "NC412"]),
        ("issubclass(nnx.LoRAParam, nnx.Variable)", []),
        ("issubclass(nnx.LoRAParam, (nnx.Param, nnx.LoRAParam))", []),
        ("issubclass(nnx.BatchStat, nnx.Param)", []),
        ("isinstance(3, nnx.Param)", []),
        ("class Low(nnx.LoRAParam): pass\nissubclass(Low, nnx.Param)", ["NC412"]),
        ("def f(m): return nnx.split(m, nnx.Param, nnx.LoRAParam, ...)", ["NC410"]),
        ("def f(m): return nnx.split(m, nnx.LoRAParam, nnx.Param, ...)", []),
        ("def f(m): return nnx.state(m, nnx.Param)", []),
    ],
)
def test_what_asks_whether_weights_of_lora_are_parameters_is_found(script, expected):
    lora = sorted(c for c in codes(f"from flax import nnx\n{script}\n") if c > "NC4")
    assert [code for code in lora if code < "NC5"] == expected


_UPDATE = """\
from flax import nnx

class Model(nnx.Module):
    def __init__(self, rngs):
        self.layers = nnx.List([nnx.Linear(2, 2, rngs=rngs)])
        self.table = nnx.data({{"0": nnx.Param(1.0)}})

model = Model(nnx.Rngs(0))
{line}
"""


@pytest.mark.parametrize(
    ("line", "certain"),
    [
        ("nnx.update(model, {'layers': {'0': {'bias': 1.0}}})", [True, False]),
        ("nnx.update(model, {'layers': {0: {'bias': 1.0}}})", [True]),
        ("nnx.update(model, {'table': {'0': 1.0}})", [True]),
        ("nnx.update(model, nnx.state(model))", []),
        ("nnx.merge(nnx.graphdef(model), {'table': {'0': 1.0}})", [True]),
    ],
)
def test_a_dict_in_the_place_of_a_state_is_found_and_text_for_indices(line, certain):
    dicts = [f for f in found(_UPDATE.format(line=line)) if f.code == "NC346"]
    assert [f.certain for f in dicts] == certain
    assert all(
        releases.spelled(f.excluded) == ("up to 0.10.1" if f.certain else "from 0.10.2")
        for f in dicts
    )


# -- how long it takes ----------------------------------------------------------------


def test_a_chain_of_calls_is_read_once():
    chain = "".join(f"\n    .step{i}(rate={i})" for i in range(40))
    script = f"from flax import nnx\nx = (nnx.no_such_name(1){chain})\n"
    assert codes(script).count("NC101") == 1


def test_a_function_is_read_again_only_when_what_it_asked_for_is_new(monkeypatch):
    from nnx_compat.check.reader import functions

    read, read_body = [], functions.read_body

    def counted(reading, body):
        read.append(body.function.node.name)
        read_body(reading, body)

    monkeypatch.setattr(functions, "read_body", counted)
    script = """\
from flax import nnx

class Model(nnx.Module):
    def __init__(self):
        self.scale = nnx.Param(1.0)

    def __call__(self):
        return self.bias.raw_value

    def finish(self):
        self.bias = nnx.Param(0.0)

def given(variable):
    return variable.raw_value

def alone(x):
    return x + 1

def main():
    return given(nnx.Param(1.0))
"""
    codes(script)
    assert {name: read.count(name) for name in read} == {
        "__init__": 1, "__call__": 2, "finish": 1, "given": 2, "alone": 1, "main": 1,
    }  # fmt: skip


def test_a_state_that_is_taken_anew_is_of_its_last_model():
    script = """\
from flax import nnx

def run(one, other):
    one, other = nnx.Linear(2, 3, rngs=nnx.Rngs(0)), nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    state = nnx.state(one)
    state = nnx.state(other)
    nnx.update(CHANGED, {})
    return state
"""
    assert "NC401" in codes(script.replace("CHANGED", "other"))
    assert "NC401" not in codes(script.replace("CHANGED", "one"))


def test_a_body_that_is_nested_too_deeply_is_said_to_be_not_followed(tmp_path):
    cases = "".join(f"    elif x == {i}:\n        y = {i}\n" for i in range(900))
    script = f"def f(x):\n    if x < 0:\n        y = 0\n{cases}    return y\n"
    (tmp_path / "deep.py").write_text(
        "from flax import nnx\nnnx.no_such_name\n" + script
    )
    report = check([str(tmp_path)])
    assert "NC101" in [finding.code for finding in report.findings]
    assert [why for _, why in report.lost] == [
        "something behind it is nested too deeply to follow"
    ]


def test_a_list_from_arguments_that_may_be_none_is_only_likely_refused():
    module = "from nnx_compat import nnx\n\n\nclass Chain(nnx.Module):\n"
    body = "\n        self.parts = list(parts)\n\n\n"
    made = "Chain(nnx.Linear(2, 2, rngs=nnx.Rngs(0)))\n"
    star = f"{module}    def __init__(self, *parts: nnx.Module):{body}"
    unsaid = f"{module}    def __init__(self, *parts):{body}{made}"
    one = f"{module}    def __init__(self, parts: list[nnx.Module]):{body}"
    certain = {
        script: {f.certain for f in found(script) if f.code == "NC320"}
        for script in (star, star + made, unsaid)
    }
    assert set(map(tuple, certain.values())) == {(False,)}
    assert True in {f.certain for f in found(one) if f.code == "NC320"}
