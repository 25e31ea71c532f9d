"""The matrix: its pairs, its records, and the table that is rendered from them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nnx_compat import facts, matrix
from nnx_compat.matrix import render, source

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tools import counts, records, rendered  # noqa: E402

FILE = ROOT / "compat_matrix.md"


def test_every_release_has_its_dated_pair_and_the_ends_of_its_range():
    ids = {pair.id for pair in matrix.pairs()}
    for row in facts.releases():
        for jax in (row.jax_dated, *row.jax_ends):
            assert f"flax-{row.version}__jax-{jax}" in ids
    assert not [name for name in ids if "," in name]


def test_pairs_know_their_python_and_their_companions():
    old = facts.releases()[0]
    oldest = matrix.pair(old.version, old.jax_oldest)
    assert oldest.python == "3.11"
    assert {"numpy<2", "scipy<1.13"} < set(oldest.constraints)
    new = facts.releases()[-1]
    assert matrix.dated(new.version).python == max(new.python, "3.11")
    assert matrix.dated("0.8.5").uploaded_before == "2024-07-17"
    assert matrix.pair("0.8.5", "0.4.35").uploaded_before == ""


def test_every_pair_has_a_result_without_failures():
    recorded = matrix.results()
    for pair in matrix.pairs():
        assert pair.id in recorded, f"nox -s 'matrix({pair.id})'"
        result = recorded[pair.id]
        assert (result["flax"], result["jax"]) == (pair.flax, pair.jax)
        assert result["failed"] == 0
        assert result["passed"] > 100
        assert result["revision"] == facts.release(pair.flax).revision
        whole = pair == matrix.dated(pair.flax)
        assert result["suite"] == ("full" if whole else "contract")


def test_no_result_is_left_over():
    assert rendered.left_over() == [], "nox -s render"


def test_the_table_is_what_the_results_give():
    text = FILE.read_text(encoding="utf-8")
    assert text == render.render(render.beside(text)), "nox -s render"


def test_the_table_has_a_row_for_every_release_and_none_is_untested():
    rows = render.rows()
    assert [row["flax"] for row in rows] == [r.version for r in facts.releases()]
    for row in rows:
        assert "untested" not in row["tests"]
        assert "?" not in row["jax"] + row["weights"]


def test_reproducible_weights_are_one_group():
    assert {row["weights"][1] for row in render.rows()} == {"A"}


def test_what_begins_and_ends_is_the_difference_to_the_release_before():
    rows = {row["flax"]: row for row in render.rows()}
    assert "split-shares-variables" in rows["0.11.0"]["begins"]
    assert "variable-setitem-replaces" in rows["0.12.1"]["ends"]
    assert rows["0.12.2"]["begins"] == rows["0.12.2"]["ends"] == []


@pytest.mark.parametrize("arguments", [[], ["--check"], ["x"]])
def test_rendering_needs_to_know_what_to_do(arguments, capsys):
    assert render.main(arguments) == 2
    assert "--write FILE" in capsys.readouterr().out


def test_a_stale_table_is_found(tmp_path, capsys):
    file = tmp_path / "table.md"
    assert render.main(["--write", str(file)]) == 0
    assert render.main(["--check", str(file)]) == 0
    file.write_text(file.read_text() + "edited by hand\n")
    assert render.main(["--check", str(file)]) == 1
    assert "instead: nox -s render" in capsys.readouterr().err


# -- which source a record is of ----------------------------------------------------


@pytest.fixture
def repository(tmp_path):
    for name in (
        "src/package/code.py",
        "src/nnx_compat/nnx.pyi",
        "src/nnx_compat/matrix/results/a.json",
        "tests/test_it.py",
        "README.md",
    ):
        tmp_path.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
        tmp_path.joinpath(name).write_text("as it was")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("src/package/code.py", {"src", "library"}),
        ("src/nnx_compat/checkpoint/_load.py", {"src", "library"}),
        ("src/nnx_compat/facts/names.json", {"src", "library"}),
        ("src/nnx_compat/check/code.py", {"src"}),
        ("src/nnx_compat/upgrade.py", {"src"}),
        ("src/nnx_compat/facts/symptoms.toml", {"src"}),
        ("tests/test_it.py", {"tests"}),
        ("tests/more.toml", {"tests"}),
        ("src/nnx_compat/nnx.pyi", set()),
        ("src/nnx_compat/matrix/results/a.json", set()),
        ("src/nnx_compat/matrix/conformance/b.json", set()),
        ("src/package/__pycache__/code.pyc", set()),
        ("src/.cache/code.py", set()),
        ("README.md", set()),
    ],
)
def test_the_digest_is_of_what_matters_to_a_run(repository, name, changes):
    folders = source.FOLDERS
    before = source.digests(*folders, root=repository)
    assert before == source.digests(*folders, root=repository)
    repository.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
    repository.joinpath(name).write_text("as it is")
    after = source.digests(*folders, root=repository)
    assert {folder for folder in before if before[folder] != after[folder]} == changes


#: All that a program can reach of the library, and then some of it at work.
PROGRAM = """
import os, sys, tempfile
opened = set()
sys.addaudithook(lambda event, about: event == "open" and opened.add(str(about[0])))
import jax.numpy as jnp
import nnx_compat as nc
from nnx_compat import checkpoint, nnx
for namespace in (nc, nnx, checkpoint):
    for name in dir(namespace):
        getattr(namespace, name, None)
model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
nc.jit(lambda model, x: model(x))(model, jnp.ones((1, 2)))
with tempfile.TemporaryDirectory() as folder:
    file = os.path.join(folder, "model")
    checkpoint.save(file, model=model)
    checkpoint.load(file, model=model)
    checkpoint.inspect(file).as_json()
nc.install()
opened |= {m.__file__ for n, m in sys.modules.items() if n.startswith("nnx_compat")}
print(*sorted(opened), sep="\\n")
"""


def test_no_program_opens_what_the_source_of_the_library_leaves_out():
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    package = Path(source.__file__).parents[1]
    opened = [Path(line) for line in ran.stdout.splitlines()]
    found = {
        file.relative_to(package).as_posix()
        for file in opened
        if package in file.parents
    }
    assert {"checkpoint/_load.py", "facts/names.json", "nnx.py"} <= found
    every = [name.removeprefix("src/nnx_compat/") for name in source._COMMANDS]
    assert not [name for name in found if name.startswith(tuple(every))]
    assert not [name for name in every if not (package / name).exists()]


def test_a_file_that_moves_changes_the_digest(repository):
    before = source.digest("src", repository)
    code = repository / "src" / "package" / "code.py"
    code.rename(code.with_name("moved.py"))
    assert source.digest("src", repository) != before


def test_the_table_says_which_source_a_record_is_of(tmp_path, monkeypatch, capsys):
    """And a source that changed since makes no table stale, but is spoken of."""
    monkeypatch.setattr(matrix, "RESULTS", tmp_path)
    here = {"src": "a" * 16, "tests": "b" * 16}
    row = facts.releases()[-1]
    measured = {
        "source": here, "collected": 2252, "passed": 2240, "failed": 0, "skipped": 12,
        "reasons": {"no nnx.List": 12}, "weights": {"default": {}, "reproducible": {}},
    }  # fmt: skip
    record = tmp_path / f"{matrix.dated(row.version).id}.json"
    record.write_text(json.dumps(measured))
    monkeypatch.setattr(source, "digests", lambda *_: here)
    told = render.rows()[-1]["tests"]
    assert told.startswith("2,240 of 2,252 (12 skipped)")
    assert ", this source" in told
    assert f"| no nnx.List | {row.version}: 12 |" in render.render()
    table = tmp_path / "table.md"
    assert render.main(["--write", str(table)]) == 0
    monkeypatch.setattr(source, "digests", lambda *_: {**here, "src": "c" * 16})
    assert "of an older source" in render.rows()[-1]["tests"]
    assert render.main(["--check", str(table)]) == 0
    assert " records are of an older source" in capsys.readouterr().out
    del measured["source"], measured["collected"]
    record.write_text(json.dumps(measured))
    assert "2,240 (12 skipped), of an older source" in render.rows()[-1]["tests"]


def test_what_is_measured_says_its_source_and_its_seconds(tmp_path):
    file = tmp_path / "record.json"
    with records.measuring(file, "src"):
        file.write_text("{}")
    found = json.loads(file.read_text())
    assert found["source"] == source.digests("src")
    assert found["seconds"] >= 0


def test_stale_records_are_listed_with_what_renews_them(capsys):
    assert records.main(["--all"]) == 0
    out = capsys.readouterr().out
    assert f'nox -s "matrix({matrix.pairs()[0].id})"' in out
    assert "--examples" in out and "nox -s bench -- --part" in out
    assert f"of {len(list(records.records()))} records are of an older source" in out


# -- counts in the texts ------------------------------------------------------------


def test_the_numbers_in_readme_and_changelog_are_the_facts():
    for file, text in counts.texts().items():
        assert file.read_text(encoding="utf-8") == text, "nox -s render"


def test_a_number_is_put_in_and_a_sentence_that_went_is_named():
    text = "It runs on all\n7 releases of it."
    sentence = "on all {releases} releases"
    expected = text.replace("7", str(len(facts.releases())))
    assert counts.rendered(text, [sentence]) == expected
    with pytest.raises(SystemExit, match="instead: the sentence as it is there now"):
        counts.rendered("It runs.", [sentence])
