"""What the new source is to run on, and what may be done for it."""

from __future__ import annotations

from .. import declared, releases
from ..rewrites import Rewrite

__all__ = ["Aim"]


class Aim:
    """What the new source is to run on, and what may be done for it.

    Args:
        to: as in ``fix_source``.
        only: the codes of the rules to apply; all when there are none.
        unsafe: whether a change may mean something else for some values.
        within: the releases that the portable form is for, as bits; all for none.

    Attributes:
        portable: whether it is to run with nnx_compat.
        mask: the releases that it is to run on, as bits.
    """

    def __init__(
        self, to: str, only: frozenset[str], unsafe: bool, within: int = 0
    ) -> None:
        self.portable = to == "portable"
        self.only, self.unsafe = only, unsafe
        if self.portable:
            self.mask = within or releases.ALL
        elif to == "newest":
            self.mask = 1 << releases.ALL.bit_length() - 1
        else:
            self.mask = declared.target(to).mask

    def wants(self, code: str) -> bool:
        """Whether a rule is to be applied."""
        return not self.only or code in self.only

    def template(self, rewrite: Rewrite) -> str:
        """The form of a rewrite that runs where it is to run, ``""`` for none."""
        if rewrite.unsafe and not self.unsafe:
            return ""
        if self.portable:
            return rewrite.portable
        return rewrite.native if not self.mask & ~rewrite.since else ""
