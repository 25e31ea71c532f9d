"""What ``fix`` keeps: published packages before it and after.

    python -m tools.corpus.kept [--package NAME[,NAME-VERSION...]] [--flax V[,V...]]

A copy of each package is fixed to the portable form, twice: the second time nothing may
change, and every file compiles. Then what is tried of it natively is tried of the copy,
on the first and the last release of each revision: what came out before has to come out
again. Nothing is recorded, and natively a record that is of this source is taken.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from nnx_compat import facts  # noqa: E402
from nnx_compat.check.fixing import files  # noqa: E402
from tools.corpus import __main__ as corpus  # noqa: E402
from tools.corpus import measure, pins  # noqa: E402


def ends() -> list[str]:
    """The first and the last release of each revision, oldest first."""
    served: dict[str, list[str]] = {}
    for release in facts.releases():
        served.setdefault(release.revision, []).append(release.version)
    both = [version for one in served.values() for version in (one[0], one[-1])]
    return list(dict.fromkeys(both))


def fixed_twice(package: pins.Package, folder: Path) -> list[str]:
    """What is wrong with a package once it is fixed, all of its files at a time."""
    at = folder / "plain" / package.id
    scratch = measure.fixed(package, at, folder / "fixed")
    names = [str(file) for file in measure.of_package(package, scratch)]
    again = files.rewrite(names, write=False)
    wrong = [f"changed again: {file}" for file in again.changed]
    for name in names:
        try:
            compile(Path(name).read_bytes(), name, "exec")
        except (SyntaxError, ValueError) as error:
            wrong.append(f"{name}: {error}")
    return [*wrong, *again.failed]


def broken(before: dict[str, Any], after: dict[str, Any]) -> dict[str, str]:
    """The items that came out before and end in an error now, and in which."""
    errors = {item: e["error"] for e in after["errors"] for item in e["items"]}
    tried = {*after["passed"], *after["timed"], *errors}
    # what is not even reached is lost as well, unless the whole job was ended
    reached = set() if "ended" in after else set(before["passed"])
    errors |= dict.fromkeys(reached - tried, "not reached")
    return {item: errors[item] for item in before["passed"] if item in errors}


def main(arguments: list[str]) -> int:
    """Fix packages and run them; 1 where something came out before and does not now."""
    parser = argparse.ArgumentParser(prog="tools.corpus.kept", description=__doc__)
    parser.add_argument("--package", default="")
    parser.add_argument("--flax", default=",".join(ends()))
    options = parser.parse_args(arguments)
    names = options.package.split(",") if options.package else list(pins.packages())
    packages = [p for p in pins.packages().values() if {p.name, p.id} & set(names)]
    faults = cells = items = 0
    with tempfile.TemporaryDirectory(prefix="corpus-") as name:
        folder = Path(name)
        for package in packages:
            for one in (package, *(pins.packages()[n] for n in package.beside)):
                pins.unpacked(one, corpus.WHEELS, folder / "plain")
            for wrong in fixed_twice(package, folder):
                faults += 1
                print(f"{package.id}: {wrong}", flush=True)
        for flax in options.flax.split(","):
            host = measure.Host(flax, folder)
            for package in packages:
                before, after = _both(package, flax, host, folder)
                found = broken(before, after)
                cells, items = cells + 1, items + len(before["passed"])
                faults += len(found)
                print(
                    f"{package.id} on {flax}: {len(before['passed'])} came out, "
                    f"{len(found)} no longer; {len(after['passed'])} do "
                    f"{after.get('ended', '')}",
                    flush=True,
                )
                for item, error in found.items():
                    print(f"  {item}: {error}", flush=True)
            host.close()
    print(f"{len(packages)} packages, {cells} cells, {items} items: {faults} faults")
    return 1 if faults else 0


def _both(
    package: pins.Package, flax: str, host: measure.Host, folder: Path
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What comes of a package as it is, and of the copy."""
    native = corpus.Job(package, flax, "native")
    record = corpus.read(package)
    if corpus.current(native, record):
        before = record["cells"][flax]["native"]
    else:
        before = host.run(package, "native", corpus.paths(native, folder))
    job = corpus.Job(package, flax, "fix")
    return before, host.run(package, "fix", corpus.paths(job, folder))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
