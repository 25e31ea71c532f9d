"""Reads one file, top to bottom, as Python would, and shows the rules what it meets.

Nothing is imported or run. What is known of values is in ``values``; which releases a
line is reached on is the ``mask`` of the ``Reading``: guards narrow it (``branches``),
and a ``try`` takes the failures that its handlers catch (``failures``). Bodies of
functions are read after the module, as they are called after it.
"""

from __future__ import annotations

from .. import events, releases
from ..program import Program, Unit
from ..values import Function

# each registers what it reads
from . import (  # noqa: F401
    assignments,
    branches,
    calls,
    classes,
    expressions,
    failures,
    functions,
    imports,
    statements,
)  # fmt: skip
from .reading import Body, Guard, Reading
from .scopes import Scope

__all__ = ["Guard", "Reading", "read"]

#: How often a body is read at most: each time more is known of what functions are
#: given and give back. What is found when it is read last stands.
_ROUNDS = 5


def read(program: Program) -> list[Reading]:
    r"""Read all files of a program, until nothing more becomes known.

    Args:
        program: the files.

    Returns:
        What was found in each, and the guards that were met.

    Example:
        >>> from nnx_compat.check.program import Program
        >>> from nnx_compat.check.reader import read
        >>> from nnx_compat.check.sources import Source
        >>> source = Source("a.py", "from flax import nnx\nnnx.no_such_name")
        >>> [reading] = read(Program([source]))
        >>> [finding.line for finding in reading.findings]
        [1, 2]
    """
    program.stale |= set(program.units)
    for _ in range(_ROUNDS):
        _read_files(program)
        for unit in program.units:
            if unit.reading is not None:
                _read_functions(program, unit.reading)
        if not program.stale:
            break
    readings = [unit.reading for unit in program.units if unit.reading is not None]
    for reading in readings:
        reading.finish()
    program.turn.reader = None
    return readings


def _read_files(program: Program) -> None:
    """Read files outside of functions, until those that import each other agree."""
    for _ in range(_ROUNDS):
        some = [unit for unit in program.units if unit in program.stale]
        for unit in some:
            _read_file(program, unit)
        if not some:
            break


def _read_file(program: Program, unit: Unit) -> None:
    """Read a file outside of functions."""
    reading = unit.reading
    if reading is None:
        reading = unit.reading = Reading(unit, program)
    last, before = reading.file, unit.exports
    reading.scope = reading.outermost = Scope()
    reading.file = Body(None, reading.outermost)
    reading.begin(reading.file, unit)
    unit.exports = reading.scope.values  # of what imports it while it is being read
    treated = reading.scope.treated = events.Treated(unit.tree)
    reading.whole(unit.tree.body)
    reading.mask = releases.ALL
    reading.show(treated)
    if before != unit.exports:
        program.stale |= unit.users
    if last.is_read and last.sees_what(reading.file):
        reading.file.inner = last.inner


def _read_functions(program: Program, reading: Reading) -> None:
    """Read the functions that were not read, or for which something is new."""
    again = set[Function]()
    for body in reading.bodies():
        function = body.function
        if function is None:
            continue
        if function in program.stale:
            again.add(function)  # a lambda can be met twice
        if function in again or not body.is_read:
            functions.read_body(reading, body)
