"""The errors and warnings of nnx-compat. Imports neither flax nor jax.

Every error is also the builtin that a caller would expect, carries a stable ``code``,
and reads the same way: what was asked, what was found, then what to do about it::

    seed is not a whole number: found 2.5 (float). [NC030]
      instead: pass an int, or a float such as 2.0
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "ArgumentTypeError",
    "ArgumentValueError",
    "DonatedError",
    "NnxCompatError",
    "NodeTypeError",
    "RefusedArgumentError",
    "RefusedNameError",
    "RemovedNameWarning",
    "RevisionPluginWarning",
    "StateStructureError",
    "StepStructureError",
    "UnknownFactError",
    "UnsupportedFlaxError",
    "UntestedFlaxWarning",
    "VariableTypeError",
]


class NnxCompatError(Exception):
    """The base of every error that nnx-compat raises.

    Args:
        found: what was asked and what was found, in one sentence without a full stop.
        instead: what to write or run instead.
        otherwise: a second way out, shown behind ``or:``.

    Example:
        >>> from nnx_compat import errors
        >>> print(errors.ArgumentTypeError("seed is a str", instead="pass an int"))
        seed is a str. [NC030]
          instead: pass an int
    """

    code = "NC000"

    def __init__(self, found: str, *, instead: str = "", otherwise: str = "") -> None:
        lines = [f"{found}. [{self.code}]"]
        if instead:
            lines.append(f"  instead: {instead}")
        if otherwise:
            lines.append(f"  or:      {otherwise}")
        super().__init__("\n".join(lines))

    def __str__(self) -> str:
        # LookupError's own __str__ would show the repr of a multi-line message.
        return str(self.args[0])


def listed(problems: Sequence[str]) -> str:
    """Up to 10 of them, a line each, for the middle of an error's text."""
    lines = "".join(f"\n    {problem}" for problem in problems[:10])
    more = f"\n    and {len(problems) - 10} more" if len(problems) > 10 else ""
    return lines + more


class UnsupportedFlaxError(NnxCompatError, ImportError):
    """The installed Flax has no NNX that nnx-compat knows, or there is no Flax."""

    code = "NC001"


class UnknownFactError(NnxCompatError, LookupError):
    """A name, a behaviour or a release that the facts do not have."""

    code = "NC002"


class StateStructureError(NnxCompatError, ValueError):
    """Paths, shapes or dtypes of a state do not fit what they are written into."""

    code = "NC010"


class VariableTypeError(NnxCompatError, TypeError):
    """A Variable was needed and something else was given, or the reverse."""

    code = "NC020"


class NodeTypeError(NnxCompatError, TypeError):
    """The installed release cannot split, walk or update a node of this type."""

    code = "NC021"


class ArgumentTypeError(NnxCompatError, TypeError):
    """An argument has the wrong type (a bool, a tracer, a string, ...)."""

    code = "NC030"


class ArgumentValueError(NnxCompatError, ValueError):
    """An argument has the right type and a value that makes no sense."""

    code = "NC031"


class StepStructureError(NnxCompatError, ValueError):
    """A compiled step adds, removes or changes something other than values."""

    code = "NC040"


class DonatedError(NnxCompatError, RuntimeError):
    """A value was read whose memory a compiled step has used up."""

    code = "NC041"


class RefusedNameError(NnxCompatError, AttributeError):
    """A name that the installed release lacks and that cannot be built for it."""

    code = "NC101"


class RefusedArgumentError(NnxCompatError, TypeError):
    """An argument that asks for what the installed release cannot do."""

    code = "NC102"


class RemovedNameWarning(DeprecationWarning):
    """A name that newer releases do not have; the drop-in namespace keeps it."""


class UntestedFlaxWarning(UserWarning):
    """The installed Flax is not one of the releases that the matrix has measured."""


class RevisionPluginWarning(UserWarning):
    """A plug-in of the group ``nnx_compat.revisions`` cannot be used; it is skipped."""
