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

from .. import check_source
from ..findings import Finding
from ..reader import read
from ..sources import Source
from .aim import Aim
from .draft import Draft
from .edits import Edit, Refused
from .guards import dropped_guards
from .imports import added_import, portable_imports

__all__ = ["Fixed", "fix_source"]

_ROUNDS = 8  # each round may show more to do; none of the rules' needs more than four


@dataclass
class Fixed:
    """What became of one source.

    Attributes:
        text: the new source; the old one where nothing is changed.
        changes: how many places were changed, by code.
        left: findings that are still there, with why where it is known.
    """

    text: str
    changes: dict[str, int] = field(default_factory=dict)
    left: list[tuple[Finding, str]] = field(default_factory=list)


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
    aim = Aim(to, frozenset(only), unsafe)
    source.tree()  # says which file it is, if it is no Python
    fixed = Fixed(source.text)
    if not source.speaks_of_nnx():
        return fixed
    refused: dict[tuple[int, int], str] = {}
    for _ in range(_ROUNDS):
        draft = _drafted(fixed.text, aim, refused)
        if not draft.edits:
            break
        text = draft.applied()
        ast.parse(text)
        fixed.text = text
        for edit in draft.edits:
            fixed.changes[edit.code] = fixed.changes.get(edit.code, 0) + 1
    for finding in check_source(Source(source.path, fixed.text)):
        if (finding.excluded | finding.warns) & aim.mask:
            reason = refused.get((finding.line, finding.column), "")
            fixed.left.append((finding, reason))
    return fixed


def _drafted(text: str, aim: Aim, refused: dict[tuple[int, int], str]) -> Draft:
    """Read the source once, and say what is to change in it."""
    draft = Draft(text)
    reading = read("", draft.tree)
    findings = draft.source.reported(reading.findings)
    if aim.portable and (aim.wants("NC104") or aim.wants("NC101")):
        draft.add(portable_imports(draft))
    draft.add(_rewrites(draft, findings, aim, refused))
    if aim.wants("GUARD"):
        draft.add(dropped_guards(draft, reading.guards, aim.mask))
    if draft.needs:
        draft.edits.append(added_import(draft))
    return draft


def _rewrites(
    draft: Draft,
    findings: list[Finding],
    aim: Aim,
    refused: dict[tuple[int, int], str],
) -> Iterator[Edit]:
    old_optimizers = _all_or_none(findings)
    for finding in findings:
        rewrite, code = finding.rewrite, finding.code
        if rewrite is None or not aim.wants(code):
            continue
        if not (finding.excluded | finding.warns) & aim.mask:
            continue
        if code in ("NC310", "NC311") and not old_optimizers:
            continue
        template = aim.template(rewrite)
        context = getattr(rewrite.whole, "ctx", None)
        if template and isinstance(context, (ast.Load, type(None))):
            try:
                yield draft.edit(rewrite.whole, template, rewrite.parts, code)
            except Refused as reason:
                refused[finding.line, finding.column] = str(reason)


def _all_or_none(findings: list[Finding]) -> bool:
    """Whether every ``update(grads)`` can be given its model."""
    return all(f.rewrite is not None for f in findings if f.code == "NC310")
