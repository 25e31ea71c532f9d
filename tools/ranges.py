"""Measure the jax range of each Flax release: the oldest and newest jax that work.

    python tools/ranges.py [RELEASE ...] [--log FILE] [--write]

Works means: a resolver installs the pair, NNX imports, and the contract of the graph
operations and of pure_state_update holds (tests/test_contract.py and
tests/test_pure_state_update.py). From the dated pair, which must work, a bisection goes
each way over the jax versions of the registry; the neighbour's result is tried first.
DeprecationWarnings do not count here: on pairs years apart Flax itself calls what its
jax has deprecated. ``--log`` (tools/ranges.jsonl) keeps every try as a line of JSON,
and a try that is there is not run again. ``--write`` puts the ranges into
facts/releases.toml. Needs uv.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from packaging.version import Version  # noqa: E402

from nnx_compat import facts, matrix  # noqa: E402
from tools import environments  # noqa: E402

TESTS = ["tests/test_contract.py", "tests/test_pure_state_update.py"]


def jax_versions() -> list[str]:
    """All jax versions on the registry, oldest first, whatever Python they need."""
    command = [sys.executable, "-m", "pip", "index", "versions", "jax"]
    command += ["--python-version", "3.13", "--only-binary", ":all:"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"Available versions: (.*)", text)
    assert found, text
    return sorted(found[1].split(", "), key=Version)


def works(flax: str, jax: str) -> tuple[bool, str]:
    """Install the pair in a new environment and run the contract on it."""
    pair = matrix.pair(flax, jax)
    with tempfile.TemporaryDirectory() as folder:
        python = environments.create(Path(folder), pair.python)
        installed = environments.install(
            python, *pair.constraints, "pytest", "hypothesis"
        )
        if installed.returncode:
            return False, "install: " + _last_line(installed.stderr)
        command = [str(python), "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
        command += ["-W", "ignore::DeprecationWarning"]
        ran = subprocess.run(
            [*command, *TESTS],
            cwd=ROOT,
            env=environments.source_on_path(),
            capture_output=True,
            text=True,
        )
    lines = [line for line in ran.stdout.splitlines() if line.startswith("E ")]
    lines += (ran.stdout + ran.stderr).strip().splitlines()[-1:]
    return ran.returncode == 0, re.sub(r" \(/\S+\)", "", lines[0])[:300]


def _last_line(text: str) -> str:
    return " ".join(text.split())[-300:]


def outermost(
    candidates: list[str], hint: str | None, test: Callable[[str], bool]
) -> str:
    """The last of ``candidates`` that works; the first is known to.

    Assumes that what works is a run from the first on, which a bisection needs.
    """
    low, high = 0, len(candidates)  # works at low, does not at high
    if hint in candidates:
        at = candidates.index(hint)
        if at == 0 or test(candidates[at]):
            low = at
            if at + 1 < high:
                if test(candidates[at + 1]):
                    low = at + 1
                else:
                    high = at + 1
        else:
            high = at
    while high - low > 1:
        middle = (low + high) // 2
        if test(candidates[middle]):
            low = middle
        else:
            high = middle
    return candidates[low]


def measure(
    release: facts.Release,
    every: list[str],
    hints: list[str | None],
    test: Callable[[str], bool],
) -> tuple[str, str]:
    """The oldest and the newest jax that work with one release."""
    declared, dated = Version(release.jax_declared), release.jax_dated
    if not test(dated):
        raise SystemExit(f"flax {release.version} fails on its dated jax {dated}")
    older = [v for v in every if declared <= Version(v) <= Version(dated)][::-1]
    newer = [v for v in every if Version(v) >= Version(dated)]
    return outermost(older, hints[0], test), outermost(newer, hints[1], test)


def write(ranges: dict[str, tuple[str, str]]) -> None:
    """Put the ranges into releases.toml."""
    file = ROOT / "src/nnx_compat/facts/releases.toml"
    current, lines = "", []
    for line in file.read_text().splitlines():
        key, _, value = line.partition(" = ")
        if key == "version":
            current = json.loads(value)
        if current in ranges and key in ("jax_oldest", "jax_newest"):
            line = f'{key} = "{ranges[current][key == "jax_newest"]}"'
        lines.append(line)
    environments.write_atomically(file, "\n".join(lines) + "\n")


def main(arguments: list[str] | None = None) -> None:
    """Measure the releases asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("releases", nargs="*")
    parser.add_argument("--log", type=Path, default=ROOT / "tools/ranges.jsonl")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args(arguments)
    chosen = [
        r
        for r in facts.releases()
        if not options.releases or r.version in options.releases
    ]
    every, tried = jax_versions(), _read(options.log)
    hints: list[str | None] = [None, None]
    ranges = {}
    for number, release in enumerate(chosen, 1):

        def test(jax: str, flax: str = release.version) -> bool:
            if (flax, jax) not in tried:
                tried[flax, jax], why = works(flax, jax)
                line = {"flax": flax, "jax": jax, "works": tried[flax, jax], "why": why}
                print(json.dumps(line), flush=True)
                with options.log.open("a") as log:
                    log.write(json.dumps(line) + "\n")
            return tried[flax, jax]

        ranges[release.version] = measure(release, every, hints, test)
        hints = list(ranges[release.version])
        print(
            f"[{number}/{len(chosen)}] flax {release.version}: jax", *hints, flush=True
        )
        if options.write:
            write(ranges)


def _read(log: Path) -> dict[tuple[str, str], bool]:
    if not log.exists():
        return {}
    rows = map(json.loads, log.read_text().splitlines())
    return {(row["flax"], row["jax"]): row["works"] for row in rows}


if __name__ == "__main__":
    main()
