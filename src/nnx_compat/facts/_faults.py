"""What a newer jax broke in an older Flax, and which of our doors repairs it."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from ._intervals import Interval, parsed, within
from ._releases import nearest
from ._tables import lookup, rows

_FILE = "faults.toml"


class Fault(NamedTuple):
    """What raises on pairs of an older Flax and a newer jax that a resolver admits.

    Attributes:
        id: its name in tables and messages, ``"jit-passes-abstracted-axes"``.
        text: one sentence that is true on these pairs and on no other.
        intervals: the releases of Flax.
        jax: a PEP 440 specifier of jax.
        breaks: the public names that raise; ``"import"`` is all of NNX.
        repaired: the doors that work in spite of it: ``"drop-in"``, ``"install"``.
        probe: the function in ``tests/test_faults.py`` that proves it on the installed
            pair.
    """

    id: str
    text: str
    intervals: tuple[Interval, ...]
    jax: str
    breaks: tuple[str, ...]
    repaired: tuple[str, ...]
    probe: str

    def holds(self, version: str, jax: str | None = None) -> bool:
        """Say whether a pair has it.

        Args:
            version: of Flax.
            jax: the version of jax; without it, of one that breaks this.

        Example:
            >>> from nnx_compat import facts
            >>> jit = facts.faults()["jit-passes-abstracted-axes"]
            >>> jit.holds("0.10.2", "0.9.0"), jit.holds("0.10.2", "0.4.37")
            (True, False)
        """
        if not within(nearest(version), self.intervals):
            return False
        return jax is None or admits(self.jax, jax)


def admits(specifier: str, version: str) -> bool:
    """Whether a version, of a release or of a build before one, is in a specifier."""
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(specifier).contains(version, prereleases=True)


def _fault(
    releases: list[str], breaks: list[str], repaired: list[str], **row: str
) -> Fault:
    return Fault(
        intervals=parsed(releases),
        breaks=tuple(breaks),
        repaired=tuple(repaired),
        **row,
    )


@cache
def faults() -> dict[str, Fault]:
    """What a newer jax broke in an older Flax, by id.

    Example:
        >>> from nnx_compat import facts
        >>> facts.faults()["jit-passes-abstracted-axes"].breaks[0]
        'nnx.jit'
    """
    return {fault.id: fault for fault in rows(_FILE, "fault", _fault)}


def fault(id: str) -> Fault:
    """The fault with this id.

    Raises:
        UnknownFactError: there is none; the message lists ids that look alike.
    """
    return lookup(faults(), id, "fault")


class Argument(NamedTuple):
    """An argument that Flax passes on and jax has given up.

    Attributes:
        fault: the id of the fault.
        function: below jax, whose argument it was, ``"jit"``.
        argument: its name.
        modules: the files below ``flax`` that pass it on.
    """

    fault: str
    function: str
    argument: str
    modules: tuple[str, ...]


def _argument(modules: list[str], **row: str) -> Argument:
    return Argument(modules=tuple(modules), **row)


@cache
def arguments() -> tuple[Argument, ...]:
    """The arguments that Flax passes on and jax has given up."""
    return rows(_FILE, "argument", _argument)


class Gone(NamedTuple):
    """A name that Flax takes from jax and that went from there.

    Attributes:
        fault: the id of the fault.
        name: ``"jax.core.Effect"``.
        now: where the same object is, ``""`` where there is none.
    """

    fault: str
    name: str
    now: str


def gone(version: str | None = None, jax: str | None = None) -> tuple[Gone, ...]:
    """The names that went from jax: all, or those that a pair misses.

    Args:
        version: of Flax.
        jax: the version of jax.

    Example:
        >>> from nnx_compat import facts
        >>> [row.name for row in facts.gone("0.10.2", "0.11.0")]
        ['jax.core.get_opaque_trace_state']
    """
    every = _gone()
    if version is None or jax is None:
        return every
    return tuple(row for row in every if fault(row.fault).holds(version, jax))


@cache
def _gone() -> tuple[Gone, ...]:
    return rows(_FILE, "name", Gone)
