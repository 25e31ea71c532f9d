"""The tokens of a source by place: what is outside of all edits has to stay."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

__all__ = ["Token", "outside", "tokens"]

#: Tokens that say nothing of themselves: spaces, ends of lines, the end of the file.
_LAYOUT = frozenset(
    (tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
     tokenize.ENDMARKER, tokenize.ENCODING)
)  # fmt: skip


class Token(NamedTuple):
    """A token: from which index of the text to which, and what it is."""

    start: int
    end: int
    text: str


def tokens(text: str, starts: Sequence[int]) -> list[Token]:
    """The tokens of a source.

    Args:
        text: of the source.
        starts: the index at which each of its lines begins.
    """

    def at(place: tuple[int, int]) -> int:
        return starts[place[0] - 1] + place[1]

    # as ast has it, a carriage return alone ends a line; of the same length
    lines = io.StringIO(re.sub("\r(?!\n)", "\n", text))
    return [
        Token(at(t.start), at(t.end), t.string)
        for t in tokenize.generate_tokens(lines.readline)
        if t.type not in _LAYOUT
    ]  # fmt: skip


def outside(
    some: Iterable[Token], ranges: Iterable[tuple[int, int]]
) -> Iterator[Token]:
    """The tokens that are not wholly inside one of the ranges.

    Args:
        some: in the order of the text.
        ranges: in the same order; one may be inside the one before it.
    """
    rest = iter(ranges)
    start, end = next(rest, (0, 0))
    for token in some:
        while end <= token.start:
            following = next(rest, None)
            if following is None:
                break
            start, end = max(following, (start, end), key=lambda place: place[1])
        if not (start <= token.start and token.end <= end):
            yield token
