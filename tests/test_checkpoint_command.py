"""``nnx-compat checkpoint``: inspect, convert and diff, and the functions behind them."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import nnx_compat as nc
from nnx_compat import checkpoint, cli, errors

SOURCE = Path(nc.__file__).parent.parent


def safetensors(file, arrays):
    """The bytes of the format, without the library."""
    header, end = {}, 0
    for name, array in arrays.items():
        offsets = [end, end + array.nbytes]
        header[name] = {"dtype": "F32", "shape": array.shape, "data_offsets": offsets}
        end += array.nbytes
    text = json.dumps(header).encode()
    data = b"".join(array.tobytes() for array in arrays.values())
    file.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return file


@pytest.fixture
def files(tmp_path):
    """One model as three releases would have written it, and a different one."""
    kernel, bias = np.ones((2, 3), "float32"), np.zeros(3, "float32")
    np.savez(tmp_path / "old.npz", **{
        "layers/0/kernel/raw_value": kernel, "layers/1/kernel/raw_value": kernel,
        "layers/0/bias/raw_value": bias,
    })  # fmt: skip
    new = {"layers": [{"kernel": kernel, "bias": bias}, {"kernel": kernel}]}
    (tmp_path / "new.pkl").write_bytes(pickle.dumps(new))
    half = np.array([0, 0.5, 0], "float32")
    other = {**new, "half": jnp.ones(2, jnp.bfloat16)}
    other["layers"] = [{"kernel": kernel, "bias": half}, {"kernel": bias}]
    (tmp_path / "other.pkl").write_bytes(pickle.dumps(other))
    return tmp_path


def command(capsys, *arguments):
    code = cli.main(["checkpoint", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


# -- inspect ------------------------------------------------------------------------


def test_inspect_shows_a_row_for_layers_that_are_alike(files, capsys):
    code, out, _ = command(capsys, "inspect", files / "old.npz")
    assert code == 0
    assert "layers/0-1/kernel" in out
    assert "2 x 24 B" in out
    assert "3 arrays, 60 B" in out


def test_inspect_as_json_has_every_array_and_its_name_on_file(files, capsys):
    _, out, _ = command(capsys, "inspect", files / "old.npz", "--json")
    found = json.loads(out)
    assert found["form"] == "npz"
    assert found["bytes"] == 60
    bias = found["items"][""]["layers/0/bias"]
    assert bias["source"] == "layers/0/bias/raw_value"
    assert (bias["shape"], bias["dtype"], bias["bytes"]) == ([3], "float32", 12)


def test_inspect_says_types_ties_and_what_is_no_data(tmp_path, capsys, rngs):
    state = nc.state(nc.nnx.BatchNorm(2, rngs=rngs))
    whole = {"state": state, "why": "a test", "function": len}
    (tmp_path / "file").write_bytes(pickle.dumps(whole))
    _, out, _ = command(capsys, "inspect", tmp_path / "file")
    assert "BatchStat" in out
    assert '"why": "a test"' in out
    assert "no data  all of it: builtins.len" in out


def test_a_file_of_10000_leaves_is_one_row(tmp_path):
    names = [f"layers.{i}.{j}.w" for i in range(100) for j in range(100)]
    file = safetensors(tmp_path / "many", dict.fromkeys(names, np.zeros(3, "float32")))
    found = checkpoint.inspect(file)
    assert found.arrays == 10_000
    row = ("layers/0-99/0-99/w", "(3,)", "float32", "10000 x 12 B", "")
    assert found.rows() == [row]


def test_inspect_and_diff_import_neither_flax_nor_jax(files):
    code = (
        "import json, sys; from nnx_compat import cli\n"
        "new, other = sys.argv[1:]\n"
        "codes = [cli.main(['checkpoint', 'inspect', new]),\n"
        "         cli.main(['checkpoint', 'diff', new, other, '--values'])]\n"
        "print(json.dumps([codes, [m for m in ('flax', 'jax') if m in sys.modules]]))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(files / "new.pkl"), str(files / "other.pkl")],
        env={**os.environ, "PYTHONPATH": str(SOURCE)}, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    assert json.loads(ran.stdout.splitlines()[-1]) == [[0, 1], []]


# -- diff ---------------------------------------------------------------------------


def test_diff_of_one_model_in_two_forms_and_releases_is_nothing(files, capsys):
    both = files / "old.npz", files / "new.pkl"
    code, out, _ = command(capsys, "diff", *both, "--values")
    assert code == 0
    assert out == "no differences in names, shapes, dtypes and values\n"
    assert checkpoint.diff(*both, values=True) == []


def test_diff_says_what_differs_and_exits_with_1(files, capsys):
    both = files / "new.pkl", files / "other.pkl"
    code, out, _ = command(capsys, "diff", *both, "--values")
    assert code == 1
    assert "1 of 3 differ, by 0.5 at most" in out
    found = {d.path: d for d in checkpoint.diff(*both, values=True)}
    assert found["half"].what == "only in b"
    assert found["half"].b == "bfloat16[2]"
    assert found["layers/1/kernel"].what == "shape"
    assert found["layers/0/bias"].what == "values"
    assert len(found) == 3
    assert len(checkpoint.diff(*both)) == 2


def test_tied_variables_are_the_same_under_any_of_their_names(tmp_path):
    from nnx_compat.checkpoint import Contents, Entry, Item, _diff

    dtype = np.dtype("float32")
    a = Contents("a", "x", {"": Item([Entry(("a",), dtype=dtype, aliases=(("b",),))])})
    b = Contents("b", "x", {"": Item([Entry(("b",), dtype=dtype, aliases=(("a",),))])})
    (pair,) = _diff._pairs(a, b)
    assert None not in pair


def test_progress_counts_the_bytes(files):
    seen = []
    checkpoint.diff(
        files / "old.npz", files / "new.pkl", values=True,
        progress=lambda done, of: seen.append((done, of)),
    )  # fmt: skip
    assert seen[-1] == (60, 60)
    assert seen == sorted(seen)


# -- convert ------------------------------------------------------------------------


def test_convert_writes_what_every_release_reads(files, capsys):
    """To an orbax folder, which needs nothing that is not there."""
    folder = files / "converted"
    code, out, _ = command(
        capsys, "convert", files / "old.npz", folder, "--format", "orbax"
    )
    assert code == 0
    assert f"3 arrays, 60 B, written to {folder}" in out
    assert checkpoint.diff(files / "new.pkl", folder, values=True) == []
    assert "layers/1/kernel" in checkpoint.read(folder)[""]


def test_convert_renames_and_chooses(files, capsys):
    (files / "rules.json").write_text(json.dumps({
        r"layers\.(.)\.kernel": [r"blocks.\1.w", [[1, 0], None]], r".*bias": None,
    }))  # fmt: skip
    code, _, err = command(
        capsys, "convert", files / "old.npz", files / "new", "--format", "orbax",
        "--rename", files / "rules.json", "--only", "blocks/1/*",
    )  # fmt: skip
    assert (code, err) == (0, "")
    item = checkpoint.read(files / "new")[""]
    assert list(item) == ["blocks/1/w"]
    assert item["blocks/1/w"].read().shape == (3, 2)


def test_convert_refuses_what_is_there_and_what_is_nowhere(files):
    with pytest.raises(errors.CheckpointExistsError):
        checkpoint.convert(files / "old.npz", files / "new.pkl")
    with pytest.raises(errors.CheckpointLookupError, match="nothing in .* is called x"):
        checkpoint.convert(files / "old.npz", files / "x", only="x")
    assert not (files / "x").exists()


# -- what is wrong ------------------------------------------------------------------

WRONG = [
    ("inspect", "nowhere"),
    ("inspect", "cut"),
    ("inspect", "text"),
    ("inspect", "empty"),
    ("inspect", "folder"),
    ("inspect", "old.npz", "--step", "3"),
    ("diff", "old.npz", "nowhere"),
    ("diff", "cut", "old.npz"),
    ("convert", "nowhere", "x"),
    ("convert", "old.npz", "new.pkl"),
    ("convert", "old.npz", "x", "--rename", "text"),
    ("convert", "old.npz", "x", "--rename", "nowhere"),
    ("convert", "old.npz", "x", "--only", "nothing"),
]


@pytest.mark.parametrize("arguments", WRONG, ids=" ".join)
def test_what_is_wrong_is_said_in_one_error_and_never_a_traceback(
    arguments, files, capsys, monkeypatch
):
    monkeypatch.chdir(files)
    Path("cut").write_bytes(Path("new.pkl").read_bytes()[:60])
    Path("text").write_text("hello")
    Path("empty").write_text("")
    Path("folder").mkdir()
    code, out, err = command(capsys, *arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("nnx-compat checkpoint: ")
    assert "  instead: " in err
    assert "not foreseen" not in err
    assert not Path("x").exists()


def test_an_error_that_nobody_foresaw_is_no_traceback_either(
    files, capsys, monkeypatch
):
    from nnx_compat.checkpoint import _inspect

    def broken(*_):
        raise ZeroDivisionError("by chance")

    monkeypatch.setattr(_inspect, "opened", broken)
    code, _, err = command(capsys, "inspect", files / "old.npz")
    assert code == 2
    assert "not foreseen: ZeroDivisionError: by chance" in err
