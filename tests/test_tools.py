"""What a new release needs: its row, its names, and what is compared.

About this repository rather than about a release of Flax: `nox` alone runs it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from nnx_compat import facts  # noqa: E402
from nnx_compat.facts._intervals import parsed, within  # noqa: E402
from tools import promises, release, results, survey  # noqa: E402


def row(version):
    lines = release.ROWS.read_text().split("[[release]]\n")
    (found,) = (r for r in lines if r.startswith(f'version = "{version}"\n'))
    return f"[[release]]\n{found}".rstrip("\n") + "\n"


@pytest.mark.parametrize("at", [0, 5, -1])
def test_a_row_that_was_taken_out_is_put_back_where_it_was(at):
    text = release.ROWS.read_text()
    version = facts.releases()[at].version
    without = text.replace(row(version), "").replace("\n\n\n", "\n\n")
    assert f'version = "{version}"' not in without
    assert release.inserted(without, version, row(version)) == text


def test_the_row_of_a_made_up_release_goes_last():
    version = promises.next_version(facts.releases()[-1].version)
    line = f'[[release]]\nversion = "{version}"\n'
    found = release.inserted(release.ROWS.read_text(), version, line)
    assert found == release.ROWS.read_text() + "\n" + line


def test_a_survey_of_one_release_is_enough_when_the_others_are_known():
    """What names.json says of all releases, read back and merged, says the same."""
    merged = survey.merge(release.known_surveys())["names"]
    for path, row in merged.items():
        intervals = parsed(row["in"])
        for version in (r.version for r in facts.releases()):
            assert within(version, intervals) is facts.name(path).on(version)


def test_names_and_parameters_that_came_or_went_are_told():
    told = list(release.changed_names("0.12.0", "0.12.1"))
    assert "nnx.Variable.get_value came: a member" in told
    assert list(release.changed_names("0.12.1", "0.12.1")) == []
    told = list(release.changed_names("0.11.1", "0.11.2"))
    assert "nnx.merge: parameter copy came" in told


def test_results_differ_where_they_say_something_else():
    old = {"a": ["1", "2"], "b": ["1"], "c": ["1", "2"], "gone": ["1"]}
    new = {"a": ["1", "2"], "b": ["3"], "c": ["1"], "came": ["1"]}
    assert results.differences(old, new) == {"b": ("1", "3"), "c": ("2", "")}


def test_a_release_that_is_there_is_left_alone(capsys):
    version = facts.releases()[-1].version
    before = release.ROWS.read_text()
    assert release.main([version]) == 0
    assert f"nox -s release -- {version} --again" in capsys.readouterr().out
    assert release.ROWS.read_text() == before


def test_a_copy_takes_a_row_more_and_a_revision_less(tmp_path):
    facts_of = tmp_path / "src/nnx_compat/facts/releases.toml"
    promises.copied(tmp_path)
    before = facts_of.read_text()
    version = promises.add(tmp_path)
    added = facts_of.read_text()
    assert added.startswith(before) and f'version = "{version}"' in added
    gone = promises.drop(tmp_path)
    oldest = facts.revisions()[0]
    assert gone == tuple(
        r.version for r in facts.releases() if r.revision == oldest.name
    )
    assert not (tmp_path / f"src/nnx_compat/revisions/{oldest.name}.py").exists()
    assert f'name = "{oldest.name}"' not in facts_of.read_text()


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("nnx-compat do", ["doctor "]),
        ("nnx-compat explain nnx.Lis", ["nnx.List", "nnx.List.pop"]),
        ("nnx-compat explain NC10", ["NC101", "NC102"]),
        ("nnx-compat upgrade 0.1", [r.version for r in facts.releases()][-3:]),
        ("nnx-compat check --sta", ["--statistics "]),
    ],
)
def test_the_shell_completes_commands_names_and_releases(line, wanted, tmp_path):
    offered = tmp_path / "offered"
    asked = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_STDOUT_FILENAME": str(offered)}
    asked |= {"COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_IFS": ","}
    command = [sys.executable, "-m", "nnx_compat"]
    ran = subprocess.run(command, env=os.environ | asked, capture_output=True)
    assert ran.returncode == 0, ran.stderr
    assert set(wanted) <= set(offered.read_text().split(","))
