"""The matrix: its pairs, its records, and the table that is rendered from them."""

from __future__ import annotations

from pathlib import Path

import pytest

from nnx_compat import facts, matrix
from nnx_compat.matrix import render

FILE = Path(__file__).parent.parent / "compat_matrix.md"


def test_every_release_has_its_dated_pair_and_the_ends_of_its_range():
    ids = {pair.id for pair in matrix.pairs()}
    for row in facts.releases():
        for jax in (row.jax_oldest, row.jax_dated, row.jax_newest):
            assert f"flax-{row.version}__jax-{jax}" in ids
    assert not [name for name in ids if "," in name]


def test_pairs_know_their_python_and_their_companions():
    old = matrix.pair("0.8.0", "0.4.20")
    assert old.python == "3.11"
    assert {"numpy<2", "scipy<1.13"} < set(old.constraints)
    assert matrix.pair("0.12.12", "0.12.0.1").python == "3.12"
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
    assert set(matrix.results()) == {pair.id for pair in matrix.pairs()}


def test_the_table_is_what_the_results_give():
    assert FILE.read_text(encoding="utf-8") == render.render(), "nox -s render"


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
