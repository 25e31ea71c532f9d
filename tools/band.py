"""Measure the band: which pairs of Flax and jax work, natively and through us.

    python tools/band.py [--flax 0.10.2,0.12.0] [--jax 0.8.0] [--ways native] [--write]

runs the probes (nnx_compat/band/probes.py) on each release of Flax beside each jax:
from two before the oldest that it declares to two after the last with which it imports,
and no further down than two that do not import. What the record
(nnx_compat/band/record.jsonl) has of these probes, and for the ways through us of this
source, is not run again; ``--again`` does. The record is written after each pair, so an
interrupted run goes on where it was. ``--write`` puts the ends of the ranges into
facts/releases.toml. ``nox -s band`` calls this. Needs uv.

A pair has the companions (numpy, optax, orbax, ...) of its day: that is three weeks
after the release of Flax, or the day by which that jax was the dated one of a later
release. Each package of a version is unpacked once, in a folder of its own, and a pair
is a list of folders: so its bytecode is compiled once as well, which would take longer
than the probes do.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from packaging.version import Version  # noqa: E402

from nnx_compat import band, facts, matrix  # noqa: E402
from nnx_compat.matrix import source  # noqa: E402
from tools import environments  # noqa: E402

#: The first jax with which any release may work.
FIRST = min((r.jax_declared for r in facts.releases()), key=Version)
#: How many in a row do not import before no more are tried.
BEYOND = 2


def jax_versions() -> list[str]:
    """All jax versions on the registry from the oldest floor on, oldest first."""
    command = [sys.executable, "-m", "pip", "index", "versions", "jax"]
    command += ["--python-version", "3.13", "--only-binary", ":all:"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"Available versions: (.*)", text)
    assert found, text
    every = sorted(found[1].split(", "), key=Version)
    return [version for version in every if Version(version) >= Version(FIRST)]


# -- the packages of a pair ---------------------------------------------------------


def day(flax: str, jax: str) -> str:
    """The date after which no companion is taken; ``""`` for the newest jax of all."""
    for release in facts.releases():
        later = Version(release.version) >= Version(flax)
        if later and Version(release.jax_dated) >= Version(jax):
            return matrix.dated(release.version).uploaded_before
    return ""


class Store:
    """Packages, each version unpacked in a folder of its own.

    Args:
        folder: where; it may have some already.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.lock = folder, threading.Lock()

    def pair(self, pair: matrix.Pair) -> tuple[Path, tuple[Path, ...]]:
        """The folder of Flax, and those of all others that the pair needs.

        Raises:
            LookupError: no resolution, or a package without a wheel.
        """
        every = [self._package(pair.python, one) for one in self._resolved(pair)]
        flax = next(at for at in every if at.name == f"flax-{pair.flax}")
        return flax, tuple(at for at in every if at != flax)

    def _resolved(self, pair: matrix.Pair) -> list[str]:
        command = ["uv", "pip", "compile", "-q", "--no-header", "--no-annotate", "-"]
        command += ["--python-version", pair.python, "--override"]
        if before := day(pair.flax, pair.jax):
            command[-1:-1] = ["--exclude-newer", before]
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as override:
            # what Flax says of jax is what is measured here, and no bound
            override.write(f"jax=={pair.jax}\n")
            override.flush()
            wanted = "\n".join([*pair.constraints, "packaging"])  # ours needs it too
            return _uv([*command, override.name], wanted).split("\n")

    def _package(self, python: str, requirement: str) -> Path:
        at = self.folder / python / requirement.replace("==", "-")
        interpreter = environments.interpreter(python)
        if interpreter is None:
            raise LookupError(f"needs CPython {python}")
        with self.lock:
            if not at.exists():
                making = at.with_name(f".{at.name}-{os.getpid()}")
                command = ["uv", "pip", "install", "-q", "--no-deps", "--target"]
                _uv([*command, str(making), "-p", interpreter, requirement])
                if not at.exists():  # another run may have been faster
                    making.rename(at)
        return at


def _uv(command: list[str], text: str | None = None) -> str:
    ran = subprocess.run(
        command, input=text, capture_output=True, text=True,
        env={**environments.certificates(), "TZ": "UTC"},
    )  # fmt: skip
    if ran.returncode:
        raise LookupError(" ".join(ran.stderr.split())[:300])
    return ran.stdout.strip()


# -- a group of pairs ---------------------------------------------------------------


class Task(NamedTuple):
    """A pair that is to be measured: in which ways, and with which packages."""

    pair: matrix.Pair
    ways: list[str]
    flax: Path
    others: tuple[Path, ...]


def digests(flax: str, way: str) -> dict[str, str]:
    """What a result of a way depends on: the probes, and our source if it is used."""
    found = {"probes": band.digest(flax)}
    return found if way == "native" else {**found, source.LIBRARY: here()}


@cache
def here() -> str:
    """The digest of our source when this began."""
    return source.digest(source.LIBRARY)


def grouped(tasks: list[Task]) -> list[list[Task]]:
    """Tasks that differ in Flax alone, in groups for one process each."""
    alike: dict[tuple[Path, ...], list[Task]] = {}
    for task in tasks:
        alike.setdefault(task.others, []).append(task)
    return list(alike.values())


def measured(group: list[Task]) -> Iterator[tuple[Task, dict[str, Any]]]:
    """What the record is to say of each pair of a group, as soon as it is known."""
    start = time.monotonic()
    answers = _answers(group)
    for task in group:
        answer = next(answers)
        took, start = time.monotonic() - start, time.monotonic()
        yield task, _row(task.pair.flax, answer, took)


def _row(flax: str, answer: dict[str, Any], took: float = 0) -> dict[str, Any]:
    ways = {
        way: {
            "source": digests(flax, way),
            # what is not there is ok, or was not reached because the import failed
            "results": {name: text for name, text in found.items() if text != "ok"},
        }
        for way, found in answer["results"].items()
    }
    return {"with": answer["with"], "seconds": round(took), "ways": ways}


def _answers(group: list[Task]) -> Iterator[dict[str, Any]]:
    interpreter = environments.interpreter(group[0].pair.python)
    assert interpreter
    env = environments.source_on_path()
    env["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), *map(str, group[0].others)])
    job = [
        {"path": str(t.flax), "forms": band.forms(t.pair.flax), "ways": t.ways}
        for t in group
    ]
    # -S: no other package than these
    command = [interpreter, "-S", "-W", "ignore", "-m", "nnx_compat.band.run"]
    with subprocess.Popen(
        [*command, json.dumps(job)], env=env, cwd="/", text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        start_new_session=True,  # Linux shares the CPU out between sessions
    ) as process:  # fmt: skip
        assert process.stdout
        try:
            yield from map(json.loads, process.stdout)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode:
        raise RuntimeError(f"{command} {job}: exit status {process.returncode}")


# -- all pairs ----------------------------------------------------------------------


class Record:
    """The record, read and written pair by pair."""

    def __init__(self, file: Path) -> None:
        self.file, self.lock = file, threading.Lock()
        self.rows = {(row["flax"], row["jax"]): row for row in band.read(file)}

    def lacks(self, flax: str, jax: str, ways: Iterable[str]) -> list[str]:
        """The ways of a pair that were not measured, or not on this source."""
        row = self.rows.get((flax, jax), {"ways": {}})
        return [
            way
            for way in ways
            if row["ways"].get(way, {}).get("source") != digests(flax, way)
        ]

    def add(self, flax: str, jax: str, found: dict[str, Any]) -> None:
        """Put what was measured of a pair into the file."""
        with self.lock:
            row = self.rows.setdefault((flax, jax), {"flax": flax, "jax": jax})
            row |= {**found, "ways": {**row.get("ways", {}), **found["ways"]}}
            lines = [json.dumps(row) for row in sorted(self.rows.values(), key=_order)]
            environments.write_atomically(self.file, "\n".join(lines) + "\n")

    def imports(self, flax: str, jax: str) -> bool:
        """Whether NNX imports in any of the ways that were measured."""
        ways = self.rows[flax, jax]["ways"].values()
        return any("import" not in way["results"] for way in ways)


def _order(row: dict[str, Any]) -> tuple[Version, Version]:
    return Version(row["flax"]), Version(row["jax"])


def steps(
    releases: list[facts.Release],
    every: list[str],
    direction: int,
    imports: Callable[[str, str], bool],
) -> Iterator[tuple[str, list[str]]]:
    """Each jax with the releases to try beside it, from the dated jax of each on.

    Args:
        releases: of Flax.
        every: all jax versions, oldest first.
        direction: 1 to newer ones, -1 to older ones.
        imports: whether NNX of a release imports beside a jax, once it was tried.
    """
    failed = dict.fromkeys((release.version for release in releases), 0)
    for jax in every[::direction]:
        beside = [
            release.version
            for release in releases
            if jax in ahead(release, every, direction)
            and failed[release.version] < BEYOND
        ]
        if beside:
            yield jax, beside
        for flax in beside:
            failed[flax] = 0 if imports(flax, jax) else failed[flax] + 1


def ahead(release: facts.Release, every: list[str], direction: int) -> list[str]:
    """The jax versions to try with a release in a direction, oldest first."""
    dated = Version(release.jax_dated)
    if direction > 0:
        return [jax for jax in every if Version(jax) >= dated]
    floor = Version(release.jax_declared)
    below = [jax for jax in every if Version(jax) < floor][-BEYOND:]
    return below + [jax for jax in every if floor <= Version(jax) < dated]


def run(
    releases: list[facts.Release],
    every: list[str],
    ways: list[str],
    record: Record,
    store: Store,
    *,
    again: bool = False,
) -> None:
    """Measure all pairs that the record lacks: two at a time, one in each direction."""
    expected = sum(_about(release, every) for release in releases)
    advance = progress(expected)
    with ThreadPoolExecutor(2) as pool:

        def found(flax: str, jax: str, row: dict[str, Any]) -> None:
            record.add(flax, jax, row)
            advance(told(record.rows[flax, jax], row["ways"]))

        def task_of(flax: str, jax: str) -> Iterator[Task]:
            wanted = ways if again else record.lacks(flax, jax, ways)
            if not wanted:
                advance()
                return
            pair = matrix.pair(flax, jax)
            try:
                yield Task(pair, wanted, *store.pair(pair))
            except LookupError as error:
                results = {
                    way: {"import": f"not installable: {error}"} for way in wanted
                }
                answer = {"with": {"python": pair.python}, "results": results}
                found(flax, jax, _row(flax, answer))

        def sweep(direction: int) -> None:
            for jax, beside in steps(releases, every, direction, record.imports):
                tasks = [task for flax in beside for task in task_of(flax, jax)]
                for group in grouped(tasks):
                    for task, row in measured(group):
                        found(task.pair.flax, jax, row)

        for _ in pool.map(sweep, (1, -1)):
            pass


def _about(release: facts.Release, every: list[str]) -> int:
    """About how many jax versions will be tried with a release."""
    newer = ahead(release, every, 1)
    last = release.compat_newest or release.jax_newest
    known = sum(Version(jax) <= Version(last) for jax in newer)
    return len(ahead(release, every, -1)) + min(known + BEYOND, len(newer))


def told(row: dict[str, Any], ways: Iterable[str]) -> str:
    """One line on what was found of a pair."""
    parts = []
    for way in ways:
        said = row["ways"][way]["results"]
        wrong = {probe: text for probe, text in said.items() if text != "absent"}
        parts.append(f"{way}: " + (", ".join(wrong) or "all work"))
    what = "; ".join(parts) or "known"
    return f"flax {row['flax']} jax {row['jax']} ({row['seconds']} s): {what}"


def progress(expected: int) -> Callable[..., None]:
    """What prints a line for each pair, with a bar and what is left of the time.

    Args:
        expected: about how many pairs there are; the known ones take no time.
    """
    start, lock, done, measured = time.monotonic(), threading.Lock(), 0, 0

    def advance(text: str = "") -> None:
        nonlocal done, measured
        with lock:
            done, measured = done + 1, measured + bool(text)
            if text:
                whole = max(expected, done)
                bar = ("#" * (20 * done // whole)).ljust(20, ".")
                left = (time.monotonic() - start) / measured * (whole - done) / 60
                print(
                    f"[{bar}] {done}/{whole}, {left:.0f} min left: {text}", flush=True
                )

    return advance


# -- the facts ----------------------------------------------------------------------


def ends(release: facts.Release) -> dict[str, str]:
    """The ends of a release's ranges in the record, by the key in releases.toml.

    Raises:
        LookupError: something breaks natively beside its dated jax.
    """
    run = band.around(release.version, release.jax_dated, "native")
    if run is None:
        raise LookupError(f"{matrix.dated(release.version).id} does not work")
    return dict(zip(("jax_oldest", "jax_newest"), run, strict=True))


def written(text: str, ranges: dict[str, dict[str, str]]) -> str:
    """The text of releases.toml with the ends of some ranges.

    Args:
        text: as it is.
        ranges: what ``ends`` says, by release.
    """
    blocks = re.split(r"(?m)^(?=\[\[release\]\])", text)
    for at, block in enumerate(blocks):
        version = re.search(r'(?m)^version = "(.*)"$', block)
        if version and version[1] in ranges:
            row = block.rstrip("\n").split("\n")
            for key, value in ranges[version[1]].items():
                row = _with(row, key, value)
            blocks[at] = "\n".join(row) + block[len(block.rstrip("\n")) :]
    return "".join(blocks)


def _with(row: list[str], key: str, value: str) -> list[str]:
    line = [f"{key} = {json.dumps(value)}"] if value else []
    at = next((i for i, old in enumerate(row) if old.startswith(f"{key} = ")), None)
    if at is None:
        return row + line
    return [*row[:at], *line, *row[at + 1 :]]


def main(arguments: list[str] | None = None) -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--flax", help="releases, with commas; all")
    parser.add_argument("--jax", help="versions, with commas; all that may work")
    parser.add_argument("--ways", default=",".join(band.WAYS))
    parser.add_argument("--again", action="store_true", help="what is known as well")
    parser.add_argument("--write", action="store_true", help="the ranges, to the facts")
    parser.add_argument("--record", type=Path, default=band.RECORD)
    parser.add_argument("--packages", type=Path, help="a folder to keep them in")
    options = parser.parse_args(arguments)
    chosen = options.flax.split(",") if options.flax else None
    releases = [r for r in facts.releases() if chosen is None or r.version in chosen]
    every = options.jax.split(",") if options.jax else jax_versions()
    with tempfile.TemporaryDirectory() as folder:
        run(
            releases,
            sorted(every, key=Version),
            options.ways.split(","),
            Record(options.record),
            Store(options.packages or Path(folder)),
            again=options.again,
        )
    if options.write:
        band.pairs.cache_clear()
        file = ROOT / "src/nnx_compat/facts/releases.toml"
        ranges = {release.version: ends(release) for release in releases}
        environments.write_atomically(file, written(file.read_text(), ranges))


if __name__ == "__main__":
    main()
