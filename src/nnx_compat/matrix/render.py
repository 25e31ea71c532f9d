"""``compat_matrix.md``, from the results and the facts.

``python -m nnx_compat.matrix.render --check FILE`` says whether a file is what would be
rendered; ``--write FILE`` writes it.
"""

from __future__ import annotations

import string
import sys
from pathlib import Path
from typing import Any

from .. import facts
from . import RESULTS, conformance, dated, examples, pair, results

_HEAD = """\
# What was measured

Rendered by `nox -s render` from the facts and from the records of the matrix runs
(`src/nnx_compat/matrix/results/`, one JSON a pair). Nothing here is typed by hand.

**tests**: passed of the whole suite on the release's dated pair (the newest jax 21 days
after it), then of the contract on the oldest and the newest jax of its range; a number
of failures or skips is shown when there are any. **jax**: the oldest and the newest jax
that a resolver installs beside the release and on which NNX imports and the contract
holds. **weights**: releases with the same letter give the same initial weights (to 5
digits) for the same seed by default, on their dated pair; the second letter is under
`nnx_compat.reproducible_init()`. **names**: how many of the public names of the newest
release `from nnx_compat import nnx` has there. **changes**: behaviours that begin (+)
or end (-) there.
"""


_NAMES = """
## Names of the drop-in namespace that are not simply Flax's

`from nnx_compat import nnx` passes on what Flax has and builds what came later. Beyond
that: **replaced**: Flax has it there with an older meaning, and ours is used.
**refused**: it cannot be had there. **deprecated**: gone from the newest Flax, and kept
with a warning. **mended**: an error there, which `nnx_compat.install()` makes work.
"""


def _names_table() -> str:
    body = [
        [
            f"`{row.name}`",
            row.treatment,
            facts.worded(row.intervals),
            row.why,
            row.instead,
        ]
        for name in sorted(facts.treatments(), key=str.lower)
        for row in facts.treatments()[name]
    ]
    return _table(("name", "treatment", "releases", "why", "instead"), body)


_CONFORMANCE = """
## Flax's own tests, on other releases of Flax

From `nox -s conformance` (`src/nnx_compat/matrix/conformance/`), which runs the test
files of a Flax release on another one, in its dated environment. **judged**: tests that
pass on their own release and use nothing that the release cannot have; **apart**: those
that do (`facts.features()`, and names inside Flax's modules that are not public).
**natively**, **drop-in** (`from nnx_compat import nnx`) and **install()** (that, and
`nnx_compat.install()`): how many of the judged pass. **core** is all but the layers'
files.
"""


def _conformance_table() -> str:
    columns = ("tests of", "on flax", "files", "judged", "natively", "drop-in",
               "install()", "apart")  # fmt: skip
    body = []
    for record in conformance():
        apart = ", ".join(f"{n} {why}" for why, n in sorted(record["apart"].items()))
        for group, files in _file_groups(record["files"]).items():
            judged = sum(row["judged"] for row in files)
            body.append(
                [record["tests_of"], record["flax"], group, str(judged)]
                + [
                    f"{(n := sum(row[way] for row in files))} ({n / judged:.0%})"
                    for way in ("native", "drop-in", "install")
                ]
                + [apart if group == "all" else ""]
            )
    return _table(columns, body)


_EXAMPLES = """
## The toy examples of Flax, on every release

From `nox -s conformance -- --examples`: whole scripts, their plots stubbed and one data
set replaced by noise. Those are judged that run on their own release.
"""


def _examples_table() -> str:
    columns = ("examples of", "on flax", "judged", "natively", "install()", "failing")
    body = [
        [
            record["tests_of"], flax, str(len(record["judged"])), str(row["native"]),
            str(row["install"]),
            "; ".join(f"{file}: {why}" for file, why in row.get("failing", {}).items()),
        ]
        for record in examples()
        for flax in (release.version for release in facts.releases())
        if (row := record["releases"].get(flax))
    ]  # fmt: skip
    return _table(columns, body)


def _file_groups(files: dict[str, dict[str, int]]) -> dict[str, list[dict[str, int]]]:
    core = [row for row in files.values() if not row["layers"]]
    return {"all": list(files.values()), "core": core}


def rows() -> list[dict[str, Any]]:
    """One row a release, oldest first; machine-readable."""
    recorded = results()
    groups = _groups(recorded)
    found = []
    previous: set[str] = set()
    for release in facts.releases():
        holds = {b.id for b in facts.behaviours(release.version)}
        begins = sorted(holds - previous) if previous else []
        ends = sorted(previous - holds)
        previous = holds
        whole = recorded.get(dated(release.version).id)
        ends_of_range = [
            recorded.get(pair(release.version, jax).id)
            for jax in (release.jax_oldest, release.jax_newest)
            if jax and jax != release.jax_dated
        ]
        found.append(
            {
                "flax": release.version,
                "date": release.date,
                "python": f">={release.python}",
                "jax": f"{release.jax_oldest or '?'} - {release.jax_newest or '?'}",
                "jax_dated": release.jax_dated,
                "revision": release.revision,
                "tests": ", ".join(map(_count, [whole, *ends_of_range])),
                "weights": "".join(groups.get(release.version, "?")),
                "names": str(len(facts.resolved(release.version))),
                "begins": begins,
                "ends": ends,
            }
        )
    return found


def _count(record: dict[str, Any] | None) -> str:
    if record is None:
        return "untested"
    text = str(record["passed"])
    for key in ("failed", "skipped"):
        if record[key]:
            text += f" ({record[key]} {key})"
    return text


def _groups(recorded: dict[str, dict[str, Any]]) -> dict[str, list[str]]:
    """For each release the letters of its weights, default and reproducible.

    Two releases are in one group when the layers that both have agree.
    """
    letters: dict[str, list[str]] = {}
    for kind in ("default", "reproducible"):
        known: list[dict[str, list[float]]] = []
        for release in facts.releases():
            record = recorded.get(dated(release.version).id)
            if record is None:
                continue
            layers = record["weights"][kind]
            weights = {name: row["rounded"] for name, row in layers.items()}
            letter = string.ascii_uppercase[_group_of(weights, known)]
            letters.setdefault(release.version, []).append(letter)
    return letters


def _group_of(
    weights: dict[str, list[float]], known: list[dict[str, list[float]]]
) -> int:
    """The index of the group that agrees with these weights, a new one if none does."""
    for index, group in enumerate(known):
        if all(_close(group[n], weights[n]) for n in group.keys() & weights):
            group.update({n: w for n, w in weights.items() if n not in group})
            return index
    known.append(dict(weights))
    return len(known) - 1


def _close(one: list[float], two: list[float]) -> bool:
    # both were rounded to 5 digits, so a last bit may show as one unit of the fifth
    return all(abs(a - b) < 1.5e-5 for a, b in zip(one, two, strict=True))


def render() -> str:
    """The whole file."""
    parts = [_HEAD, "## Releases\n", _releases_table()]
    parts += ["\n## Changes of meaning\n", _behaviours_table()]
    parts += ["\n## The stable operations, and how each is spelled natively\n"]
    parts += [_spellings_table()]
    parts += [_NAMES, _names_table()]
    if conformance():
        parts += [_CONFORMANCE, _conformance_table()]
    if examples():
        parts += [_EXAMPLES, _examples_table()]
    return "\n".join(parts)


def _releases_table() -> str:
    columns = ("flax", "date", "python", "jax", "revision", "tests", "weights", "names")
    body = [
        [
            *(row[column] for column in columns),
            ", ".join(
                [f"+{b}" for b in row["begins"]] + [f"-{e}" for e in row["ends"]]
            ),
        ]
        for row in rows()
    ]
    return _table((*columns, "changes"), body)


def _behaviours_table() -> str:
    body = [
        [
            f"`{b.id}`",
            b.area,
            b.text,
            facts.worded(b.intervals) + (f", jax{b.jax}" if b.jax else ""),
            b.remedy,
        ]
        for b in facts.behaviours()
    ]
    return _table(("behaviour", "area", "what holds", "releases", "with us"), body)


def _spellings_table() -> str:
    body = [
        [
            f"`nc.{s.operation}`",
            facts.worded(s.intervals),
            f"`{s.native}`" if s.native else "not there",
        ]
        for s in facts.spellings()
    ]
    return _table(("operation", "releases", "natively"), body)


def _table(columns: tuple[str, ...], body: list[list[str]]) -> str:
    lines = [list(columns), ["---"] * len(columns), *body]
    return "".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n"
        for line in lines
    )


def main(arguments: list[str]) -> int:
    """Write the file, or check it."""
    match arguments:
        case ["--write", name]:
            file = Path(name)
            scratch = file.with_name(f".{file.name}.new")
            scratch.write_text(render(), encoding="utf-8")
            scratch.replace(file)
            print(f"wrote {name} from {len(list(RESULTS.glob('*.json')))} results")
            return 0
        case ["--check", name]:
            if Path(name).read_text(encoding="utf-8") == render():
                print(f"{name} is what the results give")
                return 0
            print(f"{name} is stale\n  instead: nox -s render", file=sys.stderr)
            return 1
        case _:
            print(__doc__)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
