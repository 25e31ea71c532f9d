"""Published packages on releases of Flax, natively and with us: ``nox -s corpus``.

    python -m tools.corpus [--package NAME[,NAME-VERSION...]] [--flax V[,V...]]
                           [--ways native,run,fix] [--check] [--again] [--compare]

What a record has of this source is not measured again, so a run that was stopped goes
on where it was. ``--check`` only reads the packages again with the checker. ``--again``
measures all the same. ``--compare`` measures, writes nothing, and fails where anything
differs from the record.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from nnx_compat.matrix import corpus  # noqa: E402
from tools.corpus import checking, measure, pins, places  # noqa: E402
from tools.environments import write_atomically  # noqa: E402

WHEELS = places.FOLDER / "wheels"


class Job(NamedTuple):
    """One package on one release in one way."""

    package: pins.Package
    flax: str
    way: str


def read(package: pins.Package) -> dict[str, Any]:
    """A package's record, with the names of items; an empty one when there is none."""
    file = corpus.RECORDS / f"{package.id}.json"
    if file.exists():
        return corpus.decoded(json.loads(file.read_text(encoding="utf-8")))
    return {"cells": {}}


def write(package: pins.Package, record: dict[str, Any]) -> None:
    """Put a record in its place."""
    record = {
        **record, "package": package.name, "version": package.version,
        "modules": list(package.modules), "share": package.share, "why": package.why,
        "releases": list(pins.releases()),
    }  # fmt: skip
    corpus.RECORDS.mkdir(exist_ok=True)
    text = json.dumps(corpus.encoded(record), indent=1, sort_keys=True)
    write_atomically(corpus.RECORDS / f"{package.id}.json", text + "\n")


def current(job: Job, record: dict[str, Any]) -> bool:
    """Whether the record has this of this source."""
    cell = record["cells"].get(job.flax, {}).get(job.way)
    return bool(cell) and cell["source"] == measure.sources(job.package, job.way)


def wanted(options: argparse.Namespace) -> Iterator[Job]:
    """The jobs that are asked for, by release: a process of one release serves many."""
    names = options.package.split(",") if options.package else None
    every = [
        package
        for package in pins.packages().values()
        if names is None or package.name in names or package.id in names
    ]
    known = set(pins.releases())
    releases = options.flax.split(",") if options.flax else list(pins.releases())
    if not every or set(releases) - known:
        raise SystemExit(
            f"no package {options.package!r}, or no release {options.flax!r}\n"
            f"  instead: {', '.join(sorted(pins.packages()))}; {', '.join(known)}"
        )
    for flax in releases:
        for package in every:
            for way in options.ways.split(","):
                yield Job(package, flax, way)


class Progress:
    """A line that says how far it is, and when it will be over."""

    def __init__(self, of: int) -> None:
        self._of, self._done, self._start = of, 0, time.monotonic()

    def next(self, what: str) -> None:
        """One job more is over."""
        self._done += 1
        spent = time.monotonic() - self._start
        left = spent / self._done * (self._of - self._done)
        end = "\r" if sys.stderr.isatty() and self._done < self._of else "\n"
        text = f"{self._done} of {self._of}, {left / 60:.0f} min left: {what}"
        print(f"{text:<78}", end=end, file=sys.stderr, flush=True)


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What two measurements of a cell say differently; how long they took aside."""
    aside = ("seconds", "source")
    keys = sorted((old.keys() | new.keys()) - set(aside))
    # lines are recorded of the native way alone: nothing there is as good as empty
    return [key for key in keys if (old.get(key) or None) != (new.get(key) or None)]


def paths(job: Job, folder: Path) -> list[Path]:
    """What is put on the path: the package, and those that it stands on."""
    plain = pins.unpacked(job.package, WHEELS, folder / "plain")
    beside = [
        pins.unpacked(pins.packages()[name], WHEELS, folder / "plain")
        for name in job.package.beside
    ]
    if job.way == "fix":
        plain = measure.fixed(job.package, plain, folder / "fixed")
    return [plain, *beside]


def run(options: argparse.Namespace) -> int:
    """Measure what is to be measured; 1 where a comparison finds a difference."""
    jobs = [
        job
        for job in wanted(options)
        if options.again or options.compare or not current(job, read(job.package))
    ]
    progress, host, differing = Progress(len(jobs)), None, 0
    with tempfile.TemporaryDirectory(prefix="corpus-") as name:
        folder = Path(name)
        for job in jobs:
            if host is None or host.flax != job.flax:
                if host is not None:
                    host.close()
                host = measure.Host(job.flax, folder)
            before = measure.sources(job.package, job.way)
            found = host.run(job.package, job.way, paths(job, folder))
            # what was measured while the source changed is of no known source
            after = measure.sources(job.package, job.way)
            found["source"] = before if before == after else {}
            record = read(job.package)
            cell = record["cells"].setdefault(job.flax, {})
            if options.compare:
                if other := differences(cell.get(job.way, {}), found):
                    differing += 1
                    print(f"differs: {job.package.id} {job.flax} {job.way}: {other}")
            else:
                record.setdefault("jax", {})[job.flax] = host.jax
                cell[job.way] = found
                write(job.package, record)
            progress.next(f"{job.flax} {job.package.id} {job.way} {found['seconds']} s")
        if host is not None:
            host.close()
    return 1 if differing else 0


def main(arguments: list[str]) -> int:
    """Measure, and read with the checker."""
    parser = argparse.ArgumentParser(prog="nox -s corpus --", description=__doc__)
    parser.add_argument("--package", default="")
    parser.add_argument("--flax", default="")
    parser.add_argument("--ways", default=",".join(corpus.WAYS))
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--compare", action="store_true")
    options = parser.parse_args(arguments)
    code = 0 if options.check else run(options)
    if not options.compare:
        _check(options)
    return code


def _check(options: argparse.Namespace) -> None:
    """Ask the checker, and so see to it that every package has a record."""
    for package in sorted({job.package for job in wanted(options)}):
        record = read(package)
        with tempfile.TemporaryDirectory(prefix="corpus-") as folder:
            plain = pins.unpacked(package, WHEELS, Path(folder))
            checking.renew(package, plain, record, again=options.again)
        write(package, record)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
