"""Checkpoints written on every release and read on every release: the judge.

    python tools/checkpoints.py [--flax 0.8.0,0.12.12] [--again]

One process per writer writes all forms, one per reader reads them all, two at a time
(tools/checkpoint_cells.py), each in the environment of a release's dated pair. A reader
leaves one record with a row per writer in ``matrix/checkpoints``. What is there and of
this source is not done again: it can be stopped and goes on. ``nox -s checkpoints``
calls this.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from nnx_compat import facts, matrix  # noqa: E402
from nnx_compat.matrix import source  # noqa: E402
from tools import environments, records  # noqa: E402
from tools.band import progress  # noqa: E402

#: Where the writers' files are; nothing of it is committed.
FILES = ROOT / ".nox" / "checkpoints"
#: What the canonical form is written with, beside environments that lack it.
LIBRARY = FILES / "library"
_LIMIT_S = 1800


def main(arguments: list[str]) -> int:
    """Write what is not written, read what is not read, and say what was wrong."""
    chosen = [release.version for release in facts.releases()]
    if "--flax" in arguments:
        chosen = arguments[arguments.index("--flax") + 1].split(",")
    again = "--again" in arguments
    _library()
    advance = progress(2 * len(chosen))

    def write(writer: str) -> None:
        folder = FILES / writer
        if again or not _is_current(folder / "written.json"):
            _write(writer, folder)
            advance(f"{writer} has written")
        else:
            advance()

    def read(reader: str) -> int:
        record = matrix.CHECKPOINTS / f"{reader}.json"
        if again or not _is_read(record, chosen):
            _read(reader, chosen, record)
            advance(f"{reader} has read")
        else:
            advance()
        return _said(reader, json.loads(record.read_text(encoding="utf-8")))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, chosen))
        wrong = sum(pool.map(read, chosen))
    print(f"{wrong} of {3 * len(chosen) ** 2} readings went wrong")
    return 1 if wrong else 0


def _library() -> None:
    """The package safetensors in a folder of its own, for any CPython."""
    if (LIBRARY / "safetensors").is_dir():
        return
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    command = [uv, "pip", "install", "-q", "--target", str(LIBRARY), "safetensors"]
    subprocess.run(command, check=True, env=environments.certificates())


def _is_current(file: Path) -> bool:
    return file.exists() and source.is_of(
        json.loads(file.read_text(encoding="utf-8")), source.digests(source.LIBRARY)
    )


def _is_read(record: Path, writers: list[str]) -> bool:
    if not _is_current(record):
        return False
    return set(writers) <= set(json.loads(record.read_text(encoding="utf-8"))["rows"])


def _run(release: str, *arguments: str) -> None:
    pair = matrix.dated(release)
    at = ROOT / ".nox" / "pairs" / pair.id
    python = environments.ensure(at, pair, environments.TOOLS)
    env = environments.source_on_path()
    env["PYTHONPATH"] += os.pathsep + str(LIBRARY)
    env["JAX_PLATFORMS"] = "cpu"
    command = [str(python), "tools/checkpoint_cells.py", *arguments]
    ran = subprocess.run(
        command, cwd=ROOT, env=env, timeout=_LIMIT_S, capture_output=True, text=True
    )
    if ran.returncode:  # else all that it has to say is what orbax warns of
        raise RuntimeError(f"flax {release}, {' '.join(arguments)}: {ran.stderr}")


def _write(writer: str, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    digests = source.digests(source.LIBRARY)
    _run(writer, "write", str(folder))
    about = json.dumps({"source": digests})
    environments.write_atomically(folder / "written.json", about)


def _read(reader: str, writers: list[str], record: Path) -> None:
    record.parent.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        records.measuring(record, source.LIBRARY),
    ):
        out = Path(folder, "out.json")
        _run(reader, "read", str(FILES), str(out), *writers)
        found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
        text = json.dumps({"reader": reader, **found}, indent=1, sort_keys=True)
        environments.write_atomically(record, text + "\n")


def _said(reader: str, record: dict[str, Any]) -> int:
    """Print what was wrong, and count it."""
    wrong = 0
    for writer, forms in record["rows"].items():
        for form, found in forms.items():
            wrong += bool(found["problems"])
            for problem in found["problems"]:
                print(f"{writer} read on {reader}, {form}: {problem}")
    for name in record["imported"]:
        print(f"reading on {reader} imported {name}")
    return wrong


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
