"""Which packages the corpus is of, pinned as data; downloaded and unpacked to be run.

``packages.toml`` has one row a version: its name, the digest of its wheel, what it
needs beyond Flax and what Flax needs. None of their code is in this repository. A wheel
is downloaded without anything of it being run, its digest is compared, and it is
unpacked into a folder that is deleted afterwards.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import NamedTuple

from nnx_compat import facts
from nnx_compat.facts import _tables
from tools import environments

_DATA = Path(__file__).with_name("packages.toml")
#: The CPython of all corpus environments: what packages published lately need.
PYTHON = "3.12"


class Package(NamedTuple):
    """One version of a published package.

    Attributes:
        name: on the registry.
        version: exact.
        sha256: of its wheel.
        modules: what of it is run: these modules and all below them.
        needs: names on the registry of what it imports besides Flax and jax.
        beside: other packages of the corpus that it imports, as ``name-version``.
        skip: modules that are not run, with all below them.
        share: how many of its classes are run, of 100.
        tests: files of its own tests, in its wheel or in its source distribution.
        sdist: the digest of that source distribution, where they are there.
        env: what has to be in the environment, as ``KEY=value``.
        why: the reason for a skip or a share.
    """

    name: str
    version: str
    sha256: str
    modules: tuple[str, ...]
    needs: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    share: int = 100
    tests: tuple[str, ...] = ()
    sdist: str = ""
    env: tuple[str, ...] = ()
    why: str = ""

    @property
    def id(self) -> str:
        """``name-version``, which is also the name of its record."""
        return f"{self.name}-{self.version}"

    @property
    def digest(self) -> str:
        """A digest of its row."""
        return hashlib.sha256(json.dumps(self).encode()).hexdigest()[:16]


@cache
def _rows() -> dict[str, list[dict[str, _tables.Literal]]]:
    return _tables.read(_DATA.read_text(encoding="utf-8"))


@cache
def packages() -> dict[str, Package]:
    """All packages, by id."""
    found = {}
    for row in _rows()["package"]:
        fixed = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
        package = Package(**fixed)  # type: ignore[arg-type]
        found[package.id] = package
    return found


@cache
def releases() -> tuple[str, ...]:
    """The releases that the corpus is run on, oldest first.

    The last of every revision, and those between that the data name.
    """
    (row,) = _rows()["corpus"]
    chosen = {release.revision: release.version for release in facts.releases()}
    wanted = {*chosen.values(), *row["also"]}  # type: ignore[misc]
    return tuple(r.version for r in facts.releases() if r.version in wanted)


def needs() -> list[str]:
    """What all packages need together, for one environment a release."""
    return sorted({need for package in packages().values() for need in package.needs})


def unpacked(package: Package, downloads: Path, folder: Path) -> Path:
    """The folder in which a package's modules and tests are.

    Args:
        package: which one.
        downloads: where what was downloaded is kept.
        folder: where to unpack it.

    Raises:
        RuntimeError: it cannot be downloaded, or is not what was pinned.
    """
    at = folder / package.id
    if at.exists():
        return at
    with zipfile.ZipFile(_downloaded(package, downloads, "whl")) as archive:
        archive.extractall(at)
    if package.sdist:
        with tarfile.open(_downloaded(package, downloads, "tar.gz")) as source:
            for member in source.getmembers():
                # the archive's only folder is not part of a path
                member.name = member.name.partition("/")[2]
                if member.name.partition("/")[0] in _tops(package):
                    source.extract(member, at, filter="data")
    return at


def _tops(package: Package) -> set[str]:
    return {file.partition("/")[0] for file in package.tests}


def _downloaded(package: Package, downloads: Path, kind: str) -> Path:
    """A wheel or a source distribution, which is what was pinned."""
    stem = f"{package.name}-{package.version}".replace("-", "[-_]").lower()
    downloads.mkdir(parents=True, exist_ok=True)
    pinned = package.sha256 if kind == "whl" else package.sdist

    def there() -> list[Path]:
        files = sorted(downloads.glob(f"*.{kind}"))
        return [file for file in files if fnmatch(file.name.lower(), f"{stem}*")]

    if not there():
        _download(package, downloads, kind)
    (file,) = there()
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != pinned:
        raise RuntimeError(
            f"{file} has the digest {found}, and {pinned} is pinned\n"
            "  instead: delete it, and have it downloaded again"
        )
    return file


def _download(package: Package, downloads: Path, kind: str) -> None:
    """By pip; for the metadata of a source distribution it runs its build.

    It does so in an environment and a home that are deleted afterwards.
    """
    form = "--only-binary" if kind == "whl" else "--no-binary"
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps"]
    command += [f"{form}=:all:", "-d", str(downloads), "--python-version", PYTHON]
    with tempfile.TemporaryDirectory() as home:
        env = {**environments.certificates(), "HOME": home, "TMPDIR": home}
        command += [f"{package.name}=={package.version}"]
        ran = subprocess.run(command, capture_output=True, text=True, env=env)
    if ran.returncode:
        raise RuntimeError(f"{package.id}: {ran.stderr}")
