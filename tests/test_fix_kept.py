"""How it is told whether ``fix`` keeps what came out before: packages and programs."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from nnx_compat import facts
from tools import fuzz, programs
from tools.corpus import kept


def cell(passed, errors=(), **more):
    listed = [{"error": "TypeError: no", "items": list(errors)}] if errors else []
    return {"passed": passed, "timed": [], "errors": listed, **more}


def test_what_came_out_before_and_not_after_is_a_fault():
    before = cell(["import a", "build a.A", "call a.A"])
    assert kept.broken(before, before) == {}
    assert kept.broken(before, cell(["import a", "build a.A"], ["call a.A"])) == {
        "call a.A": "TypeError: no"
    }
    assert kept.broken(before, cell(["import a"], ["build a.A"])) == {
        "build a.A": "TypeError: no",
        "call a.A": "not reached",
    }
    assert kept.broken(cell(["import a"]), before) == {}


def test_a_job_that_was_ended_says_nothing_of_what_it_did_not_reach():
    before = cell(["import a", "build a.A"])
    assert kept.broken(before, cell(["import a"], ended="stopped")) == {}


def test_packages_are_run_on_the_first_and_the_last_release_of_each_revision():
    ends = kept.ends()
    assert {facts.releases()[0].version, facts.releases()[-1].version} <= set(ends)
    assert {row.revision for row in facts.releases() if row.version in ends} == {
        row.revision for row in facts.releases()
    }


def test_programs_are_python_and_the_same_for_the_same_seed():
    some = list(programs.programs(60, seed=1))
    assert some == list(programs.programs(60, seed=1))
    assert len(set(some)) == 60
    for program in some:
        ast.parse(program)


def test_what_raised_before_may_come_to_its_end():
    failed = "raised TypeError: no"
    assert fuzz.differing("x", failed, "1\n", "x") == ""
    assert fuzz.differing("x", "1\n", "1\n", "x") == ""
    assert "--- prints\n1" in fuzz.differing("x", "1\n", failed, "x")


def test_a_program_is_run_on_the_ends_of_its_range():
    newest = facts.releases()[-1].version
    found = fuzz.ranged("from flax import nnx\nw = nnx.Param(1.0)\nprint(w.value)\n")
    assert found.ends[-1] == newest
    assert found.ends[0] != facts.releases()[0].version
    assert "nc.get_value(w)" in found.fixed
