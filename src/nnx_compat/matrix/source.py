"""Which source a record measured: digests of the files that matter to a run.

A record of any kind has ``"source"``, the digest of each folder that it is about, and
``"seconds"``, which is what it took and what renewing it will take.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]

#: What is recorded or rendered: to do so changes nothing that a run would measure.
_WRITTEN = (
    "src/nnx_compat/matrix/results",
    "src/nnx_compat/matrix/conformance",
    "src/nnx_compat/matrix/checkpoints",
    "src/nnx_compat/matrix/corpus/records",
    "src/nnx_compat/facts/backports.json",
    "src/nnx_compat/nnx.pyi",
)
#: Instead of a folder: what a program that imports the library can run of ``src``.
LIBRARY = "library"
#: All that a record may be about.
FOLDERS = ("src", "tests", LIBRARY)
#: What no such program imports or opens; a test looks.
_COMMANDS = tuple(
    f"src/nnx_compat/{name}"
    for name in (
        "__main__.py", "_checking.py", "_running.py", "band/", "check/", "cli.py",
        "diagnosis.py", "doctor.py", "explain.py", "facts/spellings.toml",
        "facts/symptoms.toml", "facts/uses.json", "matrix/", "nox.py", "probing.py",
        "pytest_install.py", "pytest_plugin.py", "upgrade.py",
    )
)  # fmt: skip
_KINDS = (".py", ".toml", ".json", ".cfg", ".ipynb", ".md", ".txt")


def digest(folder: str, root: Path = ROOT) -> str:
    """A digest of the files in a folder that matter to a run.

    What counts is each file's path from the root of the repository and its bytes, in
    the order of the paths: code and its comments, the facts, the fixtures. Left out are
    the records, what is rendered from the rest, what starts with a dot, and
    kinds of files that no run reads (bytecode). So a checkout, an archive and a copy
    with nothing committed have the same digest, and neither recording nor rendering
    changes it. The README and the rendered pages are in neither of the two folders.

    Args:
        folder: ``"src"``, ``"tests"`` or ``LIBRARY``: what is measured through the
            library alone is of the same source when a command or the checker changes.
        root: the repository; the one that this package is in.

    Returns:
        16 hexadecimal digits; ``""`` where there is no such folder, as around an
        installed package.

    Example:
        >>> from nnx_compat.matrix import source
        >>> source.digest("no such folder")
        ''
    """
    files = sorted(_files(folder, root))
    found = hashlib.sha256()
    for name, file in files:
        content = file.read_bytes()
        found.update(f"{name}\0{len(content)}\0".encode())
        found.update(content)
    return found.hexdigest()[:16] if files else ""


def _files(folder: str, root: Path) -> Iterator[tuple[str, Path]]:
    library = folder == LIBRARY
    left_out = _WRITTEN + _COMMANDS if library else _WRITTEN
    for file in (root / ("src" if library else folder)).rglob("*"):
        name = file.relative_to(root).as_posix()
        hidden = any(part.startswith(".") for part in name.split("/"))
        if file.suffix in _KINDS and not hidden and not name.startswith(left_out):
            yield name, file


def digests(*folders: str, root: Path = ROOT) -> dict[str, str]:
    """The digest of each folder: what a record keeps as its ``"source"``."""
    return {folder: digest(folder, root) for folder in folders}


def is_of(record: Mapping[str, Any], source: Mapping[str, str]) -> bool:
    """Whether a record measured this source; not, when it does not say what it did.

    Example:
        >>> from nnx_compat.matrix import source
        >>> source.is_of({"source": {"src": "12"}}, {"src": "12", "tests": "34"})
        True
        >>> source.is_of({"passed": 3}, {"src": "12", "tests": "34"})
        False
    """
    stated: Mapping[str, str] = record.get("source") or {"": "not stated"}
    return all(source.get(folder) == found for folder, found in stated.items())
