"""``compat_matrix.md``, from the results and the facts.

``python -m nnx_compat.matrix.render --check FILE`` says whether a file is what would be
rendered; ``--write FILE`` writes it. A file says which source it was rendered beside,
and so which of its records are of that one, and ``--check`` takes it by its word: a
change of the source makes no file stale. How many records are of an older source than
the one that is here is said as well, and ``nox -s records`` lists them.
"""

from __future__ import annotations

import re
import string
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import facts
from . import (
    RESULTS,
    checkpoints,
    conformance,
    dated,
    examples,
    grid,
    pair,
    results,
    source,
)
from .corpus.page import summary as corpus_summary

_HEAD = """\
# What was measured

Rendered by `nox -s render` from the facts and from the records of the matrix runs
(`src/nnx_compat/matrix/results/`, one JSON a pair). Nothing here is typed by hand.

**tests**: how many passed of those collected, of the whole suite on the release's dated
pair (the newest jax 21 days after it), then of the contract of the stable operations
on the ends of **contract**, the oldest and the newest jax with which it holds; failures
and skips are counted where there are any, and the reasons are below.
*This source* is the one that this file was rendered beside: {source}. Other records
measured an older one, and `nox -s records` says what renewing them takes. **jax**: the
oldest and the newest jax that a resolver installs beside the release and on which all
of NNX works natively: the next section has every pair.
**weights**: releases with the same letter give the same initial weights (to 5 digits)
for the same seed by default, on their dated pair; the second letter is under
`nnx_compat.reproducible_init()`. **names**: how many of the public names of the newest
release `from nnx_compat import nnx` has there. **changes**: behaviours that begin (+)
or end (-) there.
"""


_NAMES = """
## Names of the drop-in namespace that are not simply Flax's

`from nnx_compat import nnx` passes on what Flax has and builds what came later. Beyond
that: **replaced**: Flax has it there with an older meaning, and ours is used.
**refused**: it cannot be built there. **deprecated**: gone from the newest Flax, and
kept with a warning. **patched**: an error there, which `nnx_compat.install()` makes
work.
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
files of a Flax release on another one, in its dated environment. **counted**: tests
that pass on their own release and use nothing that the other one cannot have; **left
out**: those that do (`facts.features()`, and names inside Flax's modules that are not
public). **natively**, **drop-in** (`from nnx_compat import nnx`) and **install()**
(that, and `nnx_compat.install()`): how many of the counted tests pass. **core** is all
but the layers' files.
"""


def _conformance_table(beside: Mapping[str, str]) -> str:
    columns = ("tests of", "on flax", "files", "counted", "natively", "drop-in",
               "install()", "left out", "measured")  # fmt: skip
    body = []
    for record in conformance():
        left_out = ", ".join(f"{n} {why}" for why, n in sorted(record["apart"].items()))
        for group, files in _file_groups(record["files"]).items():
            counted = sum(row["judged"] for row in files)
            body.append(
                [record["tests_of"], record["flax"], group, str(counted)]
                + [
                    f"{(n := sum(row[way] for row in files))} ({n / counted:.0%})"
                    for way in ("native", "drop-in", "install")
                ]
                + [left_out if group == "all" else ""]
                + [_of(record, beside).removeprefix(", ")]
            )
    return _table(columns, body)


_EXAMPLES = """
## The toy examples of Flax, on every release

From `nox -s conformance -- --examples`: whole scripts, their plots stubbed and one data
set replaced by noise. Those are counted that run on their own release.
"""


def _examples_table(beside: Mapping[str, str]) -> str:
    columns = ("examples of", "on flax", "counted", "natively", "install()", "failing",
               "measured")  # fmt: skip
    body = [
        [
            record["tests_of"], flax, str(len(record["judged"])), str(row["native"]),
            str(row["install"]),
            "; ".join(f"{file}: {why}" for file, why in row.get("failing", {}).items()),
            _of(record, beside).removeprefix(", "),
        ]
        for record in examples()
        for flax in (release.version for release in facts.releases())
        if (row := record["releases"].get(flax))
    ]  # fmt: skip
    return _table(columns, body)


_CHECKPOINTS = """
## Checkpoints, written on one release and read on another

From `nox -s checkpoints` (`src/nnx_compat/matrix/checkpoints/`): model, optimizer,
average and PRNG streams, written on each of these releases and read on the one of the
row, judged array by array against what the writer noted. **native**: a composite that
the orbax of the writer's day saved. **canonical**: `nnx_compat.checkpoint.save`.
**right**: every array that both sides have is bit-equal, every stream is by rule, and
nothing was lost or kept without a row in the report. **step**: the largest difference
after one more step of Adam, in units in the last place. **forms**: what the writers
saved in the other forms that people use (orbax, msgpack, npz, safetensors, pickle) and
is read as a table: writers of which every array was bit-equal, and how many files.
"""


def _checkpoints_table(beside: Mapping[str, str]) -> str:
    body = []
    for record in checkpoints():
        rows = record["rows"].values()
        right = [
            sum(not row[form]["problems"] for row in rows)
            for form in ("native", "canonical")
        ]
        step = max(row["canonical"].get("step_ulp", 0) for row in rows)
        forms = [row["forms"] for row in rows if "forms" in row]
        whole = sum(not row["problems"] for row in forms)
        files = sum(row.get("forms", 0) for row in forms)
        body.append(
            [
                *(record["reader"], str(len(rows)), *map(str, right), str(step)),
                f"{whole} ({files} files)" if forms else "not measured",
                _of(record, beside).removeprefix(", "),
            ]
        )
    columns = ("read on", "writers", "native right", "canonical right", "step", "forms")
    return _table((*columns, "measured"), body)


def _file_groups(files: dict[str, dict[str, int]]) -> dict[str, list[dict[str, int]]]:
    core = [row for row in files.values() if not row["layers"]]
    return {"all": list(files.values()), "core": core}


def rows(beside: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """One row a release, oldest first; machine-readable.

    Args:
        beside: the source that records are of, or older; the one that is here.
    """
    beside = source.digests(*source.FOLDERS) if beside is None else beside
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
            for jax in release.jax_ends
            if jax != release.jax_dated
        ]
        records = [whole, *ends_of_range]
        found.append(
            {
                "flax": release.version,
                "date": release.date,
                "python": f">={release.python}",
                "jax": f"{release.jax_oldest or '?'} - {release.jax_newest or '?'}",
                "contract": " - ".join(release.jax_ends),
                "jax_dated": release.jax_dated,
                "revision": release.revision,
                "tests": _counts(records, beside),
                "counts": _counts(records, {}),
                "older": any(r and not source.is_of(r, beside) for r in records),
                "weights": "".join(groups.get(release.version, "?")),
                "names": str(len(facts.resolved(release.version))),
                "begins": begins,
                "ends": ends,
            }
        )
    return found


def _counts(records: list[dict[str, Any] | None], beside: Mapping[str, str]) -> str:
    """``2,252 of 2,252; 235 of 235, this source``, said once where all are of one."""
    texts, of = [], []
    for record in records:
        texts.append(_count(record))
        of.append(_of(record, beside) if record and any(beside.values()) else "")
    if len(set(of)) == 1:
        return "; ".join(texts) + of[0]
    return "; ".join(map("".join, zip(texts, of, strict=True)))


def _of(record: Mapping[str, Any], beside: Mapping[str, str]) -> str:
    return ", this source" if source.is_of(record, beside) else ", of an older source"


def _count(record: dict[str, Any] | None) -> str:
    if record is None:
        return "untested"
    text = f"{record['passed']:,}"
    if "collected" in record:
        text += f" of {record['collected']:,}"
    for key in ("failed", "skipped"):
        if record[key]:
            text += f" ({record[key]} {key})"
    return text


_SKIPPED = """
### Why tests are skipped

Of the whole suite on a release's dated pair.

"""


def _skipped_table() -> str:
    """The reasons of skips, and on which releases how many tests each keeps back."""
    reasons: dict[str, dict[str, int]] = {}
    for release in facts.releases():
        record = results().get(dated(release.version).id, {})
        for why, number in record.get("reasons", {}).items():
            reasons.setdefault(why, {})[release.version] = number
    body = [
        [why, ", ".join(f"{flax}: {number}" for flax, number in found.items())]
        for why, found in sorted(reasons.items())
    ]
    return _SKIPPED + _table(("reason", "tests on each release"), body) if body else ""


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


def render(beside: Mapping[str, str] | None = None) -> str:
    """The whole file.

    Args:
        beside: the source that records are of, or older; the one that is here.
    """
    beside = source.digests(*source.FOLDERS) if beside is None else beside
    stated = ", ".join(f"{folder} `{found}`" for folder, found in beside.items())
    parts = [_HEAD.format(source=stated), "## Releases\n", _releases_table(beside)]
    parts += [_skipped_table(), grid.render(_table)]
    parts += ["\n## Changes of meaning\n", _behaviours_table()]
    parts += ["\n## The stable operations, and how each is spelled natively\n"]
    parts += [_spellings_table()]
    parts += [_NAMES, _names_table()]
    if conformance():
        parts += [_CONFORMANCE, _conformance_table(beside)]
    if examples():
        parts += [_EXAMPLES, _examples_table(beside)]
    if checkpoints():
        parts += [_CHECKPOINTS, _checkpoints_table(beside)]
    if of_packages := corpus_summary():
        parts += [of_packages]
    return "\n".join(parts)


def beside(text: str) -> dict[str, str]:
    """The source that a rendered file says it was rendered beside."""
    head = text.partition("\n## ")[0]
    # around an installed package there is no source, and nothing between the quotes
    return dict(re.findall(rf"({'|'.join(source.FOLDERS)}) `([0-9a-f]*)`", head))


def _releases_table(beside: Mapping[str, str]) -> str:
    columns = ("flax", "date", "python", "jax", "contract", "revision", "tests",
               "weights", "names")  # fmt: skip
    body = [
        [
            *(row[column] for column in columns),
            ", ".join(
                [f"+{b}" for b in row["begins"]] + [f"-{e}" for e in row["ends"]]
            ),
        ]
        for row in rows(beside)
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
    return _table(("behaviour", "area", "what holds", "releases", "what to do"), body)


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
            text = Path(name).read_text(encoding="utf-8")
            if text == render(beside(text)):
                print(f"{name} is what the results give")
                here = source.digests(*source.FOLDERS)
                every = [*results().values(), *conformance(), *examples()]
                if older := sum(not source.is_of(record, here) for record in every):
                    print(f"{older} of {len(every)} records are of an older source")
                    print("  which, and how long each takes: nox -s records")
                return 0
            print(f"{name} is stale\n  instead: nox -s render", file=sys.stderr)
            return 1
        case _:
            print(__doc__)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
