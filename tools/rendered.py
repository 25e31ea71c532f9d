"""Files that are rendered from the source: the stub of the namespace, pages of rules.

    python tools/rendered.py --write | --check

``src/nnx_compat/nnx.pyi`` is what type checkers and editors see: a module with
``__getattr__`` tells them nothing, so its names are written down: those of the newest
release, from Flax where Flax has had them all along and else from the file that builds
them. ``docs/rules/`` has a page for each rule of the checker, from its own texts.
``nox -s render`` calls it.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from nnx_compat import facts  # noqa: E402
from nnx_compat.check.pages import pages  # noqa: E402
from tools.environments import write_atomically  # noqa: E402

STUB = ROOT / "src" / "nnx_compat" / "nnx.pyi"
RULES = ROOT / "docs" / "rules"
_HEAD = "# Rendered by `nox -s render` from the facts. Nothing here is typed by hand.\n"


def stub() -> str:
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


def stale() -> dict[Path, str]:
    """The files that are missing or out of date, and what is to be in them.

    A page about no rule is to be empty, and then goes.
    """
    wanted = {STUB: stub(), **{RULES / name: text for name, text in pages().items()}}
    there = [*RULES.glob("*.md"), *([STUB] if STUB.exists() else [])]
    found = {file: file.read_text() for file in there}
    return {
        file: wanted.get(file, "")
        for file in sorted(wanted.keys() | found.keys())
        if wanted.get(file) != found.get(file)
    }


def main(arguments: list[str]) -> int:
    """Write the files, or check them."""
    if arguments == ["--write"]:
        RULES.mkdir(parents=True, exist_ok=True)
        for file, text in stale().items():
            if text:
                write_atomically(file, text)
            else:
                file.unlink()
        return 0
    if arguments == ["--check"]:
        names = ", ".join(str(file.relative_to(ROOT)) for file in stale())
        if not names:
            return 0
        print(f"stale: {names}\n  instead: nox -s render", file=sys.stderr)
        return 1
    print(__doc__)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
