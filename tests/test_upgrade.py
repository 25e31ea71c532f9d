"""The upgrade report says what the facts say, in both directions, and what code meets.

About the facts rather than about a release of Flax: `nox` alone runs it.
"""

from __future__ import annotations

import itertools
import json

import pytest

from nnx_compat import cli, facts, upgrade
from nnx_compat.check import check, releases

VERSIONS = [release.version for release in facts.releases()]
#: From each release to the next, and all the way back.
STEPS = list(itertools.pairwise([*VERSIONS, *VERSIONS[-2::-1]]))
MEANINGS = ("silent", "raises", "warns", "works")


def parts(old, new):
    return {part.key: part.entries for part in upgrade.between(old, new).parts}


@pytest.mark.parametrize(("old", "new"), STEPS)
def test_each_change_of_meaning_is_in_one_part_of_the_report(old, new):
    found = parts(old, new)
    listed = [entry.subject for key in MEANINGS for entry in found.get(key, ())]
    assert sorted(listed) == sorted(
        row.id for row in facts.behaviours() if row.holds(old) is not row.holds(new)
    )


def test_what_comes_one_way_is_gone_the_other_way():
    there, back = parts(VERSIONS[0], VERSIONS[-1]), parts(VERSIONS[-1], VERSIONS[0])
    top = {entry.subject for entry in back["gone"] if entry.subject.count(".") == 1}
    assert top == {entry.subject for entry in there["came"]}
    assert [e.subject for e in there["stops"]] == [e.subject for e in back["stops"]][
        ::-1
    ]


def test_no_name_is_gone_that_the_new_release_has():
    for old, new in ((VERSIONS[0], VERSIONS[-1]), (VERSIONS[-1], VERSIONS[0])):
        for entry in parts(old, new)["gone"]:
            name = facts.name(entry.subject)
            assert (name.on(old), name.on(new)) == (True, False)


CODE = """\
from flax import nnx


class Model(nnx.Module):
    def __init__(self, rngs):
        self.layers = [nnx.Linear(2, 2, rngs=rngs) for _ in range(2)]


def run(model):
    view = nnx.view
"""


def test_code_is_shown_what_it_meets_by_place(tmp_path, capsys):
    file = tmp_path / "model.py"
    file.write_text(CODE)
    refused = facts.behaviour("list-of-modules-is-refused").intervals[0].first
    old = VERSIONS[VERSIONS.index(refused) - 1]
    found = upgrade.of_code(old, "newest", [str(file)])
    places = [
        e.subject for part in found.parts if part.key == "change" for e in part.entries
    ]
    assert places == [f"{file}:6:9"]
    assert cli.main(["upgrade", old, "newest", str(file)]) == 1
    newest = VERSIONS[-1]
    said = capsys.readouterr().out
    assert f"  nnx-compat fix --to '=={newest}' {file}\n" in said
    both = f"  nnx-compat fix --target '>={old},<={newest}' {file}\n"
    assert both in said
    assert cli.main(["upgrade", newest, old, str(file)]) == 1
    back = capsys.readouterr().out
    assert both in back
    assert "--to" not in back


TROUBLES = """\
import optax
from flax import nnx


class Block(nnx.Module):
    def __init__(self, rngs):
        self.linear = nnx.Linear(2, 2, rngs=rngs)
        self.dropout = nnx.Dropout(0.1, rngs=rngs)

    def __call__(self, x):
        return self.dropout(self.linear(x))


class Net(nnx.Module):
    def __init__(self, rngs):
        self.blocks = nnx.split_rngs(splits=3)(nnx.vmap(Block))(rngs)
        self.heads = []
        self.heads.append(nnx.Linear(2, 2, rngs=rngs))
        self.heads.append(nnx.Linear(2, 3, rngs=rngs))

    def __call__(self, x):
        @nnx.split_rngs(splits=3)
        @nnx.scan(in_axes=(0, nnx.Carry), out_axes=nnx.Carry)
        def over(block, x):
            return block(x)

        return [head(over(self.blocks, x)) for head in self.heads]


model = Net(nnx.Rngs(0))
optimizer = nnx.Optimizer(model, optax.adam(0.1))
optimizer.update(nnx.grad(lambda model: 0.0)(model))
print(nnx.BatchStat(0.0).value)
graphdef, state = nnx.split(model)
copy = nnx.merge(graphdef, state)
copy.heads[0].kernel.value += 1
print(model.heads[0].kernel)
"""


def sections(old, new, file):
    found = upgrade.of_code(old, new, [str(file)]).parts
    return {part.key: part.entries for part in found if part.key in upgrade.OF_CODE}


def test_troubles_are_in_the_section_of_what_happens_with_line_and_remedy(tmp_path):
    file = tmp_path / "train.py"
    file.write_text(TROUBLES)
    found = sections("0.10.7", "0.12.12", file)
    lines = {
        key: [int(entry.subject.split(":")[-2]) for entry in entries]
        for key, entries in found.items()
    }
    # the list of Modules, the keys split around scan, no wrt=, the gradients alone
    assert set(lines["change"]) >= {18, 27, 31, 32}
    assert 33 in lines["warns"]
    assert all(entry.instead for some in found.values() for entry in some)


@pytest.mark.parametrize("way", ["there", "back"])
def test_what_check_finds_of_a_release_is_in_one_section_each(way, tmp_path):
    file = tmp_path / "train.py"
    file.write_text(TROUBLES)
    old, new = ("0.10.7", "0.12.12") if way == "there" else ("0.12.12", "0.10.7")
    found = sections(old, new, file)
    at_new, at_old = (releases.which(lambda v, at=at: v == at) for at in (new, old))
    wanted = {key: [] for key in upgrade.OF_CODE}
    for one in check([str(file)], target=f"=={new}").findings:
        if one.excluded & at_new:
            wanted["change" if one.error else "read"].append(one.where)
        elif one.warns & at_new:
            wanted["warns"].append(one.where)
        elif one.excluded & at_old:
            wanted["left"].append(one.where)
    assert {key: [e.subject for e in some] for key, some in found.items()} == {
        key: places for key, places in wanted.items() if places
    }


def test_the_way_back_shows_what_is_left_behind_and_has_nothing_to_change(tmp_path):
    file = tmp_path / "train.py"
    file.write_text(TROUBLES)
    there = sections("0.10.7", "0.12.12", file)
    back = sections("0.12.12", "0.10.7", file)
    assert "change" not in back
    behind = {entry.subject for entry in back["left"]}
    assert behind == {
        e.subject for key in ("change", "read") for e in there.get(key, ())
    }


@pytest.mark.parametrize("arguments", [("0.99.0", "newest"), ("newest", VERSIONS[-1])])
def test_a_release_that_is_none_and_no_change_at_all_are_refused(arguments, capsys):
    assert cli.main(["upgrade", *arguments]) == 2
    assert "instead: " in capsys.readouterr().err


def test_every_format_has_every_entry(capsys):
    assert cli.main(["upgrade", VERSIONS[0], "newest", "--format", "json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    subjects = [
        entry["subject"] for part in plain["parts"] for entry in part["entries"]
    ]
    for format in ("text", "markdown"):
        assert cli.main(["upgrade", VERSIONS[0], "newest", "--format", format]) == 0
        shown = capsys.readouterr().out
        assert all(subject in shown for subject in subjects)
