"""What a change of meaning looks like from outside: the native text that it raises."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from ._behaviours import behaviour
from ._intervals import Interval, parsed
from ._tables import rows


class Symptom(NamedTuple):
    """A native error or warning that a change of meaning causes on some releases.

    Attributes:
        behaviour: the id of the change.
        kind: ``"error"`` or ``"warning"``.
        intervals: the releases that raise or emit it: some of those on which the
            behaviour holds, or some of the others.
        text: a regular expression that is found in the message.
    """

    behaviour: str
    kind: str
    intervals: tuple[Interval, ...]
    text: str

    def found_in(self, message: str) -> bool:
        """Whether a message is one of these, wherever its lines are broken."""
        return re.search(self.text, " ".join(message.split())) is not None


def _symptom(behaviour: str, kind: str, releases: list[str], text: str) -> Symptom:
    return Symptom(behaviour, kind, parsed(releases), text)


@cache
def symptoms(id: str | None = None) -> tuple[Symptom, ...]:
    """All symptoms, or those of one change of meaning.

    Raises:
        UnknownFactError: there is no behaviour with this id.

    Example:
        >>> from nnx_compat import facts
        >>> text = "Cannot mutate BatchStat from a different trace level"
        >>> any(symptom.found_in(text) for symptom in facts.symptoms())
        True
    """
    listed = rows("symptoms.toml", "symptom", _symptom)
    if id is None:
        return listed
    known = behaviour(id)
    return tuple(row for row in listed if row.behaviour == known.id)
