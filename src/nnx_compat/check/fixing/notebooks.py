"""Notebooks: new code goes back into the cells that it came from."""

from __future__ import annotations

import json
from typing import Any

from .. import notebooks
from ..sources import Source
from ..syntax import lines_of

__all__ = ["Notebook"]


class Notebook:
    """A notebook whose code cells are to be changed.

    Args:
        raw: the bytes of the file.
    """

    def __init__(self, raw: bytes) -> None:
        text = raw.decode("utf-8")
        self._data: dict[str, Any] = json.loads(text)
        self._indent = _indent(text)
        self._end = "\n" if text.endswith("\n") else ""

    def encoded(self, source: Source, text: str) -> bytes:
        """The file with other code in its cells.

        Args:
            source: the code that was read.
            text: the code that is to be there.

        Raises:
            ValueError: it cannot be told any more which code is of which cell.
        """
        before, after = notebooks.parted(source.text), notebooks.parted(text)
        if before.keys() != after.keys():
            raise ValueError("the cells are not the same any more")
        for number, code in after.items():
            if code == before[number]:
                continue
            cell = self._data["cells"][number - 1]
            new = notebooks.restored(code, list(source.magics))
            is_text = isinstance(cell["source"], str)
            if not "".join(cell["source"]).endswith("\n"):
                new = new.removesuffix("\n")
            cell["source"] = new if is_text else lines_of(new)
        dumped = json.dumps(self._data, indent=self._indent, ensure_ascii=False)
        return (dumped + self._end).encode()


def _indent(text: str) -> int | None:
    """How many spaces the file is indented by, ``None`` when it is on one line."""
    lines = text.splitlines()
    if len(lines) < 2:
        return None
    return max(1, len(lines[1]) - len(lines[1].lstrip(" ")))
