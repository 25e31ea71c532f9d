"""``fix`` over files: all of them are rewritten in memory before one is written."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .. import declared, masks, releases, settings, sources
from ..findings import quoted
from ..sources import Source, SourceError
from . import Fixed, fix_program
from .notebooks import Notebook
from .writing import Original, replace_whole

__all__ = ["Rewritten", "rewrite"]


@dataclass
class Rewritten:
    """What was done, or would be.

    Attributes:
        changed: the files that are other than before.
        lines: what was done in each, and what is left.
        diff: the difference, as ``diff -u`` has it.
        breaks: at how many of the places that are left the code does not run.
        notes: what else is to be known.
        failed: the files that could not be written, and why.
    """

    changed: list[Path] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    diff: str = ""
    breaks: int = 0
    notes: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def rewrite(
    paths: Sequence[str],
    to: str = "portable",
    *,
    only: Iterable[str] = (),
    unsafe: bool = False,
    write: bool = True,
    target: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> Rewritten:
    """Rewrite files and folders; each file is replaced whole, or stays as it is.

    Args:
        paths: Python sources, notebooks, and folders of them.
        to: as in ``fix_source``.
        only: as in ``fix_source``.
        unsafe: as in ``fix_source``.
        write: whether to write; else it is only said what would be.
        target: the releases that portable code is for, in place of those that the
            project declares: a specifier, as of ``check``.
        progress: told how many files are done, and of how many.

    Raises:
        SourceError: a file cannot be read, or the target is none; then no file is
            written.

    Example:
        >>> from nnx_compat.check.fixing.files import rewrite
        >>> rewrite([]).lines
        []
    """
    if target and to != "portable":
        raise SourceError(
            f"--target {target} is for portable code, and --to {to} asks for other\n"
            f"  instead: --to {target!r}, natively, or --target alone"
        )
    aimed = declared.target(target) if target else None
    result = Rewritten()
    unread: list[str] = []
    listed = [str(path) for path in paths]
    wanted = list(filter(settings.found(listed).reads, sources.files(listed, unread)))
    for error in unread:
        raise SourceError(error)
    originals = [_read(path) for path in _once(wanted)]
    found = aimed
    if found is None and to == "portable":
        found = declared.search(listed).declared
    fixed = fix_program(
        [one.source for one in originals], to, only=tuple(only), unsafe=unsafe,
        within=found.mask if found else 0,
    )  # fmt: skip
    todo = []
    if found is not None and found.mask:
        result.notes.append(f"for flax{found.specifier}, as {found.where} asks")
    for done, (original, one) in enumerate(zip(originals, fixed, strict=True)):
        if progress is not None:
            progress(done, len(wanted))
        _note(result, original, one)
        if one.text != original.source.text:
            todo.append((original, one.text))
    if any(_NEEDED in text and _NEEDED not in o.source.text for o, text in todo):
        result.notes.append("nnx-compat is a new dependency: declare it beside flax")
    if any(one.changes.get("NC104") and _DROPPING.search(one.text) for one in fixed):
        result.notes += _of_seeds(found.mask if found else releases.ALL)
    if write:
        for original, text in todo:
            try:
                replace_whole(original, text)
            except OSError as error:
                result.changed.remove(original.path)
                said = f"{quoted(str(original.path))}: not written: {error}"
                result.failed.append(said)
    return result


def _of_seeds(mask: int) -> list[str]:
    """What is to be said of Dropout where the newest meaning is another one."""
    shared = releases.ALL & ~masks.behaviour("dropout-forks-its-rngs") & mask
    if not shared:
        return []
    return [
        "nnx.Dropout(rngs=) takes a key of its Rngs, as the newest flax has it: with "
        f"one seed, layers built after it begin with other weights on flax "
        f"{releases.spelled(shared)} than before\n"
        "  instead: nnx.Rngs(0, dropout=1), which gives the same ones",
        "its stream has another path in the state (`rngs.count`, and not "
        "`rngs.dropout.count`) there: a checkpoint from before does not fit as it is\n"
        "  instead: nnx_compat.checkpoint.load, which reads it",
    ]


_NEEDED = "nnx_compat"
#: A Dropout that is given a Rngs as it is built, as far as that is on one line.
_DROPPING = re.compile(r"\bDropout\(.*\brngs\b")


def _once(paths: Iterable[Path]) -> Iterator[Path]:
    """The files, each once whatever links lead to it, by its own name if given."""
    listed = sorted(paths, key=lambda path: (path.is_symlink(), str(path)))
    seen = set[tuple[int, int]]()
    for path in listed:
        found = path.stat()
        if (found.st_dev, found.st_ino) not in seen:
            seen.add((found.st_dev, found.st_ino))
            yield path


def _read(path: Path) -> Original:
    """The file, and how it is to be written."""
    try:
        raw = path.read_bytes()
        if path.suffix == ".ipynb":
            return Original(path, raw, sources.read(path), Notebook(raw))
        text, encoding = sources.decoded(raw)
    except (OSError, SyntaxError, ValueError) as error:
        raise SourceError(f"{quoted(str(path))}: {error}") from None
    return Original(path, raw, Source(str(path), text), None, encoding)


def _note(result: Rewritten, original: Original, fixed: Fixed) -> None:
    path = quoted(str(original.path))
    before, after = original.source.text, fixed.text
    if after != before:
        result.changed.append(original.path)
        result.diff += "".join(
            difflib.unified_diff(
                before.splitlines(keepends=True), after.splitlines(keepends=True),
                path, path,
            )
        )  # fmt: skip
    if fixed.changes:
        count = sum(fixed.changes.values())
        each = ", ".join(f"{n} {code}" for code, n in sorted(fixed.changes.items()))
        result.lines.append(
            f"{path}: {count} change{'s' if count > 1 else ''} ({each})"
        )
    if fixed.kept:
        result.lines.append(f"{path}: left as it is: {fixed.kept}")
        result.breaks += 1
    for finding, why in fixed.left:
        result.breaks += bool(finding.excluded and finding.certain)
        reason = f" (left: {why})" if why else ""
        result.lines.append(f"{finding.where}: {finding.code} {finding.text}{reason}")
        if finding.instead:
            result.lines.append(f"  instead: {finding.instead}")
