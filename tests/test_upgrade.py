"""The upgrade report says what the facts say, in both directions, and what code meets.

About the facts rather than about a release of Flax: `nox` alone runs it.
"""

from __future__ import annotations

import itertools
import json

import pytest

from nnx_compat import cli, facts, upgrade

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
    assert f"nnx-compat fix --diff {file}" in capsys.readouterr().out


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
