"""The rules of the checker, held against the installed release: what they say happens."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

import nnx_compat as nc
from nnx_compat.check import check_source, pages, releases
from nnx_compat.check.rules import RULES
from nnx_compat.check.sources import Source


def here(mask):
    return nc.facts.nearest(nc.flax_version) in releases.listed(mask)


def run(script):
    """Whether a script comes to its end, and if not, why."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            exec(compile(script, "example", "exec"), {"__name__": "example"})
        except Exception as error:
            return error
    return None


def breaks_on(script, code=""):
    """Where a finding excludes it; and where it warns, for the rule it is about."""
    mask = 0
    for finding in check_source(Source("example", script)):
        mask |= finding.excluded | (finding.warns if finding.code == code else 0)
    return mask


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_the_example_of_a_rule_breaks_exactly_where_the_checker_says(rule):
    error = run(rule.before)
    said = here(breaks_on(rule.before, rule.code))
    assert bool(error) is said, error
    excluded, warns = pages.concerned(rule)
    assert excluded | warns, f"{rule.code} concerns no served release: delete it"


@pytest.mark.parametrize(
    "rule", [rule for rule in RULES if rule.after], ids=lambda rule: rule.code
)
def test_what_to_write_instead_runs_on_every_release(rule):
    assert breaks_on(rule.after) == 0
    error = run(rule.after)
    assert error is None, error


FIXTURES = sorted((Path(__file__).parent / "fixtures").glob("*/*.py"))


@pytest.mark.parametrize("file", FIXTURES, ids=lambda f: f"{f.parent.name}-{f.stem}")
def test_a_fixture_runs_exactly_where_the_checker_says(file):
    script = file.read_text()
    error = run(script)
    source = Source(str(file), script)
    findings = source.reported(check_source(source))
    excluded = 0
    for finding in findings:
        if finding.certain:
            excluded |= finding.excluded
    assert bool(error) is here(excluded), error
