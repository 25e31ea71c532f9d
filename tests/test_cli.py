"""The command line, run as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import nnx_compat as nc
from nnx_compat import cli, doctor, errors, facts, matrix, probing
from nnx_compat.matrix import releases

SOURCE = Path(nc.__file__).parent.parent


def test_the_demo_ends_with_its_result(capsys):
    with nc.reproducible_init():
        assert cli.main(["demo"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        f"flax {nc.flax_version}, jax {nc.jax_version}, revision {nc.revision}"
    )
    assert "the original is untouched" in lines
    assert lines[-1] == (
        "pure_state_update(0, [1. 2. 3.], 2, 2.0) = [-3.8551145 -1.7786055]"
    )


def test_the_demo_takes_its_arguments(capsys):
    assert (
        cli.main(
            ["demo", "--seed", "1", "--features", "4", "--scale", "0.5", "--size", "2"]
        )
        == 0
    )
    result = capsys.readouterr().out.splitlines()[-1].split("= ")[1]
    assert len(result.strip("[]").split()) == 4


@pytest.mark.parametrize("arguments", ["--features 0", "--seed 0.5", "--size 0"])
def test_the_demo_refuses_bad_input_with_a_clear_message(capsys, arguments):
    assert cli.main(["demo", *arguments.split()]) == 2
    assert "instead:" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["dmeo"], ["demo", "--size", "x"]])
def test_wrong_usage_is_exit_2(arguments):
    with pytest.raises(SystemExit) as raised:
        cli.main(arguments)
    assert raised.value.code == 2


def test_it_is_a_module_too():
    ran = subprocess.run(
        [sys.executable, "-m", "nnx_compat", "--version"],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert ran.stdout == "nnx-compat 0.1.0\n"


def test_doctor_is_healthy_here(capsys):
    code = cli.main(["doctor", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert report["problems"] == []
    assert code == 0
    assert report["healthy"]
    assert report["versions"]["flax"] == nc.flax_version
    assert report["revision"] == nc.revision
    assert report["measured"]
    found = {b.id for b in facts.behaviours(nc.flax_version, nc.jax_version)}
    assert set(report["behaviours"]) == found


def test_doctor_prints_what_it_found(capsys):
    assert cli.main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert nc.flax_version in out
    assert out.startswith("healthy, by the ")
    behaviours = [row.id for row in facts.behaviours(nc.flax_version, nc.jax_version)]
    assert not any(id in out for id in behaviours)
    assert cli.main(["doctor", "--verbose"]) == 0
    out = capsys.readouterr().out
    assert all(id in out for id in behaviours)


def examine(monkeypatch, **versions):
    real = doctor._version
    with monkeypatch.context() as patch:
        patch.setattr(doctor, "_version", lambda name: versions.get(name, real(name)))
        return doctor.examine()


def test_doctor_names_what_a_newer_jax_broke_and_the_ways_out(monkeypatch):
    report = examine(monkeypatch, flax="0.8.5", jax="0.5.0")
    (problem,) = report.problems
    row = facts.release("0.8.5")
    assert "flax 0.8.5 does not work with jax 0.5.0: import" in problem["found"]
    assert problem["run"] == f"pip install 'jax>={row.jax_oldest},<={row.jax_newest}'"
    ways = [out.way for out in report.diagnosis.ways_out]
    assert ways == ["another jax", "another flax"]
    said = doctor.told(report)
    assert said[0].startswith("broken, by the ")
    assert any(line.startswith("way out    another flax: pip install") for line in said)
    assert doctor.as_json(report)["verdict"] == "broken"


def test_doctor_offers_the_doors_where_they_repair_it(monkeypatch):
    report = examine(monkeypatch, flax="0.12.1", jax="0.9.0")
    assert report.verdict == "broken"
    assert [name.removeprefix("nnx.") for name in report.diagnosis.failing] == ["jit"]
    ways = [out.way for out in report.diagnosis.ways_out]
    assert ways == ["another jax", "another flax", "drop-in", "install"]


def test_doctor_does_not_judge_a_jax_that_nobody_has_measured(monkeypatch):
    report = examine(monkeypatch, flax=facts.releases()[-1].version, jax="99.0")
    assert (report.verdict, report.healthy) == ("not judged", False)
    assert "nnx-compat doctor --probe" in " ".join(report.notes)


def test_doctor_believes_the_probes_before_the_record(monkeypatch):
    real = doctor._version
    row = facts.releases()[-1]
    versions = {"flax": row.version, "jax": row.jax_dated}
    monkeypatch.setattr(doctor, "_version", lambda n: versions.get(n, real(n)))
    asked = []

    def probe(flax):
        asked.append(flax)
        return {"native": {"grad": "TypeError: no"}, "drop-in": {}, "install": {}}

    report = doctor.examine(probe)
    assert asked == [row.version]
    assert report.diagnosis.source == "probes"
    assert doctor.told(report)[0] == "broken, by the probes, run here"
    assert "fails      grad: TypeError: no" in doctor.told(report)
    assert [out.way for out in report.diagnosis.ways_out][-2:] == ["drop-in", "install"]


def test_doctor_says_that_the_probes_did_not_end(monkeypatch):
    def probe(flax):
        raise errors.ProbingError("the probes were stopped", instead="wait")

    report = doctor.examine(probe)
    assert {
        "found": "the probes were stopped. [NC060]",
        "run": "wait",
    } in report.problems


def test_the_probes_run_in_a_process_that_is_stopped_in_time():
    with pytest.raises(errors.ProbingError, match="stopped after 0 s"):
        probing.probed(nc.flax_version, cap=0.1)


@pytest.mark.parametrize("version", ["", "garbage", "1.2.3.dev0+x", "0.12.5rc1"])
def test_doctor_shows_no_traceback_whatever_is_installed(monkeypatch, capsys, version):
    monkeypatch.setattr(doctor, "_version", lambda name: version)
    assert cli.main(["doctor"]) in (0, 1)
    verdict = capsys.readouterr().out.splitlines()[0].split(",")[0]
    assert verdict in ("healthy", "broken", "not judged")


def test_doctor_finds_a_jax_that_is_too_old(monkeypatch):
    newest, oldest = facts.releases()[-1], facts.releases()[0]
    report = examine(monkeypatch, flax=newest.version, jax=oldest.jax_newest)
    assert "is older than" in report.problems[0]["found"]


def test_doctor_finds_companions_that_do_not_fit(monkeypatch):
    row = facts.releases()[0]
    report = examine(
        monkeypatch, flax=row.version, jax=row.jax_oldest, scipy="1.1", numpy="2.1.0"
    )
    (problem,) = report.problems
    assert f"jax {row.jax_oldest} does not work with numpy 2.1.0" in problem["found"]
    assert problem["run"] == "pip install 'numpy<2'"


def test_doctor_finds_what_is_missing_old_or_yanked(monkeypatch):
    assert "not installed" in examine(monkeypatch, flax=None).problems[0]["found"]
    assert "0.7.5 is older" in examine(monkeypatch, flax="0.7.5").problems[0]["found"]
    (yanked,) = (r.version for r in facts.releases(yanked=True) if r.yanked)
    assert "yanked" in examine(monkeypatch, flax=yanked).problems[0]["found"]
    assert "jax is not" in examine(monkeypatch, jax=None).problems[0]["found"]


def test_doctor_exits_1_when_something_is_wrong(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "_version", lambda name: None)
    assert cli.main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "problem    flax is not installed" in out
    assert "  run:     pip install" in out


def test_matrix_filters_releases(capsys):
    assert cli.main(["matrix", "--flax", ">=0.10,<0.11", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert next(r["flax"] for r in rows) == "0.10.0"
    assert len(rows) == 8
    assert cli.main(["matrix", "--flax", "==0.8.5"]) == 0
    assert "0.8.5" in capsys.readouterr().out


@pytest.mark.parametrize("failed", [0, 12])
def test_matrix_fits_80_columns_with_one_line_a_release(monkeypatch, capsys, failed):
    recorded = {
        name: {**record, "passed": 999, "failed": failed}
        for name, record in matrix.results().items()
    }
    for pair in matrix.pairs():
        if pair == matrix.dated(pair.flax):
            recorded[pair.id]["passed"] = 30_000
    monkeypatch.setattr(releases, "results", lambda: recorded)
    assert cli.main(["matrix"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert any(
        ("36 failed" if failed else "30,000; 999; 999") in line for line in lines
    )
    found = [line.split()[0] for line in lines if line[:2] == "0."]
    assert found == [release.version for release in facts.releases()]


def test_matrix_refuses_what_is_no_specifier(capsys):
    assert cli.main(["matrix", "--flax", "newest"]) == 2
    assert "instead: --flax '>=0.10,<0.12'" in capsys.readouterr().err
