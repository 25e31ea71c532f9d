"""What is true of each Flax release: data and its queries. Imports no flax, no jax.

Five files hold the facts: ``releases.toml`` (one row a release, with the jax range
measured to work), ``names.json`` (generated: every public NNX name, member and
parameter with its intervals of releases, and the home of each name),
``behaviours.toml`` (one entry per change of meaning), ``spellings.toml`` (how each
stable operation is written natively) and ``namespace.toml`` (what the drop-in namespace
does with a name). Each fact is proved by a probe of the test-suite on every release of
the matrix.

    >>> from nnx_compat import facts
    >>> facts.release("0.8.5").revision
    'variable_state'
    >>> facts.name("nnx.List").intervals
    (Interval(first='0.8.3', last='0.9.0'), Interval(first='0.12.0', last=None))
    >>> facts.behaviour("split-shares-variables").holds("0.10.7")
    False
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import UnknownFactError

__all__ = [
    "Behaviour",
    "Companion",
    "Feature",
    "Interpreter",
    "Interval",
    "Name",
    "Parameter",
    "Release",
    "Revision",
    "Spelling",
    "Treatment",
    "backports",
    "behaviour",
    "behaviours",
    "companions",
    "features",
    "internals",
    "interpreters",
    "name",
    "names",
    "nearest",
    "parameters",
    "release",
    "releases",
    "resolved",
    "revisions",
    "spellings",
    "treatment",
    "treatments",
]

_HERE = Path(__file__).parent


def _read_toml(text: str) -> dict[str, list[dict[str, Any]]]:
    """Read the TOML subset of our data: ``[[table]]`` rows of one-line JSON literals.

    Python 3.10 has no tomllib, and the library has no dependency that parses TOML. A
    test holds this reader to tomllib on every file it reads.
    """
    tables: dict[str, list[dict[str, Any]]] = {}
    row: dict[str, Any] = {}
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[["):
            row = {}
            tables.setdefault(line.strip("[]"), []).append(row)
        elif line and not line.startswith("#"):
            key, _, literal = line.partition(" = ")
            row[key] = json.loads(literal)
    return tables


class Interval(NamedTuple):
    """The releases ``first`` to ``last``, both included; ``last=None`` has no end yet.

    Example:
        >>> from nnx_compat.facts import Interval
        >>> str(Interval("0.8.3", "0.9.0")), "0.8.5" in Interval("0.8.3", None)
        ('0.8.3-0.9.0', True)
    """

    first: str
    last: str | None

    def __str__(self) -> str:
        if self.first == self.last:
            return self.first
        return f"{self.first}-{self.last or ''}"

    def __contains__(self, version: object) -> bool:
        at = _position(str(version))
        return _position(self.first) <= at and (
            self.last is None or at <= _position(self.last)
        )


def _intervals(texts: Iterable[str]) -> tuple[Interval, ...]:
    found = []
    for text in texts:
        first, dash, last = text.partition("-")
        found.append(Interval(first, (last or None) if dash else first))
    return tuple(found)


@dataclass(frozen=True)
class Release:
    """One release of Flax.

    Attributes:
        version: as on the registry, ``"0.8.5"``.
        date: of its upload, ISO 8601.
        revision: the API revision (a file of ``nnx_compat.revisions``) that serves it,
            ``""`` when none does any more.
        yanked: why it was taken back, or ``""``.
        python: the oldest CPython that its metadata admits.
        jax_declared: the oldest jax that its metadata admits.
        jax_oldest: the oldest jax measured to work with it.
        jax_dated: the newest jax 21 days after its date, the matrix's main pair.
        jax_newest: the newest jax measured to work with it.
    """

    version: str
    date: str
    revision: str
    yanked: str = ""
    python: str = ""
    jax_declared: str = ""
    jax_oldest: str = ""
    jax_dated: str = ""
    jax_newest: str = ""

    def measured(self, jax: str) -> bool:
        """Whether a version of jax is in the range that was measured to work.

        Example:
            >>> from nnx_compat import facts
            >>> newest = facts.releases()[-1]
            >>> newest.measured(newest.jax_dated)
            True
        """
        from packaging.version import Version

        oldest, newest = Version(self.jax_oldest), Version(self.jax_newest)
        return oldest <= Version(jax) <= newest


class Revision(NamedTuple):
    """One API revision: its name and the first release that it serves."""

    name: str
    since: str


class Companion(NamedTuple):
    """A bound that no resolver knows: a jax in ``jax`` needs ``requires`` as well."""

    jax: str
    requires: str
    because: str


class Interpreter(NamedTuple):
    """The oldest CPython on which a jax in ``jax`` has wheels."""

    jax: str
    python: str


class Spelling(NamedTuple):
    """How an operation is spelled natively on some releases; ``""`` for not at all."""

    operation: str
    intervals: tuple[Interval, ...]
    native: str


class Treatment(NamedTuple):
    """What the drop-in namespace does with a name, beyond passing on what Flax has.

    Attributes:
        name: ``"nnx.Optimizer"``.
        treatment: ``"replaced"``, ``"refused"``, ``"mended"`` or ``"deprecated"``.
        intervals: the releases it is about.
        why: one sentence.
        instead: what to write.
    """

    name: str
    treatment: str
    intervals: tuple[Interval, ...]
    why: str
    instead: str


class Parameter(NamedTuple):
    """A parameter that came later, and its values that ask for what was there."""

    name: str
    neutral: tuple[Any, ...]
    why: str
    instead: str


class Feature(NamedTuple):
    """What cannot be had before a release, and the arguments that ask for it."""

    name: str
    uses: tuple[str, ...]
    since: str
    why: str


@dataclass(frozen=True)
class Behaviour:
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
        at = nearest(version)
        if not any(at in interval for interval in self.intervals):
            return False
        if not self.jax or jax is None:
            return True
        from packaging.specifiers import SpecifierSet

        return SpecifierSet(self.jax).contains(jax, prereleases=True)


@dataclass(frozen=True)
class Name:
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
    parameters: Mapping[str, tuple[Interval, ...]] = field(default_factory=dict)
    home: str = ""

    def on(self, version: str, parameter: str | None = None) -> bool:
        """Say whether ``version`` has this name, or this parameter of it.

        Example:
            >>> from nnx_compat import facts
            >>> facts.name("nnx.merge").on("0.11.1", "copy")
            False
        """
        at = nearest(version)
        if parameter is None:
            return any(at in interval for interval in self.intervals)
        return any(at in i for i in self.parameters.get(parameter, ()))


@cache
def _tables() -> dict[str, list[dict[str, Any]]]:
    return _read_toml((_HERE / "releases.toml").read_text(encoding="utf-8"))


@cache
def revisions() -> tuple[Revision, ...]:
    """All API revisions, oldest first."""
    return tuple(Revision(**row) for row in _tables()["revision"])


@cache
def companions() -> tuple[Companion, ...]:
    """The bounds between jax and other packages that no resolver knows."""
    return tuple(Companion(**row) for row in _tables()["companion"])


@cache
def interpreters() -> tuple[Interpreter, ...]:
    """The Python floors of jax that are above those of Flax."""
    return tuple(Interpreter(**row) for row in _tables()["interpreter"])


@cache
def _all_releases() -> tuple[Release, ...]:
    since = {revision.since: revision.name for revision in revisions()}
    found, current = [], ""
    for row in _tables()["release"]:
        current = since.get(row["version"], current)
        found.append(Release(revision=current, **row))
    return tuple(found)


def releases(*, yanked: bool = False) -> tuple[Release, ...]:
    """All releases of Flax that ship NNX, oldest first.

    Args:
        yanked: whether to include the releases that were taken back.

    Example:
        >>> from nnx_compat import facts
        >>> facts.releases()[0].version
        '0.8.0'
        >>> [r.version for r in facts.releases(yanked=True) if r.yanked]
        ['0.12.11']
    """
    # a release from before the oldest revision is known, and not served any more
    return tuple(r for r in _all_releases() if r.revision and (yanked or not r.yanked))


@cache
def _positions() -> dict[str, int]:
    return {r.version: i for i, r in enumerate(_all_releases())}


def _position(version: str) -> int:
    try:
        return _positions()[version]
    except KeyError:
        raise UnknownFactError(
            f"no release {version!r} in the facts, which have "
            f"{releases()[0].version} to {releases()[-1].version}",
            instead="facts.nearest(version) for the release that a build belongs to",
        ) from None


def release(version: str) -> Release:
    """The release of exactly this version.

    Raises:
        UnknownFactError: the facts have no such release.

    Example:
        >>> from nnx_compat import facts
        >>> facts.release("0.10.7").date
        '2025-07-02'
    """
    return _all_releases()[_position(version)]


@cache
def nearest(version: str) -> str:
    """The newest known release that is not newer than ``version``.

    A dev or release-candidate build of X counts as X, a local build ``X+abc`` likewise:
    they carry the code of X rather than of its predecessor.

    Raises:
        UnknownFactError: ``version`` is older than every release that is served.

    Example:
        >>> from nnx_compat import facts
        >>> facts.nearest("0.12.8+abc"), facts.nearest("0.10.7"), facts.nearest("99.0")
        ('0.12.8', '0.10.7', '0.12.12')
    """
    if any(version == r.version for r in releases(yanked=True)):
        return version
    from packaging.version import Version  # 30 ms: only for a version we do not know

    base = Version(Version(version).base_version)
    older = [r.version for r in releases(yanked=True) if Version(r.version) <= base]
    if not older:
        raise UnknownFactError(
            f"flax {version} is older than {releases()[0].version}, "
            "the first release that is served",
            instead=f"pip install 'flax>={releases()[0].version}'",
        )
    return older[-1]


@cache
def _behaviours() -> dict[str, Behaviour]:
    rows = _read_toml((_HERE / "behaviours.toml").read_text(encoding="utf-8"))
    return {
        row["id"]: Behaviour(
            intervals=_intervals(row["releases"]),
            **{key: value for key, value in row.items() if key != "releases"},
        )
        for row in rows["behaviour"]
    }


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
        >>> facts.behaviour("merge-shares-variables").intervals
        (Interval(first='0.11.2', last=None),)
    """
    found: Behaviour = _lookup(_behaviours(), id, "behaviour")
    return found


@cache
def spellings() -> tuple[Spelling, ...]:
    """How each stable operation is spelled natively, by release.

    Example:
        >>> from nnx_compat import facts
        >>> facts.spellings()[0].native
        'model.split()'
    """
    rows = _read_toml((_HERE / "spellings.toml").read_text(encoding="utf-8"))
    return tuple(
        Spelling(row["operation"], _intervals(row["releases"]), row["native"])
        for row in rows["spelling"]
    )


@cache
def _namespace() -> dict[str, list[dict[str, Any]]]:
    return _read_toml((_HERE / "namespace.toml").read_text(encoding="utf-8"))


@cache
def treatments() -> dict[str, tuple[Treatment, ...]]:
    """What the drop-in namespace does with names, by name.

    Example:
        >>> from nnx_compat import facts
        >>> [row.treatment for row in facts.treatments()["nnx.Optimizer"]]
        ['replaced']
    """
    found: dict[str, tuple[Treatment, ...]] = {}
    for row in _namespace()["name"]:
        for name in row["names"]:
            intervals = row.get("releases")
            one = Treatment(
                name=name,
                treatment=row["treatment"],
                intervals=_intervals(intervals)
                if intervals
                else _where_it_is(name, row["treatment"] == "deprecated"),
                why=row["why"],
                instead=row.get("instead", ""),
            )
            found[name] = (*found.get(name, ()), one)
    for row in _namespace()["constructor"]:
        for name in row["names"]:
            one = _constructor(name)
            found[one.name] = (one,)
    return found


def _constructor(layer: str) -> Treatment:
    """What ``install`` does with a layer's constructor, by ``names.json`` alone."""
    row = name(layer)
    served = [r.version for r in releases()]
    later = {
        parameter
        for parameter in row.parameters
        if row.on(served[-1], parameter)
        and any(row.on(v) and not row.on(v, parameter) for v in served)
    }
    lacking = [v for v in served if row.on(v) and any(not row.on(v, p) for p in later)]
    return Treatment(
        name=f"{layer}.__init__",
        treatment="mended",
        intervals=_runs(lacking),
        why=f"it does not take {', '.join(sorted(later))}",
        instead="",
    )


def _where_it_is(path: str, has: bool) -> tuple[Interval, ...]:
    """The releases that have a name, or those that lack it."""
    row = name(path)
    return _runs([r.version for r in releases() if row.on(r.version) is has])


def _runs(versions: list[str]) -> tuple[Interval, ...]:
    """The fewest intervals with these releases; one with the newest has no end."""
    served = [r.version for r in releases()]
    runs: list[list[str]] = []
    for before, version in zip(["", *served], served, strict=False):
        if version not in versions:
            continue
        if before in versions:
            runs[-1].append(version)
        else:
            runs.append([version])
    return tuple(
        Interval(run[0], None if run[-1] == served[-1] else run[-1]) for run in runs
    )


def treatment(name: str, version: str) -> Treatment | None:
    """What the drop-in namespace does with a name on one release, if it is special.

    A deprecated name is deprecated on every release: code that uses it is to change.
    """
    rows = treatments().get(name, ())
    if not rows:
        return None
    at = nearest(version)
    for row in rows:
        if any(at in interval for interval in row.intervals):
            return row
    return next((row for row in rows if row.treatment == "deprecated"), None)


@cache
def parameters() -> tuple[Parameter, ...]:
    """Parameters that came later to functions which are older."""
    return tuple(
        Parameter(row["name"], tuple(row["neutral"]), row["why"], row["instead"])
        for row in _namespace()["parameter"]
    )


@cache
def backports() -> dict[str, str]:
    """Which file of ``nnx_compat._nnx`` builds a name, by name without ``nnx.``.

    Example:
        >>> from nnx_compat import facts
        >>> facts.backports()["List"]
        'helpers.containers'
    """
    text = (_HERE / "backports.json").read_text(encoding="utf-8")
    found: dict[str, str] = json.loads(text)
    return found


@cache
def resolved(version: str) -> tuple[str, ...]:
    """The public names of the newest release that the drop-in namespace has on one.

    Example:
        >>> from nnx_compat import facts
        >>> len(facts.resolved("0.8.5")) < len(facts.resolved("0.12.12"))
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
        if name(path).on(version) or path[4:] in backports():
            found.append(path[4:])
    return tuple(found)


@cache
def features() -> tuple[Feature, ...]:
    """What no release before a certain one can do.

    Example:
        >>> from nnx_compat import facts
        >>> [(f.name, f.since) for f in facts.features()][0]
        ('tree mode', '0.12.4')
    """
    return tuple(
        Feature(row["name"], tuple(row["uses"]), row["since"], row["why"])
        for row in _namespace()["feature"]
    )


@cache
def settings() -> dict[str, Any]:
    """Settings of ``flax.config`` about NNX, and what a release without one does.

    Example:
        >>> from nnx_compat import facts
        >>> facts.settings()["nnx_graph_mode"]
        True
    """
    return {row["name"]: row["value"] for row in _namespace()["setting"]}


@cache
def _names() -> dict[str, dict[str, Any]]:
    text = (_HERE / "names.json").read_text(encoding="utf-8")
    data: dict[str, dict[str, Any]] = json.loads(text)["names"]
    return data


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
        >>> [str(i) for i in facts.name("nnx.Variable.get_value").intervals]
        ['0.8.0-0.8.1', '0.12.1-']
        >>> facts.name("nnx.scan").home
        'transforms.iteration'
    """
    row = _lookup(_names(), path, "public name")
    return Name(
        path=path,
        intervals=_intervals(row["in"]),
        parameters={p: _intervals(i) for p, i in row.get("parameters", {}).items()},
        home=row.get("home", ""),
    )


def _lookup(known: Mapping[str, Any], key: str, kind: str) -> Any:
    if key not in known:
        import difflib

        alike = difflib.get_close_matches(key, known, n=3)
        raise UnknownFactError(
            f"no {kind} {key!r} in the facts",
            instead=", ".join(alike) if alike else f"one of the {len(known)} listed",
        )
    return known[key]


@cache
def internals() -> dict[str, Behaviour]:
    """What differs inside Flax, by id: for the backports, which have to know it.

    Example:
        >>> from nnx_compat import facts
        >>> facts.internals()["sequential-is-a-list"].holds("0.9.0")
        False
    """
    rows = _read_toml((_HERE / "internals.toml").read_text(encoding="utf-8"))
    return {
        row.pop("id"): Behaviour(
            id="",
            area="internals",
            remedy="",
            intervals=_intervals(row.pop("releases")),
            **row,
        )
        for row in rows["internal"]
    }
