"""All that a new Flax needs but judgement: its row, measured, recorded and rendered.

    python tools/release.py 0.13.0 [--again]

puts the row into facts/releases.toml (date, floors and the dated jax, from the package
registry through pip and uv), makes the environment, looks at the names, measures the
range of jax, runs the suite for the records and renders. Then it says what is left to
judge, and how long each step took. With ``--again`` a release that is there is measured
anew. Needs uv. ``nox -s release`` calls this.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from packaging.requirements import Requirement  # noqa: E402
from packaging.version import Version  # noqa: E402

from nnx_compat import facts, matrix  # noqa: E402
from tools import band, environments, promises, results, survey  # noqa: E402

FACTS = ROOT / "src" / "nnx_compat" / "facts"
ROWS, NAMES = FACTS / "releases.toml", FACTS / "names.json"
#: The newest CPython that pip is to take wheels for, whatever runs this.
_PYTHON = "3.13"

TOOK: dict[str, float] = {}


@contextmanager
def step(name: str) -> Iterator[None]:
    """Say what is done, and note how long it took."""
    print(f"== {name}", flush=True)
    start = time.monotonic()
    yield
    TOOK[name] = time.monotonic() - start


# -- the row ------------------------------------------------------------------------


class Metadata(NamedTuple):
    """What a release says of itself."""

    python: str
    jax: str
    yanked: str


def metadata(version: str) -> Metadata:
    """From the wheel, which is downloaded and not installed."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "-d", folder]
        command += ["--python-version", _PYTHON, "--only-binary", ":all:"]
        ran = subprocess.run(
            [*command, f"flax=={version}"], capture_output=True, text=True
        )
        wheels = list(Path(folder).glob("*.whl"))
        if not wheels:
            raise SystemExit(f"no flax {version} on the registry\n{ran.stderr}")
        yanked = re.search(r"Reason for being yanked: (.*)", ran.stderr)
        (stated,) = importlib.metadata.distributions(path=[str(wheels[0])])
        needs = [Requirement(text) for text in stated.requires or ()]
        jax = next(need for need in needs if need.name == "jax" and not need.marker)
        floors = [s.version for s in jax.specifier if s.operator in (">=", "==", "~=")]
        python = re.findall(r">=\s*([\d.]+)", stated.metadata["Requires-Python"])[0]
        return Metadata(python, floors[0], yanked[1] if yanked else "")


def newest_before(requirement: str, date: datetime.date) -> str:
    """What a resolver takes that was uploaded by the end of a day, or ``""``."""
    command = ["uv", "pip", "compile", "-q", "--no-deps", "--no-header", "-"]
    command += ["--no-annotate", "--python-version", _PYTHON]
    command += ["--exclude-newer", date.isoformat()]
    ran = subprocess.run(
        command, input=requirement, capture_output=True, text=True,
        env={**environments.certificates(), "TZ": "UTC"},
    )  # fmt: skip
    return ran.stdout.strip().partition("==")[2]


def uploaded(version: str, after: datetime.date) -> datetime.date:
    """The day of an upload: the first on which a resolver would have found it."""
    low, high = after - datetime.timedelta(1), datetime.date.today()
    while (high - low).days > 1:
        middle = low + (high - low) // 2
        if newest_before(f"flax=={version}", middle):
            high = middle
        else:
            low = middle
    return high


def row(version: str) -> tuple[str, datetime.date]:
    """The lines of a release in releases.toml; its range is the dated jax for now."""
    known = [r for r in facts.releases(yanked=True) if _older(r.version, version)]
    stated = metadata(version)
    date = uploaded(version, datetime.date.fromisoformat(known[-1].date))
    lines = {"version": version, "yanked": stated.yanked, "date": date.isoformat()}
    if not stated.yanked:
        dated = newest_before("jax", date + datetime.timedelta(21))
        lines |= {"python": stated.python, "jax_declared": stated.jax}
        lines |= {f"jax_{key}": dated for key in ("oldest", "dated", "newest")}
    text = [f"{key} = {json.dumps(value)}" for key, value in lines.items() if value]
    return "\n".join(["[[release]]", *text, ""]), date


def _older(one: str, two: str) -> bool:
    return Version(one) < Version(two)


def inserted(text: str, version: str, lines: str) -> str:
    """The text of releases.toml with a row in the order of versions."""
    head, *rows = re.split(r"(?m)^(?=\[\[release\]\])", text)
    before = [r for r in rows if _older(json.loads(_value(r, "version")), version)]
    parts = [*before, lines, *rows[len(before) :]]
    return head + "\n".join(part.rstrip("\n") + "\n" for part in parts)


def _value(text: str, key: str) -> str:
    found = re.search(rf"(?m)^{key} = (.*)$", text)
    assert found, text
    return found[1]


# -- names --------------------------------------------------------------------------


def surveyed(python: str, version: str) -> None:
    """Put what the release has into names.json; what others have is there."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "names.json")
        command = [python, "tools/survey.py", "look", str(NAMES), str(out)]
        subprocess.run(command, check=True, env=environments.source_on_path(), cwd=ROOT)
        found: survey.Found = json.loads(out.read_text())
    merged = survey.merge({**known_surveys(), version: found})
    environments.write_atomically(NAMES, survey.dumps(merged) + "\n")
    reload()


def known_surveys() -> dict[str, survey.Found]:
    """What surveys of all releases said, out of names.json."""
    homes = {
        path: row.get("home")
        for path, row in json.loads(NAMES.read_text())["names"].items()
    }
    found: dict[str, survey.Found] = {}
    for release in (r.version for r in facts.releases()):
        having = (facts.name(p) for p in facts.names() if facts.name(p).on(release))
        found[release] = {
            name.path: {
                "parameters": [p for p in name.parameters if name.on(release, p)],
                **({"home": homes[name.path]} if homes[name.path] else {}),
            }
            for name in having
        }
    return found


def reload() -> None:
    """Forget what was read of the facts: a file of theirs has changed."""
    for module in [m for name, m in sys.modules.items() if "nnx_compat.facts" in name]:
        for value in vars(module).values():
            if hasattr(value, "cache_clear"):
                value.cache_clear()


# -- records ------------------------------------------------------------------------


def environment(pair: matrix.Pair) -> str:
    """The interpreter of a pair's environment."""
    at = ROOT / ".nox" / "pairs" / pair.id
    return str(environments.ensure(at, pair, environments.TOOLS))


def recorded(pair: matrix.Pair) -> dict[str, str]:
    """Run what the matrix runs on a pair, and record it; gives what fails."""
    whole = pair == matrix.dated(pair.flax)
    files = () if whole else ("contract", "pure_state_update")
    more = ["--suite", "full" if whole else "contract"]
    more += ["--record", str(matrix.RESULTS / f"{pair.id}.json")]
    if whole:
        ours = environments.ABOUT_THE_REPOSITORY
        more += [f"--ignore=tests/test_{name}.py" for name in ours]
    else:
        more += ["-W", "ignore::DeprecationWarning"]
    return promises.failures(ROOT, files, *more, python=environment(pair))


# -- what is left -------------------------------------------------------------------


def changed_names(old: str, new: str) -> Iterator[str]:
    """Names and parameters that came or went, and whether we build those that came."""
    built = facts.backports()
    for path in facts.names():
        name = facts.name(path)
        before, after = name.on(old), name.on(new)
        if after and not before:
            short = path.removeprefix("nnx.")
            how = "built" if short in built else "a member" if "." in short else "NEW"
            yield f"{path} came: {how}"
        elif before and not after:
            yield f"{path} went"
        elif before:
            for parameter in name.parameters:
                if name.on(old, parameter) != name.on(new, parameter):
                    what = "came" if name.on(new, parameter) else "went"
                    yield f"{path}: parameter {parameter} {what}"


def changed_results(old: str, new: str) -> Iterator[str]:
    """What examples and programs say that the release before said otherwise."""
    jax = facts.release(new).jax_dated
    same = facts.release(old).measured(jax)
    before = matrix.pair(old, jax) if same else matrix.dated(old)
    if not same:
        yield f"(flax {old} does not run beside jax {jax}: compared on {before.jax})"
    with tempfile.TemporaryDirectory() as folder:
        wanted, env = Path(folder, "examples.json"), environments.source_on_path()
        python = environment(matrix.dated(new))
        tool = ["tools/results.py", "examples", str(wanted)]
        subprocess.run([python, *tool], check=True, env=env, cwd=ROOT)
        said = []
        for pair in (before, matrix.dated(new)):
            out = Path(folder, f"{pair.flax}.json")
            tool = ["tools/results.py", "run", str(wanted), str(out)]
            subprocess.run(
                [environment(pair), *tool], check=True, env=env, cwd=ROOT,
                stderr=subprocess.DEVNULL,
            )  # fmt: skip
            said.append(json.loads(out.read_text()))
    yield f"({len(said[1])} examples and programs compared)"
    for name, (was, now) in results.differences(*said).items():
        yield f"{name}\n      was {was.strip()[:300]!r}"
        yield f"  is  {now.strip()[:300]!r}"


def disagreeing(failed: dict[str, str]) -> Iterator[str]:
    """The tests that fail, each with the line that says why."""
    for name, text in failed.items():
        why = [line for line in text.splitlines() if line.startswith("E ")][:1]
        yield f"{name} {''.join(why)[:200]}"


def left(title: str, lines: Iterator[str], what: str) -> None:
    """Print what is left to judge of one kind, and what to do about it."""
    found = list(lines)
    print(f"\n{title}: {what}" if found else f"\n{title}: none", flush=True)
    for line in found:
        print(f"    {line}")


def measure(version: str) -> None:
    """All that follows from the row."""
    release = facts.release(version)
    dated = matrix.dated(version)
    with step("environment"):
        python = environment(dated)
    with step("names"):
        surveyed(python, version)
    with step("band"):
        band.main(["--flax", version, "--write"])
        reload()
    failed: dict[str, str] = {}
    for pair in (pair for pair in matrix.pairs() if pair.flax == version):
        with step(f"record of {pair.id}"):
            failed |= recorded(pair)
    with step("rendering"):
        promises.render(ROOT)
    served = [r.version for r in facts.releases()]
    at = served.index(version)
    before = served[at - 1]
    with step("results"):
        results_of = list(changed_results(before, version)) if at else []
    print(f"\n# What is left to judge of flax {version} ({release.date})")
    left(
        "Names",
        changed_names(before, version),
        "a NEW one is built in a file of _nnx, or a row of namespace.toml says why not",
    )
    left(
        "Results that changed",
        iter(results_of),
        "each is a behaviour with a probe, or no promise of Flax's",
    )
    left(
        "Tests that fail",
        disagreeing(failed),
        "a probe (test_behaviours) ends an interval, the contract asks for a revision",
    )


def main(arguments: list[str]) -> int:
    """Run all steps for one release."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("version")
    parser.add_argument("--again", action="store_true", help="measure it anew")
    options = parser.parse_args(arguments)
    os.environ.update(environments.certificates())
    version = options.version
    if any(version == r.version for r in facts.releases(yanked=True)):
        print(f"flax {version} is in the facts ({facts.release(version).date})")
        if not options.again:
            print(f"  to measure it anew: nox -s release -- {version} --again")
            return 0
    else:
        with step("row"):
            lines, date = row(version)
            environments.write_atomically(
                ROWS, inserted(ROWS.read_text(), version, lines)
            )
            reload()
            print(lines)
        due = date + datetime.timedelta(21)
        if due > datetime.date.today():
            print(f"its dated jax is settled on {due}: run this with --again then")
        if facts.release(version).yanked:
            print("it was yanked: a row without measurements is all that it gets")
            return 0
    measure(version)
    print("\nseconds:", *(f"  {name}: {took:.0f}" for name, took in TOOK.items()),
          sep="\n")  # fmt: skip
    print(f"  together: {sum(TOOK.values()):.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
