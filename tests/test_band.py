"""The band: what its record says, what the facts take from it, how it is measured.

About this repository rather than about a release of Flax: `nox` alone runs it.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from nnx_compat import band, facts, matrix
from nnx_compat.band import Measured
from nnx_compat.band import run as child
from nnx_compat.matrix import grid

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tools import band as tool  # noqa: E402

RELEASES = facts.releases()
JAX = grid.jax_versions()


def row_of(flax):
    return [pair for pair in band.pairs().values() if pair.flax == flax]


def imports(pair):
    return any("import" not in found for found in pair.results.values())


# -- the record ---------------------------------------------------------------------


@pytest.mark.parametrize("release", RELEASES, ids=lambda row: row.version)
def test_the_ranges_in_the_facts_are_those_of_the_record(release):
    found = tool.ends(release)
    assert found == {key: getattr(release, key) for key in found}, (
        f"nox -s band -- --flax {release.version} --write"
    )


@pytest.mark.parametrize("release", RELEASES, ids=lambda row: row.version)
def test_a_release_was_tried_on_until_two_in_a_row_did_not_import(release):
    row = row_of(release.version)
    tried = [pair.jax for pair in row]
    first, last = JAX.index(tried[0]), JAX.index(tried[-1])
    assert tried == JAX[first : last + 1]
    below = tool.ahead(release, JAX, -1)
    assert tried[0] == below[0] or not any(map(imports, row[: tool.BEYOND]))
    assert last == len(JAX) - 1 or not any(map(imports, row[-tool.BEYOND :]))


def test_every_result_is_of_a_probe_and_none_is_written_that_is_ok():
    for pair in band.pairs().values():
        assert pair.results.keys() <= set(band.WAYS)
        for found in pair.results.values():
            assert found.keys() <= set(band.PROBES)
            assert "ok" not in found.values()
            assert "import" not in found or len(found) == 1


def test_what_is_absent_natively_is_what_the_facts_say():
    for pair in band.pairs().values():
        of = band.forms(pair.flax)
        native = pair.results.get("native", {"import": "not measured"})
        absent = {probe for probe, text in native.items() if text == "absent"}
        wanted = {p for p, name in band.NEEDS.items() if of[f"no {name}"]}
        assert absent == (set() if "import" in native else wanted)
        through_us = (found for way, found in pair.results.items() if way != "native")
        assert not any("absent" in found.values() for found in through_us)


def test_every_pair_has_the_companions_that_its_jax_needs():
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

    for pair in band.pairs().values():
        python = matrix.pair(pair.flax, pair.jax).python
        assert pair.beside["python"].startswith(f"{python}.")
        for row in facts.companions():
            if SpecifierSet(row.jax).contains(pair.jax):
                needed = Requirement(row.requires)
                assert needed.specifier.contains(pair.beside[needed.name])


# -- what it is asked ---------------------------------------------------------------


def made_up(results, flax="0.8.5", jax="0.4.30"):
    return Measured(flax, jax, {}, results)


def test_a_pair_works_where_all_probes_of_nnx_pass():
    pair = made_up({"native": {"cond": "absent", "orbax": "ValueError: x"}})
    assert pair.works("native") is True
    assert pair.failing("native") == {"orbax": "ValueError: x"}
    assert pair.works("install") is None and pair.failing("install") is None
    assert made_up({"native": {"jit": "TypeError: x"}}).works("native") is False
    assert made_up({"native": {"import": "ImportError: x"}}).works("native") is False


def test_a_range_ends_before_the_first_gap_and_at_what_is_declared(monkeypatch):
    broken = {"native": {"jit": "TypeError: x"}, "drop-in": {}}
    works = {"native": {}, "drop-in": {}}
    row = {"0.4.26": works, "0.4.27": works, "0.4.28": works, "0.4.29": broken,
           "0.4.30": works, "0.4.31": broken, "0.4.33": {"native": {"import": "x"}}}  # fmt: skip
    pairs = {("0.8.5", jax): made_up(found, jax=jax) for jax, found in row.items()}
    monkeypatch.setattr(band, "pairs", lambda: pairs)
    assert facts.release("0.8.5").jax_declared == "0.4.27"
    assert band.around("0.8.5", "0.4.28", "native") == ("0.4.27", "0.4.28")
    assert band.around("0.8.5", "0.4.30", "native") == ("0.4.30", "0.4.30")
    assert band.around("0.8.5", "0.4.30", "drop-in") == ("0.4.27", "0.4.31")
    assert band.around("0.8.5", "0.4.31", "native") is None
    assert band.around("0.8.5", "0.4.33", "drop-in") is None
    assert band.around("0.8.5", "0.4.30", "install") is None


# -- the table ----------------------------------------------------------------------


def test_the_grid_has_a_sign_for_each_pair_and_a_row_for_each_error(monkeypatch):
    releases = ("0.8.4", "0.8.5")
    error = {"jit": "TypeError: abstracted_axes"}
    rows = {
        "0.4.30": {"native": {"cond": "absent"}, "drop-in": {}},
        "0.4.31": {"native": error, "drop-in": {}},
        "0.4.33": {"native": error, "drop-in": error},
        "0.9.0.1": {"native": {"import": "E: x"}, "drop-in": {"import": "E: x"}},
    }
    pairs = {
        (flax, jax): made_up(found, flax, jax)
        for flax in releases
        for jax, found in rows.items()
    }
    del pairs["0.8.4", "0.9.0.1"]
    monkeypatch.setattr(band, "pairs", lambda: pairs)
    lines = grid.grid().splitlines()
    assert lines[0].split() == ["0.4.", "0.9."]
    assert lines[1].split() == ["30", "31", "33", "0"]
    assert lines[2].split() == [".1"]
    signs = {line.split()[0]: line.split()[1:] for line in lines[3:]}
    assert signs["0.8.5"] == ["+", "o", "x", "-"]
    assert signs["0.8.4"] == ["+", "o", "x"]
    assert signs[RELEASES[-1].version] == []
    assert grid.counts() == (7, 2, 7, 4, 2)
    broken = grid.breaks(pairs.values(), "native")
    assert broken == [
        "`TypeError: abstracted_axes` (4 pairs). jit: flax 0.8.4-0.8.5 with jax "
        "0.4.31-0.4.33. Through the drop-in line 2 of 4 pairs pass.",
        "`E: x` (1 pair). import: flax 0.8.5 with jax 0.9.0.1. Through the drop-in "
        "line 0 of 1 pair passes.",
    ]
    text = grid.render()
    assert "`TypeError: abstracted_axes`" in text and "`numpy<2`" in text
    assert "Of 7 pairs, 2 work natively." in text


# -- the tool -----------------------------------------------------------------------


def test_a_change_of_our_source_makes_the_ways_through_us_stale_only(
    tmp_path, monkeypatch
):
    record = tool.Record(tmp_path / "record.jsonl")
    flax, jax = RELEASES[0].version, RELEASES[0].jax_dated
    assert record.lacks(flax, jax, band.WAYS) == list(band.WAYS)
    answer = {"with": {}, "results": {way: {"jit": "ok"} for way in band.WAYS}}
    record.add(flax, jax, tool._row(flax, answer, 2.4))
    known = tool.Record(record.file)
    assert known.rows == record.rows
    assert known.lacks(flax, jax, band.WAYS) == []
    assert known.imports(flax, jax)
    monkeypatch.setattr(tool, "here", lambda: "another source")
    assert known.lacks(flax, jax, band.WAYS) == ["drop-in", "install"]
    monkeypatch.setattr(band, "digest", lambda flax: "other probes")
    assert known.lacks(flax, jax, band.WAYS) == list(band.WAYS)


@pytest.mark.parametrize("direction", [1, -1])
def test_jax_is_tried_from_the_dated_one_on_until_two_do_not_import(direction):
    release, every = RELEASES[0], [f"0.4.{patch}" for patch in range(10, 31)]
    assert release.jax_dated == "0.4.24"
    inside = {1: ["0.4.24", "0.4.25", "0.4.27"], -1: ["0.4.23"]}[direction]
    steps = tool.steps([release], every, direction, lambda flax, jax: jax in inside)
    tried = [jax for jax, _ in steps]
    after = {1: ["0.4.26", "0.4.28", "0.4.29"], -1: ["0.4.22", "0.4.21"]}[direction]
    assert sorted(tried) == sorted([*inside, *after])


def test_no_jax_is_tried_further_down_than_two_below_what_is_declared():
    release, every = RELEASES[0], [f"0.4.{patch}" for patch in range(10, 31)]
    assert release.jax_declared == "0.4.19"
    tried = [jax for jax, _ in tool.steps([release], every, -1, lambda *pair: True)]
    assert tried == [f"0.4.{patch}" for patch in range(23, 16, -1)]


def test_companions_are_of_the_day_of_the_later_of_the_two():
    old, new = RELEASES[0], RELEASES[-1]
    its_own = matrix.dated(old.version).uploaded_before
    assert tool.day(old.version, old.jax_oldest) == its_own
    assert tool.day(old.version, old.jax_dated) == its_own
    assert tool.day(old.version, RELEASES[9].jax_dated) > its_own
    assert tool.day(new.version, "99.0") == ""


def test_tasks_with_the_same_companions_run_in_one_process():
    pair = matrix.dated(RELEASES[0].version)
    one, two = (Path("a"),), (Path("b"),)
    tasks = [tool.Task(pair, [], Path("f"), one if n % 2 else two) for n in range(10)]
    groups = tool.grouped(tasks)
    assert [len(group) for group in groups] == [5, 5]
    assert all(len({task.others for task in group}) == 1 for group in groups)


def test_the_ends_of_a_range_are_put_into_the_row_of_their_release():
    text = (Path(facts.__file__).parent / "releases.toml").read_text()
    version = RELEASES[3].version
    ends = {"jax_newest": "1.2", "compat_newest": "1.3", "compat_oldest": ""}
    found = tool.written(text, {version: ends})
    rows = dict(zip(found.split("[[release]]"), text.split("[[release]]"), strict=True))
    (changed,) = (new for new, old in rows.items() if new != old)
    assert f'version = "{version}"' in changed
    assert 'jax_newest = "1.2"' in changed and 'compat_newest = "1.3"' in changed
    assert "compat_oldest" not in changed


# -- the process that probes --------------------------------------------------------


def hang():
    time.sleep(60)


def forks(test):
    """Jax starts threads, and Python warns of a fork beside them."""
    for mark in (
        pytest.mark.skipif(sys.platform == "win32", reason="it has no fork"),
        pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning"),
        pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning"),
    ):
        test = mark(test)
    return test


def crash():
    os._exit(3)


def wrong():
    raise AssertionError("1 instead of 2")


@forks
def test_a_probe_that_crashes_or_hangs_is_a_result_and_the_rest_go_on(monkeypatch):
    programs = dict.fromkeys(band.PROBES, lambda: None)
    programs |= {"jit": crash, "grad": hang, "vmap": wrong, "scan": None}
    monkeypatch.setattr(child, "PATIENCE", 1)
    monkeypatch.setattr(child, "probes", lambda way, forms: programs)
    for way, results in child._of_ways(["native", "install"], {}).items():
        assert way in ("native", "install")
        assert list(results) == list(band.PROBES)
        assert {name: text for name, text in results.items() if text != "ok"} == {
            "jit": "crashes: exit status 3",
            "grad": "hangs: nothing after 1 s",
            "vmap": "AssertionError: 1 instead of 2",
            "scan": "absent",
        }


@forks
def test_of_a_way_that_does_not_import_nothing_else_is_said(monkeypatch):
    def probes(way, forms):
        if way == "drop-in":
            raise ImportError("no jax.experimental.maps")
        return dict.fromkeys(band.PROBES, lambda: None)

    monkeypatch.setattr(child, "probes", probes)
    found = child._of_ways(["drop-in", "install"], {})
    assert found["drop-in"] == {"import": "ImportError: no jax.experimental.maps"}
    assert set(found["install"].values()) == {"ok"} and len(found["install"]) > 10


def test_an_error_is_told_in_one_line_without_what_differs_between_runs():
    error = ImportError("\n cannot import x (/a/b/c.py) at 0x7f00\nmore")
    assert child.told(error) == "ImportError: cannot import x at 0x"
