"""What the facts know is explained, and native errors are recognised by their texts."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import nnx_compat as nc
from nnx_compat import band, cli, errors, explain, facts
from nnx_compat.check.rules import RULES, by_code
from nnx_compat.facts._faults import admits
from nnx_compat.facts._tables import read, text
from nnx_compat.facts._uses import _uses
from nnx_compat.revisions import nnx

from . import native_errors

HERE = facts.nearest(nc.flax_version)


def message(function):
    """The text of what a call raises."""
    with pytest.raises((AttributeError, TypeError)) as caught:
        function()
    return str(caught.value)


# -- a page is about what was asked for ---------------------------------------------


def test_a_page_of_a_name_says_which_releases_have_it_and_its_parameters():
    for path in facts.names():
        name = facts.name(path)
        page = explain.explain(path)
        lines = page.splitlines()
        assert lines[0] == f"# {path}"
        assert lines[2] == f"Flax has it on: {facts.worded(name.intervals)}."
        for parameter, where in name.parameters.items():
            assert f"| `{parameter}` | {facts.worded(where)} |" in lines
        for row in facts.treatments().get(path, ()):
            assert row.why in page
            assert row.instead in page


def test_names_outside_of_nnx_and_members_of_instances_are_known_too():
    for path in [*_uses()["flax"], *_uses()["members"]]:
        where = facts.outside(path) or facts.instance_member(path)
        page = explain.explain(path)
        assert page.startswith(f"# {path}\n")
        assert (
            f"have it on: {facts.worded(where)}." in page
            or f"Flax has it on: {facts.worded(where)}." in page
        )


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_a_page_of_a_rule_has_its_reason_its_example_and_its_remedy(rule):
    page = explain.explain(rule.code)
    assert page.startswith(f"# {rule.code}: {rule.title}\n")
    for part in (rule.why, rule.before, rule.remedy):
        assert part in page
    for row in explain.natives():
        assert (f"`{row.text}`" in page) is (row.behaviour == rule.code)


@pytest.mark.parametrize("name", errors.__all__)
def test_an_error_is_found_by_its_code_and_by_its_name(name):
    kind = getattr(errors, name)
    pages = [explain.explain(name)] if kind is not errors.NnxCompatError else []
    if issubclass(kind, errors.NnxCompatError):
        pages += [explain.explain(kind.code)]
    said = kind.__doc__.splitlines()[0]
    assert pages
    assert all(said in page and name in page for page in pages)


@pytest.mark.parametrize("row", facts.behaviours(), ids=lambda row: row.id)
def test_a_page_of_a_change_has_its_sentence_releases_remedy_and_symptoms(row):
    page = explain.explain(row.id)
    assert page.startswith(f"# {row.id}\n\n{row.text}\n")
    assert f"So it is on: {facts.worded(row.intervals)}" in page
    assert row.remedy in page
    of_it = [text for text in explain.natives() if text.behaviour == row.id]
    for symptom in (*facts.symptoms(row.id), *of_it):
        on = facts.worded(symptom.intervals)
        assert f"{symptom.kind.capitalize()} on {on}: `{symptom.text}`" in page


@pytest.mark.parametrize("row", facts.faults().values(), ids=lambda row: row.id)
def test_a_page_of_a_fault_has_its_pairs_and_what_makes_them_work(row):
    page = explain.explain(row.id)
    assert page.startswith(f"# {row.id}\n\n{row.text}\n")
    assert f"{facts.worded(row.intervals)}, with jax {row.jax}." in page
    assert ("nnx_compat.install()" in page) is ("install" in row.repaired)
    assert ("from nnx_compat import nnx" in page) is ("drop-in" in row.repaired)


def test_the_page_of_jax_has_the_range_of_every_release():
    page = explain.explain("jax")
    for row in facts.releases():
        assert f"| {row.version} | {row.jax_oldest} to {row.jax_newest} |" in page


def test_all_that_is_known_is_listed_once_and_has_a_page():
    known = explain.known()
    assert len(known) == len(set(known))
    for asked in ("GUARD", "jax", *dict(explain.index())):
        assert asked in known
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


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ("nnx.Lisst", "nnx.List"),
        ("NC999", "instead: "),
        ("nothing at all of that kind", "nnx-compat check"),
        ("ValueError: nnx.Linear is at odds with itself", "explain nnx.Linear"),
        ("Expected a key that is in a state", "explain merge-accepts-missing-leaves"),
    ],
)
def test_what_is_not_known_is_refused_with_what_comes_nearest(asked, named, capsys):
    assert cli.main(["explain", asked]) == 2
    said = capsys.readouterr().err
    assert "nothing is known of" in said
    assert "instead: " in said
    assert named in said


# -- the texts that show no change of meaning ---------------------------------------


def of_jax(row):
    return row.behaviour == "jax" or row.behaviour in facts.faults()


def test_there_are_texts_enough_and_each_is_about_something_known():
    tables = read(text("symptoms.toml"))
    assert sum(map(len, tables.values())) >= 45
    known = {*facts.faults(), *(rule.code for rule in RULES), "jax"}
    known |= {row.id for row in facts.behaviours()}
    for row in explain.natives():
        name, _, parameter = row.behaviour.partition(" ")
        assert row.behaviour in known or name in facts.names()
        assert not parameter or parameter in facts.name(name).parameters
        assert row.kind in ("error", "warning")


@pytest.mark.parametrize(
    "row",
    [
        row
        for row in explain.natives()
        if facts.within(HERE, row.intervals) and not of_jax(row)
    ],
    ids=lambda row: f"{row.behaviour}: {row.text}",
)
def test_a_program_meets_the_text_of_what_it_is_about(row):
    texts = native_errors.met(row.behaviour)
    found = [text for text in texts if row.found_in(text)]
    assert found, texts
    subjects = [match.subject for match in explain.matches(found[0], HERE)]
    assert row.behaviour in subjects


def recorded(row):
    """The pairs that the record has with this text."""
    return [
        (flax, jax)
        for (flax, jax), pair in band.pairs().items()
        for said in pair.results.get("native", {}).values()
        if row.found_in(said) and facts.within(flax, row.intervals)
    ]


#: What the record has no probe of, since these are used seldom: jax itself is asked.
ASKED_OF_JAX = (
    "pmap-passes-global-arg-shapes",
    "shard-map-passes-auto",
    "linen-remat-passes-concrete",
)


@pytest.mark.parametrize(
    "row",
    [r for r in explain.natives() if of_jax(r) and r.behaviour not in ASKED_OF_JAX],
    ids=lambda row: f"{row.behaviour}: {row.text}",
)
def test_the_record_of_pairs_has_the_texts_that_jax_causes(row):
    pairs = recorded(row)
    served = [
        r.version for r in facts.releases() if facts.within(r.version, row.intervals)
    ]
    assert [v for v in served if v not in dict(pairs)] == []
    if row.behaviour == "jax":
        wrong = [pair for pair in pairs if runs(*pair, row)]
    else:
        fault = facts.fault(row.behaviour)
        wrong = [pair for pair in pairs if not fault.holds(*pair)]
    assert wrong == []


def runs(flax, jax, row):
    """Whether all of NNX runs on a pair, and the text is not of what is beside it."""
    failing = band.measured(flax, jax).failing("native")
    by = {probe for probe, said in failing.items() if row.found_in(said)}
    return facts.release(flax).measured(jax) and not by <= set(band.BESIDES_NNX)


def of_argument(argument):
    """Call a function of jax with the argument that it gave up."""
    if argument.function.endswith("shard_map"):
        from jax.experimental.shard_map import shard_map

        mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("d",))
        specs = jax.sharding.PartitionSpec()
        shard_map(lambda x: x, mesh=mesh, in_specs=specs, out_specs=specs, auto=())
    else:
        getattr(jax, argument.function)(lambda x: x, **{argument.argument: False})


@pytest.mark.parametrize(
    ("argument", "row"),
    [
        (argument, row)
        for argument in facts.arguments()
        for row in explain.natives()
        if row.behaviour == argument.fault in ASKED_OF_JAX
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_jax_refuses_an_argument_with_this_text(argument, row):
    fault = facts.fault(argument.fault)
    if admits(fault.jax, nc.jax_version):
        with pytest.raises((TypeError, NotImplementedError)) as caught:
            of_argument(argument)
        assert row.found_in(str(caught.value))
    else:
        assert not fault.holds(nc.flax_version, nc.jax_version)


@pytest.mark.parametrize(
    ("said", "subject"),
    [
        ("KeyError: \"No RngStream named 'dropout' found in Rngs.\"", "NC342"),
        ("No RNG named 'dropout' or 'default' found in Rngs.", "NC342"),
        ("IndexError: tuple index out of range", "vmap-splits-the-rngs"),
        ("No module named 'flax.nnx.nnx'", "nnx.nnx"),
        (
            "Can't get attribute 'VariableState' on <module 'flax.nnx.variablelib' "
            "from 'variablelib.py'>",
            "nnx.VariableState",
        ),
        (
            "ImportError: cannot import name 'PromoteDtypeFn' from 'flax.typing' (x.py)",
            "flax.typing.PromoteDtypeFn",
        ),
        ("jit() got an unexpected keyword argument 'abstracted_axes'",
         "jit-passes-abstracted-axes"),
        ("cannot import name 'identity' from 'jax.nn'", "jax"),
        ("static() takes 0 positional arguments but 1 was given", "nnx.static"),
        ("AttributeError: No attribute 'to_pure_dict' in State",
         "nnx.State.to_pure_dict"),
    ],
)  # fmt: skip
def test_a_pasted_text_is_explained_by_its_cause(said, subject, capsys):
    traceback = f"Traceback (most recent call last):\n  File 'a.py', line 1\n{said}"
    for pasted in (said, traceback):
        assert cli.main(["explain", pasted]) == 0
        shown = capsys.readouterr().out
        assert f"# {subject}" in shown
        assert subject in [match.subject for match in explain.matches(pasted)]


def test_a_pasted_error_of_ours_or_line_of_the_checker_is_explained_by_its_code():
    raised = errors.DonatedError("the array at w was given up", instead="step.sync()")
    assert explain.explain(str(raised)).startswith("# NC041: DonatedError\n")
    line = "model.py:3:9 NC320 `self.layers` is a plain container"
    assert explain.explain(line).startswith("# NC320: ")


def test_a_member_that_a_builtin_lacks_is_no_name_of_nnx():
    for owner in ("dict", "list", "NoneType", "function"):
        assert explain.matches(f"'{owner}' object has no attribute 'split'") == []


def test_what_a_text_is_about_says_what_to_do():
    for row in (*facts.symptoms(), *explain.natives()):
        newest = facts.releases()[-1].version
        match = explain.told(row.behaviour, newest)
        assert match.text
        assert match.instead or by_code(row.behaviour) is None, row.behaviour


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
