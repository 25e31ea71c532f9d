"""The releases of Flax, the API revisions that serve them, and the jax they need."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from ..errors import UnknownFactError
from ._tables import rows

_FILE = "releases.toml"


class Release(NamedTuple):
    """One release of Flax.

    Attributes:
        version: as on the registry, ``"0.8.5"``.
        date: of its upload, ISO 8601.
        revision: the API revision (a file of ``nnx_compat.revisions``) that serves it,
            ``""`` when none does any more.
        yanked: why its authors withdrew it, or ``""``.
        python: the oldest CPython that its metadata admits.
        jax_declared: the oldest jax that its metadata admits.
        jax_oldest: the oldest jax beside which all of NNX was measured to work.
        jax_dated: the newest jax 21 days after its date, the matrix's main pair.
        jax_newest: the newest jax beside which all of NNX was measured to work.
        compat_oldest: the oldest jax on which the contract of the stable operations
            was recorded to hold.
        compat_newest: the newest such jax.
    """

    version: str
    date: str
    revision: str = ""
    yanked: str = ""
    python: str = ""
    jax_declared: str = ""
    jax_oldest: str = ""
    jax_dated: str = ""
    jax_newest: str = ""
    compat_oldest: str = ""
    compat_newest: str = ""

    @property
    def jax_ends(self) -> tuple[str, str]:
        """The oldest and the newest jax on which the contract is recorded.

        Example:
            >>> from nnx_compat import facts
            >>> facts.release("0.8.5").jax_ends
            ('0.4.27', '0.4.35')
        """
        return (
            self.compat_oldest or self.jax_oldest,
            self.compat_newest or self.jax_newest,
        )

    def measured(self, jax: str) -> bool:
        """Whether a version of jax is in the range that was measured to work natively.

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


@cache
def revisions() -> tuple[Revision, ...]:
    """All API revisions, oldest first."""
    return rows(_FILE, "revision", Revision)


@cache
def companions() -> tuple[Companion, ...]:
    """The bounds between jax and other packages that no resolver knows."""
    return rows(_FILE, "companion", Companion)


@cache
def interpreters() -> tuple[Interpreter, ...]:
    """The Python floors of jax that are above those of Flax."""
    return rows(_FILE, "interpreter", Interpreter)


@cache
def _all_releases() -> tuple[Release, ...]:
    since = {revision.since: revision.name for revision in revisions()}
    found, current = [], ""
    for row in rows(_FILE, "release", Release):
        current = since.get(row.version, current)
        found.append(row._replace(revision=current))
    return tuple(found)


@cache
def releases(*, yanked: bool = False) -> tuple[Release, ...]:
    """All releases of Flax that ship NNX, oldest first.

    Args:
        yanked: whether to include the releases that their authors withdrew.

    Example:
        >>> from nnx_compat import facts
        >>> "0.9.0" in [r.version for r in facts.releases()]
        True
        >>> {r.version for r in facts.releases(yanked=True) if r.yanked} >= {"0.12.11"}
        True
    """
    # a release from before the oldest revision is known, and not served any more
    return tuple(r for r in _all_releases() if r.revision and (yanked or not r.yanked))


@cache
def _positions() -> dict[str, int]:
    return {r.version: i for i, r in enumerate(_all_releases())}


def position(version: str) -> int:
    """Where a release stands in the order of all that are known, served or not.

    Raises:
        UnknownFactError: the facts have no such release.
    """
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
    return _all_releases()[position(version)]


@cache
def nearest(version: str) -> str:
    """The newest known release that is not newer than ``version``.

    A dev or release-candidate build of X counts as X, a local build ``X+abc`` likewise:
    they carry the code of X rather than of its predecessor.

    Raises:
        UnknownFactError: ``version`` is older than every release that is served.

    Example:
        >>> from nnx_compat import facts
        >>> facts.nearest("0.12.5+abc"), facts.nearest("0.10.9")
        ('0.12.5', '0.10.7')
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
