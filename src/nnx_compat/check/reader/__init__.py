"""Reads one file, top to bottom, as Python would, and shows the rules what it meets.

Nothing is imported or run. What is known of values is in ``values``; which releases a
line is reached on is the ``mask`` of the ``Reading``: guards narrow it (``branches``),
and a ``try`` takes the failures that its handlers catch (``failures``). Bodies of
functions are read after the module, as they are called after it.
"""

from __future__ import annotations

from .. import events, releases
from ..program import Program, Unit

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
from .reading import Guard, Reading

__all__ = ["Guard", "Reading", "read"]

#: How often a file is read at most: each time more is known of what its functions are
#: given and give back. What is found in the last round stands.
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
    waiting = set(program.units)
    for _ in range(_ROUNDS):
        program.stale = set()
        some = [unit for unit in program.units if unit in waiting]
        readings = [_read_module(program, unit) for unit in some]
        for reading in readings:
            while reading.deferred:
                functions.read_body(reading, reading.deferred.popleft())
        waiting = program.stale
        if not waiting:
            break
    return [unit.reading for unit in program.units if unit.reading is not None]


def _read_module(program: Program, unit: Unit) -> Reading:
    reading = unit.reading = Reading(unit, program)
    before = unit.exports
    unit.exports = reading.scope.values  # of what imports it while it is being read
    treated = reading.scope.treated = events.Treated(unit.tree)
    reading.block(unit.tree.body)
    reading.mask = releases.ALL
    reading.show(treated)
    if before != unit.exports:
        program.stale |= unit.importers
    return reading
