"""How Flax's own tests are run and judged; and that a record hides nothing.

About this repository rather than about a release of Flax: `nox` alone runs it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from nnx_compat import facts, matrix  # noqa: E402
from tools import conformance, rendered  # noqa: E402


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("from flax import nnx", "from nnx_compat import nnx"),
        ("from flax import nnx as n", "from nnx_compat import nnx as n"),
        ("from flax.experimental import nnx", "from nnx_compat import nnx"),
        (
            "from flax import linen, nnx, struct",
            "from flax import linen, struct; from nnx_compat import nnx",
        ),
        ("if True:\n  from flax import nnx  # so", None),
        ("from flax import linen", "from flax import linen"),
        ("from flax.nnx import Param", "from flax.nnx import Param"),
        ("import flax", "import flax"),
    ],
)
def test_only_import_lines_of_nnx_change(line, expected):
    found = conformance.with_imports_from(line, "nnx_compat")
    assert found == (expected or "if True:\n  from nnx_compat import nnx  # so")


def test_what_is_impossible_depends_on_the_release():
    new, old = facts.releases()[-1].version, facts.releases()[0].version
    for feature in facts.features():
        for use in feature.uses:
            assert conformance.impossible([use, "Linear"], old) == feature.name
            assert conformance.impossible([use, "Linear"], new) == ""
            assert conformance.impossible([use], feature.since) == ""
    assert conformance.impossible(["Linear", "graph=True"], old) == ""
    assert conformance.impossible(["graphlib.RefMap"], new) == "private internals"
    assert conformance.impossible(["graphlib.split"], old) == ""


def outcomes(tmp_path, way, **tests):
    file = tmp_path / f"{way}.json"
    rows = {name: {"outcome": o, "uses": u} for name, (o, u) in tests.items()}
    file.write_text(json.dumps({"state_test.py": rows}))
    return file


def test_a_test_is_judged_when_it_passes_at_home_and_is_possible(tmp_path):
    files = {
        "watch": outcomes(
            tmp_path, "watch",
            a=("passed", []), b=("passed", []), c=("passed", ["graph=False"]),
            d=("failed", []), e=("passed", []),
        ),
        "native": outcomes(tmp_path, "native", a=("passed", []), e=("passed", [])),
        "drop-in": outcomes(tmp_path, "drop-in", a=("passed", []), b=("passed", [])),
        "install": outcomes(tmp_path, "install", a=("crashed", []), d=("passed", [])),
    }  # fmt: skip
    old = facts.releases()[0].version
    record = conformance.judge(files, "0.12.7", old)
    assert record["files"]["state_test.py"] == {
        "judged": 3, "layers": 0, "native": 2, "drop-in": 2, "install": 0,
    }  # fmt: skip
    assert record["apart"] == {"tree mode": 1}
    assert record["failing"]["install"] == {"state_test.py": ["a", "b", "e"]}
    assert record["lost"] == {
        "drop-in": ["state_test.py::e"],
        "install": ["state_test.py::a", "state_test.py::e"],
    }
    assert "3 judged, native 66.7%" in matrix.summary(record)


def test_examples_are_judged_by_what_runs_at_home(tmp_path):
    folder = tmp_path / conformance.EXAMPLES
    folder.mkdir(parents=True)
    for name, text in {
        "good.py": "from matplotlib import pyplot as plt\nplt.plot([1])",
        "data.py": "import datasets\n"
        "assert datasets.load_dataset('mnist')['train']['image'].shape[1:] == (28, 28)",
        "bad.py": "raise KeyError('no')",
        "newer.py": "import sys\nfrom flax import nnx\nassert 'nnx_compat' not in "
        "sys.modules, 'what\\na day'",
    }.items():
        (folder / name).write_text(text)
    outcomes = {}
    for way in ("native", "install"):
        out = outcomes[f"0.12.7:{way}"] = tmp_path / f"{way}.json"
        conformance.run(tmp_path, way, out, examples=True)
    record = conformance.judge_examples(outcomes, "0.12.7")
    assert record == {
        "tests_of": "0.12.7",
        "judged": ["data.py", "good.py", "newer.py"],
        "releases": {
            "0.12.7": {
                "native": 3,
                "install": 2,
                "failing": {"newer.py": "AssertionError: what"},
            }
        },
    }


def test_a_checkout_without_tests_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="instead: a checkout of Flax"):
        conformance.files(tmp_path)


def test_a_file_is_run_and_its_outcomes_and_uses_are_noted(tmp_path):
    """The whole way, on a checkout made up for it."""
    tests = tmp_path / "tests" / "nnx"
    (tests / "nn").mkdir(parents=True)
    for name in conformance.FILES:
        if name.endswith(".py"):
            (tests / name).write_text("")
    (tests / "nn" / "linear_test.py").write_text("")
    (tests / "state_test.py").write_text(
        "from flax import nnx\n"
        "def test_good():\n  assert nnx.state(nnx.Linear(1, 1, rngs=nnx.Rngs(0)))\n"
        "def test_bad():\n  assert nnx.Param(1.0) is None\n"
    )
    out = tmp_path / "out.json"
    for way in ("native", "drop-in", "install", "watch"):
        conformance.run(tmp_path, way, out, ["state_test.py"])
        found = json.loads(out.read_text())["state_test.py"]
        assert found["test_good"]["outcome"] == "passed", found
        assert found["test_bad"]["outcome"] == "failed"
        assert "None" in found["test_bad"]["why"]
    assert {"Linear", "state"} <= set(found["test_good"]["uses"])


def test_a_test_that_is_impossible_is_left_out_for_it_may_keep_a_file_from_import(
    tmp_path,
):
    text = (
        "def deco(**_): raise TypeError\n"
        "class TestA:\n"
        "  @deco(hijax=True)\n"
        "  def test_hijax(self):\n    pass\n"
        "  def test_hijax_too(self):\n    pass\n"
    )
    tests = ["TestA::test_hijax0", "TestA::test_hijax1", "TestA::test_hijax_too"]
    every = conformance.without_tests(text, tests, tests[:1])
    assert every == text, "one of its cases is possible"
    less = conformance.without_tests(text, tests, tests[:2])
    space: dict = {}
    exec(less, space)
    assert [n for n in vars(space["TestA"]) if "test" in n] == ["test_hijax_too"]
    function = conformance._test_functions(text)["TestA::test_hijax"]
    assert conformance._decorated(function) == {"hijax=True"}


def test_records_are_of_releases_and_hide_nothing():
    for record in matrix.conformance():
        facts.release(record["tests_of"])
        facts.release(record["flax"])
        for file, row in record["files"].items():
            for way in ("drop-in", "install"):
                missed = record["failing"].get(way, {}).get(file, [])
                assert row["judged"] == row[way] + len(missed)


def test_the_stub_is_what_the_facts_give():
    assert rendered.STUB.read_text() == rendered.stub(), "nox -s render"
