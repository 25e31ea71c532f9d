"""The data files of the facts: read without a parser of TOML, and once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TypeVar

from ..errors import UnknownFactError

_HERE = Path(__file__).parent

R = TypeVar("R")
#: What stands behind a key: one JSON literal on one line.
Literal = str | bool | list[str] | list[bool]


def text(file: str) -> str:
    """What is in one of the data files."""
    return (_HERE / file).read_text(encoding="utf-8")


def read(toml: str) -> dict[str, list[dict[str, Literal]]]:
    """Read the TOML subset of our data: ``[[table]]`` rows of one-line JSON literals.

    Python 3.10 has no tomllib, and the library has no dependency that parses TOML. A
    test holds this reader to tomllib on every file it reads.
    """
    tables: dict[str, list[dict[str, Literal]]] = {}
    row: dict[str, Literal] = {}
    for line in map(str.strip, toml.splitlines()):
        if line.startswith("[["):
            row = {}
            tables.setdefault(line.strip("[]"), []).append(row)
        elif line and not line.startswith("#"):
            key, _, literal = line.partition(" = ")
            row[key] = json.loads(literal)
    return tables


@cache
def _tables(file: str) -> dict[str, list[dict[str, Literal]]]:
    return read(text(file))


def rows(file: str, table: str, build: Callable[..., R]) -> tuple[R, ...]:
    """What ``build`` makes of each row of a table, whose keys are its parameters."""
    return tuple(build(**row) for row in _tables(file)[table])


def lookup(known: Mapping[str, R], key: str, kind: str) -> R:
    """The row with this key.

    Raises:
        UnknownFactError: there is none; the message lists keys that look alike.
    """
    if key not in known:
        import difflib

        alike = difflib.get_close_matches(key, known, n=3)
        raise UnknownFactError(
            f"no {kind} {key!r} in the facts",
            instead=", ".join(alike) if alike else f"one of the {len(known)} listed",
        )
    return known[key]
