"""The errors and warnings of nnx-compat. Imports neither flax nor jax.

Every error is also the builtin that a caller would expect, carries a stable ``code``,
and reads the same way: what was asked, what was found, then what to do about it::

    seed is not a whole number: found 2.5 (float). [NC030]
      instead: pass an int, or a float such as 2.0
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

__all__ = [
    "ArgumentTypeError",
    "ArgumentValueError",
    "CheckpointExistsError",
    "CheckpointFormError",
    "CheckpointLookupError",
    "CheckpointNotFoundError",
    "CheckpointStructureError",
    "DonatedError",
    "MissingPackageError",
    "NnxCompatError",
    "NodeTypeError",
    "NotBroadcastWarning",
    "OlderMeaningWarning",
    "ProbingError",
    "RefusedArgumentError",
    "RefusedNameError",
    "RemovedNameWarning",
    "RevisionPluginWarning",
    "StateStructureError",
    "StepStructureError",
    "UnknownFactError",
    "UnsafePickleError",
    "UnsupportedFlaxError",
    "UntestedFlaxWarning",
    "VariableTypeError",
]


class NnxCompatError(Exception):
    """The base of every error that nnx-compat raises.

    Args:
        found: what was asked and what was found, in one sentence without a full stop.
        details: what the sentence is about, a line each; the first 10 are shown.
        instead: what to write or run instead.
        otherwise: a second way out, shown behind ``or:``.

    Example:
        >>> from nnx_compat import errors
        >>> print(errors.ArgumentTypeError("seed is a str", instead="pass an int"))
        seed is a str. [NC030]
          instead: pass an int
    """

    code: ClassVar[str] = "NC000"

    def __init_subclass__(cls, *, code: str = "", **rest: object) -> None:
        super().__init_subclass__(**rest)
        cls.code = code or cls.code

    def __init__(
        self,
        found: str,
        *,
        details: Sequence[str] = (),
        instead: str = "",
        otherwise: str = "",
    ) -> None:
        lines = [f"{found}. [{self.code}]"]
        lines += [f"    {detail}" for detail in details[:_SHOWN]]
        if len(details) > _SHOWN:
            lines.append(f"    and {len(details) - _SHOWN} more")
        if instead:
            lines.append(f"  instead: {instead}")
        if otherwise:
            lines.append(f"  or:      {otherwise}")
        super().__init__("\n".join(lines))

    def __str__(self) -> str:
        # LookupError's own __str__ would show the repr of a multi-line message.
        return str(self.args[0])


_SHOWN = 10


def kind_of(value: object) -> str:
    """The type of a value with its article, for the middle of an error's text.

    Example:
        >>> from nnx_compat import errors
        >>> class MLP: ...
        >>> errors.kind_of(3), errors.kind_of("dense"), errors.kind_of(MLP())
        ('an int', 'a str', 'an MLP')
    """
    name = type(value).__name__
    if name in ("ArrayImpl", "ndarray"):
        return "an array"
    # letters are spelled in an acronym: an MLP and an LSTMCell, but a UNet
    vowels = "AEFHILMNORSX" if name[:2].isupper() else "AEIOaeio"
    return f"{'an' if name[:1] in vowels else 'a'} {name}"


class UnsupportedFlaxError(NnxCompatError, ImportError, code="NC001"):
    """The installed Flax has no NNX that nnx-compat knows, or there is no Flax."""


class UnknownFactError(NnxCompatError, LookupError, code="NC002"):
    """A name, a behaviour or a release that the facts do not have."""


class StateStructureError(NnxCompatError, ValueError, code="NC010"):
    """Paths, shapes or dtypes of a state do not fit what they are written into."""


class VariableTypeError(NnxCompatError, TypeError, code="NC020"):
    """A Variable was needed and something else was given, or the reverse."""


class NodeTypeError(NnxCompatError, TypeError, code="NC021"):
    """The installed release cannot split, walk or update a node of this type."""


class ArgumentTypeError(NnxCompatError, TypeError, code="NC030"):
    """An argument has the wrong type (a bool, a tracer, a string, ...)."""


class ArgumentValueError(NnxCompatError, ValueError, code="NC031"):
    """An argument has the right type and a value that makes no sense."""


class StepStructureError(NnxCompatError, ValueError, code="NC040"):
    """A compiled step adds, removes or changes something other than values."""


class DonatedError(NnxCompatError, RuntimeError, code="NC041"):
    """A value was used, or a model copied or written, that a compiled step has."""


class CheckpointFormError(NnxCompatError, ValueError, code="NC050"):
    """A checkpoint of no known form, a damaged one, or one that was never finished."""


class CheckpointNotFoundError(NnxCompatError, FileNotFoundError, code="NC051"):
    """No checkpoint is at this path, or not the step that was named."""


class CheckpointLookupError(NnxCompatError, KeyError, code="NC052"):
    """A checkpoint has no item or array of this name, or two of it."""


class CheckpointStructureError(StateStructureError, ValueError, code="NC053"):
    """What is on file does not fit what it is loaded into; nothing was changed."""


class CheckpointExistsError(NnxCompatError, FileExistsError, code="NC054"):
    """Something is already where a checkpoint is to be saved."""


class MissingPackageError(NnxCompatError, ImportError, code="NC055"):
    """A package is not installed that this form of checkpoint needs."""


class UnsafePickleError(CheckpointFormError, ValueError, code="NC056"):
    """A pickle that asks for what only running its code could give; nothing was run."""


class ProbingError(NnxCompatError, RuntimeError, code="NC060"):
    """The probes of what is installed could not be run to their end."""


class RefusedNameError(NnxCompatError, AttributeError, code="NC101"):
    """A name that the installed release lacks and that cannot be built for it."""


class RefusedArgumentError(NnxCompatError, TypeError, code="NC102"):
    """An argument that asks for what the installed release cannot do."""


class RemovedNameWarning(DeprecationWarning):
    """A name that newer releases do not have; the drop-in namespace keeps it."""


class NotBroadcastWarning(UserWarning):
    """``set_value`` got a value that was likely meant to be broadcast, and was not."""


class OlderMeaningWarning(UserWarning):
    """A name that means less here than on the newest release, at its first use."""


class UntestedFlaxWarning(UserWarning):
    """The installed Flax is not one of the releases that the matrix has measured."""


class RevisionPluginWarning(UserWarning):
    """A plug-in of the group ``nnx_compat.revisions`` cannot be used; it is skipped."""
