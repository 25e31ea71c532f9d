"""A source that is being changed: its text by place, its names, and the edits."""

from __future__ import annotations

import ast
import sys
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from functools import cached_property

from ..sources import Source
from ..syntax import Located, lines_of
from .edits import Edit, Refused, applied, fitting
from .names import Names
from .tokens import Token, outside, tokens

__all__ = ["Draft"]


class Draft:
    """A source that is being changed.

    Args:
        source: the file.
        tree: its syntax tree.

    Attributes:
        lines: of the text, with their ends.
        newline: how its lines end.
        starts: the index at which each line begins, and the length of the text.
        names: what it calls the modules that rewrites need.
        needs: the modules that have to be imported for the edits.
        edits: what is to change; none cuts through another.
    """

    def __init__(self, source: Source, tree: ast.Module) -> None:
        self.source, self.tree = source, tree
        self.text = text = source.text
        self.lines = lines_of(text)
        self.starts = _starts(self.lines)
        self.newline = "\r\n" if self.lines and self.lines[0].endswith("\r\n") else "\n"
        self.names = Names(self.tree)
        self.needs: set[str] = set()
        self.edits: list[Edit] = []
        self.tokens = tokens(text, self.starts)
        self._comments = [t.start for t in self.tokens if t.text.startswith("#")]

    def settle(self) -> None:
        """Leave out the edits that cut through others: a later round has them again."""
        self.edits = fitting(self.edits)

    def applied(self) -> str:
        """The text with all edits done.

        Raises:
            Refused: it would be other code beside the places that are to change.
        """
        text, places = applied(self.text, self.edits)
        after = tokens(text, _starts(lines_of(text)))
        ranges = [(edit.start, edit.end) for edit in self.edits]
        if _texts(outside(self.tokens, ranges)) != _texts(outside(after, places)):
            raise Refused("other code than that of the findings would change")
        return text

    @cached_property
    def alone(self) -> frozenset[int]:
        """The statements, by id, that are the only ones of their block."""
        blocks = (
            getattr(parent, name, None)
            for parent in ast.walk(self.tree)
            for name in ("body", "orelse", "finalbody")
        )
        return frozenset(
            id(block[0])
            for block in blocks
            if isinstance(block, list) and len(block) == 1
        )

    @cached_property
    def long_strings(self) -> tuple[list[int], list[int]]:
        """The first and the last lines of the strings that go over several."""
        spans = sorted(
            (node.lineno, node.end_lineno or node.lineno)
            for node in ast.walk(self.tree)
            if isinstance(node, (ast.Constant, ast.JoinedStr))
            and (node.end_lineno or node.lineno) > node.lineno
            and isinstance(getattr(node, "value", ""), (str, bytes))
        )
        return [first for first, _ in spans], [last for _, last in spans]

    # -- places ---------------------------------------------------------------------

    def at(self, line: int, column: int) -> int:
        """The index of a place that ``ast`` gives: it counts bytes of UTF-8."""
        text = self.lines[line - 1] if self.lines else ""
        if not text.isascii():
            column = len(text.encode()[:column].decode())
        return self.starts[line - 1] + column

    def range(self, node: Located) -> tuple[int, int]:
        """From where to where a node goes."""
        end_line, end_column = node.end_lineno, node.end_col_offset
        assert end_line is not None
        assert end_column is not None
        return self.at(node.lineno, node.col_offset), self.at(end_line, end_column)

    def indent(self, node: Located) -> str:
        """The spaces ahead of the line of a node."""
        line = self.lines[node.lineno - 1]
        return line[: len(line) - len(line.lstrip())]

    def has_comment(
        self, start: int, end: int, but: Iterable[tuple[int, int]] = ()
    ) -> bool:
        """Whether a comment begins in a range, some parts of it left out."""
        left_out = list(but)
        first = bisect_left(self._comments, start)
        last = bisect_left(self._comments, end)
        return any(
            not any(begin <= comment < stop for begin, stop in left_out)
            for comment in self._comments[first:last]
        )

    # -- edits ----------------------------------------------------------------------

    def edit(
        self, whole: Located, template: str, parts: Mapping[str, Located], code: str
    ) -> Edit:
        """An edit that puts a template in the place of a node.

        Raises:
            Refused: a comment would be lost, or it is in an f-string that shows it.
        """
        if id(whole) in self.in_strings:
            self._edit_in_string(whole)
        used = {n: p for n, p in parts.items() if f"{{{n}}}" in template}
        start, end = self.range(whole)
        ranges = {name: self.range(part) for name, part in used.items()}
        if self.has_comment(start, end, but=ranges.values()):
            raise Refused("a comment is in the way")
        template = self.named(template)
        for name, (first, last) in ranges.items():
            if not _is_one_argument(self.text[first:last], used[name]):
                template = template.replace(f"{{{name}}}", f"({{{name}}})")
        return Edit(start, end, template, code, ranges)

    def _edit_in_string(self, whole: Located) -> None:
        """Refuse what an f-string would show, or what is not told where it is."""
        if sys.version_info < (3, 12):
            raise Refused("Python before 3.12 does not say where in an f-string it is")
        ends = self.in_strings[id(whole)]
        if self.text[self.range(ends)[1] :].lstrip()[:1] == "=":
            raise Refused("the f-string shows how it is written")

    @cached_property
    def in_strings(self) -> dict[int, ast.expr]:
        """What is in f-strings, by id, with the whole of what is formatted there."""
        return {
            id(node): formatted.value
            for formatted in ast.walk(self.tree)
            if isinstance(formatted, ast.FormattedValue)
            for node in ast.walk(formatted.value)
        }

    def named(self, template: str) -> str:
        """A template with what the file calls nnx_compat and its namespace."""
        for short, module in (("nc", "nnx_compat"), ("nnx", "nnx_compat.nnx")):
            if f"{{{short}}}" in template:
                name = self.names.of(module)
                if not name:
                    self.needs.add(module)
                    name = self.names.free(short)
                template = template.replace(f"{{{short}}}", name)
        return template


def _texts(some: Iterable[Token]) -> list[str]:
    return [token.text for token in some]


def _starts(lines: Iterable[str]) -> list[int]:
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    return starts


def _is_one_argument(text: str, part: Located) -> bool:
    """Whether code is one argument of a call without further parentheses."""
    if isinstance(part, (ast.Slice, ast.keyword)):
        return True
    try:
        call = ast.parse(f"f({text}\n)", mode="eval").body
    except SyntaxError:
        return isinstance(part, ast.Tuple) and any(
            isinstance(element, ast.Slice) for element in part.elts
        )
    assert isinstance(call, ast.Call)
    return len(call.args) == 1 and not call.keywords
