"""The object graph walked once, and checked afterwards.

Flax walks a model in Python whenever it is taken apart: some 25 us a Variable. A *plan*
is such a walk remembered: where each container is found, what it held, which of it are
Variables, in the order of the leaves. ``match`` looks whether nodes are still so, which
takes a few C-level passes over all attributes together, and gives the Variables. What
it does not recognise it refuses, and then the walk is done again.

A plan holds no node, no Variable and no array: it knows types, keys and static values.
So it keeps nothing alive, and serves every model of the same structure.
"""

from ._pick import Pick, pick
from ._plan import Leaves, Plan, read, write, write_each
from ._structures import (
    Structure,
    copied,
    mergeable,
    met,
    note_built,
    note_merge,
    note_split,
    note_use,
    updated,
)
from ._walk import OBJECT, Unplanned, Walk

__all__ = [
    "OBJECT", "Leaves", "Pick", "Plan", "Structure", "Unplanned", "Walk", "copied",
    "mergeable", "met", "note_built", "note_merge", "note_split", "note_use", "pick",
    "read", "updated", "write", "write_each",
]  # fmt: skip
