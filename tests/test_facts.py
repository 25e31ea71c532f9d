"""The facts: well-formed, complete, and true of what is installed."""

from __future__ import annotations

import importlib
import sys
import typing
from pathlib import Path

import pytest

import nnx_compat as nc
from nnx_compat import errors, facts
from nnx_compat.facts import Interval
from nnx_compat.facts._releases import position
from nnx_compat.facts._tables import read
from nnx_compat.revisions import nnx

FOLDER = Path(facts.__file__).parent
SERVED = [release.version for release in facts.releases()]
OLDEST, NEWEST = SERVED[0], SERVED[-1]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="CPython 3.10 has no tomllib")
@pytest.mark.parametrize("file", sorted(f.name for f in FOLDER.glob("*.toml")))
def test_our_reader_reads_what_tomllib_reads(file):
    import tomllib

    text = (FOLDER / file).read_text(encoding="utf-8")
    assert read(text) == tomllib.loads(text)


def test_releases_are_in_the_order_of_their_dates_and_the_withdrawn_ones_apart():
    known = facts.releases(yanked=True)
    assert [r.date for r in known] == sorted(r.date for r in known)
    assert [r.version for r in known if not r.yanked] == SERVED
    assert all(r.revision for r in known)


def test_every_release_has_a_measured_range_around_its_dated_jax():
    from packaging.version import Version

    for row in facts.releases():
        ends = row.jax_declared, row.jax_oldest, row.jax_dated, row.jax_newest
        versions = list(map(Version, ends))
        assert versions == sorted(versions), row
        if row.compat_oldest:
            ends = row.jax_declared, row.compat_oldest, row.jax_dated, row.compat_newest
            versions = list(map(Version, ends))
            assert versions == sorted(versions), row


def test_every_interval_names_known_releases_in_order():
    rows = [b.intervals for b in facts.behaviours()]
    rows += [s.intervals for s in facts.spellings()]
    for path in facts.names():
        name = facts.name(path)
        rows += [name.intervals, *name.parameters.values()]
    for intervals in rows:
        assert intervals
        for interval in intervals:
            assert position(interval.first) <= position(interval.last or NEWEST)


def test_there_are_at_least_thirty_changes_of_meaning_with_all_they_need():
    assert len(facts.behaviours()) >= 30
    for b in facts.behaviours():
        assert b.text.endswith(".")
        assert b.remedy and b.area and b.probe, b.id


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_names_are_true_of_the_installed_release():
    """names.json against the installed package: what it has and what it lacks."""
    wrong = []
    for path in facts.names():
        _, name, *member = path.split(".")
        here = hasattr(nnx, name)
        if here and member:
            native = getattr(nnx, name)
            fields = getattr(native, "__dataclass_fields__", ())
            is_class = isinstance(native, type) and typing.get_origin(native) is None
            here = is_class and (hasattr(native, member[0]) or member[0] in fields)
        if here is not facts.name(path).on(nc.flax_version):
            wrong.append(path)
    assert not wrong


def at_home(home, name):
    """The object at its home: until 0.10 the modules lay one ``nnx`` deeper."""
    for below in ("", "nnx."):
        path = f"{nnx.__name__}.{below}{home}"
        try:
            return getattr(importlib.import_module(path), name, None)
        except ModuleNotFoundError as error:
            assert path.startswith(str(error.name))
    return None


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_names_that_no_newer_release_has_are_at_home_on_the_installed_one():
    wrong = []
    for name in map(facts.name, facts.names()):
        having = [version for version in SERVED if name.on(version)]
        if name.home and having[-1:] == [nc.flax_version]:
            short = name.path.removeprefix("nnx.")
            if at_home(name.home, short) is not getattr(nnx, short):
                wrong.append((name.path, name.home))
    assert not wrong


def test_a_backport_lies_where_the_newest_flax_has_the_name():
    away = {}
    for short, file in facts.backports().items():
        name = facts.name(f"nnx.{short}")
        if not name.home or not name.on(NEWEST):
            continue
        if not f"{file}.".startswith(f"{name.home}."):
            away[short] = (name.home, file)
    assert not away


def test_names_leave_and_come_back():
    has_lists = facts.name("nnx.List").on
    assert has_lists("0.9.0") and not has_lists("0.10.7") and has_lists("0.12.0")
    assert facts.name("nnx.merge").on("0.11.2", "copy")
    assert not facts.name("nnx.merge").on("0.11.1", "copy")


def test_supports_answers_for_the_installed_release():
    assert nc.supports("nnx.Linear")
    assert nc.supports("nnx.List") is hasattr(nnx, "List")
    assert nc.supports("nnx.split") is hasattr(nnx, "split")
    with pytest.raises(LookupError, match="no public name 'nnx.Linaer'") as raised:
        nc.supports("nnx.Linaer")
    assert "nnx.Linear" in str(raised.value)


def test_nearest_reads_builds():
    assert facts.nearest("0.12.5+abc") == "0.12.5"
    assert facts.nearest("0.12.5.dev3") == "0.12.5"
    assert facts.nearest("0.12.5rc1") == "0.12.5"
    assert facts.nearest("0.10.99") == "0.10.7"
    assert facts.nearest("99.0") == facts.releases(yanked=True)[-1].version
    with pytest.raises(errors.UnknownFactError, match=f"is older than {OLDEST}"):
        facts.nearest("0.7.5")


def test_unknown_facts_say_what_is_known():
    with pytest.raises(errors.UnknownFactError, match="no release '0.10.9'") as raised:
        facts.release("0.10.9")
    assert f"{OLDEST} to {NEWEST}" in str(raised.value)
    with pytest.raises(errors.UnknownFactError) as raised:
        facts.behaviour("split-shares-variable")
    assert str(raised.value) == (
        "no behaviour 'split-shares-variable' in the facts. [NC002]\n"
        "  instead: split-shares-variables, split-takes-a-bare-variable, "
        "merge-shares-variables"
    )


def test_intervals_have_one_spelling():
    shown = {
        "0.9.0-0.10.7": Interval("0.9.0", "0.10.7"),
        "0.10.7": Interval("0.10.7", "0.10.7"),
        "from 0.12.0": Interval("0.12.0", None),
        f"from {NEWEST}": Interval(NEWEST, NEWEST),
        "up to 0.9.0": Interval(OLDEST, "0.9.0"),
        "every release": Interval(OLDEST, None),
    }
    assert {text: str(interval) for text, interval in shown.items()} == {
        text: text for text in shown
    }
    one, two, three = (facts.spanning([v]) for v in ("0.9.0", "0.10.7", "0.12.0"))
    assert facts.worded(one + two) == "0.9.0 and 0.10.7"
    assert facts.worded(one + two + three) == "0.9.0, 0.10.7 and 0.12.0"
    assert facts.worded([]) == "no release"


def test_releases_are_spanned_by_the_fewest_intervals():
    assert facts.spanning(SERVED) == (Interval(OLDEST, None),)
    assert facts.spanning([]) == ()
    for path in facts.names():
        intervals = facts.name(path).intervals
        having = [version for version in SERVED if facts.within(version, intervals)]
        assert [facts.within(v, facts.spanning(having)) for v in SERVED] == [
            facts.within(v, intervals) for v in SERVED
        ]


def test_behaviours_of_a_release_depend_on_its_jax():
    def ids(jax):
        return {b.id for b in facts.behaviours("0.10.2", jax)}

    assert "threefry-is-partitionable" in ids("0.5.1")
    assert "threefry-is-partitionable" not in ids("0.4.37")


@pytest.mark.parametrize("setting", facts.settings(), ids=lambda row: row.name)
def test_settings_are_those_of_the_installed_flax(setting):
    import flax

    has = setting.name in flax.config._values
    assert has == facts.within(facts.nearest(nc.flax_version), setting.intervals)


#: What no release has done otherwise so far, in here for what nnx-compat does about it.
EVERYWHERE = {
    "update-accepts-any-shape",
    "update-overwrites-metadata",
    "module-in-a-set-is-lost",
}


def varying():
    """Each fact that is there because releases differ, with the releases it is about."""
    for b in facts.behaviours():
        if b.id not in EVERYWHERE and not b.jax:
            yield f"behaviour {b.id}", b.intervals
    for id, b in facts.internals().items():
        yield f"internal {id}", b.intervals
    for s in facts.settings():
        yield f"setting {s.name}", s.intervals
    for f in facts.features():
        yield f"feature {f.name}", (Interval(f.since, None),)
    for path, rows in facts.treatments().items():
        for row in rows:
            yield f"{row.treatment} name {path}", row.intervals


def test_every_fact_varies_over_the_served_releases():
    idle = []
    for fact, intervals in varying():
        holds = {facts.within(version, intervals) for version in SERVED}
        if len(holds) == 1:
            where = "every" if holds.pop() else "no"
            idle.append(f"{fact} holds on {where} served release: delete its row")
    assert not idle, "\n".join(idle)


def test_what_is_said_to_be_so_everywhere_is_so_everywhere():
    for id in EVERYWHERE:
        assert facts.worded(facts.behaviour(id).intervals) == "every release", id
