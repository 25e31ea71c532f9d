"""The corpus: published packages on releases of Flax, as records. Imports no flax.

``records/`` has one JSON for each version of a package, written by ``nox -s corpus``
(tools/corpus). ``judging`` says what follows from one, and ``page`` renders
``docs/corpus.md``.

In a record ``items`` lists all that was tried of the package anywhere, and a *cell* is
the package on one release in one way: the numbers of the items that passed, of those
that ran out of time, and the errors with the items that ended in them. An item with no
number there was not reached: its module was not imported, or what comes before it
failed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["RECORDS", "WAYS", "decoded", "encoded", "numbers", "outcome", "records",
           "spelled"]  # fmt: skip

RECORDS = Path(__file__).parent / "records"
#: As it is; by ``nnx-compat run``; natively, after ``nnx-compat fix``.
WAYS = ("native", "run", "fix")
_STAGES = ("build", "split", "call", "step")


def spelled(found: Iterable[int]) -> str:
    """Numbers as ranges.

    Example:
        >>> from nnx_compat.matrix import corpus
        >>> corpus.spelled([3, 1, 2, 7])
        '1-3,7'
    """
    ranges: list[list[int]] = []
    for number in sorted(found):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges)


def numbers(text: str) -> list[int]:
    """What ``spelled`` spelled.

    Example:
        >>> from nnx_compat.matrix import corpus
        >>> corpus.numbers("1-3,7")
        [1, 2, 3, 7]
    """
    found: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def outcome(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What a probe wrote, as a cell: items by name, and the lines that ran cleanly.

    A line ran *cleanly* when something that was tried whole executed it and nothing of
    that failed in a way that Flax may have to do with, and no error passed through it.
    """
    passed: list[str] = []
    timed: list[str] = []
    errors: dict[str, dict[str, Any]] = {}
    failing: list[dict[str, Any]] = []
    clean: set[tuple[str, int]] = set()
    touched: set[str] = set()
    for row in rows:
        if "subject" in row:
            if not any(_may_be_flax(error) for error in failing):
                clean |= {(f, n) for f, found in row["lines"].items() for n in found}
            failing = []
        elif "error" in row:
            failing.append(dict(row))
            touched |= set(row["frames"])
            key = _key(row)
            errors.setdefault(key, {**json.loads(key), "items": []})
            errors[key]["items"].append(row["item"])
        elif "item" in row:
            (timed if "time" in row else passed).append(row["item"])
    clean = {(f, n) for f, n in clean if f"{f}:{n}" not in touched}
    return {
        "passed": sorted(passed, key=_order),
        "timed": sorted(timed, key=_order),
        "clean": clean,
        "errors": [
            {**errors[key], "items": sorted(errors[key]["items"], key=_order)}
            for key in sorted(errors)
        ],
    }


def _may_be_flax(error: Mapping[str, Any]) -> bool:
    text = error["error"].lower()
    return error["ends"] in ("flax", "ours") or "nnx" in text or "flax" in text


def _order(item: str) -> tuple[bool, str, int]:
    kind, _, name = item.partition(" ")
    return kind != "import", name, _STAGES.index(kind) if kind in _STAGES else -1


def encoded(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record whose cells name their items, in the form in which it is written."""
    items = sorted(
        {item for cell in _cells(record) for item in _all_of(cell)}, key=_order
    )
    number = {item: index for index, item in enumerate(items)}
    known = sorted({_key(e) for cell in _cells(record) for e in cell["errors"]})

    def coded(cell: Mapping[str, Any]) -> dict[str, Any]:
        failed = {
            str(known.index(_key(e))): spelled(number[i] for i in e["items"])
            for e in cell["errors"]
        }
        lists = {k: spelled(number[i] for i in cell[k]) for k in ("passed", "timed")}
        rest = {k: v for k, v in cell.items() if k not in ("clean", "errors")}
        return {**rest, **lists, "failed": failed}

    cells = {
        flax: {way: coded(cell) for way, cell in ways.items()}
        for flax, ways in record["cells"].items()
    }
    found = {
        **record, "cells": cells, "errors": [json.loads(key) for key in known],
        "items": items, "clean": _grouped(record),
    }  # fmt: skip
    if "check" in record:
        findings = _by_place(record["check"]["findings"])
        found["check"] = {**record["check"], "findings": findings}
    return found


def _by_place(findings: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Findings that differ in their places alone as one: ``"a.py:3,7 b.py:1"``."""
    places: dict[str, dict[str, list[int]]] = {}
    for finding in findings:
        key = json.dumps({k: v for k, v in finding.items() if k != "at"})
        file, _, line = finding["at"].rpartition(":")
        places.setdefault(key, {}).setdefault(file, []).append(int(line))
    return [
        {**json.loads(key), "at": " ".join(f"{f}:{spelled(n)}" for f, n in at.items())}
        for key, at in sorted(places.items())
    ]


def _one_by_one(findings: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What ``_by_place`` put together."""
    return [
        {**finding, "at": f"{file}:{line}"}
        for finding in findings
        for file, _, text in (at.rpartition(":") for at in finding["at"].split())
        for line in numbers(text)
    ]


def _cells(record: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for ways in record["cells"].values():
        yield from ways.values()


def _key(error: Mapping[str, Any]) -> str:
    """An error without the items that ended in it."""
    return json.dumps({key: error[key] for key in ("error", "ends", "frames")})


def _all_of(cell: Mapping[str, Any]) -> list[str]:
    failing = [item for error in cell["errors"] for item in error["items"]]
    return [*cell["passed"], *cell["timed"], *failing]


def _grouped(record: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """The clean lines by the releases on which they are: most are on all of them."""
    where: dict[tuple[str, int], list[str]] = {}
    for flax, ways in record["cells"].items():
        for line in ways.get("native", {}).get("clean", ()):
            where.setdefault(line, []).append(flax)
    found: dict[str, dict[str, list[int]]] = {}
    for (file, line), releases in where.items():
        key = " ".join(sorted(releases, key=_version))
        found.setdefault(key, {}).setdefault(file, []).append(line)
    return {k: {f: spelled(n) for f, n in v.items()} for k, v in found.items()}


def _version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


def decoded(record: Mapping[str, Any]) -> dict[str, Any]:
    """What ``encoded`` made, with the names of items again."""
    items: list[str] = record["items"]

    def named(text: str) -> list[str]:
        return [items[index] for index in numbers(text)]

    def plain(flax: str, way: str, cell: Mapping[str, Any]) -> dict[str, Any]:
        found = {key: value for key, value in cell.items() if key != "failed"}
        found["errors"] = [
            {**record["errors"][int(index)], "items": named(text)}
            for index, text in sorted(cell["failed"].items(), key=lambda e: int(e[0]))
        ]
        found.update({key: named(cell[key]) for key in ("passed", "timed")})
        if way == "native":
            found["clean"] = _clean(record, flax)
        return found

    cells = {
        flax: {way: plain(flax, way, cell) for way, cell in ways.items()}
        for flax, ways in record["cells"].items()
    }
    found = {**record, "cells": cells}
    if "check" in record:
        findings = _one_by_one(record["check"]["findings"])
        found["check"] = {**record["check"], "findings": findings}
    return found


def _clean(record: Mapping[str, Any], flax: str) -> set[tuple[str, int]]:
    return {
        (file, line)
        for releases, files in record["clean"].items()
        if flax in releases.split()
        for file, text in files.items()
        for line in numbers(text)
    }


def records() -> list[dict[str, Any]]:
    """All records, decoded, by package and version."""
    return [
        decoded(json.loads(file.read_text(encoding="utf-8")))
        for file in sorted(RECORDS.glob("*.json"))
    ]
