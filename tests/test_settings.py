"""``[tool.nnx-compat]``, its options, baselines, and comments that ignore."""

from __future__ import annotations

import io
import json
import re
import shlex
import sys
import types
from pathlib import Path

import pytest

from nnx_compat import cli, facts
from nnx_compat.check import SourceError, baseline, check, declared, releases, settings

CODE = "from flax import nnx\nview = nnx.view\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A function that writes a project and makes it the working folder."""
    monkeypatch.chdir(tmp_path)

    def written(table="", **files):
        (tmp_path / ".git").mkdir()
        text = '[project]\ndependencies = ["flax>=0.10"]\n'
        (tmp_path / "pyproject.toml").write_text(text + table)
        for name, code in files.items():
            file = tmp_path / f"{name.replace('__', '/')}.py"
            file.parent.mkdir(exist_ok=True)
            file.write_text(code)
        return tmp_path

    return written


def run(capsys, *arguments):
    code = cli.main(["check", *arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_keys_of_the_project_are_followed(project, capsys):
    project(
        '[tool.nnx-compat]\ntarget = ">=0.12.4"\nexclude = ["old"]\nignore = ["NC104"]\n',
        model=CODE, old__model="nnx.",
    )  # fmt: skip
    code, out, err = run(capsys)
    assert (code, err) == (0, "")
    assert "by the settings" in out
    asks = "[tool.nnx-compat] target asks for flax>=0.12.4: "
    assert f"{asks}holds, but for what is left aside" in out


def test_what_comments_leave_aside_is_counted_and_the_verdict_says_so(project, capsys):
    project("", model="from flax import nnx\nview = nnx.view  # noqa: NC101\n")
    assert run(capsys)[1].splitlines()[-3:] == [
        "Left aside: 1 by comments.",
        "Runs on flax from 0.8.4, but for what is left aside.",
        "pyproject.toml asks for flax>=0.10: holds, but for what is left aside",
    ]
    assert json.loads(run(capsys, "--format", "json")[1])["aside"]["comments"] == 1


def test_options_come_before_keys(project, capsys):
    project('[tool.nnx-compat]\nselect = ["NC104"]\ntarget = "newest"\n', model=CODE)
    assert "NC101" not in run(capsys, "--all")[1]
    assert "NC101" in run(capsys, "--all", "--select", "nc1")[1]
    assert run(capsys, "--target", ">=0.10", "--select", "NC101")[0] == 1


def test_codes_are_left_aside_in_some_files(project, capsys):
    project(
        '[tool.nnx-compat]\nper-file-ignores = { "tests/*" = ["NC1"] }\n',
        model="from flax import nnx\nx = nnx.Linear\n", tests__test_it=CODE,
    )  # fmt: skip
    code, out, _ = run(capsys)
    assert code == 0
    assert "2 by the settings" in out


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("exlude = []", "unknown key 'exlude'\n  instead: exclude"),
        ("select = 'NC1'", "select is 'NC1'"),
        ("target = 3", "target is 3"),
        ("per-file-ignores = ['a']", "per-file-ignores is ['a']"),
        ("ignore = ['E501']", "no rule has a code that begins with 'E501'"),
        ("target = 'tomorrow'", "not a version specifier"),
        ("baseline = 'none.json'", "--write-baseline"),
    ],
)
def test_a_key_that_is_wrong_is_an_error(project, capsys, table, said):
    project(f"[tool.nnx-compat]\n{table}\n", model=CODE)
    code, out, err = run(capsys)
    assert (code, out) == (2, "")
    assert said in err
    assert "instead:" in err


def test_without_a_parser_of_toml_the_table_is_asked_for(project, monkeypatch):
    project("[tool.nnx-compat]\nexclude = []\n", model=CODE)
    monkeypatch.setattr(settings, "_parser", lambda: None)
    with pytest.raises(SourceError, match="pip install tomli"):
        settings.found(["."])


def test_a_baseline_hides_what_is_known_and_shows_one_more(project, capsys):
    root = project("", model=CODE, other=CODE)
    code, out, _ = run(capsys, "--write-baseline", "known.json")
    assert code == 0
    assert out == "4 findings, written to known.json\n"
    code, out, _ = run(capsys, "--baseline", "known.json")
    assert code == 0
    assert "Left aside: 4 in the baseline." in out
    moved = CODE.replace("view", "\n\nview", 1)
    (root / "model.py").write_text(moved + "again = nnx.view\n")
    code, out, _ = run(capsys, "--baseline", "known.json", "--quiet")
    assert code == 1
    assert out.startswith("model.py:5:")
    assert out.count("NC101") == 1
    (root / "other.py").write_text("from flax import nnx\n")
    assert "1 of the baseline are there no more" in run(
        capsys, "--baseline", "known.json"
    )[1]  # fmt: skip
    given = json.loads(run(capsys, "--baseline", "known.json", "--format", "json")[1])
    assert given["aside"] == {"settings": 0, "comments": 0, "baseline": 3, "gone": 1}


def test_a_baseline_is_written_whole_or_not_at_all(project, monkeypatch):
    root = project("", model=CODE)
    file = root / "known.json"
    file.write_text("old")
    found = check(["model.py"]).findings

    def broken(*_, **__):
        raise OSError("no space")

    with monkeypatch.context() as patch:
        patch.setattr(type(file), "replace", broken)
        with pytest.raises(SourceError, match="no space"):
            baseline.write(file, found)
    assert sorted(p.name for p in root.iterdir() if "known" in p.name) == ["known.json"]
    assert file.read_text() == "old"
    with pytest.raises(SourceError, match="is no baseline"):
        baseline.known(file)


def test_comments_ignore_and_idle_ones_are_named(project, capsys):
    project(
        "",
        model="from flax import nnx\n"
        "a = nnx.view  # noqa: NC101\n"
        "b = nnx.view  # noqa: E501, NC101\n"
        "c = nnx.view  # noqa: E501\n"
        "d = nnx.Linear  # noqa: NC101, F401\n"
        "e = nnx.Linear  # nnx-compat: ignore\n"
        "f = 'nnx.view # nnx-compat: ignore'\n",
    )
    out = run(capsys)[1]
    assert [line.split(":")[1] for line in out.splitlines() if "NC101 `" in line] == [
        "4"
    ]
    unused = [line for line in out.splitlines() if "unused ignore" in line]
    assert [line.split(":")[1] for line in unused] == ["5", "6"]
    assert "NC101" in unused[0]


def test_statistics_quiet_output_file_and_exit_zero(project, capsys):
    root = project("", model=CODE + "again = nnx.view\n")
    code, out, _ = run(capsys, "--statistics", "--exit-zero")
    assert code == 0
    assert out.startswith("2  NC101  ")
    code, out, _ = run(capsys, "--quiet")
    assert code == 1
    assert "Runs on" not in out
    code, out, _ = run(capsys, "--output-file", "report.txt")
    assert (code, out) == (1, "")
    assert "NC101" in (root / "report.txt").read_text()
    assert run(capsys, "--output-file", "no/where.txt")[0] == 2


def test_standard_input_is_read_under_a_name(project, capsys, monkeypatch):
    project("", model="")
    raw = types.SimpleNamespace(buffer=io.BytesIO(CODE.encode()))
    monkeypatch.setattr(sys, "stdin", raw)
    code, out, _ = run(capsys, "-", "--stdin-filename", "piped.py")
    assert code == 1
    assert "piped.py:2:8: NC101" in out
    assert "pyproject.toml asks for flax>=0.10" in out
    raw.buffer = io.BytesIO(b"# coding: nothing\n")
    assert run(capsys, "-")[0] == 2


def test_a_target_may_be_a_version_or_a_word(monkeypatch):
    newest = facts.releases()[-1].version
    assert releases.listed(declared.target("newest").mask) == (newest,)
    assert releases.listed(declared.target("0.10.2").mask) == ("0.10.2",)
    assert len(releases.listed(declared.target("installed").mask)) == 1
    monkeypatch.setattr(declared.importlib.metadata, "version", _not_installed)
    with pytest.raises(SourceError, match="--target newest"):
        declared.target("installed")


def _not_installed(name):
    raise declared.importlib.metadata.PackageNotFoundError(name)


def test_sarif_has_what_code_scanning_asks_for(project, capsys):
    root = project("", model=CODE)
    log = json.loads(run(capsys, "--format", "sarif")[1])
    (one,) = log["runs"]
    assert one["tool"]["driver"]["version"]
    result = one["results"][0]
    place = result["locations"][0]["physicalLocation"]["artifactLocation"]
    assert place["uri"] == "model.py"
    assert "instead: " in result["message"]["text"]
    before = result["partialFingerprints"]
    (root / "model.py").write_text("\n\n" + CODE)
    again = json.loads(run(capsys, "--format", "sarif")[1])
    assert again["runs"][0]["results"][0]["partialFingerprints"] == before


def test_a_badge_says_on_which_releases_it_runs(project, capsys):
    project("", model=CODE)
    shown = json.loads(run(capsys, "--format", "badge")[1])
    assert shown["schemaVersion"] == 1
    assert (shown["label"], shown["color"]) == ("flax", "red")
    assert shown["message"].startswith("from ")
    held = json.loads(run(capsys, "--format", "badge", "--ignore", "NC1")[1])
    assert (held["message"], held["color"]) == ("every release", "brightgreen")
    nothing = json.loads(run(capsys, "--format", "badge", "--exclude", "*.py")[1])
    assert (nothing["message"], nothing["color"]) == ("not judged", "lightgrey")


def test_the_matrix_of_a_workflow_has_what_installs_each_pair(capsys):
    assert cli.main(["matrix", "--github", ">=0.10", "--per", "revision"]) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    rows = json.loads(out)["include"]
    assert rows
    for row in rows:
        assert set(row) == {"flax", "jax", "python", "install"}
        assert f"'flax=={row['flax']}'" in row["install"]
    assert cli.main(["matrix", "--github", "<0.1"]) == 2
    assert "instead:" in capsys.readouterr().err


PAGE = Path(__file__).parent.parent / "docs" / "adopting.md"


def blocks(kind):
    return re.findall(rf"```{kind}\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_the_settings_that_the_page_shows_are_taken(project, capsys):
    (table,) = [text for text in blocks("toml") if "[tool.nnx-compat]" in text]
    root = project("\n" + table, model=CODE)
    (root / "nnx-compat-baseline.json").write_text('{"format": 1, "findings": []}')
    found = settings.found(["."])
    assert all(f'"{code}"' in table for code in (*found.select, *found.ignore))
    assert set(re.findall(r"^([\w-]+) =", table, re.MULTILINE)) == set(settings._KEYS)
    assert run(capsys)[0] == 1


def test_the_commands_that_the_page_shows_are_ours(project, capsys):
    project("", model=CODE)
    lines = [line for text in blocks("sh") for line in text.splitlines()]
    ours = [shlex.split(line) for line in lines if line.startswith("nnx-compat")]
    assert [cli.main(words[1:]) for words in ours] == [0, 0]
    inline = re.findall(r"nnx-compat (check|matrix) (--[^`\n)]*)", PAGE.read_text())
    for command, options in inline:
        words = shlex.split(options.replace("...", "x"))
        assert cli.main([command, *words]) in (0, 1), words
    hooks = (PAGE.parent.parent / ".pre-commit-hooks.yaml").read_text()
    for id in re.findall(r"nnx-compat-(?:check|fix)\b", PAGE.read_text()):
        assert f"id: {id}" in hooks
