"""Anything that the facts know, explained: what, since when, and what to write instead.

A rule or an error's code, a name with or without a parameter, a change of meaning, what
a newer jax broke, or the text of a native error as it was printed. Imports neither flax
nor jax.

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

from . import errors, facts
from .check.messages import Match, matches, natives, path_of, repair, spoken, told
from .errors import UnknownFactError

__all__ = [
    "Match",
    "annotate",
    "explain",
    "index",
    "known",
    "matches",
    "natives",
    "note",
    "told",
]


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
        raise _unknown(asked)
    return "\n".join(pages)


def _pages(asked: str) -> Iterator[str]:
    yield from _of_subject(asked)
    if re.search(r"\s", asked):
        # an error of ours ends with its code, and so does what the checker finds
        subjects = re.findall(r"\bNC\d{3}\b", asked)
        subjects += [match.subject for match in matches(asked)]
        for subject in dict.fromkeys(subjects):
            yield from _of_subject(subject)


def _of_subject(asked: str) -> Iterator[str]:
    """The pages of what can be asked for, but for the texts of errors."""
    yield from _of_code(asked)
    if asked in _behaviours():
        yield _of_behaviour(_behaviours()[asked])
    if asked in facts.faults():
        yield _of_fault(facts.fault(asked))
    if asked == "jax":
        yield _of_jax()
    yield from _of_name(asked)


def _unknown(asked: str) -> UnknownFactError:
    """What to say where nothing is known: what comes nearest, and what to do next."""
    found = f"nothing is known of {' '.join(asked.split())!r}"
    if re.search(r"\s", asked):
        return UnknownFactError(
            found,
            details=list(_nearest(asked)),
            instead="nnx-compat check FILE, which reads the code that raises it",
            otherwise="nnx-compat doctor, which says whether Flax and jax go together",
        )
    return UnknownFactError(found, instead=_alike(asked))


def _nearest(message: str) -> Iterator[str]:
    """The known texts that look alike, and the names that the message has in it."""
    import difflib

    texts = {" ".join(said.split()) for said in spoken(message)}
    near: dict[str, tuple[float, str]] = {}
    for symptom in (*facts.symptoms(), *natives()):
        plain = _GROUP.sub(r"\1", symptom.text)
        plain = re.sub(r"\\b|\\|[\^$]", "", _WILD.sub("...", plain))
        like = max(difflib.SequenceMatcher(None, s, plain).ratio() for s in texts)
        near[symptom.behaviour] = max(
            near.get(symptom.behaviour, (0.0, "")), (like, plain)
        )
    for subject, (like, plain) in sorted(near.items(), key=lambda one: -one[1][0])[:3]:
        if like > _LIKE:
            yield f"alike: {plain!r}, nnx-compat explain {_quoted(subject)}"
    for path in dict.fromkeys(re.findall(r"nnx\.[A-Za-z_]\w*", message)):
        if path_of(path):
            yield f"in it: {path}, nnx-compat explain {path}"


#: Alternatives in a regular expression, of which the first one is shown.
_GROUP = re.compile(r"(?<!\\)\(([^()|]*)(\|[^()]*)?(?<!\\)\)\??")
#: What stands for any word or text.
_WILD = re.compile(r"\\[dwS]\+?|\.\*|\[\^'\]\*")
#: How alike two texts have to be, from 0 to 1, so that one is named for the other.
_LIKE = 0.5


def _quoted(subject: str) -> str:
    return f'"{subject}"' if " " in subject else subject


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
    listed = ["GUARD", "jax", *_codes(), *_behaviours(), *facts.faults()]
    return list(dict.fromkeys([*listed, *facts.names()]))


def index() -> list[tuple[str, str]]:
    """The codes, the changes of meaning and the faults; names are too many.

    Example:
        >>> from nnx_compat import explain
        >>> dict(explain.index())["NC001"].endswith("or there is no Flax.")
        True
    """
    from .check.rules import RULES

    listed = [(code, _first(kind)) for code, kind in _errors().items()]
    listed += [(rule.code, rule.title) for rule in RULES]
    listed.append(("GUARD", _GUARD_TITLE))
    listed += [(row.id, row.text) for row in facts.behaviours()]
    listed += [(row.id, row.text) for row in facts.faults().values()]
    return [*listed, ("jax", "which versions of jax each release of Flax runs with")]


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
        yield page(rule) + _shown(rule.code, natives())
    for code, kind in _errors().items():
        if asked.upper() == code or asked == kind.__name__:
            yield _of_error(code, kind)


def _of_error(code: str, kind: type[Exception]) -> str:
    of_all = errors.NnxCompatError.__mro__[1:]
    named = [base for base in kind.__mro__ if base.__module__ == "builtins"]
    builtin = next((base for base in named if base not in of_all), Exception)
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
    lines.append(_shown(row.id, (*facts.symptoms(row.id), *natives())))
    lines.append(f"With nnx-compat: {row.remedy}")
    return "\n".join(lines) + "\n"


def _shown(subject: str, symptoms: tuple[facts.Symptom, ...]) -> str:
    """The native texts of something, a line each; ``""`` where there are none."""
    lines = [
        f"{row.kind.capitalize()} on {facts.worded(row.intervals)}: `{row.text}`\n"
        for row in symptoms
        if row.behaviour == subject
    ]
    return "\n" + "".join(lines) if lines else ""


# -- what jax has to do with it -----------------------------------------------------


def _of_fault(row: facts.Fault) -> str:
    broken = "all of NNX" if row.breaks == ("import",) else ", ".join(row.breaks)
    return (
        f"# {row.id}\n\n{row.text}\n\nSo it is on flax {facts.worded(row.intervals)}, "
        f"with jax {row.jax}. What it breaks: {broken}.\n"
        f"{_shown(row.id, natives())}\nWhat to do: {repair(row)}\n"
    )


def _of_jax() -> str:
    lines = [
        "# jax",
        "",
        "A release of Flax runs with the versions of jax of its time: an older one "
        "lacks names that it needs, and a newer one has dropped names that it uses. "
        "`nnx-compat doctor` says whether the two that are installed go together.",
        _shown("jax", natives()),
        "| flax | jax | python |",
        "| --- | --- | --- |",
    ]
    for row in facts.releases():
        ends = f"{row.jax_oldest} to {row.jax_newest}"
        lines.append(f"| {row.version} | {ends} | from {row.python} |")
    return "\n".join(lines) + "\n"


# -- names --------------------------------------------------------------------------


def _of_name(asked: str) -> Iterator[str]:
    """``nnx.scan``, ``scan``, ``flax.nnx.scan in_axes``, ``nnx.scan(in_axes)``."""
    found = re.fullmatch(r"([\w.]+?)(?:\(\))?(?:\s+|\()?(\w+)?\)?", asked)
    if found is None:
        return
    path, parameter = path_of(found[1]), found[2]
    if path is None:  # without a parameter the pattern may have cut the last letter
        path, parameter = path_of(asked), None
    if path is None:
        yield from _of_use(asked)
        return
    name = facts.name(path)
    if parameter and parameter not in name.parameters:
        return
    lines = [f"# {path}", "", f"Flax has it on: {facts.worded(name.intervals)}."]
    if inside := facts.instance_member(path):
        lines += ["", f"Instances have it on: {facts.worded(inside)}."]
    lines += _treated(path)
    shown = [parameter] if parameter else sorted(name.parameters)
    if shown:
        lines += ["", "| parameter | flax |", "| --- | --- |"]
    for one in shown:
        lines.append(f"| `{one}` | {facts.worded(name.parameters[one])} |")
    below = f"{path}."
    members = [p for p in facts.names() if p.startswith(below)]
    if members and not parameter:
        lines += ["", "| member | flax |", "| --- | --- |"]
        for one in members:
            short = one.removeprefix(below)
            lines.append(f"| `{short}` | {facts.worded(facts.name(one).intervals)} |")
    lines.append(_shown(f"{path} {parameter}" if parameter else path, natives()))
    yield "\n".join(lines).rstrip() + "\n"


def _of_use(asked: str) -> Iterator[str]:
    """What is no name of NNX: a name of flax elsewhere, or what instances have."""
    below = "nnx." + asked.rpartition("nnx.")[2]
    for path, who in ((asked, "Flax has"), (below, "Instances have")):
        having = facts.outside(path) or facts.instance_member(path)
        if having:
            yield f"# {path}\n\n{who} it on: {facts.worded(having)}.\n"


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
        lines.append(f"  more:    nnx-compat explain {_quoted(match.subject)}")
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
    about = getattr(error, "obj", None)
    of_jax = isinstance(about, types.ModuleType) and _below("jax", about.__name__)
    if isinstance(error, AttributeError) and about is not None and not of_jax:
        return _is_flax(about)
    if isinstance(error, ImportError) and not _below("jax", error.name):
        return _below("flax", error.name)
    if "() got an unexpected" in str(error) or "() missing" in str(error):
        return True  # raised by the caller's own line, of a name that NNX has
    frames = traceback.walk_tb(error.__traceback__)
    return any(_below("flax", frame.f_globals.get("__name__")) for frame, _ in frames)


def _is_flax(value: object) -> bool:
    """Whether it is a module or a class of Flax's, or an instance of one."""
    if isinstance(value, types.ModuleType):
        return _below("flax", value.__name__)
    kind = value if isinstance(value, type) else type(value)
    return any(_below("flax", base.__module__) for base in kind.__mro__)


def _below(package: str, module: str | None) -> bool:
    return (module or "").partition(".")[0] == package
