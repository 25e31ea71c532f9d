"""How NNX is used: members of instances, calls, bases, names beside and inside NNX."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, NamedTuple

from ._intervals import Interval, parsed
from ._tables import text

__all__ = [
    "Call", "bases", "call", "inside", "instance_member", "module", "outside", "reads",
]  # fmt: skip


@cache
def _uses() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text("uses.json"))
    return found


def _where(section: str, key: str) -> tuple[Interval, ...] | None:
    row = _uses()[section].get(key)
    return None if row is None else parsed(row)


def instance_member(path: str) -> tuple[Interval, ...] | None:
    """Where an instance has a member that its class does not show.

    Args:
        path: as in ``names.json``: ``"nnx.Dropout.rate"``.

    Returns:
        The releases; ``None`` when the class shows all that there is.

    Example:
        >>> from nnx_compat import facts
        >>> facts.worded(facts.instance_member("nnx.Dropout.rate"))
        'every release'
    """
    return _where("members", path)


class Call(NamedTuple):
    """How something of NNX is called.

    Attributes:
        intervals: the releases that have it.
        most: how many arguments go by position, and where.
        needed: the parameters without a default, and where they have none.
        named: of a method, its parameters, and where it has them.
        swallows: where it takes any keyword.
        order: the parameters that go by position on the newest release that has it.
    """

    intervals: tuple[Interval, ...]
    most: dict[int, tuple[Interval, ...]]
    needed: dict[str, tuple[Interval, ...]]
    named: dict[str, tuple[Interval, ...]]
    swallows: tuple[Interval, ...]
    order: tuple[str, ...]


@cache
def call(path: str) -> Call | None:
    """How something of NNX is called: a function, a class, a method, an instance.

    Args:
        path: ``"nnx.static"``, ``"nnx.Sequential.__call__"``.

    Example:
        >>> from nnx_compat import facts
        >>> facts.call("nnx.metrics.Average.update").order
        ('mask',)
    """
    row = _uses()["calls"].get(path)
    if row is None:
        return None
    return Call(
        intervals=parsed(row["in"]),
        most={int(count): parsed(where) for count, where in row["most"].items()},
        needed={name: parsed(where) for name, where in row["needed"].items()},
        named={name: parsed(where) for name, where in row.get("named", {}).items()},
        swallows=parsed(row.get("any", ())),
        order=tuple(row["order"]),
    )


def reads(path: str) -> dict[str, tuple[Interval, ...]]:
    """Which attributes ``__call__`` of a layer reads that its ``__init__`` sets.

    Example:
        >>> from nnx_compat import facts
        >>> facts.worded(facts.reads("nnx.Embed")["embedding"])
        'every release'
    """
    return {name: parsed(row) for name, row in _uses()["reads"].get(path, {}).items()}


def outside(path: str) -> tuple[Interval, ...] | None:
    """Where flax has a name outside of NNX; ``None`` for everywhere, or unknown.

    Example:
        >>> from nnx_compat import facts
        >>> facts.outside("flax.linen.Module") is None
        True
    """
    return _where("flax", path)


def module(path: str) -> tuple[Interval, ...] | None:
    """Where a module inside NNX can be imported by its path; ``None`` if never.

    Args:
        path: behind the root of NNX, as in ``import flax.nnx.statelib``.

    Example:
        >>> from nnx_compat import facts
        >>> facts.module("nnx.no_such_module") is None
        True
    """
    return _where("modules", path)


def inside(path: str) -> tuple[Interval, ...] | None:
    """Where a module inside NNX has a name; ``None`` for wherever the module is.

    Example:
        >>> from nnx_compat import facts
        >>> facts.worded(facts.inside("nnx.object.ObjectState"))
        '0.10.0-0.11.0'
    """
    return _where("inside", path)


def bases(*paths: str) -> tuple[Interval, ...] | None:
    """Where a class can have these bases in this order; ``None`` for everywhere.

    Example:
        >>> from nnx_compat import facts
        >>> facts.worded(facts.bases("abc.ABC", "nnx.Module"))
        'from 0.10.3'
    """
    return _where("bases", ", ".join(paths))
