"""What is being read: it asks for things, and is read again when they change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Union

if TYPE_CHECKING:
    from .program import Unit
    from .values import ClassInfo, Function

__all__ = ["Reader", "Turn"]

Reader = Union["Unit", "Function"]


class Turn:
    """What is being read now: the body of a function, or a file outside of those.

    What a reader asks of classes and functions is noted there, so that it is read again
    when the answer changes, and only then.

    Attributes:
        reader: what is being read.
        several: the classes that stand for several others.
    """

    def __init__(self) -> None:
        self.reader: Reader | None = None
        self.several: dict[frozenset[ClassInfo], ClassInfo] = {}

    def note(self, users: set[Reader]) -> None:
        """Note that what is being read asks for something."""
        if self.reader is not None:
            users.add(self.reader)
