"""What the facts know is explained, and native errors are recognised by their texts."""

from __future__ import annotations

import pytest

import nnx_compat as nc
from nnx_compat import cli, explain, facts
from nnx_compat.revisions import nnx

HERE = facts.nearest(nc.flax_version)


def message(function):
    """The text of what a call raises."""
    with pytest.raises((AttributeError, TypeError)) as caught:
        function()
    return str(caught.value)


def test_all_that_is_known_has_a_page():
    for asked in explain.known():
        assert explain.explain(asked).startswith(f"# {asked}")


@pytest.mark.parametrize(
    "asked", ["flax.nnx.scan in_axes", "nnx.scan(in_axes)", "scan in_axes"]
)
def test_a_parameter_is_asked_for_in_every_spelling(asked):
    page = explain.explain(asked)
    assert (
        f"`in_axes` | {facts.worded(facts.name('nnx.scan').parameters['in_axes'])}"
        in page
    )
    assert "`out_axes`" not in page


def test_the_code_of_an_error_and_a_rule_gives_both_pages():
    heads = [line for line in explain.explain("nc102").splitlines() if line[:2] == "# "]
    assert len(heads) == 2
    assert "RefusedArgumentError" in heads[1]


@pytest.mark.parametrize("asked", ["nnx.Lisst", "NC999", "nothing at all of that kind"])
def test_what_is_not_known_is_refused_with_what_looks_alike(asked, capsys):
    assert cli.main(["explain", asked]) == 2
    assert "instead: " in capsys.readouterr().err


def test_a_name_that_the_installed_release_lacks_is_recognised_by_the_native_error():
    absent = next(
        path for path in facts.names()
        if path.count(".") == 1 and not facts.name(path).on(HERE)
    )  # fmt: skip
    text = message(lambda: getattr(nnx, absent.removeprefix("nnx.")))
    assert [match.subject for match in explain.matches(text, HERE)] == [absent]
    assert absent in explain.explain(text)


def test_a_parameter_that_the_installed_release_lacks_is_recognised():
    lacking = [
        (name, parameter)
        for name in map(facts.name, ("nnx.Linear", "nnx.Conv", "nnx.BatchNorm"))
        for parameter in name.parameters
        if not name.on(HERE, parameter)
    ]
    # what no release has is nothing that the facts know
    lacking.append((facts.name("nnx.Linear"), "no_release_has_this"))
    for name, parameter in lacking:
        layer = getattr(nnx, name.path.removeprefix("nnx."))
        text = message(lambda: layer(1, 1, **{parameter: None}, rngs=nnx.Rngs(0)))  # noqa: B023
        known = [f"{name.path} {parameter}"] * (parameter in name.parameters)
        assert [match.subject for match in explain.matches(text, HERE)] == known


def noted(function):
    """The note on what a call raises."""
    with pytest.raises((AttributeError, ImportError, TypeError, ValueError)) as caught:
        function()
    return explain.note(caught.value, HERE)


def test_a_native_error_that_the_facts_know_gets_a_note():
    absent = next(
        path for path in facts.names()
        if path.count(".") == 1 and not facts.name(path).on(HERE)
    )  # fmt: skip
    text = noted(lambda: getattr(nnx, absent.removeprefix("nnx.")))
    assert text.endswith(f"nnx-compat explain {absent}")


def test_errors_of_other_code_and_our_own_get_none():
    assert noted(lambda: {}.split) == ""
    assert noted(lambda: hash([])) == ""
    assert noted(lambda: nc.split(3)) == ""
    assert noted(lambda: nnx.no_release_has_this) == ""
    assert noted(lambda: __import__("no_such_module_nnx")) == ""


def test_a_symptom_is_recognised_on_the_releases_that_have_it_alone():
    text = "Found data on value of type list assigned to static attribute 'layers'"
    on = facts.symptoms("list-of-modules-is-refused")[-1].intervals
    for release in facts.releases():
        found = [match.subject for match in explain.matches(text, release.version)]
        there = facts.within(release.version, on)
        assert found == ["list-of-modules-is-refused"] * there
