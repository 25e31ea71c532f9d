"""One row, one file: add a Flax and drop the oldest, each on a copy, and run the tests.

    python tools/promises.py [add] [drop] [--keep FOLDER]

runs in the environment of the newest pair; ``nox -s promises`` calls it.

*add* puts one row for a made-up release into facts/releases.toml and runs the whole
suite on it. The release is the installed Flax under the name of the next one, so this
shows what a Flax costs that changed nothing: one row. It says nothing about one that
did. *drop* ends the service of the oldest revision: its row and its file go, as the
oldest releases are those that it serves, and the tests that are about the repository
run. The rows of releases stay, since facts are intervals between them.

A test may fail at first when it says that something rendered is stale, or which entry
of the facts no longer differs between releases and is to be deleted. After rendering
(``nox -s render``) everything has to pass.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from nnx_compat import facts  # noqa: E402
from tools.environments import ABOUT_THE_REPOSITORY  # noqa: E402

#: What is about the repository more than about a release.
ABOUT_US = ("check", "cli", "conformance", "docs", "facts", "fix", "matrix", "nnx",
            "nox", "release", "revisions", "rules", "spellings")  # fmt: skip
#: How a failing test says that a rendered file is stale.
STALE = "nox -s render"
#: And how it says what is true of all releases by now.
IDLE = "delete it"
_COPIED = ("src", "tests", "tools", "docs", "examples", "benchmarks")


def copied(folder: Path) -> Path:
    """A copy of this repository, of what tests read."""
    unread = shutil.ignore_patterns("__pycache__", ".*")
    for name in _COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=unread)
    for file in [*ROOT.glob("*.md"), ROOT / "noxfile.py", ROOT / "pyproject.toml"]:
        shutil.copy(file, folder)
    return folder


def next_version(version: str) -> str:
    """The first release of the next minor.

    Example:
        >>> next_version("1.2.3")
        '1.3.0'
    """
    major, minor, *_ = version.split(".")
    return f"{major}.{int(minor) + 1}.0"


def add(folder: Path) -> str:
    """Put the row of a made-up release into the copy; gives its version."""
    last = facts.releases()[-1]
    version = next_version(last.version)
    rows = folder / "src/nnx_compat/facts/releases.toml"
    row = f'\n[[release]]\nversion = "{version}"\ndate = "{last.date}"\n'
    row += f'python = "{last.python}"\n'
    for key in ("declared", "oldest", "dated", "newest"):
        row += f'jax_{key} = "{last.jax_dated}"\n'
    rows.write_text(rows.read_text() + row)
    return version


def renamed_flax(folder: Path, version: str) -> Path:
    """The installed Flax under another version, for ``PYTHONPATH``."""
    from importlib.metadata import distribution

    import flax

    at = folder / "renamed"
    package = at / "flax"
    shutil.copytree(Path(flax.__file__).parent, package)
    stated = package / "version.py"
    text = re.sub(r"(['\"])\d+\.\d+\.\d+\1", f'"{version}"', stated.read_text())
    stated.write_text(text)
    info = at / f"flax-{version}.dist-info"
    info.mkdir()
    text = distribution("flax").read_text("METADATA") or ""
    text = re.sub(r"(?m)^Version: .*$", f"Version: {version}", text, count=1)
    info.joinpath("METADATA").write_text(text)
    return at


def drop(folder: Path) -> tuple[str, ...]:
    """Take the oldest revision from the copy; gives the releases that it served."""
    oldest = facts.revisions()[0]
    facts_of = folder / "src/nnx_compat/facts/releases.toml"
    row = f'[[revision]]\nname = "{oldest.name}"\nsince = "{oldest.since}"\n\n'
    text = facts_of.read_text()
    assert row in text
    facts_of.write_text(text.replace(row, ""))
    (folder / "src/nnx_compat/revisions" / f"{oldest.name}.py").unlink()
    return tuple(r.version for r in facts.releases() if r.revision == oldest.name)


def render(folder: Path) -> None:
    """What ``nox -s render`` does, in the copy."""
    for command in (
        ("-m", "nnx_compat.matrix.render", "--write", "compat_matrix.md"),
        ("tools/rendered.py", "--write"),
    ):
        _python(folder, *command, check=True)


def failures(
    folder: Path,
    files: tuple[str, ...],
    *more: str,
    path: Path | None = None,
    python: str = sys.executable,
) -> dict[str, str]:
    """Run test files in a repository; gives the tests that fail, with their reports.

    Args:
        folder: the root of the repository.
        files: ``"check"`` is tests/test_check.py; all of them when there are none.
        *more: for pytest.
        path: a folder of packages that go before those installed.
        python: of the environment to run in.
    """
    report = folder / "report.xml"
    found = [f"tests/test_{name}.py" for name in files]
    found = [name for name in found if (folder / name).exists()]
    ran = _python(
        folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2",
        f"--junit-xml={report}", *more, *(found or ["tests"]),
        path=path, python=python,
    )  # fmt: skip
    print(*ran.stdout.splitlines()[-1:], sep="\n", flush=True)
    if not report.exists():
        raise SystemExit(ran.stdout + ran.stderr)
    import xml.etree.ElementTree as tree

    cases = tree.parse(report).iter("testcase")
    report.unlink()
    return {
        f"{case.get('classname')}::{case.get('name')}": "".join(case.itertext())
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    }


def _python(
    folder: Path,
    *command: str,
    check: bool = False,
    path: Path | None = None,
    python: str = sys.executable,
) -> subprocess.CompletedProcess[str]:
    places = [str(folder / "src"), *([str(path)] if path else [])]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    return subprocess.run(
        [python, *command], cwd=folder, env=env, check=check, text=True,
        capture_output=True,
    )  # fmt: skip


def judge(before: dict[str, str], after: dict[str, str]) -> int:
    """Say what failed before rendering and after; gives how many should not have."""
    told = [text for text in before.values() if STALE in text or IDLE in text]
    print(f"  {len(told)} failed that say what is stale or idle: {STALE}")
    for name, text in after.items():
        if IDLE in text:
            print(
                "  idle:",
                *re.findall(rf"AssertionError: ([^\n]*{IDLE}[^\n]*)", text)[:1],
            )
        else:
            print(f"  broken: {name}\n{text}")
    for name in before.keys() - after.keys():
        if STALE not in before[name] and IDLE not in before[name]:
            print(f"  cured by rendering, but did not say so: {name}")
    return sum(IDLE not in text for text in after.values())


def again(before: dict[str, str]) -> tuple[str, ...]:
    """What to run after rendering: what failed, and what is about rendered files."""
    failed = {name.partition("::")[0].rpartition("test_")[2] for name in before}
    return tuple(sorted(failed | {"matrix", "conformance"}))


def try_add(folder: Path) -> int:
    """Add the next release; gives how many tests should not have failed."""
    version = add(copied(folder))
    print(f"added: one row, flax {version}")
    renamed = renamed_flax(folder, version)
    jax = facts.releases()[-1].jax_dated
    record = folder / f"src/nnx_compat/matrix/results/flax-{version}__jax-{jax}.json"
    # as in the matrix: what is about the repository is no part of the record
    ours = [f"--ignore=tests/test_{name}.py" for name in ABOUT_THE_REPOSITORY]
    before = failures(folder, (), f"--record={record}", *ours, path=renamed)
    before |= failures(folder, ABOUT_THE_REPOSITORY, path=renamed)
    render(folder)
    return judge(before, failures(folder, again(before), path=renamed))


def try_drop(folder: Path) -> int:
    """Drop the oldest revision; gives how many tests should not have failed."""
    gone = drop(copied(folder))
    print(f"dropped: one row and one file, which served flax {', '.join(gone)}")
    before = failures(folder, ABOUT_US)
    render(folder)
    return judge(before, failures(folder, again(before)))


def main() -> int:
    """Run both, or one of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("which", nargs="*", choices=[[], "add", "drop"])
    parser.add_argument("--keep", type=Path, help="where to leave the copies")
    options = parser.parse_args()
    broken = 0
    for which in options.which or ("add", "drop"):
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as scratch:
            folder = options.keep / which if options.keep else Path(scratch)
            folder.mkdir(parents=True, exist_ok=True)
            broken += {"add": try_add, "drop": try_drop}[which](folder)
        print(f"{which}: {time.monotonic() - start:.0f} s\n", flush=True)
    print(f"{broken} tests broke" if broken else "the promise holds")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
