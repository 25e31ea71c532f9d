"""``docs/corpus.md``, from the records of the corpus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from ... import facts
from . import WAYS, records
from .judging import Cell, Rates, cells, rates

T = TypeVar("T", bound=tuple[str, ...])

__all__ = ["page", "summary"]

_HEAD = """\
# Published packages on releases of Flax

Rendered by `nox -s render` from the records of `nox -s corpus`
(`src/nnx_compat/matrix/corpus/records/`, one JSON a package). Nothing here is typed by
hand. The packages are pinned by version and digest in `tools/corpus/packages.toml`;
none of their code is in this repository. Each is tried on a release beside the newest
jax 21 days after it, on CPython 3.12, with what it needs besides installed there.

Every module is imported, and every Module class built, split, merged, called on a
small array and trained for one step, as far as its signature tells how; some run a part
of their own tests. That is done natively, under `nnx-compat run`, and natively after
`nnx-compat fix` on a copy. An item fails *because of Flax* when its error ends in Flax
or in the package, and it passes on another release or the error names NNX. What fails
for another jax, another library or another Python is not judged.

`check` is given the files that were run, and those of the package that they import. An
error that comes from another package, which it was not given, is not asked of it.
What is refused when a Module has been made has no line of the package: a finding about
the attribute that the error names counts. That an error links to its documentation does
not make it one of Flax: what passes on no release has to name NNX itself.
A finding of `check` on a line that ran, on a release that it excludes, is either
borne out by an error that passed through that line or a proved false alarm.

"""


def page() -> str:
    """The whole page."""
    every = records()
    found = {_id(record): cells(record) for record in every}
    flat = [cell for row in found.values() for cell in row]
    parts = [_HEAD, _measured(every), "\n## What it comes to\n\n", _rates(rates(flat))]
    parts += ["\n## Package by package\n", _LEGEND, _grid(every, found)]
    parts += ["\n## What is still owed\n", _debts(flat)]
    return "".join(parts)


def summary() -> str:
    """A few lines for compat_matrix.md; ``""`` where nothing was measured."""
    every = records()
    flat = [cell for record in every for cell in cells(record)]
    if not flat:
        return ""
    head = (
        "\n## Published packages\n\nFrom `nox -s corpus`; whole in docs/corpus.md.\n\n"
    )
    return head + _measured(every) + "\n" + _rates(rates(flat))


def _id(record: Mapping[str, Any]) -> str:
    return f"{record['package']}-{record['version']}"


def _releases(every: Iterable[Mapping[str, Any]]) -> list[str]:
    there = {flax for record in every for flax in record["releases"]}
    return [r.version for r in facts.releases() if r.version in there]


def _measured(every: list[dict[str, Any]]) -> str:
    """How much was measured, of which source, and what it took."""
    releases = _releases(every)
    of = len(every) * len(releases)
    lines = []
    for way in WAYS:
        found = [
            ways[way] for r in every for ways in r["cells"].values() if way in ways
        ]
        minutes = sum(cell["seconds"] for cell in found) / 60
        sources = Counter(cell["source"].get("src", "") for cell in found)
        stated = ", ".join(f"{n} of src `{src}`" for src, n in sources.items() if src)
        text = f"* {way}: {len(found)} of {of} cells, {minutes:.0f} min of CPU time"
        lines.append(text + (f" ({stated})\n" if stated else "\n"))
    names = {record["package"] for record in every}
    head = (
        f"{len(every)} versions of {len(names)} packages on {len(releases)} releases "
        f"({', '.join(releases)}):\n\n"
    )
    return head + "".join(lines)


def _share(part: int, of: int) -> str:
    return f"{part} of {of}" + (f" ({part / of:.1%})" if of else "")


def _rates(total: Rates) -> str:
    rows = [
        ("cells in which something fails because of Flax",
         _share(total.failing, total.judged)),
        ("cells that the packages' metadata admit, in which something fails",
         _share(total.declared_failing, total.declared)),
        ("of the failing cells, `check` says that the package runs (misses)",
         _share(total.missed, total.failing)),
        ("of the failing cells, `check` finds what only likely fails (not judged)",
         _share(total.open, total.failing)),
        ("items that fail because of Flax, of which `check` says nothing in their file",
         _share(total.missed_items, total.own)),
        ("findings on lines that ran, of which nothing came (false alarms)",
         _share(total.false, total.alarms)),
        ("cells without a failure of which `check` says that they do not run",
         _share(total.refused, total.judged - total.failing)),
        ("cells without a failure of which `check` says that they are not judged",
         _share(total.passing_open, total.judged - total.failing)),
    ]  # fmt: skip
    for way, counts in total.ways.items():
        rows += [
            (f"failing cells that `{way}` repairs whole",
             _share(counts["repaired"], counts["failing"])),
            (f"failing items that `{way}` repairs",
             _share(counts["items repaired"], counts["items failing"])),
            (f"items that pass natively and that `{way}` breaks",
             _share(counts["broken"], counts["items"])),
        ]  # fmt: skip
    return _table(("what", "how many"), rows)


_LEGEND = """
*declared*: the range of Flax in the package's metadata. Then one column a release:
**ok**: all that was tried there works natively; **12**: so many items fail because of
Flax; **12→3**: and so many of these under `nnx-compat run`; **b2**: so many that pass
natively fail under `run`. **c**: `check` says the opposite of what was measured. **?**:
nothing can be judged there, for another library, jax or Python. Empty: not measured.
What `check` says is "not judged" where only something likely fails: neither a miss nor
the opposite.

"""


def _grid(every: list[dict[str, Any]], found: Mapping[str, list[Cell]]) -> str:
    releases = _releases(every)
    rows = []
    for record in every:
        row = {cell.flax: cell for cell in found[_id(record)]}
        signs = [_sign(row[flax]) if flax in row else "" for flax in releases]
        declared = record.get("declared", "").removeprefix("flax") or "none"
        rows.append(
            (f"{record['package']} {record['version']}", f"`{declared}`", *signs)
        )
    return _table(("package", "declared", *releases), rows)


def _sign(cell: Cell) -> str:
    if not cell.judged:
        return "?"
    text = str(len(cell.failing)) if cell.failing else "ok"
    if "run" in cell.after:
        if cell.failing:
            text += f"→{len(cell.left('run'))}"
        if broken := cell.broken("run"):
            text += f" b{len(broken)}"
    if cell.said is not None and cell.said == bool(cell.failing):
        text += " c"
    return text


def _debts(flat: list[Cell]) -> str:
    """What is to be repaired: lists, the heaviest first."""
    parts = []
    for way in WAYS[1:]:
        broken = [
            (cell.package, cell.flax, item, cell.errors[way].get(item, "not reached"))
            for cell in flat
            if way in cell.after
            for item in sorted(cell.broken(way))
        ]
        parts.append(_section(f"Items that `{way}` breaks", _CELL, broken))
    alarms = Counter(
        (cell.package, alarm.code, alarm.at)
        for cell in flat
        for alarm in cell.alarms
        if not alarm.true
    )
    columns = ("package", "rule", "line", "releases")
    parts.append(_section("False alarms of `check`", columns, _counted(alarms)))
    missed = Counter(
        (cell.package, text) for cell in flat for text in set(cell.missed.values())
    )
    title = "Errors that `check` does not foresee"
    parts.append(_section(title, _ERROR, _counted(missed)))
    left = Counter(
        (cell.package, text)
        for cell in flat
        if "run" in cell.after
        for text in {
            cell.errors["run"][item]
            for item in cell.left("run") & cell.errors["run"].keys()
        }
    )
    title = "Errors under `run` of items that it does not repair"
    parts.append(_section(title, _ERROR, _counted(left)))
    return "".join(parts)


def _counted(found: Mapping[T, int]) -> list[tuple[str, ...]]:
    """Rows with their numbers behind them, the largest first."""
    ordered = sorted(found.items(), key=lambda entry: (-entry[1], entry[0]))
    return [(*key, str(number)) for key, number in ordered]


_ERROR = ("package", "error", "releases")
_CELL = ("package", "flax", "item", "error")
_MOST = 60


def _section(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    text = f"\n### {title}: {len(rows)}\n"
    if rows:
        text += "\n" + _table(columns, rows[:_MOST])
    if len(rows) > _MOST:
        text += f"\nand {len(rows) - _MOST} more.\n"
    return text


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    columns = list(columns)
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n"
        for line in lines
    )
