"""``nnx-compat fix``: the rewrites that the rules propose, applied to the source.

Only the tokens that change are replaced; every other one, spaces and comments
included, stays where it is. A change shows further ones (a guard that is always true
once its import has changed), so the file is read again until nothing is left to do;
what comes out is parsed before it is given to anybody.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ..findings import Finding
from ..program import Program
from ..reader import Reading, read
from ..rewrites import Rewrite
from ..sources import Source, SourceError
from .aim import Aim
from .doubts import Around
from .draft import Draft
from .edits import Edit, Refused
from .guards import dropped_guards
from .imports import added_import, portable_imports

__all__ = ["Fixed", "fix_program", "fix_source"]

_ROUNDS = 8  # each round may show more to do; none of the rules' needs more than four


@dataclass
class Fixed:
    """What became of one source.

    Attributes:
        text: the new source; the old one where nothing is changed.
        changes: how many places were changed, by code.
        left: findings that are still there, with why where it is known.
        kept: why nothing more was changed, although there was something to change.
    """

    text: str
    changes: dict[str, int] = field(default_factory=dict)
    left: list[tuple[Finding, str]] = field(default_factory=list)
    kept: str = ""


def fix_source(
    source: Source,
    to: str = "portable",
    *,
    only: Iterable[str] = (),
    unsafe: bool = False,
) -> Fixed:
    r"""Rewrite one Python source.

    Args:
        source: of a ``.py`` file.
        to: ``"portable"``, to run on every release with nnx_compat; ``"newest"``, to
            run on the newest release as it is; or a PEP 440 specifier of Flax, to run
            on all of its releases as it is.
        only: the codes of the rules to apply; all when there are none. ``GUARD`` stands
            for guards that have become needless.
        unsafe: make changes too that can mean something else for some values.

    Raises:
        SourceError: the source is no Python, or ``to`` is no range of releases.

    Example:
        >>> from nnx_compat.check.fixing import fix_source
        >>> from nnx_compat.check.sources import Source
        >>> script = "from flax import nnx\nw = nnx.Param(1.0)\nprint(w.value)  # one\n"
        >>> print(fix_source(Source("a.py", script)).text, end="")
        import nnx_compat as nc
        from nnx_compat import nnx
        w = nnx.Param(1.0)
        print(nc.get_value(w))  # one
    """
    [fixed] = fix_program([source], to, only=only, unsafe=unsafe)
    return fixed


def fix_program(
    sources: list[Source],
    to: str = "portable",
    *,
    only: Iterable[str] = (),
    unsafe: bool = False,
    within: int = 0,
) -> list[Fixed]:
    """Rewrite the files of a program: what one says of values is known in the others.

    Args:
        sources: the files.
        to: as in ``fix_source``.
        only: as in ``fix_source``.
        unsafe: as in ``fix_source``.
        within: the releases that the portable form is for, as bits; all for none.

    Raises:
        SourceError: one is no Python, or ``to`` is no range of releases.
    """
    aim = Aim(to, frozenset(only), unsafe, within)
    fixed = [Fixed(source.text) for source in sources]
    refused: list[dict[tuple[int, int], str]] = [{} for _ in sources]
    for _ in range(_ROUNDS):
        now = [
            source.changed(one.text) for source, one in zip(sources, fixed, strict=True)
        ]
        readings = _read(now)
        around = {source: Around(one.unit.tree) for source, one in readings.items()}
        models = _models_are_known(readings, around)
        changed = False
        for index, source in enumerate(now):
            reading = readings.get(source)
            if reading is not None:
                refused[index].clear()  # the lines were others in the round before
                draft = _drafted(reading, aim, refused[index], models, around[source])
                changed |= _apply(draft, fixed[index])
        if not changed:
            break
    for index, source in enumerate(now):
        reading = readings.get(source)
        if reading is not None:
            fixed[index].left = _left(source, reading, aim, refused[index])
    return fixed


def _read(sources: list[Source]) -> dict[Source, Reading]:
    program = Program(sources)
    for error in program.unread.values():
        raise SourceError(error)
    return {reading.unit.source: reading for reading in read(program)}


def _apply(draft: Draft, fixed: Fixed) -> bool:
    """Do the edits of a draft; whether there were any."""
    if not draft.edits or fixed.kept:
        return False
    try:
        text = draft.applied()
        ast.parse(text)
    except (Refused, SyntaxError, ValueError) as error:
        # never seen, and what it guards is other people's code
        fixed.kept = str(error)
        return False
    fixed.text = text
    for edit in draft.edits:
        fixed.changes[edit.code] = fixed.changes.get(edit.code, 0) + 1
    return True


def _left(
    source: Source, reading: Reading, aim: Aim, refused: dict[tuple[int, int], str]
) -> list[tuple[Finding, str]]:
    return [
        (finding, refused.get((finding.line, finding.column), ""))
        for finding in source.reported(reading.findings)
        if (finding.excluded | finding.warns) & aim.mask
    ]


def _drafted(
    reading: Reading,
    aim: Aim,
    refused: dict[tuple[int, int], str],
    models: bool,
    around: Around,
) -> Draft:
    """What is to change in a file that has been read."""
    source = reading.unit.source
    draft = Draft(source, reading.unit.tree)
    findings = source.reported(reading.findings)
    if aim.portable and (aim.wants("NC104") or aim.wants("NC101")):
        draft.edits += portable_imports(draft)
    draft.edits += _rewrites(draft, findings, aim, refused, models, around)
    if aim.wants("GUARD"):
        draft.edits += dropped_guards(draft, reading.guards, aim.mask)
    draft.settle()
    if draft.needs and draft.edits:
        draft.edits.append(added_import(draft))
    return draft


def _rewrites(
    draft: Draft,
    findings: list[Finding],
    aim: Aim,
    refused: dict[tuple[int, int], str],
    models: bool,
    around: Around,
) -> Iterator[Edit]:
    for finding in findings:
        rewrite, code = finding.rewrite, finding.code
        if doubt := around.doubt(finding):
            refused[finding.line, finding.column] = doubt
            continue
        if code in _OPTIMIZERS and not models:
            # an Optimizer that goes on holding its model needs no update to change
            rewrite = finding.fallback
            if rewrite is None:
                refused[finding.line, finding.column] = (
                    "not every update of an Optimizer is known with its model"
                )
        place = finding.line, finding.column
        if not (finding.excluded | finding.warns) & aim.mask:
            continue
        template = aim.template(rewrite) if rewrite is not None else ""
        if rewrite is None or not template or not aim.wants(code):
            refused.setdefault(place, _why_not(rewrite, aim, code))
            continue
        if isinstance(getattr(rewrite.whole, "ctx", None), (ast.Load, type(None))):
            try:
                yield draft.edit(rewrite.whole, template, rewrite.parts, code)
            except Refused as reason:
                refused[place] = str(reason)


def _why_not(rewrite: Rewrite | None, aim: Aim, code: str) -> str:
    """Why there is nothing to write for a finding."""
    if not aim.wants(code):
        return "--only leaves it out"
    if rewrite is None:
        return "no other form is certain to mean the same"
    if rewrite.unsafe and not aim.unsafe:
        return "--unsafe writes what may mean something else"
    return "its other form is not on all of these releases"


_OPTIMIZERS = ("NC310", "NC311")


def _models_are_known(
    readings: dict[Source, Reading], around: dict[Source, Around]
) -> bool:
    """Whether every ``update(grads)`` of the program can be given its model."""
    for source, reading in readings.items():
        if any("`.update`" in why for why in reading.lost.values()):
            return False
        for finding in reading.findings:
            if finding.code == "NC312" or (
                finding.code == "NC310"
                and (finding.rewrite is None or around[source].doubt(finding))
            ):
                return False
    return True
