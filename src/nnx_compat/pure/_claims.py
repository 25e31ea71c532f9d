"""Which step has which Variables: two would overwrite each other's work."""

from __future__ import annotations

import weakref

from ..errors import DonatedError
from ..functional import show
from ._cells import Cells

_claims: weakref.WeakSet[Claim] = weakref.WeakSet()


class Claim:
    """A step's on the Variables of its nodes, from when it is made until it is synced.

    One whose Variables were all written to by others since has lost it.

    Args:
        cells: where the step's leaves are stored.
        borrower: whose markers are in the Variables while they are lent.
        step: what it is called in the error.

    Raises:
        DonatedError: another step has one of the Variables.
    """

    def __init__(self, cells: Cells, borrower: object, step: str) -> None:
        self._cells = cells
        self._borrower = borrower
        self._step = step
        self._ids = {id(found): path for path, found in cells.variables.items()}
        self._holds = False
        self.take()

    def take(self) -> None:
        """Claim the Variables, unless they are claimed by this step already."""
        if self._holds:
            return
        for other in tuple(_claims):
            self._check_apart(other)
        _claims.add(self)
        self._holds = True

    def release(self) -> None:
        """Let another step have the Variables."""
        self._holds = False

    def _check_apart(self, other: Claim) -> None:
        shared = self._ids.keys() & other._ids.keys()
        if not (shared and other._holds):
            return
        written = {new.path for new in other._cells.written(other._borrower)}
        paths = sorted(
            show(self._ids[number])
            for number in shared
            if other._ids[number] not in written
        )
        if paths:
            more = f" and {len(paths) - 3} more" if paths[3:] else ""
            raise DonatedError(
                f"{self._step} was to be run on Variables that {other._step} has: "
                f"{', '.join(paths[:3])}{more}",
                instead="sync() the other step first, which releases them",
                otherwise="one function that does both, in one step",
            )
