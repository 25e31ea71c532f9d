"""A baseline: the findings that an old code base has, so that only new ones count.

A finding is known by its file, its code and its sentence, not by its line, which moves.
Of several that are alike the file says how many there are; one more is new.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

from .findings import Finding, quoted
from .sources import SourceError, write_whole

__all__ = ["known", "new", "write"]

Key: TypeAlias = tuple[str, str, str]
_FORMAT = 1


def write(file: Path, findings: Iterable[Finding]) -> int:
    """Write a baseline of these findings, whole or not at all; how many they are."""
    counts = Counter(_key(finding, file) for finding in findings)
    rows = [
        {"path": path, "code": code, "text": text, "count": counts[path, code, text]}
        for path, code, text in sorted(counts)
    ]
    whole = json.dumps({"format": _FORMAT, "findings": rows}, indent=1)
    write_whole(file, whole + "\n")
    return counts.total()


def known(file: Path) -> Counter[Key]:
    """How many findings of each kind a baseline has.

    Raises:
        SourceError: it is not there, or is no baseline.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        if found["format"] != _FORMAT:
            raise ValueError(f"format {found['format']}")
        rows = [
            ((str(row["path"]), str(row["code"]), str(row["text"])), int(row["count"]))
            for row in found["findings"]
        ]
    except OSError as error:
        raise SourceError(
            f"{quoted(str(file))}: {error.strerror or error}\n"
            f"  instead: nnx-compat check --write-baseline {quoted(str(file))}"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise SourceError(
            f"{quoted(str(file))} is no baseline: {error!r}\n"
            f"  instead: nnx-compat check --write-baseline {quoted(str(file))}"
        ) from None
    return Counter(dict(rows))


def new(findings: Iterable[Finding], file: Path) -> tuple[list[Finding], int, int]:
    """The findings that a baseline has not, how many it has, and how many are gone."""
    left = known(file)
    whole = left.total()
    fresh = []
    for finding in findings:
        key = _key(finding, file)
        if left[key] > 0:
            left[key] -= 1
        else:
            fresh.append(finding)
    gone = left.total()
    return fresh, whole - gone, gone


def _key(finding: Finding, file: Path) -> Key:
    path = os.path.relpath(finding.path, file.parent).replace(os.sep, "/")
    return path, finding.code, finding.text
