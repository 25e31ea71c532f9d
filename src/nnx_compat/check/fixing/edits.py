"""Ranges of a source and what is to stand there, one inside another where need be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

__all__ = ["Edit", "Refused", "applied", "escaped"]


class Refused(Exception):
    """A change cannot be done without losing something; the text says what."""


@dataclass(frozen=True)
class Edit:
    """A range of the source, and what is to stand there.

    Attributes:
        start: an index into the text.
        end: the index behind it.
        template: the new text; fields in braces are parts that stay as they are.
        code: what it is done for.
        parts: the range of each field.
    """

    start: int
    end: int
    template: str
    code: str
    parts: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def is_inside(self, other: Edit) -> bool:
        """Whether it lies in one of the parts that another one leaves."""
        return (self.start, self.end) != (other.start, other.end) and any(
            start <= self.start and self.end <= end
            for start, end in other.parts.values()
        )

    def goes_with(self, other: Edit) -> bool:
        """Whether both can be done: neither cuts through the other."""
        if self.end <= other.start or other.end <= self.start:
            return True
        return self.is_inside(other) or other.is_inside(self)

    def place(self) -> tuple[int, bool, int]:
        """What is inserted goes ahead of what is replaced, the outer one first."""
        return self.start, self.start != self.end, -self.end


def applied(text: str, edits: Iterable[Edit]) -> str:
    """The text with the edits done."""
    return _rendered(text, 0, len(text), sorted(edits, key=Edit.place))


def _rendered(text: str, start: int, end: int, edits: list[Edit]) -> str:
    """A range of the text with the edits inside it done, outermost first."""
    done, at = [], start
    for edit in edits:
        if edit.start < at or edit.end > end:
            continue  # inside one that is done, which takes care of it
        done.append(text[at : edit.start])
        inside = [other for other in edits if other.is_inside(edit)]
        fields = {
            name: _rendered(text, first, last, inside)
            for name, (first, last) in edit.parts.items()
        }
        done.append(edit.template.format(**fields))
        at = edit.end
    done.append(text[at:end])
    return "".join(done)


def escaped(text: str) -> str:
    """Text as a template without fields."""
    return text.replace("{", "{{").replace("}", "}}")
