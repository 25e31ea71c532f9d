"""What the text of a native error or warning is about, as far as the facts know it.

>>> from nnx_compat.check import messages
>>> text = "module 'flax.nnx' has no attribute 'VariableState'"
>>> [match.subject for match in messages.matches(text)]
['nnx.VariableState']
"""

from __future__ import annotations

import builtins
import re
import types
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from .. import facts
from ..facts._intervals import parsed
from ..facts._tables import rows

__all__ = ["Match", "matches", "natives", "path_of", "repair", "spoken", "told"]


class Match(NamedTuple):
    """What an error's text is explained by.

    Attributes:
        subject: a behaviour, the code of a rule, a name with or without a parameter, a
            fault, or ``"jax"``: what ``nnx-compat explain`` has a page of.
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
        >>> from nnx_compat.check import messages
        >>> text = "module 'flax.nnx' has no attribute 'VariableState'"
        >>> [match.subject for match in messages.matches(text)]
        ['nnx.VariableState']
    """
    found = list(_symptoms(message, version)) + list(_lacking(message, version))
    found += [*_outside(message), *_counted(message)]
    return list({match.subject: match for match in found}.values())


@cache
def natives() -> tuple[facts.Symptom, ...]:
    """The native texts of what is no change of meaning, or one that is mostly silent.

    Their ``behaviour`` is the code of a rule, a name with or without a parameter, a
    fault, ``"jax"``, or a change's id.

    Example:
        >>> from nnx_compat.check import messages
        >>> any(row.behaviour == "jax" for row in messages.natives())
        True
    """

    def build(about: str, kind: str, releases: list[str], text: str) -> facts.Symptom:
        return facts.Symptom(about, kind, parsed(releases), text)

    return rows("symptoms.toml", "native", build)


def spoken(message: str) -> Iterator[str]:
    """What may be the text itself: the whole, and a line behind an exception's name.

    Example:
        >>> from nnx_compat.check import messages
        >>> list(messages.spoken("KeyError: 'kernel'"))
        ["KeyError: 'kernel'", "'kernel'"]
    """
    yield message
    for line in message.splitlines():
        yield re.sub(r"^\s*[\w.]*(Error|Warning|Exception): ", "", line)


def _symptoms(message: str, version: str) -> Iterator[Match]:
    texts = list(spoken(message))
    for symptom in (*facts.symptoms(), *natives()):
        if version and not facts.within(facts.nearest(version), symptom.intervals):
            continue
        if any(map(symptom.found_in, texts)):
            yield told(symptom.behaviour, version)


def told(subject: str, version: str = "") -> Match:
    """What is to be said of what a text is about.

    Example:
        >>> from nnx_compat.check import messages
        >>> messages.told("jit-passes-abstracted-axes").instead.partition(",")[0]
        'from nnx_compat import nnx'
    """
    from .rules import by_code

    rule = by_code(subject)
    if rule is not None:
        return Match(subject, f"{rule.title}. {rule.why}", rule.remedy)
    if subject in facts.faults():
        row = facts.fault(subject)
        where = f"flax {facts.worded(row.intervals)}, with jax {row.jax}"
        return Match(subject, f"{row.text} ({where})", repair(row))
    if subject == "jax":
        said = (
            "the installed jax is older than this Flax, or the orbax beside it, needs"
        )
        return Match(subject, said, "nnx-compat doctor, which names one that fits")
    if subject in {row.id for row in facts.behaviours()}:
        meaning = facts.behaviour(subject)
        where = facts.worded(meaning.intervals)
        return Match(subject, f"{meaning.text} ({where})", meaning.remedy)
    path, _, parameter = subject.partition(" ")
    having = facts.name(path)
    on = having.parameters[parameter] if parameter else having.intervals
    said = f"{path}({parameter})" if parameter else path
    treated = facts.treatment(path, version or facts.releases()[-1].version)
    instead = treated.instead if treated else ""
    if not instead and path.removeprefix("nnx.") in facts.backports():
        instead = "from nnx_compat import nnx, which has it on every release"
    return Match(subject, f"flax has {said} on: {facts.worded(on)}", instead)


#: How Python words what a release lacks: each finds an owner, a name and a parameter.
_LACKING = tuple(
    re.compile(pattern)
    for pattern in (
        # Python's own words, and those of a module that Flax gave a __getattr__
        r"[Mm]odule '?(?P<owner>flax[\w.]*nnx)[\w.]*'? has no attribute "
        r"'(?P<name>\w+)'",
        r"cannot import name '(?P<name>\w+)' from '(?P<owner>flax[\w.]*nnx)",
        # a pickle names the module that a class was in
        r"No module named '(?P<owner>flax[\w.]*nnx)\.(?P<name>\w+)",
        r"Can't get attribute '(?P<name>\w+)' on <module '(?P<owner>flax[\w.]*nnx)",
        r"No attribute '(?P<name>\w+)' in (?P<owner>State)",
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
            yield told(f"{path} {parameter}" if parameter else path, version)


def _outside(message: str) -> list[Match]:
    """A name of flax, outside of NNX, that only some releases have."""
    found = re.findall(r"cannot import name '(\w+)' from '(flax[\w.]*)'", message)
    paths = [f"{owner}.{name}" for name, owner in found]
    paths += re.findall(r"No module named '(flax\.[\w.]+)'", message)
    return [
        Match(path, f"flax has {path} on: {facts.worded(having)}", "")
        for path in paths
        if (having := facts.outside(path))
    ]


def _counted(message: str) -> Iterator[Match]:
    """A call with more arguments by position than some releases take."""
    said = (
        r"(?:(\w+)\.)?(\w+)\(\) takes [\w ]+ positional arguments? but \d+ "
        r"(?:was|were) given"
    )
    for owner, name in re.findall(said, message):
        path = _owned(owner, name)
        called = facts.call(path) if path else None
        if path and called and len(called.most) > 1:
            rows = called.most.items()
            counts = [f"{most} on {facts.worded(where)}" for most, where in rows]
            takes = f"{path} takes by position, at most: {'; '.join(counts)}"
            yield Match(path, takes, told(path).instead or "name the arguments")


def _expected(row: facts.Name, parameter: str, version: str, message: str) -> bool:
    """Whether the release is one that would not say so: it has what is asked for."""
    there = row.on(version, parameter or None)
    return not there if "missing" in message else there


def _owned(owner: str, name: str) -> str | None:
    """The path in the facts: a name of NNX, or a member of a class or of its bases."""
    if owner.endswith("nnx") or not owner:
        return path_of(name)
    if hasattr(builtins, owner) or {owner, f"{owner.title()}Type"} & set(dir(types)):
        return None  # a dict has an update() of its own
    if name == "__init__":
        return path_of(owner)
    for base in (owner, *_BASES):
        if (path := path_of(f"{base}.{name}")) is not None:
            return path
    return None


def repair(row: facts.Fault) -> str:
    """What makes a broken pair work: one of our doors, or another jax.

    Example:
        >>> from nnx_compat import facts
        >>> from nnx_compat.check import messages
        >>> messages.repair(facts.fault("import-needs-maps")).startswith("a jax before")
        True
    """
    ways = [text for door, text in _DOORS.items() if door in row.repaired]
    older = f"a jax before {row.jax.lstrip('>=')}, which is what this Flax was made for"
    return ", or ".join([*ways, older])


_DOORS = {
    "drop-in": "from nnx_compat import nnx",
    "install": "nnx_compat.install() before Flax is imported",
}


def path_of(text: str) -> str | None:
    """The path in the facts of a name as people write it.

    Example:
        >>> from nnx_compat.check import messages
        >>> messages.path_of("flax.nnx.Linear"), messages.path_of("linear")
        ('nnx.Linear', None)
    """
    below = text.rpartition("nnx.")[2] if "nnx." in text else text
    path = f"nnx.{below}"
    return path if path in _paths() else None


@cache
def _paths() -> frozenset[str]:
    return frozenset(facts.names())
