"""What the checker says of Flax's own tests, each on the release that it is of.

    python tools/own_tests.py CLONE_OF_FLAX [--flax 0.10.7,0.12.0] [--json FILE]

They pass there, so what is certain there is a false alarm, but for the few places in
``TRUE``. The clone needs the tags of the releases; a release without one is named.
Nothing is checked out or run: the files are read from the tags, with ``git archive``.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from nnx_compat import check, facts  # noqa: E402
from nnx_compat.check import releases  # noqa: E402

#: Where the tests are, or were.
FOLDERS = ("tests/nnx", "flax/nnx/tests", "flax/experimental/nnx/tests")
#: What would fail as the checker says, and is not reached or is meant to fail: the
#: rule, what stands in the line, and why.
TRUE = (
    ("NC105", "m.w.", "the test asks for four devices and skips itself with fewer"),
    ("NC334", "return x @ self.w", "the test never calls its Module"),
    ("NC320", "self.ls.append(jnp.array(1))", "the test expects the refusal"),
    ("NC345", "f(C(1))", "the class is skipped unless a setting of Flax is on"),
)


class Alarm(NamedTuple):
    """A finding that is certain on the release whose test it is in."""

    flax: str
    code: str
    where: str
    line: str
    text: str

    @property
    def why(self) -> str:
        """Why it is true all the same, ``""`` where it is a false alarm."""
        return next(
            (
                why
                for code, part, why in TRUE
                if code == self.code and part in self.line
            ),
            "",
        )


def tests(clone: Path, flax: str, folder: Path) -> int:
    """Put the tests of a release into a folder; how many files, 0 without a tag."""
    git = ("git", "-C", str(clone))
    listed = subprocess.run(
        [*git, "ls-tree", "-r", "--name-only", f"v{flax}", "--", *FOLDERS],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    files = [f for f in listed.stdout.splitlines() if f.endswith(".py")]
    if listed.returncode or not files:
        return 0
    packed = subprocess.run(
        [*git, "archive", f"v{flax}", "--", *files], capture_output=True, check=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    return len(files)


def alarms(folder: Path, flax: str) -> Iterator[Alarm]:
    """What is certain in the tests of a release on that release."""
    report = check.check([str(folder)])
    for finding in report.findings:
        if not releases.has(finding.excluded, flax) or not report.counts(finding):
            continue
        file = Path(finding.path)
        line = file.read_text(encoding="utf-8").splitlines()[finding.line - 1].strip()
        where = f"{file.relative_to(folder).as_posix()}:{finding.line}"
        yield Alarm(flax, finding.code, where, line, finding.text)


def main(arguments: list[str]) -> int:
    """Read the tests of each release, and print what is certain there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clone", type=Path, help="of Flax, with its tags")
    parser.add_argument("--flax", default="", help="releases, parted by commas")
    parser.add_argument("--json", type=Path, help="a file for all of them")
    options = parser.parse_args(arguments)
    every = [release.version for release in facts.releases()]
    chosen = options.flax.split(",") if options.flax else every
    found: list[Alarm] = []
    read = Counter[str]()
    for flax in chosen:
        with tempfile.TemporaryDirectory() as name:
            read[flax] = tests(options.clone, flax, Path(name))
            found += alarms(Path(name), flax) if read[flax] else ()
        false = [one for one in found if one.flax == flax and not one.why]
        print(
            f"{flax}: {read[flax] or 'no'} files, {len(false)} false alarms", flush=True
        )
        for one in false:
            print(f"  {one.where}: {one.code} {one.text}\n    {one.line}")
    if options.json:
        rows = [one._asdict() | {"why": one.why} for one in found]
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    false = [one for one in found if not one.why]
    print(
        f"{len(false)} false alarms in {sum(read.values())} files of "
        f"{sum(map(bool, read.values()))} releases, {len(found) - len(false)} true ones"
    )
    return 1 if false or not any(read.values()) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
