"""The public names of NNX: which releases have them, and with which parameters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import NamedTuple, TypedDict

from ._intervals import Interval, parsed, within
from ._releases import nearest
from ._tables import lookup, text

_Row = TypedDict(
    "_Row",
    {"in": list[str], "home": str, "parameters": dict[str, list[str]]},
    total=False,
)


class Name(NamedTuple):
    """A public name of NNX: a function, class, module or constant, or a class's member.

    Attributes:
        path: ``"nnx.List"`` or ``"nnx.Variable.get_value"``.
        intervals: the releases that have it.
        parameters: of a callable, each name with the intervals that have it.
        home: the module below ``flax.nnx`` that defines it on the newest release that
            has it, ``"graphlib"`` for ``nnx.split``; ``""`` for a member, a module,
            and what Flax takes from elsewhere.
    """

    path: str
    intervals: tuple[Interval, ...]
    parameters: Mapping[str, tuple[Interval, ...]] = MappingProxyType({})
    home: str = ""

    def on(self, version: str, parameter: str | None = None) -> bool:
        """Say whether ``version`` has this name, or this parameter of it.

        Example:
            >>> from nnx_compat import facts
            >>> facts.name("nnx.merge").on("0.11.1", "copy")
            False
        """
        having = self.intervals
        if parameter is not None:
            having = self.parameters.get(parameter, ())
        return within(nearest(version), having)


@cache
def _names() -> dict[str, _Row]:
    data: dict[str, dict[str, _Row]] = json.loads(text("names.json"))
    return data["names"]


@cache
def names() -> tuple[str, ...]:
    """Every public name and member that some release has, sorted.

    Example:
        >>> from nnx_compat import facts
        >>> "nnx.Linear" in facts.names()
        True
    """
    return tuple(_names())


def name(path: str) -> Name:
    """The facts about one public name of NNX, or about a member of its classes.

    Raises:
        UnknownFactError: no release has it; the message lists names that look alike.

    Example:
        >>> from nnx_compat import facts
        >>> [facts.name("nnx.List").on(flax) for flax in ("0.9.0", "0.10.0", "0.12.0")]
        [True, False, True]
        >>> facts.name("nnx.scan").home
        'transforms.iteration'
    """
    row = lookup(_names(), path, "public name")
    return Name(
        path=path,
        intervals=parsed(row["in"]),
        parameters={p: parsed(i) for p, i in row.get("parameters", {}).items()},
        home=row.get("home", ""),
    )
