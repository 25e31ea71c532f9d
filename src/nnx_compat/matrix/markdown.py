"""Markdown that can be read as it stands: short tables, and lists in wrapped lines."""

from __future__ import annotations

import textwrap
from collections.abc import Hashable, Iterable, Sequence
from typing import TypeVar

__all__ = ["folded", "items", "paragraph", "runs", "table"]

_WIDTH = 92
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


def table(columns: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """A table, for cells of a few words each."""
    lines = [list(columns), ["---"] * len(columns), *map(list, body)]
    return "".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n"
        for line in lines
    )


def items(texts: Iterable[str]) -> str:
    """A list, for sentences."""
    return "".join(_wrapped(text, "- ", "  ") + "\n" for text in texts)


def paragraph(text: str) -> str:
    """One paragraph, wrapped."""
    return _wrapped(text, "", "") + "\n"


def _wrapped(text: str, first: str, rest: str) -> str:
    return textwrap.fill(
        text, _WIDTH, initial_indent=first, subsequent_indent=rest,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def runs(some: Iterable[str], every: Sequence[str]) -> list[str]:
    """The runs of some of a list, each as ``first-last``."""
    found: list[list[str]] = []
    at = -2
    for one in some:
        index = every.index(one)
        if index != at + 1:
            found.append([])
        found[-1].append(one)
        at = index
    return [run[0] if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in found]


def folded(pairs: Iterable[tuple[K, V]]) -> dict[K, list[V]]:
    """What has the same key together, in the order in which the keys came."""
    found: dict[K, list[V]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found
