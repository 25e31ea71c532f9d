"""A source that is being changed: its text by place, its names, and the edits."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterable, Mapping

from ..sources import Source
from ..syntax import Located
from .edits import Edit, Refused, applied
from .names import Names

__all__ = ["Draft"]


class Draft:
    """A source that is being changed.

    Args:
        text: the source.

    Attributes:
        lines: of the text, with their ends.
        starts: the index at which each line begins, and the length of the text.
        tree: its syntax tree.
        names: what it calls the modules that rewrites need.
        needs: the modules that have to be imported for the edits.
        edits: what is to change; none cuts through another.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = text.splitlines(keepends=True)
        self.starts = _starts(self.lines)
        self.source = Source("", text)
        self.tree = self.source.tree()
        self.names = Names(self.tree)
        self.needs: set[str] = set()
        self.edits: list[Edit] = []
        self._comments = [
            self.starts[token.start[0] - 1] + token.start[1]
            for token in tokenize.generate_tokens(io.StringIO(text).readline)
            if token.type == tokenize.COMMENT
        ]

    def add(self, edits: Iterable[Edit]) -> None:
        """Take edits, but for those that have the place of one or cut through it."""
        for edit in edits:
            if all(edit.goes_with(other) for other in self.edits):
                self.edits.append(edit)

    def applied(self) -> str:
        """The text with all edits done."""
        return applied(self.text, self.edits)

    # -- places ---------------------------------------------------------------------

    def at(self, line: int, column: int) -> int:
        """The index of a place that ``ast`` gives: it counts bytes of UTF-8."""
        encoded = self.lines[line - 1].encode()[:column] if self.lines else b""
        return self.starts[line - 1] + len(encoded.decode())

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
        return any(
            start <= comment < end
            and not any(first <= comment < last for first, last in left_out)
            for comment in self._comments
        )

    # -- edits ----------------------------------------------------------------------

    def edit(
        self, whole: Located, template: str, parts: Mapping[str, Located], code: str
    ) -> Edit:
        """An edit that puts a template in the place of a node.

        Raises:
            Refused: a comment would be lost.
        """
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
