"""One thing that an audit found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from ..functional import Path

if TYPE_CHECKING:
    from ..revisions.get_value import Leaf

    Leaves: TypeAlias = Mapping[Path, Leaf]

__all__ = ["SEVERITIES", "Finding", "Path"]

#: From what to fix first to what is only worth knowing.
SEVERITIES = ("lost", "wrong", "note")


@dataclass(frozen=True)
class Finding:
    """What an audit found at one place of a model.

    Attributes:
        code: which case it is: ``"lost-child"``, ``"shared-child"``, ``"lost-array"``,
            ``"split-refuses"``, ``"unhashable-graphdef"``, ``"sharding-without-mesh"``,
            ``"fractional-count"``, ``"bare-arrays"``, ``"tied"``; or the id of a
            behaviour of the facts that the model meets on other releases.
        severity: ``"lost"``, ``"wrong"`` or ``"note"``.
        path: from the model to the place, names and indices; ``()`` for all of it.
            ``("act", "__self__")`` is what a bound method in ``act`` is bound to.
        text: what is the matter, in one sentence.
        remedy: what to write instead, ``""`` when nothing is wrong.
    """

    code: str
    severity: str
    path: Path
    text: str
    remedy: str = ""

    def as_json(self) -> dict[str, Any]:
        """As plain data; what is neither a name nor an index in the path as text."""
        path = [key if isinstance(key, (str, int)) else str(key) for key in self.path]
        return {**vars(self), "path": path}
