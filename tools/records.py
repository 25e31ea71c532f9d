"""Which records are of an older source, and how long renewing each takes.

    python tools/records.py [--all]

Each kind of record is a folder of JSON files with ``"source"`` and ``"seconds"``
(nnx_compat/matrix/source.py). A new kind is one row in ``KINDS``; the band is one file,
and counts as a record for each release. ``nox -s records`` calls this.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from nnx_compat import band, matrix  # noqa: E402
from nnx_compat.matrix import corpus as packages  # noqa: E402
from nnx_compat.matrix import source  # noqa: E402
from tools import corpus  # noqa: E402
from tools.environments import write_atomically  # noqa: E402


class Kind(NamedTuple):
    """A kind of record.

    Attributes:
        name: of the kind.
        folder: where its records are.
        command: what renews one, from its file name without suffix.
    """

    name: str
    folder: Path
    command: Callable[[str], str]


def _conformance(name: str) -> str:
    tests_of, _, flax = name.partition("-on-")
    checkout = f"nox -s conformance -- --source CHECKOUT --tests-of {tests_of}"
    return checkout + (f" --flax {flax}" if flax else " --examples")


def _benchmark(name: str) -> str:
    part, flax, *_ = name.split("-")
    return f"nox -s bench -- --part {part} --flax {flax}"


KINDS = (
    Kind("matrix", matrix.RESULTS, lambda name: f'nox -s "matrix({name})"'),
    Kind("conformance", matrix.CONFORMANCE, _conformance),
    Kind("examples", matrix.EXAMPLES, _conformance),
    Kind("checkpoints", matrix.CHECKPOINTS, lambda name: "nox -s checkpoints"),
    Kind("pickles", ROOT / "benchmarks" / "pickles", lambda name: "nox -s pickles"),
    Kind("benchmark", ROOT / "benchmarks" / "results", _benchmark),
)

#: One record a package; of it each way is renewed by itself.
CORPUS = Kind("corpus", packages.RECORDS, lambda name: f"nox -s corpus -- {name}")


BAND = Kind("band", band.RECORD.parent, lambda flax: f"nox -s band -- --flax {flax}")


class Record(NamedTuple):
    """One record, and what is known of it; missing when there is to be one."""

    kind: Kind
    name: str
    current: bool
    seconds: int | None
    missing: bool = False


def records() -> Iterator[Record]:
    """All records, by kind and name."""
    here = source.digests(*source.FOLDERS)
    for kind in KINDS:
        for file in sorted(kind.folder.glob("*.json")):
            found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            current = source.is_of(found, here)
            yield Record(kind, file.stem, current, found.get("seconds"))
    for name, current, seconds in corpus.recorded():
        yield Record(CORPUS, name, current, seconds, missing=seconds is None)
    by_flax: dict[str, list[dict[str, Any]]] = {}
    for row in band.read():
        by_flax.setdefault(row["flax"], []).append(row)
    for flax, rows in by_flax.items():
        here["probes"] = band.digest(flax)
        current = all(
            way in row["ways"] and source.is_of(row["ways"][way], here)
            for row in rows
            for way in band.WAYS
        )
        yield Record(BAND, flax, current, sum(row["seconds"] for row in rows))


@contextmanager
def measuring(file: Path, *folders: str) -> Iterator[None]:
    """Add to a record that is written inside which source it measured, and how long.

    Of no known source is what was measured while the source changed.
    """
    start, before = time.monotonic(), source.digests(*folders)
    yield
    record = json.loads(file.read_text(encoding="utf-8"))
    record["source"] = before if before == source.digests(*folders) else {}
    record["seconds"] = round(time.monotonic() - start)
    write_atomically(file, json.dumps(record, indent=1, sort_keys=True) + "\n")


def main(arguments: list[str]) -> int:
    """List the records that are of an older source, or all of them."""
    if arguments not in ([], ["--all"]):
        print(__doc__)
        return 2
    every = list(records())
    older = [record for record in every if not record.current]
    for record in every if arguments else older:
        state = "this source" if record.current else "an older source"
        state = "not measured" if record.missing else state
        takes = f"{record.seconds} s" if record.seconds is not None else "not known"
        print(f"{state}  {takes:>9}  {record.kind.command(record.name)}")
    for name in dict.fromkeys(record.kind.name for record in every):
        of_kind = [record for record in every if record.kind.name == name]
        print(f"{name}: {_counted(of_kind)}")
    print(_counted(every))
    return 0


def _counted(every: list[Record]) -> str:
    """How many are of an older source, and what renewing them takes."""
    older = [record for record in every if not record.current]
    known = [record.seconds for record in older if record.seconds is not None]
    missing = sum(record.missing for record in every)
    return (
        f"{len(older) - missing} of {len(every)} records are of an older source and "
        f"{missing} not measured; renewing those whose time is known ({len(known)}) "
        f"takes {sum(known) / 60:.0f} min"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
