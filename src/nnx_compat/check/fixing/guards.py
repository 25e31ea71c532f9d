"""Guards that have become needless: the branch that is always taken stays alone."""

from __future__ import annotations

import ast
import re
import textwrap
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

from ..reader import Guard
from .draft import Draft
from .edits import Edit, Refused, escaped

__all__ = ["dropped_guards"]


def dropped_guards(draft: Draft, guards: Iterable[Guard], mask: int) -> Iterator[Edit]:
    """Drop the guards that go one way on all releases of a set."""
    for guard in guards:
        true, false = guard.true & mask, guard.false & mask
        if bool(true) != bool(false):
            try:
                yield _dropped(draft, guard.node, bool(true))
            except Refused:
                continue  # the guard stays, which is right on every release


def _dropped(draft: Draft, node: ast.If | ast.IfExp, holds: bool) -> Edit:
    if isinstance(node, ast.IfExp):
        chosen = node.body if holds else node.orelse
        return draft.edit(node, "{x}", {"x": chosen}, "GUARD")
    start, end = draft.range(node)
    if draft.text[start : start + 4] == "elif":
        raise Refused("it is one of several branches")
    body = node.body if holds else node.orelse
    if not body and id(node) not in draft.alone:
        first, last = node.lineno - 1, node.end_lineno or node.lineno
        return Edit(draft.starts[first], draft.starts[last], "", "GUARD")
    text = _remaining(draft, node, body, end) if body else "pass"
    if body and draft.range(body[-1])[1] != end:
        end += _comment_behind(draft, node, end)  # of the branch that goes
    return Edit(start, end, escaped(text), "GUARD")


def _comment_behind(draft: Draft, node: ast.If, end: int) -> int:
    """How long a comment on the last line of a statement is, with what is ahead."""
    rest = draft.text[end : draft.starts[node.end_lineno or node.lineno]].rstrip()
    return len(rest) if rest.lstrip().startswith("#") else 0


def _remaining(draft: Draft, node: ast.If, body: list[ast.stmt], end: int) -> str:
    """The text of a branch in the place of the whole statement."""
    first = draft.range(body[0])[0]
    if draft.text[first : first + 4] == "elif":
        return draft.text[first + 2 : end]
    return _dedented(draft, node, body, end)


def _dedented(draft: Draft, node: ast.If, body: list[ast.stmt], end: int) -> str:
    indent = draft.indent(node)
    last = body[-1].end_lineno or body[-1].lineno
    first = body[0].lineno
    if draft.indent(body[0]) == indent:  # on the line of the condition
        return draft.text[draft.range(body[0])[0] : draft.range(body[-1])[1]]
    if _cuts_a_string(draft, first, last):
        raise Refused("a string over several lines is in the way")
    while first - 1 > node.lineno and draft.lines[first - 2].lstrip()[:1] == "#":
        first -= 1  # comments ahead of the first statement
    # a comment behind the last line goes with it, or is behind the whole and stays
    is_last = draft.range(body[-1])[1] == end
    stop = end if is_last else draft.starts[last]
    text = draft.text[draft.starts[first - 1] : stop].rstrip("\r\n")
    if _ODD.search(text):
        raise Refused("it has separators of lines that are none to Python")
    return textwrap.indent(textwrap.dedent(text), indent)[len(indent) :]


#: What ``textwrap`` takes for the end of a line, and Python does not.
_ODD = re.compile("[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")


def _cuts_a_string(draft: Draft, first: int, last: int) -> bool:
    """Whether a string over several lines is among the lines."""
    begins, ends = draft.long_strings
    # nested ones, as in f-strings, begin and end within the outermost
    return bisect_left(begins, last) > bisect_right(ends, first)
