"""What the checker says about a line of code."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from . import releases
from .rewrites import Rewrite
from .syntax import Located

__all__ = ["Finding", "Problem", "quoted", "works_on"]


def quoted(path: str) -> str:
    r"""A path as it is shown: characters that steer a terminal are escaped.

    Example:
        >>> from nnx_compat.check.findings import quoted
        >>> quoted("a\nb.py")
        'a\\nb.py'
    """
    if path.isprintable():
        return path
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "replace").decode()
        for c in path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    )


@dataclass(frozen=True)
class Problem:
    """What a rule has to say about something that it was shown.

    Attributes:
        text: one sentence, without a full stop.
        excluded: the releases on which the code does not do what it says, as bits.
        warns: the releases on which it does, with a warning.
        error: the exception that it is there, as a guard may catch it; ``""`` where it
            runs and means something else.
        certain: whether what the rule was shown leaves no doubt.
        instead: what to write.
        node: where it is, if not where the event is.
        rewrite: what can be written in its place.
        fallback: the same, where the rewrite needs others that cannot be done.
        more: what is to be said of the same place beside it.
    """

    text: str
    excluded: int
    error: str = ""
    certain: bool = True
    instead: str = ""
    warns: int = 0
    node: Located | None = None
    rewrite: Rewrite | None = None
    fallback: Rewrite | None = None
    more: Problem | None = None

    def surely(self, certain: bool) -> Problem:
        """The same, only likely where something else may be in play."""
        return replace(self, certain=self.certain and certain)


def works_on(
    there: int,
    text: str,
    *,
    error: str,
    instead: str = "",
    rewrite: Rewrite | None = None,
) -> Problem:
    """A problem on all releases but some, which end the sentence.

    Example:
        >>> from nnx_compat.check import findings, releases
        >>> findings.works_on(releases.ALL, "it works on", error="TypeError").text
        'it works on every release'
    """
    return Problem(
        f"{text} {releases.spelled(there)}",
        releases.ALL & ~there,
        error,
        instead=instead,
        rewrite=rewrite,
    )


@dataclass(frozen=True, order=True)
class Finding:
    """A problem, and where it is.

    Attributes:
        path: of the file, as it was given.
        line: counted from 1.
        column: counted from 1.
        code: of the rule.
        text: one sentence, without a full stop.
        excluded: the releases it excludes, guards considered, as bits.
        warns: the releases on which it runs with a warning, likewise.
        certain: whether there is no doubt.
        instead: what to write.
        cell: of a notebook, counted from 1; 0 in other files.
        end_line: of the code that is meant.
        end_column: of the code that is meant.
        rewrite: what can be written in its place.
        error: the exception on the excluded releases; ``""`` where the code runs there
            and means something else.
        fallback: the same, where the rewrite needs others that cannot be done.
    """

    path: str
    cell: int
    line: int
    column: int
    code: str
    text: str
    excluded: int
    certain: bool
    instead: str = ""
    warns: int = 0
    end_line: int = 0
    end_column: int = 0
    rewrite: Rewrite | None = field(default=None, compare=False)
    error: str = field(default="", compare=False)
    fallback: Rewrite | None = field(default=None, compare=False)

    @property
    def where(self) -> str:
        """As an editor or a terminal finds it: ``path:line:column``."""
        cell = f":cell {self.cell}" if self.cell else ""
        return f"{quoted(self.path)}{cell}:{self.line}:{self.column}"
