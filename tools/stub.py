"""``src/nnx_compat/nnx.pyi``: what type checkers and editors see of the namespace.

    python tools/stub.py --write | --check

A module with ``__getattr__`` tells them nothing, so its names are written down: those
of the newest release, from Flax where Flax has had them all along and else from the
file that builds them. Rendered from the facts; ``nox -s render`` calls it.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from nnx_compat import facts  # noqa: E402
from tools.environments import write_atomically  # noqa: E402

FILE = ROOT / "src" / "nnx_compat" / "nnx.pyi"
_HEAD = "# Rendered by `nox -s render` from the facts. Nothing here is typed by hand.\n"


def render() -> str:
    """The text of the stub."""
    newest = facts.releases()[-1].version
    places = facts.backports()
    lines = []
    for path in facts.names():
        name = path[4:]
        if path.count(".") != 1 or not (facts.name(path).on(newest) or name in places):
            continue
        source = f"._nnx.{places[name]}" if name in places else "flax.nnx"
        lines.append(f"from {source} import {name} as {name}\n")
    return _HEAD + "".join(sorted(lines))


def main(arguments: list[str]) -> int:
    """Write the file, or check it."""
    if arguments == ["--write"]:
        write_atomically(FILE, render())
        return 0
    if arguments == ["--check"]:
        if FILE.exists() and FILE.read_text() == render():
            return 0
        print(f"{FILE.name} is stale\n  instead: nox -s render", file=sys.stderr)
        return 1
    print(__doc__)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
