"""Ranges of a source and what is to stand there, one inside another where need be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

__all__ = ["Edit", "Refused", "applied", "escaped", "fitting"]


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

    def place(self) -> tuple[int, bool, int]:
        """What is inserted goes ahead of what is replaced, the outer one first."""
        return self.start, self.start != self.end, -self.end


def fitting(edits: Iterable[Edit]) -> list[Edit]:
    """The edits that can be done together, in their order of places.

    Of two that cut through each other the outer one is done, and the next round of
    reading shows the other again.
    """
    found: list[Edit] = []
    around: list[Edit] = []
    for edit in sorted(edits, key=Edit.place):
        while around and around[-1].end <= edit.start:
            around.pop()
        if not around or edit.is_inside(around[-1]):
            found.append(edit)
            if edit.end > edit.start:
                around.append(edit)
    return found


def applied(text: str, edits: Iterable[Edit]) -> tuple[str, list[tuple[int, int]]]:
    """The text with the edits done, and where in it the outermost ones are now."""
    done, at, size = list[str](), 0, 0
    places = []
    for edit, inside in _nested(fitting(edits)):
        done.append(text[at : edit.start])
        new = _rendered(text, edit, inside)
        size += edit.start - at
        places.append((size, size + len(new)))
        size += len(new)
        done.append(new)
        at = edit.end
    done.append(text[at:])
    return "".join(done), places


def _nested(edits: list[Edit]) -> list[tuple[Edit, list[Edit]]]:
    """The outermost of some sorted edits, each with those inside it."""
    outermost: list[tuple[Edit, list[Edit]]] = []
    for edit in edits:
        if outermost and edit.start < outermost[-1][0].end:
            outermost[-1][1].append(edit)
        else:
            outermost.append((edit, []))
    return outermost


def _rendered(text: str, edit: Edit, inside: list[Edit]) -> str:
    """What stands in the place of an edit, the edits inside it done."""
    fields = {}
    for name, (first, last) in edit.parts.items():
        done, at = list[str](), first
        here = [other for other in inside if first <= other.start and other.end <= last]
        for other, deeper in _nested(here):
            done += (text[at : other.start], _rendered(text, other, deeper))
            at = other.end
        fields[name] = "".join([*done, text[at:last]])
    return edit.template.format(**fields)


def escaped(text: str) -> str:
    """Text as a template without fields."""
    return text.replace("{", "{{").replace("}", "}}")
