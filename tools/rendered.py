"""Files that are rendered: where backports are, the stub, pages, the counts.

    python tools/rendered.py --write | --check

``src/nnx_compat/facts/backports.json`` says which file below ``_nnx`` builds a name:
the one that has it in its ``__all__``, which is read without importing it.
``src/nnx_compat/nnx.pyi`` is what type checkers and editors see: a module with
``__getattr__`` tells them nothing, so its names are written down: those of the newest
release, from Flax where Flax has had them all along and else from the file that builds
them. ``docs/rules/`` has a page for each rule of the checker, from its own texts, and
``docs/upgrades/`` one for each step from revision to revision. ``docs/corpus.md`` is
what published packages showed, from the records of them. The
numbers in README.md and CHANGELOG.md are the facts' (tools/counts.py). Records of pairs
that the matrix does not run any more are to go. ``nox -s render`` calls this.
"""

from __future__ import annotations

import ast
import json
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from nnx_compat import facts, matrix, upgrade  # noqa: E402
from nnx_compat.check.pages import pages  # noqa: E402
from nnx_compat.matrix.corpus.page import page as corpus_page  # noqa: E402
from tools import counts  # noqa: E402
from tools.environments import write_atomically  # noqa: E402

SOURCE = ROOT / "src" / "nnx_compat"
BACKPORTS = SOURCE / "facts" / "backports.json"
STUB = SOURCE / "nnx.pyi"
RULES = ROOT / "docs" / "rules"
UPGRADES = ROOT / "docs" / "upgrades"
CORPUS = ROOT / "docs" / "corpus.md"
_HEAD = "# Rendered by `nox -s render` from the facts. Nothing here is typed by hand.\n"


@cache
def backports() -> dict[str, str]:
    """The file below ``_nnx`` that has a name in its ``__all__``, dotted, by name.

    Raises:
        SystemExit: two files have it.
    """
    root = SOURCE / "_nnx"
    found: dict[str, str] = {}
    for file in sorted(root.rglob("*.py")):
        place = ".".join(file.relative_to(root).with_suffix("").parts)
        for name in exported(file.read_text(encoding="utf-8")):
            if f"nnx.{name}" not in facts.names():
                continue  # of a file that the others share
            if name in found:
                raise SystemExit(f"{name} is built in {found[name]} and in {place}")
            found[name] = place.removesuffix(".__init__")
    return dict(sorted(found.items()))


def exported(text: str) -> list[str]:
    """The names of a file's ``__all__``, or none if it has none."""
    for node in ast.parse(text).body:
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=value):
                names: list[str] = ast.literal_eval(value)
                return names
    return []


def _places() -> str:
    return json.dumps(backports(), indent=0) + "\n"


def stub() -> str:
    """The text of the stub."""
    newest = facts.releases()[-1].version
    places = backports()
    lines = []
    for path in facts.names():
        name = path[4:]
        on_newest = facts.name(path).on(newest)
        if path.count(".") != 1 or not (on_newest or name in places):
            continue
        # what has no home in NNX is a module of Flax's, or comes from another library
        ours = name in places and (facts.name(path).home or not on_newest)
        replaced = [
            row
            for row in facts.treatments().get(path, ())
            if row.treatment == "replaced"
        ]
        if replaced and all(row.derived for row in replaced):
            ours = False  # it is typed as the class that it derives from
        source = f"._nnx.{places[name]}" if ours else "flax.nnx"
        lines.append(f"from {source} import {name} as {name}\n")
    return _HEAD + "".join(sorted(lines))


def stale() -> dict[Path, str]:
    """The files that are missing or out of date, and what is to be in them.

    A page about no rule and a record of no pair are to be empty, and then go.
    """
    wanted = {
        BACKPORTS: _places(),
        STUB: stub(),
        CORPUS: corpus_page(),
        **{RULES / name: text for name, text in pages().items()},
        **{UPGRADES / name: text for name, text in upgrade.pages().items()},
        **counts.texts(),
    }
    listed = [*RULES.glob("*.md"), *UPGRADES.glob("*.md"), *left_over()]
    there = [BACKPORTS, STUB, CORPUS, *counts.texts(), *listed]
    found = {file: file.read_text() for file in there if file.exists()}
    return {
        file: wanted.get(file, "")
        for file in sorted(wanted.keys() | found.keys())
        if wanted.get(file) != found.get(file)
    }


def left_over() -> list[Path]:
    """The records of pairs that are none any more: their release or jax went."""
    pairs = {pair.id for pair in matrix.pairs()}
    return [file for file in matrix.RESULTS.glob("*.json") if file.stem not in pairs]


def main(arguments: list[str]) -> int:
    """Write the files, or check them."""
    if arguments == ["--write"]:
        for folder in (RULES, UPGRADES):
            folder.mkdir(parents=True, exist_ok=True)
        write_atomically(BACKPORTS, _places())  # first: the pages of rules ask for it
        facts.backports.cache_clear()
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
