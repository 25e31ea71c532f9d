"""What the facts say of names, parameters and behaviours, as sets of releases."""

from __future__ import annotations

from functools import cache

from .. import facts
from . import releases

__all__ = [
    "bases", "behaviour", "inside", "member", "module", "name", "named", "native", "on",
    "outside", "provided", "takes",
]  # fmt: skip


@cache
def name(path: str) -> facts.Name | None:
    """The row of a name or a member, if any release has it."""
    return facts.name(path) if path in _known() else None


@cache
def _known() -> frozenset[str]:
    return frozenset(facts.names())


@cache
def behaviour(id: str) -> int:
    """The releases on which a change of meaning holds."""
    return releases.of(facts.behaviour(id).intervals)


@cache
def on(path: str) -> int:
    """The releases that have a name or a member."""
    row = name(path)
    return 0 if row is None else releases.of(row.intervals)


@cache
def member(path: str) -> int:
    """The releases whose instances have a member, though the class may not show it."""
    more = facts.instance_member(path)
    return on(path) | (0 if more is None else releases.of(more))


@cache
def outside(path: str) -> int:
    """The releases where flax has a name outside of NNX, or always as far as known."""
    where = facts.outside(path)
    return releases.ALL if where is None else releases.of(where)


@cache
def inside(path: str) -> int | None:
    """The releases where a module inside NNX has a name, as far as that differs."""
    where = facts.inside(path)
    return None if where is None else releases.of(where)


@cache
def module(path: str) -> int:
    """The releases where a module inside NNX can be imported by its path."""
    where = facts.module(path)
    return releases.ALL if where is None else releases.of(where)


@cache
def bases(*paths: str) -> int:
    """The releases where a class can have these bases, in this order."""
    where = facts.bases(*paths)
    return releases.ALL if where is None else releases.of(where)


@cache
def provided(path: str) -> int:
    """The releases on which nnx_compat's namespace has a name."""
    mask = on(path)
    if path.removeprefix("nnx.") in facts.backports():
        mask = releases.ALL
    return mask & ~_treated(path, "refused")


@cache
def native(path: str) -> int:
    """The releases on which nnx_compat's name is Flax's own, or a class like it."""
    rows = facts.treatments().get(path, ())
    ours = [r for r in rows if r.treatment == "replaced" and not r.derived]
    return on(path) & ~releases.of(tuple(i for row in ours for i in row.intervals))


def _treated(path: str, treatment: str) -> int:
    mask = 0
    for row in facts.treatments().get(path, ()):
        if row.treatment == treatment:
            mask |= releases.of(row.intervals)
    return mask


@cache
def named(path: str, parameter: str) -> int:
    """The releases where a callable has a parameter of this very name."""
    row = name(path)
    return 0 if row is None else releases.of(row.parameters.get(parameter, ()))


@cache
def takes(path: str, parameter: str) -> int:
    """The releases where a callable has a parameter, or takes any by keyword."""
    row = name(path)
    if row is None:
        return 0
    mask = named(path, parameter)
    for key, intervals in row.parameters.items():
        if key.startswith("**"):
            mask |= releases.of(intervals)
    return mask
