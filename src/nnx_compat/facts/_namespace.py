"""What the drop-in namespace and ``install`` do with the names and settings of Flax."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from itertools import chain
from typing import NamedTuple

from ._intervals import Interval, parsed, spanning, within
from ._names import name, names
from ._releases import nearest, releases
from ._tables import rows, text

_FILE = "namespace.toml"


class Treatment(NamedTuple):
    """What the drop-in namespace does with a name, beyond passing on what Flax has.

    Attributes:
        name: ``"nnx.Optimizer"``.
        treatment: ``"replaced"``, ``"refused"``, ``"patched"`` or ``"deprecated"``.
        intervals: the releases it is about.
        why: one sentence.
        instead: what to write.
        silent: of a replaced name: what it means in Flax gives another result there,
            and no error.
        derived: of a replaced class: ours derives from Flax's there, and takes what
            that one takes.
    """

    name: str
    treatment: str
    intervals: tuple[Interval, ...]
    why: str
    instead: str
    silent: bool = False
    derived: bool = False


@cache
def treatments() -> dict[str, tuple[Treatment, ...]]:
    """What the drop-in namespace does with names, by name.

    Example:
        >>> from nnx_compat import facts
        >>> {row.treatment for row in facts.treatments()["nnx.Optimizer"]}
        {'replaced'}
    """
    found: dict[str, list[Treatment]] = {}
    typed = rows(_FILE, "name", _of_names)
    derived = rows(_FILE, "constructor", _of_layers)
    for one in chain(*typed, *derived):
        found.setdefault(one.name, []).append(one)
    return {path: tuple(some) for path, some in found.items()}


def _of_names(
    names: list[str],
    treatment: str,
    why: str,
    instead: str = "",
    releases: list[str] | None = None,
    silent: bool = False,
    derived: bool = False,
) -> Iterator[Treatment]:
    for path in names:
        where = parsed(releases) if releases else _where(path, treatment)
        yield Treatment(path, treatment, where, why, instead, silent, derived)


def _where(path: str, treatment: str) -> tuple[Interval, ...]:
    """Those that lack a refused name, those that have a deprecated one."""
    having = treatment == "deprecated"
    row = name(path)
    return spanning([r.version for r in releases() if row.on(r.version) is having])


def _of_layers(names: list[str]) -> Iterator[Treatment]:
    """What ``install`` does with the constructors of layers, by their parameters."""
    served = [release.version for release in releases()]
    for path in names:
        row = name(path)
        having = [version for version in served if row.on(version)]
        lacking = {
            parameter: {v for v in having if not row.on(v, parameter)}
            for parameter in sorted(row.parameters)
            if row.on(served[-1], parameter)
        }
        later = [parameter for parameter, versions in lacking.items() if versions]
        yield Treatment(
            name=f"{path}.__init__",
            treatment="patched",
            intervals=spanning(set[str]().union(*lacking.values())),
            why=f"it does not take {', '.join(later)}",
            instead="",
        )


def treatment(name: str, version: str) -> Treatment | None:
    """What the drop-in namespace does with a name on one release, if it is special.

    A deprecated name is deprecated on every release: code that uses it is to change.
    """
    some = treatments().get(name, ())
    if not some:
        return None
    at = nearest(version)
    for row in some:
        if within(at, row.intervals):
            return row
    return next((row for row in some if row.treatment == "deprecated"), None)


class OlderMeaning(NamedTuple):
    """What a name means on older releases where a door leaves it so.

    Attributes:
        names: whose first use is warned of.
        intervals: the releases it is about.
        why: what differs there from the newest release, in one sentence.
        instead: what to write, to have the same on every release.
        doors: those without the newest meaning: ``"drop-in"``, ``"newest"`` for
            ``install(meaning="newest")``, ``"native"`` for the plain ``install()``.
    """

    names: tuple[str, ...]
    intervals: tuple[Interval, ...]
    why: str
    instead: str
    doors: tuple[str, ...]


def _older_meaning(
    names: list[str],
    releases: list[str],
    why: str,
    instead: str,
    doors: list[str] | None = None,
) -> OlderMeaning:
    every = ("drop-in", "newest", "native")
    where = parsed(releases)
    return OlderMeaning(tuple(names), where, why, instead, tuple(doors or every))


@cache
def older_meanings() -> tuple[OlderMeaning, ...]:
    """Meanings that a door cannot give on some releases, and warns of.

    Example:
        >>> from nnx_compat import facts
        >>> any("nnx.split" in row.names for row in facts.older_meanings())
        True
    """
    return rows(_FILE, "older", _older_meaning)


def older(version: str, door: str) -> dict[str, tuple[OlderMeaning, ...]]:
    """What a door cannot give on one release, by name.

    Through the plain ``install()`` that is also what the drop-in namespace replaces.
    """
    at = nearest(version)
    found: dict[str, tuple[OlderMeaning, ...]] = {}
    some = [row for row in older_meanings() if door in row.doors]
    if door == "native":
        replaced = chain.from_iterable(treatments().values())
        some += [_natively(row) for row in replaced if row.silent]
    for row in some:
        if within(at, row.intervals):
            for path in row.names:
                found[path] = (*found.get(path, ()), row)
    return found


def _natively(row: Treatment) -> OlderMeaning:
    instead = "from nnx_compat import nnx, or nnx_compat.install(meaning='newest')"
    return OlderMeaning((row.name,), row.intervals, row.why, instead, ("native",))


class Parameter(NamedTuple):
    """A parameter that came later, and its values that ask for what was there."""

    name: str
    neutral: tuple[bool, ...]
    why: str
    instead: str


def _parameter(name: str, neutral: list[bool], why: str, instead: str) -> Parameter:
    return Parameter(name, tuple(neutral), why, instead)


@cache
def parameters() -> tuple[Parameter, ...]:
    """Parameters that came later to functions which are older."""
    return rows(_FILE, "parameter", _parameter)


@cache
def backports() -> dict[str, str]:
    """Which file of ``nnx_compat._nnx`` builds a name, by name without ``nnx.``.

    Example:
        >>> from nnx_compat import facts
        >>> facts.backports()["List"].startswith(facts.name("nnx.List").home)
        True
    """
    found: dict[str, str] = json.loads(text("backports.json"))
    return found


@cache
def resolved(version: str) -> tuple[str, ...]:
    """The public names of the newest release that the drop-in namespace has on one.

    Example:
        >>> from nnx_compat import facts
        >>> newest = facts.releases()[-1].version
        >>> len(facts.resolved("0.9.0")) < len(facts.resolved(newest))
        True
    """
    newest = releases()[-1].version
    found = []
    for path in names():
        if path.count(".") != 1 or not name(path).on(newest):
            continue
        row = treatment(path, version)
        if row and row.treatment == "refused":
            continue
        short = path.removeprefix("nnx.")
        if name(path).on(version) or short in backports():
            found.append(short)
    return tuple(found)


class Feature(NamedTuple):
    """What no release before ``since`` can do, and the arguments that ask for it."""

    name: str
    uses: tuple[str, ...]
    since: str
    why: str


def _feature(name: str, uses: list[str], since: str, why: str) -> Feature:
    return Feature(name, tuple(uses), since, why)


@cache
def features() -> tuple[Feature, ...]:
    """What no release before a certain one can do.

    Example:
        >>> from nnx_compat import facts
        >>> [feature.since for feature in facts.features() if feature.name == "prefix"]
        ['0.12.7']
    """
    return rows(_FILE, "feature", _feature)


class Setting(NamedTuple):
    """A setting of ``flax.config`` about NNX.

    Attributes:
        name: as in ``flax.config``.
        value: what a release without it does.
        intervals: the releases that have it.
    """

    name: str
    value: bool
    intervals: tuple[Interval, ...]


def _setting(name: str, value: bool, releases: list[str]) -> Setting:
    return Setting(name, value, parsed(releases))


@cache
def settings() -> tuple[Setting, ...]:
    """Settings of ``flax.config`` about NNX, and what a release without one does.

    Example:
        >>> from nnx_compat import facts
        >>> [row.value for row in facts.settings() if row.name == "nnx_graph_mode"]
        [True]
    """
    return rows(_FILE, "setting", _setting)
