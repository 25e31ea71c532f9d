"""Render ``docs/rules/``: a page for each rule of the checker, from its own texts.

``python tools/pages.py --write`` writes them, ``--check`` compares. No Flax is needed.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from nnx_compat.check.pages import pages  # noqa: E402
from tools.environments import write_atomically  # noqa: E402

FOLDER = ROOT / "docs" / "rules"


def stale() -> list[str]:
    """The pages that are missing, out of date, or about no rule."""
    wanted = pages()
    there = {file.name: file.read_text() for file in FOLDER.glob("*.md")}
    return sorted(
        name
        for name in wanted.keys() | there.keys()
        if wanted.get(name) != there.get(name)
    )


def main(arguments: list[str]) -> int:
    """Write the files, or check them."""
    if arguments == ["--write"]:
        FOLDER.mkdir(parents=True, exist_ok=True)
        for name in stale():
            if name in pages():
                write_atomically(FOLDER / name, pages()[name])
            else:
                (FOLDER / name).unlink()
        return 0
    if arguments == ["--check"]:
        if not stale():
            return 0
        print(f"stale: {', '.join(stale())}\n  instead: nox -s render", file=sys.stderr)
        return 1
    print(__doc__)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
