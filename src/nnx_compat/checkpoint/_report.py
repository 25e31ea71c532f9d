"""What ``load`` did: one row for every array of the targets and of the file."""

from __future__ import annotations

from dataclasses import dataclass

#: What a row can say, by its ``rule``.
RULES = {
    "path": "read from the same path",
    "tail": "read from the path and the name of the value inside a Variable",
    "tied": "read from another path of the same Variable",
    "prefix": "read from below, or without, the first component of the path",
    "model of the optimizer": "part of an optimizer that held its model",
    "same Variable": "loaded as a part of another item",
    "stream": "PRNG stream, found by its name",
    "fork": "PRNG stream of one layer, forked from the shared one as a layer would",
    "own stream": "the file has no such PRNG stream; the model's own is kept",
    "missing": "not in the file; the value is kept",
    "unused": "in the file, and nothing was to be loaded from it",
    "other item": "an item of the file that was not asked for",
    "unused stream": "a PRNG stream of the file that the model has no place for",
}


@dataclass(frozen=True)
class Row:
    """What became of one array.

    Attributes:
        target: the item and path that it was loaded into, or ``""``.
        source: the item and path in the file, or ``""``.
        rule: a key of ``RULES``.
        note: a cast, as ``"float32 to bfloat16"``, or what else is to be said.
    """

    target: str
    source: str
    rule: str
    note: str = ""


@dataclass(frozen=True)
class LoadReport:
    """What was read from where, and what was not.

    Attributes:
        rows: every array of the targets and of the file, once.

    Example:
        >>> from nnx_compat.checkpoint import LoadReport, Row
        >>> report = LoadReport((Row("model/bias", "bias/value", "tail"),))
        >>> print(report)
        1 read
          1 tail: read from the path and the name of the value inside a Variable
    """

    rows: tuple[Row, ...]

    @property
    def kept(self) -> tuple[Row, ...]:
        """Arrays of the targets that the file has no value for."""
        return tuple(row for row in self.rows if row.rule in ("missing", "own stream"))

    @property
    def unused(self) -> tuple[Row, ...]:
        """Arrays of the file that went nowhere."""
        return tuple(row for row in self.rows if not row.target)

    @property
    def derived(self) -> tuple[Row, ...]:
        """Arrays made from what is on file, rather than read: forked streams."""
        return tuple(row for row in self.rows if row.rule == "fork")

    @property
    def cast(self) -> tuple[Row, ...]:
        """Arrays that were read and changed their dtype."""
        return tuple(row for row in self.rows if " to " in row.note)

    def __str__(self) -> str:
        read = [row for row in self.rows if row.target and row.source]
        counts = [f"{len(read)} read"]
        for name in ("kept", "unused", "derived", "cast"):
            found = getattr(self, name)
            counts += [f"{len(found)} {name}"] if found else []
        lines = [", ".join(counts)]
        for rule, meaning in RULES.items():
            number = sum(row.rule == rule for row in self.rows)
            lines += [f"  {number} {rule}: {meaning}"] if number else []
        return "\n".join(lines)
