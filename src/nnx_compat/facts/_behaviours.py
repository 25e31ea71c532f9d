"""Changes of meaning: what the same call does on some releases and not on others."""

from __future__ import annotations

from functools import cache, partial
from typing import NamedTuple

from ._intervals import Interval, parsed, within
from ._releases import nearest
from ._tables import lookup, rows


class Behaviour(NamedTuple):
    """One change of meaning: the same call does something else on other releases.

    Attributes:
        id: its name in tables and messages, ``"split-shares-variables"``.
        area: what it is about: split, merge, state, update, clone, pop, rngs, ...
        text: one sentence that is true on the releases of ``intervals`` and no other.
        intervals: the releases on which it holds.
        remedy: what nnx-compat does about it.
        probe: the function in ``tests/test_behaviours.py`` that proves it on the
            installed release.
        jax: a PEP 440 specifier of the jax that it needs besides, or ``""``.
    """

    id: str
    area: str
    text: str
    intervals: tuple[Interval, ...]
    remedy: str
    probe: str
    jax: str = ""

    def holds(self, version: str, jax: str | None = None) -> bool:
        """Say whether it holds on a release of Flax, or on a build of one.

        Args:
            version: of Flax.
            jax: the version of jax; without it, what jax causes is taken to hold.

        Example:
            >>> from nnx_compat import facts
            >>> facts.behaviour("merge-shares-variables").holds("0.11.2")
            True
        """
        if not within(nearest(version), self.intervals):
            return False
        if not self.jax or jax is None:
            return True
        from packaging.specifiers import SpecifierSet

        return SpecifierSet(self.jax).contains(jax, prereleases=True)


def _behaviour(releases: list[str], **row: str) -> Behaviour:
    return Behaviour(intervals=parsed(releases), **row)


@cache
def _behaviours() -> dict[str, Behaviour]:
    return {b.id: b for b in rows("behaviours.toml", "behaviour", _behaviour)}


def behaviours(
    version: str | None = None, jax: str | None = None
) -> tuple[Behaviour, ...]:
    """All changes of meaning, or those that hold on one release of Flax, with one jax.

    Example:
        >>> from nnx_compat import facts
        >>> len(facts.behaviours()) >= 30
        True
    """
    known = _behaviours().values()
    return tuple(b for b in known if version is None or b.holds(version, jax))


def behaviour(id: str) -> Behaviour:
    """The change of meaning with this id.

    Raises:
        UnknownFactError: there is none; the message lists ids that look alike.

    Example:
        >>> from nnx_compat import facts
        >>> facts.behaviour("merge-shares-variables").area
        'merge'
    """
    return lookup(_behaviours(), id, "behaviour")


@cache
def internals() -> dict[str, Behaviour]:
    """What differs inside Flax, by id: for the backports, which have to know it.

    Example:
        >>> from nnx_compat import facts
        >>> facts.internals()["sequential-is-a-list"].holds("0.9.0")
        False
    """
    build = partial(_behaviour, area="internals", remedy="")
    return {b.id: b for b in rows("internals.toml", "internal", build)}


class Spelling(NamedTuple):
    """How an operation is spelled natively on some releases; ``""`` for not at all."""

    operation: str
    intervals: tuple[Interval, ...]
    native: str


def _spelling(operation: str, releases: list[str], native: str) -> Spelling:
    return Spelling(operation, parsed(releases), native)


@cache
def spellings() -> tuple[Spelling, ...]:
    """How each stable operation is spelled natively, by release.

    Example:
        >>> from nnx_compat import facts
        >>> "split" in {spelling.operation for spelling in facts.spellings()}
        True
    """
    return rows("spellings.toml", "spelling", _spelling)
