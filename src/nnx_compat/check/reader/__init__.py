"""Reads one file, top to bottom, as Python would, and shows the rules what it meets.

Nothing is imported or run. What is known of values is in ``values``; which releases a
line is reached on is the ``mask`` of the ``Reading``: guards narrow it (``branches``),
and a ``try`` takes the failures that its handlers catch (``failures``). Bodies of
functions are read after the module, as they are called after it.
"""

from __future__ import annotations

import ast

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


def read(path: str, tree: ast.Module) -> Reading:
    r"""Read one module.

    Args:
        path: of the file, for the findings.
        tree: its syntax tree.

    Returns:
        What was found, and the guards that were met.

    Example:
        >>> from nnx_compat.check.reader import read
        >>> tree = ast.parse("from flax import nnx\nnnx.no_such_name")
        >>> [finding.line for finding in read("a.py", tree).findings]
        [1, 2]
    """
    reading = Reading(path, tree)
    reading.block(tree.body)
    while reading.deferred:
        functions.read_body(reading, reading.deferred.popleft())
    return reading
