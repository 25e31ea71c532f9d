"""Writing a file whole, or not at all, and as it was: link, owner, mode, line ends."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ..sources import Source
from .notebooks import Notebook

__all__ = ["Original", "replace_whole"]


@dataclass(frozen=True)
class Original:
    """A file as it was read.

    Attributes:
        path: as it was given.
        raw: its bytes.
        source: its code.
        notebook: for a notebook, where the code goes back to.
        encoding: of its text.
    """

    path: Path
    raw: bytes
    source: Source
    notebook: Notebook | None = None
    encoding: str = "utf-8"

    def encoded(self, text: str) -> bytes:
        """The bytes of the file with other code."""
        if self.notebook is not None:
            return self.notebook.encoded(self.source, text)
        return text.encode(self.encoding)


def replace_whole(original: Original, text: str) -> None:
    """Write the new text, so that a reader sees the old file or the new one.

    A link stays a link: what it leads to is written. A file with several names keeps
    them, and is written in place, since a new file would have one name only.

    Raises:
        OSError: it cannot be written, or is another file by now; it is as it was then.
    """
    path = original.path.resolve()
    new = original.encoded(text)
    if path.read_bytes() != original.raw:
        raise OSError("it has changed since it was read")
    was = path.stat()
    if not os.access(path, os.W_OK):
        raise PermissionError("it is read-only")
    if was.st_nlink > 1:
        _write_in_place(path, new, original.raw)
        return
    scratch = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with scratch.open("xb") as stream:
            stream.write(new)
            stream.flush()
            os.fsync(stream.fileno())
        if hasattr(os, "chown"):
            os.chown(scratch, was.st_uid, was.st_gid)
        scratch.chmod(was.st_mode & 0o7777)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def _write_in_place(path: Path, new: bytes, old: bytes) -> None:
    try:
        path.write_bytes(new)
    except OSError:
        path.write_bytes(old)
        raise
