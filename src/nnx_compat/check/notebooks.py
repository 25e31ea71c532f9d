"""Notebooks as one module, and back: a line ahead of each cell says which it is.

What is no Python stands in the module as a statement with a comment that numbers it:
line magics, commands of the shell, questions. Cells of another language, and those that
are no Python, are left out.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .syntax import lines_of

__all__ = ["Cells", "parted", "read", "restored", "starts_of"]

_CELL = "# nnx-compat: cell {}"
_HEAD = re.compile(r"^# nnx-compat: cell (\d+)$", re.MULTILINE)
_MAGIC = re.compile(r"^(.*?)  # nnx-compat: magic (\d+)$")
#: Magics that run the Python behind them.
_RUNS = r"%(?:time|timeit|prun|memit|lprun)\b(?:\s+-\w+(?:\s+\d+)?)*\s+"
_LINE = re.compile(rf"^(\s*)({_RUNS})(?=\S)")
_ASSIGNED = re.compile(rf"^(\s*[\w., ()\[\]]+=\s*)({_RUNS})(?=\S)")
_SHELL = re.compile(r"^(\s*[\w., ()\[\]]+=\s*)[!%]")
_CELL_RUNS = re.compile(r"^%%(?:time|timeit|capture|prun|memit)\b")


@dataclass
class Cells:
    """The code cells of a notebook, one after the other.

    Attributes:
        text: the module.
        starts: the cell and the first line in ``text`` of each.
        magics: the lines that are no Python, as they are written.
        bad: the cells that are no Python, and why.
    """

    text: str = ""
    starts: tuple[tuple[int, int], ...] = ()
    magics: list[str] = field(default_factory=list)
    bad: list[tuple[int, str]] = field(default_factory=list)


def read(notebook: Mapping[str, Any]) -> Cells:
    """Put the code cells together.

    Args:
        notebook: the JSON of the file.
    """
    found, parts, starts, line = Cells(), list[str](), list[tuple[int, int]](), 1
    for number, cell in enumerate(notebook["cells"], 1):
        if cell["cell_type"] != "code":
            continue
        given = cell["source"]
        text = given if isinstance(given, str) else "".join(given)
        first = text.lstrip()
        if first.startswith("%%") and not _CELL_RUNS.match(first):
            continue  # another language, or a whole cell handed to a magic
        code = _as_python(lines_of(text), found.magics)
        try:
            ast.parse(code)
        except (SyntaxError, ValueError, RecursionError) as error:
            found.bad.append((number, str(getattr(error, "msg", error))))
            continue
        code = code if code.endswith("\n") or not code else code + "\n"
        starts.append((number, line + 1))
        parts.append(f"{_CELL.format(number)}\n{code}")
        line += 1 + len(lines_of(code))
    found.text, found.starts = "".join(parts), tuple(starts)
    return found


def _as_python(lines: list[str], magics: list[str]) -> str:
    """The lines of a cell, each that is no Python as a statement."""
    done, goes_on, inside = list[str](), False, False
    for whole in lines:
        line = whole.rstrip("\r\n")
        end = whole[len(line) :]
        plain = _statement(line) if not inside else None
        if goes_on:
            plain = ""
        if plain is None:
            done.append(whole)
            inside = _is_open(done)
            continue
        goes_on = line.endswith("\\") and plain in ("", "pass")
        magics.append(line)
        done.append(f"{plain}  # nnx-compat: magic {len(magics) - 1}{end}")
    return "".join(done)


def _is_open(lines: list[str]) -> bool:
    """Whether a string over several lines is open, in which nothing is a magic."""
    text = "".join(lines[-200:])
    return text.count('"""') % 2 == 1 or text.count("'''") % 2 == 1


def _statement(line: str) -> str | None:
    """A statement of the same length in the place of a magic, ``None`` for Python."""
    stripped = line.lstrip()
    indent = line[: len(line) - len(stripped)]
    if found := _LINE.match(line):
        return f"{indent}{'_ ='.ljust(len(found[2]))}{line[found.end() :]}"
    if found := _ASSIGNED.match(line):
        return f"{found[1]}{' ' * len(found[2])}{line[found.end() :]}"
    if found := _SHELL.match(line):
        return f"{found[1]}None"
    if stripped[:1] in ("%", "!", "?") or (
        stripped.endswith("?") and "#" not in stripped
    ):
        return f"{indent}pass"
    return None


def starts_of(text: str) -> tuple[tuple[int, int], ...]:
    """The cell and the first line of each, in a module that has been changed."""
    found = enumerate(lines_of(text), 1)
    heads = ((line, _HEAD.match(one.rstrip("\r\n"))) for line, one in found)
    return tuple((int(head[1]), line + 1) for line, head in heads if head)


def parted(text: str) -> dict[int, str]:
    """The code of each cell, by its number.

    Raises:
        ValueError: the lines that say which cell it is are not there any more.
    """
    pieces = _HEAD.split(text)
    if pieces[0]:
        raise ValueError("code has come ahead of the first cell")
    numbers = [int(number) for number in pieces[1::2]]
    return {n: code[1:] for n, code in zip(numbers, pieces[2::2], strict=True)}


def restored(code: str, magics: list[str]) -> str:
    """The code of a cell, with its magics back."""
    done = []
    for whole in lines_of(code):
        line = whole.rstrip("\r\n")
        found = _MAGIC.match(line)
        if found:
            done.append(_magic(found[1], magics[int(found[2])]) + whole[len(line) :])
        else:
            done.append(whole)
    return "".join(done)


def _magic(statement: str, magic: str) -> str:
    """A magic as it was, with the Python in it as it is now."""
    if statement == _statement(magic) or _statement(magic) in (None, ""):
        return magic
    found = _LINE.match(magic)
    if found:
        return found[0] + statement.partition("=")[2].lstrip()
    found = _ASSIGNED.match(magic)
    return magic if found is None else f"{found[0]}{statement[found.end() :].lstrip()}"
