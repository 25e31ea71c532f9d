"""Anything that the facts know, explained: what, since when, and what to write instead.

A rule or an error's code, a name with or without a parameter, a change of meaning, or
the text of a native error as it was printed. Imports neither flax nor jax.

    >>> from nnx_compat import explain
    >>> print(explain.explain("merge-shares-variables").splitlines()[0])
    # merge-shares-variables
"""

from __future__ import annotations

import inspect
import re
import sys
import traceback
import types
from collections.abc import Iterator
from typing import NamedTuple

from . import errors, facts
from .errors import UnknownFactError

__all__ = ["Match", "annotate", "explain", "index", "known", "matches", "note"]


def explain(asked: str) -> str:
    """The page about something, in Markdown; several where it has several meanings.

    Args:
        asked: ``"NC101"``, ``"GUARD"``, ``"nnx.List"``, ``"Variable.get_value"``,
            ``"nnx.scan in_axes"``, ``"list-of-modules-is-refused"``, or the message of
            a native error.

    Raises:
        UnknownFactError: nothing is known of it; the message lists what looks alike.

    Example:
        >>> from nnx_compat import explain
        >>> print(explain.explain("Variable.get_value").splitlines()[0])
        # nnx.Variable.get_value
    """
    pages = list(_pages(asked.strip()))
    if not pages:
        raise UnknownFactError(f"nothing is known of {asked!r}", instead=_alike(asked))
    return "\n".join(pages)


def _pages(asked: str) -> Iterator[str]:
    yield from _of_code(asked)
    if asked in _behaviours():
        yield _of_behaviour(_behaviours()[asked])
    yield from _of_name(asked)
    if " " in asked:
        for match in matches(asked):
            if match.subject in _behaviours():
                yield _of_behaviour(_behaviours()[match.subject])
            else:
                yield from _of_name(match.subject)


def _alike(asked: str) -> str:
    import difflib

    alike = difflib.get_close_matches(asked, known(), n=3)
    short = {path.rpartition(".")[2]: path for path in facts.names()}
    alike += [short[a] for a in difflib.get_close_matches(asked, short, n=3)]
    return ", ".join(dict.fromkeys(alike)) or "nnx-compat explain, which lists what is"


def known() -> list[str]:
    """All that can be asked for, but for the texts of errors.

    Example:
        >>> from nnx_compat import explain
        >>> {"GUARD", "NC101", "nnx.List"} <= set(explain.known())
        True
    """
    return ["GUARD", *_codes(), *_behaviours(), *facts.names()]


def index() -> list[tuple[str, str]]:
    """The codes and the changes of meaning, each with a line; names are too many.

    Example:
        >>> from nnx_compat import explain
        >>> dict(explain.index())["NC001"].endswith("or there is no Flax.")
        True
    """
    from .check.rules import RULES

    listed = [(code, _first(kind)) for code, kind in _errors().items()]
    listed += [(rule.code, rule.title) for rule in RULES]
    listed.append(("GUARD", _GUARD_TITLE))
    return listed + [(row.id, row.text) for row in facts.behaviours()]


# -- codes --------------------------------------------------------------------------

_GUARD_TITLE = "a branch on the release of Flax that always goes one way"
_GUARD = f"""# GUARD: {_GUARD_TITLE}

`nnx-compat fix` drops an `if` on the version of Flax, or on whether NNX has a name,
when it goes the same way on every release that the code is for; the branch that is
always taken stays alone. `--only GUARD` does nothing else.
"""


def _errors() -> dict[str, type[Exception]]:
    """The errors that have a code of their own, and the warnings by their names."""
    found: dict[str, type[Exception]] = {}
    for name in errors.__all__:
        kind = getattr(errors, name)
        code = kind.code if issubclass(kind, errors.NnxCompatError) else name
        if code != errors.NnxCompatError.code:
            found[code] = kind
    return found


def _codes() -> list[str]:
    from .check.rules import RULES

    return [*_errors(), *(rule.code for rule in RULES)]


def _first(kind: type[Exception]) -> str:
    return (inspect.getdoc(kind) or "").splitlines()[0]


def _of_code(asked: str) -> Iterator[str]:
    """A code may be an error's and a rule's: both are about the same thing."""
    from .check.pages import page
    from .check.rules import by_code

    if asked.upper() == "GUARD":
        yield _GUARD
    rule = by_code(asked.upper())
    if rule is not None:
        yield page(rule)
    for code, kind in _errors().items():
        if asked.upper() == code or asked == kind.__name__:
            yield _of_error(code, kind)


def _of_error(code: str, kind: type[Exception]) -> str:
    builtin = next(
        base
        for base in kind.__mro__
        if base.__module__ == "builtins" and not issubclass(errors.NnxCompatError, base)
    )
    title = kind.__name__ if code == kind.__name__ else f"{code}: {kind.__name__}"
    return (
        f"# {title}\n\n{inspect.getdoc(kind)}\n\n"
        f"It is also a `{builtin.__name__}`: "
        f"`except {builtin.__name__}` catches it. Its message says what was found, and "
        "what to write behind `instead:`.\n"
    )


# -- changes of meaning -------------------------------------------------------------


def _behaviours() -> dict[str, facts.Behaviour]:
    return {row.id: row for row in facts.behaviours()}


def _of_behaviour(row: facts.Behaviour) -> str:
    where = facts.worded(row.intervals) + (f", with jax {row.jax}" if row.jax else "")
    lines = [f"# {row.id}", "", row.text, "", f"So it is on: {where}."]
    for symptom in facts.symptoms(row.id):
        on = facts.worded(symptom.intervals)
        lines.append(f"{symptom.kind.capitalize()} on {on}: `{symptom.text}`")
    lines += ["", f"With nnx-compat: {row.remedy}"]
    return "\n".join(lines) + "\n"


# -- names --------------------------------------------------------------------------


def _of_name(asked: str) -> Iterator[str]:
    """``nnx.scan``, ``scan``, ``flax.nnx.scan in_axes``, ``nnx.scan(in_axes)``."""
    found = re.fullmatch(r"([\w.]+?)(?:\(\))?(?:\s+|\()?(\w+)?\)?", asked)
    if found is None:
        return
    path, parameter = _path(found[1]), found[2]
    if path is None:  # without a parameter the pattern may have cut the last letter
        path, parameter = _path(asked), None
    if path is None:
        return
    name = facts.name(path)
    if parameter and parameter not in name.parameters:
        return
    lines = [f"# {path}", "", f"Flax has it on: {facts.worded(name.intervals)}."]
    lines += _treated(path)
    shown = [parameter] if parameter else sorted(name.parameters)
    if shown:
        lines += ["", "| parameter | flax |", "| --- | --- |"]
    for one in shown:
        lines.append(f"| `{one}` | {facts.worded(name.parameters[one])} |")
    members = [p for p in facts.names() if p.rpartition(".")[0] == path]
    if members and not parameter:
        lines += ["", "| member | flax |", "| --- | --- |"]
        for one in members:
            short = one.rpartition(".")[2]
            lines.append(f"| `{short}` | {facts.worded(facts.name(one).intervals)} |")
    yield "\n".join(lines) + "\n"


def _path(text: str) -> str | None:
    """The path in the facts of a name as people write it."""
    below = text.rpartition("nnx.")[2] if "nnx." in text else text
    path = f"nnx.{below}"
    return path if path in set(facts.names()) else None


def _treated(path: str) -> list[str]:
    """What the drop-in namespace gives, where it is not Flax's own."""
    lines = []
    if path.removeprefix("nnx.") in facts.backports():
        lines.append("Where Flax lacks it, `nnx_compat.nnx` has it.")
    for row in facts.treatments().get(path, ()):
        lines.append(
            f"{_TREATED[row.treatment]} on {facts.worded(row.intervals)}: {row.why}."
        )
        if row.instead:
            lines.append(f"  instead: {row.instead}")
    return ["", *lines] if lines else []


_TREATED = {
    "replaced": "`nnx_compat.nnx` has the newest meaning in place of Flax's",
    "refused": "`nnx_compat.nnx` refuses it",
    "patched": "`nnx_compat.install()` widens it",
    "deprecated": "On its way out",
}


# -- the texts of errors ------------------------------------------------------------


class Match(NamedTuple):
    """What an error's text is explained by.

    Attributes:
        subject: a behaviour's id, or a name with or without a parameter.
        text: a sentence.
        instead: what to do about it; may be ``""``.
    """

    subject: str
    text: str
    instead: str


def matches(message: str, version: str = "") -> list[Match]:
    """What is known of the text of a native error or warning.

    Args:
        message: its text, whole or in part.
        version: of Flax; without it the text of any release is known.

    Example:
        >>> from nnx_compat import explain
        >>> text = "module 'flax.nnx' has no attribute 'VariableState'"
        >>> [match.subject for match in explain.matches(text)]
        ['nnx.VariableState']
    """
    found = list(_symptoms(message, version)) + list(_lacking(message, version))
    return list({match.subject: match for match in found}.values())


def note(error: BaseException, version: str) -> str:
    """What to add to a native error on a release of Flax, or ``""``.

    Example:
        >>> from nnx_compat import explain, facts
        >>> text = "cannot import name 'view' from 'flax.nnx'"
        >>> error = ImportError(text, name="flax.nnx")
        >>> oldest = facts.releases()[0].version
        >>> print(explain.note(error, oldest).splitlines()[-1])
          more:    nnx-compat explain nnx.view
    """
    if isinstance(error, errors.NnxCompatError) or not _concerns_flax(error):
        return ""
    lines = []
    for match in matches(str(error), version):
        lines.append(f"nnx-compat: {match.text}")
        lines += [f"  instead: {match.instead}"] if match.instead else []
        subject = f'"{match.subject}"' if " " in match.subject else match.subject
        lines.append(f"  more:    nnx-compat explain {subject}")
    return "\n".join(lines)


def annotate(error: BaseException, version: str) -> None:
    """Add the note to an error, or print it where exceptions take none (Python 3.10).

    Example:
        >>> from nnx_compat import explain, facts
        >>> explain.annotate(KeyError("kernel"), facts.releases()[-1].version)
    """
    text = note(error, version)
    if text and hasattr(error, "add_note"):
        error.add_note(text)
    elif text:
        print(text, file=sys.stderr)


def _concerns_flax(error: BaseException) -> bool:
    """Whether it is about an object of Flax's, or came through code of Flax's.

    Python words a missing attribute of a dict as it words one of a Module, and what has
    no hash says nothing of who asked for it.
    """
    if isinstance(error, AttributeError) and getattr(error, "obj", None) is not None:
        return _is_flax(error.obj)
    if isinstance(error, ImportError):
        return (error.name or "").partition(".")[0] == "flax"
    if "() got an unexpected" in str(error) or "() missing" in str(error):
        return True  # raised by the caller's own line, of a name that NNX has
    frames = traceback.walk_tb(error.__traceback__)
    return any(_below_flax(frame.f_globals.get("__name__")) for frame, _ in frames)


def _is_flax(value: object) -> bool:
    """Whether it is a module or a class of Flax's, or an instance of one."""
    if isinstance(value, types.ModuleType):
        return _below_flax(value.__name__)
    kind = value if isinstance(value, type) else type(value)
    return any(_below_flax(base.__module__) for base in kind.__mro__)


def _below_flax(module: str | None) -> bool:
    return (module or "").partition(".")[0] == "flax"


def _symptoms(message: str, version: str) -> Iterator[Match]:
    for symptom in facts.symptoms():
        if version and not facts.within(facts.nearest(version), symptom.intervals):
            continue
        if symptom.found_in(message):
            row = facts.behaviour(symptom.behaviour)
            yield Match(
                row.id, f"{row.text} ({facts.worded(row.intervals)})", row.remedy
            )


#: How Python words what a release lacks: each finds an owner, a name and a parameter.
_LACKING = tuple(
    re.compile(pattern)
    for pattern in (
        # Python's own words, and those of a module that Flax gave a __getattr__
        r"[Mm]odule '?(?P<owner>flax[\w.]*nnx)[\w.]*'? has no attribute "
        r"'(?P<name>\w+)'",
        r"cannot import name '(?P<name>\w+)' from '(?P<owner>flax[\w.]*nnx)",
        r"(?:type object )?'(?P<owner>\w+)'(?: object)? has no attribute "
        r"'(?P<name>\w+)'",
        r"(?:(?P<owner>\w+)\.)?(?P<name>\w+)\(\) got an unexpected keyword argument "
        r"'(?P<parameter>\w+)'",
        r"(?:(?P<owner>\w+)\.)?(?P<name>\w+)\(\) missing \d+ required [\w-]+ "
        r"arguments?: '(?P<parameter>\w+)'",
    )
)
#: The classes whose members people's own classes inherit.
_BASES = ("Module", "Variable", "State", "Pytree")


def _lacking(message: str, version: str) -> Iterator[Match]:
    """A name or a parameter that some releases have and some have not."""
    for pattern in _LACKING:
        for found in pattern.finditer(message):
            parts = found.groupdict()
            owner, name = parts["owner"] or "", parts["name"]
            parameter = parts.get("parameter") or ""
            path = _owned(owner, name)
            if path is None:
                continue
            row = facts.name(path)
            having = row.parameters.get(parameter, ()) if parameter else row.intervals
            if not having or (version and _expected(row, parameter, version, message)):
                continue
            said = f"{path}({parameter})" if parameter else path
            subject = f"{path} {parameter}" if parameter else path
            treated = facts.treatment(path, version or facts.releases()[-1].version)
            instead = treated.instead if treated else ""
            if not instead and path.removeprefix("nnx.") in facts.backports():
                instead = "from nnx_compat import nnx, which has it on every release"
            yield Match(subject, f"flax has {said} on: {facts.worded(having)}", instead)


def _expected(row: facts.Name, parameter: str, version: str, message: str) -> bool:
    """Whether the release is one that would not say so: it has what is asked for."""
    there = row.on(version, parameter or None)
    return not there if "missing" in message else there


def _owned(owner: str, name: str) -> str | None:
    """The path in the facts: a name of NNX, or a member of a class or of its bases."""
    if owner.endswith("nnx") or not owner:
        return _path(name)
    if name == "__init__":
        return _path(owner)
    for base in (owner, *_BASES):
        if (path := _path(f"{base}.{name}")) is not None:
            return path
    return None
