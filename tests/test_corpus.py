"""What is tried of a published package, how it is recorded, and what follows from it.

About this repository rather than about a release of Flax: `nox` alone runs it.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from nnx_compat import facts  # noqa: E402
from nnx_compat.matrix import corpus  # noqa: E402
from nnx_compat.matrix.corpus import judging, page  # noqa: E402
from tools.corpus import __main__ as main  # noqa: E402
from tools.corpus import (  # noqa: E402
    arguments,
    checking,
    measure,
    outcomes,
    pins,
    probe,
    recorded,
)

OLD, NEW = facts.releases()[0].version, facts.releases()[-1].version


# -- the data ------------------------------------------------------------------------


def test_the_packages_are_pinned_and_enough():
    found = pins.packages()
    assert len({package.name for package in found.values()}) >= 30
    for package in found.values():
        assert len(package.sha256) == 64
        assert set(package.beside) <= found.keys()
        assert package.why or not (package.skip or package.share < 100)


def test_the_releases_are_the_last_of_every_revision_and_others():
    last = {row.revision: row.version for row in facts.releases()}
    assert set(last.values()) <= set(pins.releases())
    assert len(pins.releases()) >= 7


def test_modules_are_listed_without_tests_and_what_is_skipped(tmp_path):
    for name in ("a/__init__", "a/b", "a/test_b", "a/tests/c", "a/heavy/d", "e"):
        file = tmp_path / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")
    job = {"path": str(tmp_path), "modules": ["a"], "skip": ["a.heavy"]}
    assert probe.modules(job) == ["a", "a.b"]


# -- arguments -----------------------------------------------------------------------


class Module:
    pass


NNX = SimpleNamespace(Rngs=lambda seed: ("rngs", seed), Module=Module)


def small(function: Callable[..., None], array: object = None) -> object:
    return arguments.arguments(function, NNX, array)


def test_arguments_follow_annotations_and_then_names():
    def init(self, din: int, heads: int, rate: float, kind: Literal["a", "b"],
             out: int | None, hidden, use_bias, size: int = 7, *, rngs):  # fmt: skip
        """A signature as people write it."""

    assert small(init) == ([4, 2, 0.5, "a", None, 4, False], {"rngs": ("rngs", 0)})


def test_an_array_goes_where_one_may_be():
    def call(self, x, mask=None, *, train=False):
        """A call as people write it."""

    def no_array(self, train: bool):
        """Nothing here is an array."""

    assert small(call, "array") == (["array"], {})
    assert small(no_array, "array") == ([False], {})


def test_nothing_is_tried_where_nothing_tells():
    def init(self, backend: str):
        """A string may be anything."""

    with pytest.raises(arguments.CannotTell):
        small(init)


# -- outcomes ------------------------------------------------------------------------


def test_an_error_is_recorded_without_what_differs_from_run_to_run():
    found = outcomes.said(
        f"{sys.prefix}/x: <A at 0x7fe0> in /tmp/corpus-1/y 123456", {}
    )
    assert found == "/x: <A at 0x> in /tmp N"
    assert outcomes.said(f"at {outcomes.__file__}:9", {}) == (
        "at /tools/corpus/outcomes.py:9"
    )


def test_an_error_ends_in_the_package_when_the_standard_library_raised_it():
    namespace: dict[str, Callable[[], None]] = {}
    code = "def f():\n    import json\n    json.loads('x')"
    exec(compile(code, "/here/a.py", "exec"), namespace)
    with pytest.raises(json.JSONDecodeError) as caught:
        namespace["f"]()
    found = outcomes.failure(caught.value, {"/here": "package"})
    assert (found["ends"], found["frames"]) == ("package", ["a.py:3"])


ROWS = [
    {"item": "import a"},
    {"subject": "import a", "lines": {"a.py": [1, 2, 3]}},
    {"item": "build a.C", "error": "ValueError: nnx", "ends": "flax",
     "frames": ["a.py:4"]},
    {"subject": "class a.C", "lines": {"a.py": [4, 5]}},
    {"item": "build a.D", "time": True},
]  # fmt: skip


def test_lines_are_clean_where_nothing_failed_that_flax_may_have_to_do_with():
    found = corpus.outcome(ROWS)
    assert found["clean"] == {("a.py", 1), ("a.py", 2), ("a.py", 3)}
    assert (found["passed"], found["timed"]) == (["import a"], ["build a.D"])
    assert found["errors"][0]["items"] == ["build a.C"]


def cell(rows: list[dict[str, object]]) -> dict[str, object]:
    return {**corpus.outcome(rows), "source": {"pin": "1"}, "seconds": 1}


def test_a_record_is_read_as_it_was_written():
    native = {OLD: {"native": cell(ROWS)}, NEW: {"native": cell(ROWS[:2])}}
    written = json.loads(json.dumps(corpus.encoded({"cells": native})))
    assert corpus.decoded(written)["cells"] == native


# -- what follows --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "ends", "elsewhere", "expected"),
    [
        ("AttributeError: module 'flax.nnx' has no attribute 'List'", "package", 0, "flax"),
        ("TypeError: 'NoneType' object is not callable", "package", 0, "other"),
        ("TypeError: 'NoneType' object is not callable", "package", 1, "flax"),
        ("TypeError: dot_general requires", "jax", 1, "other"),
        ("ImportError: cannot import name 'a' from 'jax.b' (/b.py)", "package", 1, "jax"),
        ("AttributeError: module 'jax' has no attribute 'P'", "package", 1, "jax"),
        ("ModuleNotFoundError: No module named 'wandb'", "package", 1, "dependency"),
        ("SyntaxError: invalid syntax", "syntax", 1, "python"),
        ("AssertionError: 1 != 2", "package", 1, "other"),
        ("TraceContextError: (https://flax.example/nnx)", "flax", 0, "other"),
        ("TraceContextError: (https://flax.example/nnx)", "flax", 1, "flax"),
    ],
)  # fmt: skip
def test_whose_fault_a_failure_is(error, ends, elsewhere, expected):
    assert judging.cause({"error": error, "ends": ends}, bool(elsewhere)) == expected


def failing(item: str, frame: str) -> dict[str, object]:
    text = "AttributeError: module 'flax.nnx' has no attribute 'List'"
    return {"item": item, "error": text, "ends": "package", "frames": [frame]}


def record(run: list[dict[str, object]]) -> dict[str, object]:
    """Passes on the newest release; on the oldest an import fails, and a class with it."""
    passing = [{"item": item} for item in ("import a", "import a.b", "build a.b.C")]
    lines = {"subject": "", "lines": {"a/__init__.py": [1, 2]}}
    old = [{"item": "import a"}, lines, failing("import a.b", "a/b.py:7")]
    finding = {
        "certain": True,
        "excluded": OLD,
        "runs_with_line": True,
        "code": "NC101",
    }
    places = ("a/__init__.py:2", "a/b.py:7", "a/b.py:9")
    cells = {
        OLD: {"native": cell(old), "run": cell(run)},
        NEW: {"native": cell(passing)},
    }
    return corpus.decoded(
        corpus.encoded(
            {
                "package": "a", "version": "1", "cells": cells, "releases": [OLD, NEW],
                "check": {
                    "runs": NEW, "findings": [{**finding, "at": at} for at in places],
                },
            }
        )
    )  # fmt: skip


def test_what_is_not_reached_fails_for_the_reason_of_what_it_is_in():
    old, new = judging.cells(record([]))
    assert old.failing.keys() == {"import a.b", "build a.b.C"}
    assert (old.own, old.passed, new.failing) == (1, {"import a"}, {})


def test_a_finding_is_borne_out_or_a_false_alarm_or_not_judged():
    old, _ = judging.cells(record([]))
    assert {(alarm.at, alarm.true) for alarm in old.alarms} == {
        ("a/__init__.py:2", False), ("a/b.py:7", True),
    }  # fmt: skip
    assert old.missed == {}


def test_what_is_only_likely_is_not_judged_and_no_miss():
    found = record([])
    for finding in found["check"]["findings"]:
        finding["certain"] = False
    found["check"]["runs"] = f"{OLD} {NEW}"
    old, new = judging.cells(found)
    assert (old.said, old.open, new.said, new.open) == (None, True, True, False)
    total = judging.rates([old, new])
    assert (total.failing, total.missed, total.open) == (1, 0, 1)


@pytest.mark.parametrize("about", ["layers", "others"])
def test_what_is_refused_when_a_module_has_been_made_is_of_its_attribute(about):
    found = record([])
    text = "ValueError: Found Arrays in static attribute 'layers' of Pytree type 'C'"
    for error in found["cells"][OLD]["native"]["errors"]:
        error.update(error=text, ends="flax", frames=["tests/test_a.py:3"])
    for finding in found["check"]["findings"]:
        finding.update(about=about, at="a/base.py:1")
    old, _ = judging.cells(found)
    assert bool(old.missed) == (about == "others")


def test_what_a_way_repairs_and_breaks_is_counted():
    total = judging.rates(judging.cells(record([{"item": "import a.b"}])))
    assert total.ways["run"]["items repaired"] == 1
    assert total.ways["run"]["broken"] == 1  # import a
    assert (total.failing, total.missed, total.false) == (1, 0, 1)


def test_the_page_says_what_was_not_measured(monkeypatch):
    monkeypatch.setattr(page, "records", lambda: [record([])])
    text = page.page()
    assert "* run: 1 of 2 cells" in text
    assert "| a 1 | `none` | 2→2 b1 | ok |" in text


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("x = nnx.List([])", True),
        ("f = lambda: nnx.List([])", False),
        ("x = a and nnx.List([])", False),
        ("x = nnx.List if a else b", False),
        ("x: nnx.List = a", False),
        ("def f(): return nnx.List", False),
    ],
)
def test_to_execute_a_line_is_not_always_to_execute_what_is_in_it(line, expected):
    column = line.index("nnx")
    assert checking._runs_with_line(ast.parse(line), 1, column) is expected


def test_the_records_that_are_old_or_missing_are_told_with_their_times(
    tmp_path, monkeypatch
):
    package = next(iter(pins.packages().values()))
    monkeypatch.setattr(pins, "packages", lambda: {package.id: package})
    monkeypatch.setattr(corpus, "RECORDS", tmp_path)
    here = {way: measure.sources(package, way) for way in corpus.WAYS}
    cells = {
        flax: {
            "native": {"source": here["native"], "seconds": 3},
            "run": {"source": {**here["run"], "src": "older"}, "seconds": 5},
        }
        for flax in pins.releases()
    }
    (tmp_path / f"{package.id}.json").write_text(json.dumps({"cells": cells}))
    native, run, fix = recorded()
    assert native == (f"--package {package.id} --ways native", True, 0)
    assert run[1:] == (False, 5 * len(pins.releases()))
    assert fix[1:] == (False, None)


def test_two_measurements_differ_in_what_came_of_items_alone():
    once = {"passed": ["import a"], "errors": [], "seconds": 1, "source": {"src": "1"}}
    again = {**once, "seconds": 9, "source": {"src": "2"}, "clean": set()}
    assert main.differences(once, again) == []
    assert main.differences(once, {**again, "passed": []}) == ["passed"]
