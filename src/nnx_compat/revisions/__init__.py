"""Find the installed Flax, choose the revision that fits it, bind it once.

The facts choose: a release that they know has its revision written beside it. A build
whose version proves nothing (a git checkout, a local version, a dev or rc build) is
told apart by asking the code itself, newest revision first. A release newer than all
known ones gets the newest revision and one ``UntestedFlaxWarning``.

Each file here spells one revision, the newest whole, an older one as what differs from
the next newer. Dropping the oldest means deleting its file and its row in
``facts/releases.toml``; a new revision is one file and one row.

Plug-ins: an installed package may offer revisions through the entry-point group
``nnx_compat.revisions``. Its object is a subclass of a ``Revision`` here. One with a
``releases`` attribute, a PEP 440 specifier, serves the releases it names; one whose
entry point has the name of a revision here replaces it.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import warnings
from types import ModuleType

import jax

from .. import facts
from ..errors import (
    RevisionPluginWarning,
    UnknownFactError,
    UnsupportedFlaxError,
    UntestedFlaxWarning,
)
from .get_value import Revision

GROUP = "nnx_compat.revisions"


def locate() -> tuple[ModuleType, str]:
    """Import the native namespace.

    Returns:
        The module, ``flax.nnx`` or where it was before that, and Flax's version.

    Raises:
        UnsupportedFlaxError: there is no Flax, it has no NNX, or it cannot be imported
            with the jax installed beside it.
    """
    with warnings.catch_warnings():
        # On some pairs Flax imports names that its jax has deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        return _locate()


def _locate() -> tuple[ModuleType, str]:
    oldest = facts.releases()[0].version
    remedy = f"pip install --upgrade 'flax>={oldest}'"
    try:
        import flax
    except ModuleNotFoundError as error:
        if error.name != "flax":
            raise
        raise UnsupportedFlaxError("flax is not installed", instead=remedy) from None
    except (ImportError, AttributeError) as error:
        raise _does_not_import(_installed("flax"), error) from error
    version: str = getattr(flax, "__version__", "") or _installed("flax")
    for path in ("flax.nnx", "flax.experimental.nnx"):
        if _exists(path):
            break
    else:
        raise UnsupportedFlaxError(
            f"flax {version} has no NNX; nnx-compat serves {oldest} and later",
            instead=remedy,
        )
    try:
        return importlib.import_module(path), version
    except (ImportError, AttributeError, TypeError) as error:
        raise _does_not_import(version, error) from error


def _exists(path: str) -> bool:
    try:
        return importlib.util.find_spec(path) is not None
    except ModuleNotFoundError:
        return False


def _installed(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _does_not_import(version: str, error: BaseException) -> UnsupportedFlaxError:
    jax = _installed("jax")
    otherwise = "nnx-compat doctor, which says what else is off"
    try:
        row = facts.release(facts.nearest(version))
        remedy = f"pip install 'jax>={row.jax_oldest},<={row.jax_newest}'"
        if facts.gone(version, jax):
            otherwise = (
                "nnx_compat.install() before anything imports Flax, or nnx-compat run: "
                "they put back what Flax misses in jax"
            )
    except Exception:
        remedy = f"pip install --upgrade 'flax>={facts.releases()[0].version}' jax"
    return UnsupportedFlaxError(
        f"flax {version} cannot be imported with jax {jax}: "
        f"{type(error).__name__}: {error}",
        instead=remedy,
        otherwise=otherwise,
    )


def choose(nnx: ModuleType, version: str) -> type[Revision]:
    """The revision for a namespace and the version that its Flax states.

    Args:
        nnx: the native namespace.
        version: PEP 440 text, of a release or of a build of one (``"X.Y.Z+abc"``).

    Raises:
        UnsupportedFlaxError: the release is older than every revision here.
    """
    plugins = _plugins()
    for plugin in plugins.values():
        if plugin.releases and _in(version, plugin.releases):
            return plugin
    name = _by_facts(version) or _by_probing(nnx, version)
    return plugins.get(name) or load(name)


def load(name: str) -> type[Revision]:
    """The ``Revision`` class of one file here."""
    module = importlib.import_module(f"{__name__}.{name}")
    revision: type[Revision] = module.Revision
    return revision


def _by_facts(version: str) -> str | None:
    known = {r.version: r for r in facts.releases(yanked=True)}
    if version in known and _is_release(version):
        return known[version].revision
    return None


def _is_release(version: str) -> bool:
    """Whether the files come from the registry, where a version means one thing."""
    try:
        distribution = importlib.metadata.distribution("flax")
    except importlib.metadata.PackageNotFoundError:
        return False  # a source tree on the path
    return (
        distribution.version == version
        and distribution.read_text("direct_url.json") is None
    )


def _by_probing(nnx: ModuleType, version: str) -> str:
    served = facts.releases()
    try:
        facts.nearest(version)
    except UnknownFactError:
        raise UnsupportedFlaxError(
            f"flax {version} is installed, and nnx-compat serves {served[0].version} "
            "and later",
            instead=f"pip install --upgrade 'flax>={served[0].version}'",
        ) from None
    except ValueError:  # a version string that is none: only the code can tell
        pass
    else:
        if not _in(version, f"<={served[-1].version}"):
            warnings.warn(
                f"flax {version} is newer than {served[-1].version}, the newest "
                "release that nnx-compat was measured on; using its newest revision",
                UntestedFlaxWarning,
                stacklevel=2,
            )
            return facts.revisions()[-1].name
    for revision in reversed(facts.revisions()):
        if load(revision.name).matches(nnx):
            return revision.name
    return facts.revisions()[-1].name


def _in(version: str, specifier: str) -> bool:
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

    # a build of X counts as X: it carries the code of X rather than of its predecessor
    return SpecifierSet(specifier).contains(Version(version).base_version)


def _plugins() -> dict[str, type[Revision]]:
    found: dict[str, type[Revision]] = {}
    for entry in importlib.metadata.entry_points(group=GROUP):
        try:
            plugin = entry.load()
            if not (isinstance(plugin, type) and issubclass(plugin, Revision)):
                raise TypeError(f"{plugin!r} is not a subclass of Revision")
            if plugin.releases:
                _in("0", plugin.releases)  # a malformed specifier is found here
        except Exception as error:
            warnings.warn(
                f"the revision plug-in {entry.name!r} ({entry.value}) is skipped: "
                f"{type(error).__name__}: {error}",
                RevisionPluginWarning,
                stacklevel=2,
            )
        else:
            found[entry.name] = plugin
    return found


def bind() -> tuple[Revision, ModuleType, str]:
    """Locate, choose and bind: the revision, its namespace and Flax's version."""
    nnx, version = locate()
    return choose(nnx, version)(nnx), nnx, version


bound, nnx, flax_version = bind()
revision = bound.name
jax_version: str = jax.__version__
