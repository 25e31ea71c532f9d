"""What hits code that goes from one release of Flax to another, in either direction.

The change log that Flax does not write, from the facts alone: what changes its meaning
silently comes first. Given files, only what these files meet. Neither Flax nor jax has
to be installed, and nothing is imported of what is read.

    >>> from nnx_compat import facts, upgrade
    >>> oldest = facts.releases()[0].version
    >>> [part.key for part in upgrade.between(oldest, "newest").parts][:2]
    ['silent', 'raises']
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

from . import facts
from .errors import ArgumentValueError

__all__ = [
    "FORMATS",
    "OF_CODE",
    "Entry",
    "Part",
    "Upgrade",
    "between",
    "of_code",
    "pages",
]


class Entry(NamedTuple):
    """One change.

    Attributes:
        subject: what it is about: a behaviour's id, a name, or a place in a file.
        text: what happens on the new release.
        where: the releases on which it is so, in words; ``""`` where that says nothing.
        instead: what to write or to do; may be ``""``.
    """

    subject: str
    text: str
    where: str = ""
    instead: str = ""


class Part(NamedTuple):
    """Changes of one kind: ``key`` is for machines, ``title`` for people."""

    key: str
    title: str
    entries: tuple[Entry, ...]


class Upgrade(NamedTuple):
    """All that changes between two releases, the most dangerous first.

    Attributes:
        old: the release that one comes from.
        new: the release that one goes to; it may be the older of the two.
        parts: the kinds of change, those without any left out.
        notes: what else is to be known, a line each.
    """

    old: facts.Release
    new: facts.Release
    parts: tuple[Part, ...]
    notes: tuple[str, ...] = ()


def between(old: str, new: str) -> Upgrade:
    """What changes from one release to another.

    Args:
        old: a release of Flax, or ``"newest"``.
        new: likewise. It may be older than ``old``.

    Raises:
        ArgumentValueError: the facts have no such release, or both are the same.

    Example:
        >>> from nnx_compat import facts, upgrade
        >>> oldest = facts.releases()[0].version
        >>> silent = upgrade.between(oldest, "newest").parts[0]
        >>> "split-shares-variables" in [entry.subject for entry in silent.entries]
        True
    """
    a, b = _release(old), _release(new)
    if a.version == b.version:
        raise ArgumentValueError(
            f"both releases are flax {a.version}", instead="name two different ones"
        )
    meanings = list(_meanings(a.version, b.version))
    parts = [
        Part(key, title, tuple(entry for kind, entry in meanings if kind == key))
        for key, title in _MEANINGS.items()
    ]
    parts.insert(2, Part("gone", "Gone: names", tuple(_gone(a.version, b.version))))
    lost = tuple(_lost_parameters(a.version, b.version))
    parts.insert(3, Part("parameters", "Gone: parameters", lost))
    deprecated = tuple(_deprecated(b.version))
    parts.insert(
        5, Part("deprecated", "To leave behind: names on their way out", deprecated)
    )
    parts.append(Part("came", "New names", tuple(_came(a.version, b.version))))
    parts.append(Part("moves", "What moves with it", tuple(_moves(a, b))))
    parts.append(Part("stops", "Where to stop when you bisect", tuple(_stops(a, b))))
    return Upgrade(a, b, tuple(part for part in parts if part.entries))


def _release(version: str) -> facts.Release:
    known = {release.version: release for release in facts.releases()}
    if version == "newest":
        return facts.releases()[-1]
    if version not in known:
        import difflib

        alike = difflib.get_close_matches(version, known, n=3)
        raise ArgumentValueError(
            f"no release of Flax is {version!r}: there are {len(known)}, "
            f"{facts.releases()[0].version} to {facts.releases()[-1].version}",
            instead=", ".join(alike) or "nnx-compat matrix, which lists them",
        )
    return known[version]


# -- meanings -----------------------------------------------------------------------

_MEANINGS = {
    "silent": "The same call does something else, and nothing says so",
    "raises": "The same call is an error",
    "warns": "The same call warns",
    "works": "What was an error and works",
}


def _meanings(old: str, new: str) -> Iterator[tuple[str, Entry]]:
    """The behaviours that hold on one of the two alone, by how they show."""
    for row in facts.behaviours():
        starts = row.holds(new)
        if starts is row.holds(old):
            continue
        shown = {
            version: {
                symptom.kind
                for symptom in facts.symptoms(row.id)
                if facts.within(version, symptom.intervals)
            }
            for version in (old, new)
        }
        kind = "silent"
        if "error" in shown[new]:
            kind = "raises"
        elif "warning" in shown[new]:
            kind = "warns"
        elif "error" in shown[old]:
            kind = "works"
        text = row.text if starts else f"No longer: {row.text}"
        yield kind, Entry(row.id, text, facts.worded(row.intervals), row.remedy)


# -- names --------------------------------------------------------------------------


def _gone(old: str, new: str) -> Iterator[Entry]:
    """Names that the new release lacks, members where their class stays."""
    for path in facts.names():
        name = facts.name(path)
        if not name.on(old) or name.on(new) or not _owner_on(path, new):
            continue
        yield Entry(
            path, _given(path, new), facts.worded(name.intervals), _instead(path, new)
        )


def _owner_on(path: str, version: str) -> bool:
    owner = path.rpartition(".")[0]
    return owner == "nnx" or facts.name(owner).on(version)


def _given(path: str, version: str) -> str:
    """What the drop-in namespace has in the place of a name that Flax lacks."""
    row = facts.treatment(path, version)
    if row is not None and row.treatment == "refused":
        return f"nnx_compat.nnx refuses it: {row.why}"
    if path.removeprefix("nnx.") in facts.backports():
        return "nnx_compat.nnx has it"
    return ""


def _instead(path: str, version: str) -> str:
    row = facts.treatment(path, version)
    return row.instead if row is not None else ""


def _lost_parameters(old: str, new: str) -> Iterator[Entry]:
    for path in facts.names():
        name = facts.name(path)
        if not name.on(old) or not name.on(new):
            continue
        for parameter, having in name.parameters.items():
            if name.on(old, parameter) and not name.on(new, parameter):
                yield Entry(f"{path}({parameter})", "", facts.worded(having))


def _deprecated(new: str) -> Iterator[Entry]:
    for path, rows in facts.treatments().items():
        for row in rows:
            if row.treatment == "deprecated" and facts.name(path).on(new):
                yield Entry(path, row.why, "", row.instead)


def _came(old: str, new: str) -> Iterator[Entry]:
    for path in facts.names():
        name = facts.name(path)
        if path.count(".") == 1 and name.on(new) and not name.on(old):
            yield Entry(path, _given(path, old), facts.worded(name.intervals))


# -- what moves with it -------------------------------------------------------------


def _moves(old: facts.Release, new: facts.Release) -> Iterator[Entry]:
    if old.python != new.python:
        yield Entry("Python", f"flax {new.version} needs Python {new.python} or later")
    ranges = f"{new.jax_oldest} to {new.jax_newest}"
    yield Entry("jax", f"measured with {ranges}; {_common_jax(old, new)}")


def _common_jax(old: facts.Release, new: facts.Release) -> str:
    from packaging.version import Version

    first = max(Version(old.jax_oldest), Version(new.jax_oldest))
    last = min(Version(old.jax_newest), Version(new.jax_newest))
    if first > last:
        return f"no jax runs with both: flax {old.version} ends at {old.jax_newest}"
    both = f"{first}" if first == last else f"{first} to {last}"
    return f"jax {both} runs with both, so jax can move in a step of its own"


def _stops(old: facts.Release, new: facts.Release) -> Iterator[Entry]:
    """The first release of each revision between the two."""
    order = [release.version for release in facts.releases()]
    low, high = sorted((order.index(old.version), order.index(new.version)))
    stops = [
        revision for revision in facts.revisions()
        if low < order.index(revision.since) < high
    ]  # fmt: skip
    for revision in stops if order.index(new.version) == high else reversed(stops):
        yield Entry(revision.since, f"the first with the revision {revision.name}")


# -- of some code -------------------------------------------------------------------


def of_code(
    old: str,
    new: str,
    paths: Iterable[str],
    progress: Callable[[int, int], None] | None = None,
) -> Upgrade:
    r"""What some files meet of it, by place.

    Args:
        old: as for ``between``.
        new: likewise.
        paths: Python sources, notebooks and folders of them.
        progress: told how many files are done, and of how many.

    Returns:
        The parts ``change`` (what is an error there), ``read`` (what means something
        else) and ``warns``, ``left`` (what is an error, or means something else, on
        the old release alone), and what moves with it.

    Raises:
        ArgumentValueError: as for ``between``.
        SourceError: a path is not there.

    Example:
        >>> import pathlib, tempfile
        >>> from nnx_compat import facts, upgrade
        >>> old = facts.name("nnx.fork").intervals[0].first
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = pathlib.Path(folder, "model.py")
        ...     _ = file.write_text("from flax import nnx\nf = nnx.fork\n")
        ...     found = upgrade.of_code(old, "newest", [str(file)])
        >>> first = found.parts[0]
        >>> first.key, first.entries[0].subject.endswith("model.py:2:5")
        ('change', True)
    """
    from .check import check, output, releases

    whole = between(old, new)
    report = check(paths, target=f"=={whole.new.version}", progress=progress)
    bit = releases.which(lambda version: version == whole.new.version)
    before = releases.which(lambda version: version == whole.old.version)
    found: dict[str, list[Entry]] = {key: [] for key in OF_CODE}
    for one in report.findings:
        if one.excluded & bit:
            key = "change" if one.error else "read"
        elif one.warns & bit:
            key = "warns"
        elif one.excluded & before:
            key = "left"
        else:
            continue
        likely = "" if one.certain else " (likely)"
        instead = "" if key == "left" else one.instead
        entry = Entry(one.where, f"{one.code} {one.text}{likely}", "", instead)
        found[key].append(entry)
    parts = [Part(key, OF_CODE[key], tuple(some)) for key, some in found.items()]
    parts += [part for part in whole.parts if part.key in ("moves", "stops")]
    far = (*output.counted(report), output.runs(report))
    notes = (*report.unread, *far, *_commands(whole, paths))
    return Upgrade(whole.old, whole.new, tuple(p for p in parts if p.entries), notes)


#: What files meet, by key: the parts of ``of_code`` and their titles.
OF_CODE = {
    "change": "Must change: an error there",
    "read": "Read this: it means something else there",
    "warns": "Warns there",
    "left": "Left behind: an error or another meaning on the old release, not there",
}


def _commands(whole: Upgrade, paths: Iterable[str]) -> Iterator[str]:
    where, new = " ".join(paths), whole.new
    ends = sorted((whole.old, new), key=facts.releases().index)
    both = f"--target '>={ends[0].version},<={ends[1].version}'"
    # of old spellings nothing is written: back, there is only the code for both
    native = f"--to '=={new.version}'" if new is ends[1] else both
    yield "What to run, in this order:"
    yield f"  nnx-compat fix --diff {native} {where}    # what it rewrites by itself"
    yield f"  nnx-compat fix {native} {where}"
    yield f"  nnx-compat check --target '=={new.version}' {where}"
    jax = f"'jax>={new.jax_oldest},<={new.jax_newest}'"
    yield f"  pip install 'flax=={new.version}' {jax}"
    if native != both:
        yield "Or, for one code on both releases, with nnx-compat:"
        yield f"  nnx-compat fix {both} {where}"


# -- as text, Markdown and JSON -----------------------------------------------------


def text(found: Upgrade) -> str:
    """For a terminal: a paragraph an entry, in the order in which it should be read."""
    lines = [_title(found)]
    for part in found.parts:
        lines += ["", f"{part.title} ({len(part.entries)})"]
        for entry in part.entries:
            lines.append(f"  {entry.subject}" + _behind(entry))
            lines += [f"    {entry.text}"] if entry.text else []
            lines += [f"    instead: {entry.instead}"] if entry.instead else []
    return "\n".join([*lines, "", *found.notes]).rstrip()


def markdown(found: Upgrade) -> str:
    """A page of its own."""
    lines = [f"# {_title(found)}"]
    for part in found.parts:
        lines += ["", f"## {part.title} ({len(part.entries)})", ""]
        for entry in part.entries:
            rest = f": {entry.text}" if entry.text else ""
            lines.append(f"- `{entry.subject}`{_behind(entry)}{rest}")
            lines += [f"  - instead: {entry.instead}"] if entry.instead else []
    return "\n".join([*lines, "", *found.notes]).rstrip()


def pages() -> dict[str, str]:
    """A page for each two neighbouring revisions, and an index, by the file's name.

    From the last release of the one to the last of the other: a revision is where
    many calls change at once.
    """
    last = {r.revision: r.version for r in facts.releases()}
    versions = list(last.values())
    found, rows = {}, []
    for old, new in pairwise(versions):
        name = f"{old}-to-{new}.md"
        found[name] = (
            f"{markdown(between(old, new))}\n\nRendered by `nox -s render`. "
            f"`nnx-compat upgrade {old} {new} PATH` shows what code meets of it.\n"
        )
        rows.append(f"- [{old} to {new}]({name})\n")
    found["README.md"] = (
        "# From one Flax to another\n\nWhat changes between the revisions of NNX, from "
        "the facts. `nnx-compat upgrade OLD NEW [PATH]` does it for any two releases, "
        f"and for your own code.\n\n{''.join(rows)}"
    )
    return found


def _title(found: Upgrade) -> str:
    old, new = found.old, found.new
    return f"From flax {old.version} ({old.date}) to {new.version} ({new.date})"


def _behind(entry: Entry) -> str:
    return f" ({entry.where})" if entry.where else ""


def as_json(found: Upgrade) -> str:
    """For a machine to read."""
    shown: dict[str, Any] = {
        "old": found.old.version,
        "new": found.new.version,
        "parts": [
            {"key": part.key, "title": part.title,
             "entries": [entry._asdict() for entry in part.entries]}
            for part in found.parts
        ],
        "notes": list(found.notes),
    }  # fmt: skip
    return json.dumps(shown, indent=2)


FORMATS: dict[str, Callable[[Upgrade], str]] = {
    "text": text, "markdown": markdown, "json": as_json,
}  # fmt: skip
