"""``compat_matrix.md``, from the results and the facts.

``python -m nnx_compat.matrix.render --check FILE`` says whether a file is what would be
rendered; ``--write FILE`` writes it. A file says which source it was rendered beside,
and so which of its records are of that one, and ``--check`` takes it by its word: a
change of the source makes no file stale. How many records are of an older source than
the one that is here is said as well, and ``nox -s records`` lists them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
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
    releases,
    results,
    source,
)
from .corpus.page import summary as corpus_summary
from .markdown import folded, items, paragraph, runs, table
from .releases import rows

__all__ = ["beside", "main", "render", "rows"]

_HEAD = """\
# Compatibility, measured

What holds on each release of Flax that ships NNX, from the facts and from the records
of test runs; `nox -s render` writes this file, and nothing in it is typed by hand.

To look up one name: `nnx-compat explain nnx.List`, or the searchable table of the site
(`nox -s site`). What a change of release means for you: `nnx-compat upgrade OLD NEW
PATH`.

- Which Python and jax does a release need? [Releases](#releases)
- Does this jax work with this Flax? [Every pair](#which-jax-for-which-flax)
- What breaks on another jax? [What breaks](#what-breaks-natively-and-where)
- When did a meaning change? [Release by release](#when-meanings-changed)
- What exactly changed, and what to write? [Changes of meaning](#changes-of-meaning)
- How is an operation spelled natively? [Spellings]({spellings})
- What does the drop-in replace or refuse? [Names]({names})
- Does this library pass its own tests? [Tests](#the-tests-of-this-library)
- Does Flax pass its own, on older releases? [Flax's tests]({conformance})
- Do whole scripts run? [Examples](#the-toy-examples-of-flax-on-every-release)
- Can a checkpoint be read elsewhere? [Checkpoints]({checkpoints})
- Do published packages run? [Packages](#published-packages)

It was rendered beside the source
{source};
what is *of an older source* measured another one, and `nox -s records` lists what
renewing takes.
"""
_LINKS = {
    "spellings": "#the-stable-operations-and-how-each-is-spelled-natively",
    "names": "#names-of-the-drop-in-namespace-that-are-not-simply-flaxs",
    "conformance": "#flaxs-own-tests-on-other-releases-of-flax",
    "checkpoints": "#checkpoints-written-on-one-release-and-read-on-another",
}

_RELEASES = """
## Releases

**jax, natively**: the oldest and the newest that a resolver installs beside the release
and on which all of NNX works; [below](#which-jax-for-which-flax) is every pair. **jax,
stable operations**: with which the contract of `nnx_compat` holds. **names**: how many
of the {names} public names of the newest release `from nnx_compat import nnx` has
there.

"""

_CHANGED = """
## When meanings changed

Each name is explained under [Changes of meaning](#changes-of-meaning), and by
`nnx-compat explain NAME`.

"""

_BEHAVIOURS = """
## Changes of meaning

Each is proved by a probe on every release. *Instead* is what gives one meaning on all.
"""

_NAMES = """
## Names of the drop-in namespace that are not simply Flax's

`from nnx_compat import nnx` passes on what Flax has and builds what came later. Beyond
that:
"""
_TREATMENTS = {
    "replaced": "Flax has it there with an older meaning, and ours is used.",
    "refused": "It cannot be built there; asking for it says why.",
    "deprecated": "It is gone from the newest Flax, and kept with a warning.",
    "patched": "An error there, which `nnx_compat.install()` makes work.",
}

_TESTS = """
## The tests of this library

How many passed of those collected: the **whole suite** beside the newest jax 21 days
after the release, and the **contract** of the stable operations beside the oldest and
the newest jax. Failures and skips are counted where there are any. **weights**:
releases with the same letter give the same initial weights (to 5 digits) for the same
seed by default; the second letter is under `nnx_compat.reproducible_init()`.

"""

_SKIPPED = """
### Why tests are skipped

Of the whole suite.

"""

_CONFORMANCE = """
## Flax's own tests, on other releases of Flax

From `nox -s conformance` (`src/nnx_compat/matrix/conformance/`), which runs the test
files of a Flax release on another one. **counted**: tests that pass on their own
release and use nothing that the other one cannot have. **natively**, **drop-in** (`from
nnx_compat import nnx`) and **install()** (that, and `nnx_compat.install()`): how many
of them pass. **core** is all but the layers' files.

"""
_LEFT_OUT = """
Left out, as using what the other release cannot have (`facts.features()`) or names
inside Flax's modules that are not public:

"""

_EXAMPLES = """
## The toy examples of Flax, on every release

From `nox -s conformance -- --examples`: whole scripts, their plots stubbed and one data
set replaced by noise. Those are counted that run on their own release.

"""
_FAILING = "\nWhat fails under `install()`:\n\n"

_CHECKPOINTS = """
## Checkpoints, written on one release and read on another

From `nox -s checkpoints` (`src/nnx_compat/matrix/checkpoints/`): model, optimizer,
average and PRNG streams, judged array by array against what the writer noted.
**native**: a composite that the orbax of the writer's day saved. **canonical**:
`nnx_compat.checkpoint.save`. Right is where every array that both sides have is
bit-equal, every stream is by rule, and nothing was lost or kept without a row in the
report. **step**: the largest difference after one more step of Adam, in units in the
last place. **forms**: the files of other forms (orbax, msgpack, npz, safetensors,
pickle) of which every array was read bit-equal, of so many writers.

"""


def render(beside: Mapping[str, str] | None = None) -> str:
    """The whole file.

    Args:
        beside: the source that records are of, or older; the one that is here.
    """
    beside = source.digests(*source.FOLDERS) if beside is None else beside
    stated = ", ".join(f"{folder} `{found}`" for folder, found in beside.items())
    known = rows(beside)
    parts = [_HEAD.format(source=stated, **_LINKS)]
    parts += [_releases(known), grid.render(), _changed(known)]
    parts += [_behaviours(), _spellings(), _names(), _tests(known, beside), _skipped()]
    if conformance():
        parts += [_conformance(beside)]
    if examples():
        parts += [_examples(beside)]
    if checkpoints():
        parts += [_checkpoints(beside)]
    return "".join([*parts, corpus_summary()])


def beside(text: str) -> dict[str, str]:
    """The source that a rendered file says it was rendered beside."""
    head = text.partition("\n## ")[0]
    # around an installed package there is no source, and nothing between the quotes
    return dict(re.findall(rf"({'|'.join(source.FOLDERS)}) `([0-9a-f]*)`", head))


def _releases(known: list[dict[str, Any]]) -> str:
    columns = ("flax", "date", "python", "jax", "contract", "names")
    heads = (*columns[:3], "jax, natively", "jax, stable operations", "names")
    names = len(facts.resolved(facts.releases()[-1].version))
    return _RELEASES.format(names=names) + table(
        heads, ([row[column] for column in columns] for row in known)
    )


def _changed(known: list[dict[str, Any]]) -> str:
    return _CHANGED + items(
        f"**{row['flax']}**: "
        + "; ".join(
            f"{verb} {', '.join(f'`{id}`' for id in row[verb])}"
            for verb in ("begins", "ends")
            if row[verb]
        )
        for row in known
        if row["begins"] or row["ends"]
    )


def _behaviours() -> str:
    text = _BEHAVIOURS
    by_area = folded((b.area, b) for b in facts.behaviours())
    for area, there in by_area.items():
        text += f"\n### {area[0].upper()}{area[1:]}\n\n"
        text += items(
            f"`{b.id}` ({facts.worded(b.intervals)}{f', jax{b.jax}' * bool(b.jax)}): "
            f"{b.text} *Instead*: {b.remedy}."
            for b in there
        )
    return text


def _spellings() -> str:
    heads = ("operation", "releases", "natively")
    return "\n## The stable operations, and how each is spelled natively\n\n" + table(
        heads,
        (
            [
                f"`nc.{s.operation}`",
                facts.worded(s.intervals),
                f"`{s.native}`" if s.native else "not there",
            ]
            for s in facts.spellings()
        ),
    )


def _names() -> str:
    every = [
        row
        for name in sorted(facts.treatments(), key=str.lower)
        for row in facts.treatments()[name]
    ]
    text = _NAMES
    for treatment, meaning in _TREATMENTS.items():
        alike = folded(
            ((facts.worded(row.intervals), row.why, row.instead), row.name)
            for row in every
            if row.treatment == treatment
        )
        text += f"\n### {treatment.capitalize()}\n\n{meaning}\n\n" + items(
            f"{', '.join(f'`{name}`' for name in dict.fromkeys(names))} ({where})"
            + (f": {why}." if why else "")
            + (f" *Instead*: {instead}." if instead else "")
            for (where, why, instead), names in alike.items()
        )
    return text


def _tests(known: list[dict[str, Any]], beside: Mapping[str, str]) -> str:
    every, body = results(), []
    for row in known:
        records = releases.recorded(facts.release(row["flax"]), every)
        whole, *ends = (
            (jax, releases.count(record)) for jax, record in records.items()
        )
        told = "; ".join(f"{jax}: {count}" for jax, count in ends)
        measured = _measured(records.values(), beside)
        body.append(
            [row["flax"], row["revision"], *whole, told, row["weights"], measured]
        )
    heads = ("flax", "revision", "jax", "whole suite", "contract", "weights", "source")
    return _TESTS + table(heads, body)


def _measured(records: Iterable[releases.Record], beside: Mapping[str, str]) -> str:
    """Of which source the records are, once where all are of one."""
    told = [releases.of(record, beside) for record in records if record]
    return "; ".join(dict.fromkeys(told))


def _skipped() -> str:
    """The reasons of skips, and on which releases how many tests each keeps back."""
    every, reasons = results(), dict[str, dict[str, int]]()
    for release in facts.releases():
        record = every.get(dated(release.version).id, {})
        for why, number in record.get("reasons", {}).items():
            reasons.setdefault(why, {})[release.version] = number
    body = [
        [why, ", ".join(f"{flax}: {number}" for flax, number in found.items())]
        for why, found in sorted(reasons.items())
    ]
    return _SKIPPED + table(("reason", "tests on each release"), body) if body else ""


def _conformance(beside: Mapping[str, str]) -> str:
    heads = ("tests of", "on flax", "files", "counted", "natively", "drop-in",
             "install()", "measured")  # fmt: skip
    body, left_out = [], []
    for record in conformance():
        why = ", ".join(f"{n} {why}" for why, n in sorted(record["apart"].items()))
        left_out.append((why, f"{record['tests_of']} on {record['flax']}"))
        for group, files in _file_groups(record["files"]).items():
            counted = sum(row["judged"] for row in files)
            body.append(
                [record["tests_of"], record["flax"], group, f"{counted:,}"]
                + [
                    f"{(n := sum(row[way] for row in files)):,} ({n / counted:.0%})"
                    for way in ("native", "drop-in", "install")
                ]
                + [_measured([record], beside)]
            )
    told = items(f"{', '.join(of)}: {why}." for why, of in folded(left_out).items())
    return _CONFORMANCE + table(heads, body) + _LEFT_OUT + told


def _file_groups(files: dict[str, dict[str, int]]) -> dict[str, list[dict[str, int]]]:
    core = [row for row in files.values() if not row["layers"]]
    return {"all": list(files.values()), "core": core}


def _versions(some: list[str]) -> str:
    return ", ".join(runs(some, [release.version for release in facts.releases()]))


def _examples(beside: Mapping[str, str]) -> str:
    columns = ("examples of", "on flax", "counted", "natively", "install()", "measured")
    alike, failing = [], []
    for record in examples():
        for release in facts.releases():
            flax = release.version
            if row := record["releases"].get(flax):
                ways = (len(record["judged"]), row["native"], row["install"])
                counts = (record["tests_of"], *map(str, ways))
                alike.append(((*counts, _measured([record], beside)), flax))
                failing += [
                    ((f, _first(w)), flax) for f, w in row.get("failing", {}).items()
                ]
    body = [
        [of, _versions(flax), counted, native, install, measured]
        for (of, counted, native, install, measured), flax in folded(alike).items()
    ]
    told = items(
        f"`{file}` ({_versions(flax)}): {why}"
        for (file, why), flax in folded(sorted(failing, key=lambda one: one[0])).items()
    )
    return _EXAMPLES + table(columns, body) + (_FAILING + told if told else "")


def _first(error: str) -> str:
    """The first sentence of an error, without the release that it was met on."""
    first = re.split(r"\. | \(it is in ", error, maxsplit=1)[0]
    return re.sub(r" in flax \d[\d.]*", " in this flax", first).rstrip(".")


def _checkpoints(beside: Mapping[str, str]) -> str:
    alike, right, pairs = [], {"native": 0, "canonical": 0}, 0
    for record in checkpoints():
        read = record["rows"].values()
        pairs += len(read)
        good = {form: sum(not row[form]["problems"] for row in read) for form in right}
        right = {form: number + good[form] for form, number in right.items()}
        step = max(row["canonical"].get("step_ulp", 0) for row in read)
        forms = [row["forms"] for row in read if "forms" in row]
        whole = sum(not row["problems"] for row in forms)
        files = sum(row.get("forms", 0) for row in forms)
        told = f"{whole} ({files} files)" if forms else "not measured"
        counts = (len(read), *good.values(), step)
        measured = _measured([record], beside)
        alike.append(((*map(str, counts), told, measured), record["reader"]))
    heads = ("read on", "writers", "native", "canonical", "step", "forms", "measured")
    body = [[_versions(readers), *rest] for rest, readers in folded(alike).items()]
    told = ", ".join(f"{right[form]} of {pairs} {form}" for form in right)
    return (
        _CHECKPOINTS
        + table(heads, body)
        + "\n"
        + paragraph(f"Of the pairs of a writer and a reader, right: {told}.")
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
