"""Which lines of a package were executed, at the price of its own lines alone.

``sys.monitoring`` (CPython 3.12) asks once for each code object whether it is the
package's, and is then silent about all others.
"""

from __future__ import annotations

import sys
from types import CodeType
from typing import Any

_MONITORING: Any = vars(sys).get("monitoring")
_TOOL = 4  # none of those that have a name: debugger, coverage, profiler, optimizer


class Lines:
    """The executed lines of the files below a folder, until ``taken``."""

    def __init__(self, root: str) -> None:
        self._root = root + "/"
        self._seen: set[tuple[str, int]] = set()
        watch = _MONITORING
        watch.use_tool_id(_TOOL, "corpus")
        watch.register_callback(_TOOL, watch.events.PY_START, self._start)
        watch.register_callback(_TOOL, watch.events.LINE, self._line)
        watch.set_events(_TOOL, watch.events.PY_START)

    def _start(self, code: CodeType, _: int) -> object:
        if code.co_filename.startswith(self._root):
            _MONITORING.set_local_events(_TOOL, code, _MONITORING.events.LINE)
        return _MONITORING.DISABLE

    def _line(self, code: CodeType, line: int) -> object:
        self._seen.add((code.co_filename[len(self._root) :], line))
        return None

    def taken(self) -> set[tuple[str, int]]:
        """What was executed since the last call: file below the folder, and line."""
        found, self._seen = self._seen, set()
        return found
