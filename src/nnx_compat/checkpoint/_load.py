"""``load``: in place, all or nothing, with a row for every array."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from ..errors import (
    ArgumentTypeError,
    ArgumentValueError,
    CheckpointFormError,
    CheckpointStructureError,
)
from ..functional import Filter, predicate
from ._match import Chosen, Match, matched
from ._rename import Rename, renamed
from ._report import LoadReport, Row
from ._slots import Slot, Slots
from ._table import Contents
from ._values import Values, problem
from ._views import shown
from .forms import opened


def load(
    path: str | os.PathLike[str],
    *,
    step: int | None = None,
    only: str | Sequence[str] | Filter = ...,
    rename: Rename | None = None,
    strict: bool = True,
    cast: bool = False,
    rngs: Literal["file", "model"] = "file",
    **items: object,
) -> LoadReport:
    """Load a checkpoint of any form and release into models that are there already.

    All or nothing: everything is matched, read and checked before anything is written,
    and Variables keep their identity. Abstract models (``nnx.eval_shape``) become
    concrete ones, each array made with its sharding, of which every device reads its
    own part.

    Args:
        path: a file or folder, recognised by content.
        step: of a folder of steps, which one; the newest that is finished by default.
        only: which arrays: a glob of their paths (``"model/encoder/*"``), a list of
            globs, or a filter of NNX (``nnx.Param``). What is left out stays as it is.
        rename: rules by regex for the names of another framework,
            ``{"fc.weight": ("head.kernel", ((1, 0), None))}``, or a function of a
            name; every name on file has to match one.
        strict: whether an array that is missing or unused is an error. PRNG streams
            are always matched by rule, and what is kept of them is in the report.
        cast: whether a value may be cast to the target's dtype where that loses.
        rngs: ``"model"`` keeps the model's own PRNG streams.
        **items: what is loaded, by its name in the file: Modules, Optimizers, EMAs,
            metrics, States, or dicts of arrays.

    Returns:
        What was read from where and by which rule, and what was kept, unused, derived
        or cast.

    Raises:
        CheckpointNotFoundError: there is nothing at the path, or no such step.
        CheckpointFormError: it is of no known form, damaged, or an unfinished save.
        CheckpointLookupError: it has no such item.
        CheckpointStructureError: it does not fit; nothing was changed.

    Example:
        >>> import os, tempfile
        >>> import numpy as np
        >>> import nnx_compat as nc
        >>> model = nc.nnx.Linear(2, 3, rngs=nc.nnx.Rngs(0))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = os.path.join(folder, "weights.npz")
        ...     np.savez(file, **{
        ...         "kernel/value": np.zeros((2, 3), "float32"),
        ...         "bias/value": np.ones(3, "float32"),
        ...     })
        ...     report = nc.checkpoint.load(file, model=model)
        >>> [row.rule for row in report.rows], nc.get_value(model.bias).tolist()
        (['tail', 'tail'], [1.0, 1.0, 1.0])
    """
    contents = opened(path, step)
    if rename is not None:
        contents = renamed(contents, rename)
    return into(contents, items, only=only, strict=strict, cast=cast, rngs=rngs)


def into(
    contents: Contents,
    items: Mapping[str, object],
    *,
    only: str | Sequence[str] | Filter = ...,
    strict: bool = True,
    cast: bool = False,
    rngs: str = "file",
) -> LoadReport:
    """Load a table, of a file or of a tree in memory, into items. As ``load``."""
    if not items:
        raise ArgumentTypeError(
            "load was given nothing to load into", instead="load(path, model=model)"
        )
    if rngs not in ("file", "model"):
        raise ArgumentValueError(
            f"rngs={rngs!r} was asked for", instead='rngs="file" or rngs="model"'
        )
    targets = {name: Slots(item, name) for name, item in items.items()}
    matches = matched(
        contents, targets, chosen=_chosen(only), own_streams=rngs == "model",
        strict=strict,
    )  # fmt: skip
    rows = [_checked(match, cast) for match in matches]
    _fit(contents, [line for _, problems in rows for line in problems])
    values = [_read(match, cast) for match in matches]
    _written(matches, values)
    return LoadReport(tuple(row for found, _ in rows for row in found))


def _chosen(only: Any) -> Chosen:
    globs = [only] if isinstance(only, str) else only
    if isinstance(globs, (list, tuple)) and all(isinstance(g, str) for g in globs):

        def by_glob(item: str, slot: Slot) -> bool:
            names = shown("", slot.name), shown(item, slot.name)
            return any(fnmatch.fnmatchcase(n, g) for n in names for g in globs)

        return by_glob
    selects = predicate(only)
    return lambda item, slot: selects(slot.path, slot.owner)


def _checked(match: Match, cast: bool) -> tuple[list[Row], list[str]]:
    """The rows of a match, and what does not fit in shape, dtype or kind of key."""
    rows, problems = [], []
    for pick in match.picks:
        entry = match.view.entries[pick.source]
        wrong, note = ("", "") if pick.zero else problem(pick.slot, entry, cast)
        target = match.target(pick.slot)
        if wrong:
            problems.append(f"{target}: {wrong}")
        source = shown(match.view.label, pick.source)
        rows.append(Row(target, source, pick.rule, note))
    return [*rows, *match.rows], problems


def _fit(contents: Contents, problems: list[str]) -> None:
    if problems:
        raise CheckpointStructureError(
            f"{contents.place}: {len(problems)} arrays do not fit; nothing was changed",
            details=problems,
            instead="a model of the configuration that was saved",
            otherwise="cast=True, where only dtypes differ",
        )


def _read(match: Match, cast: bool) -> dict[Any, Any]:
    reader, found = Values(match.view, cast), {}
    for pick, value in reader.each(match.picks):
        try:
            found[pick.slot.path] = value()
        except CheckpointFormError:  # the file is damaged, and that is no cast's fault
            raise
        except ValueError as error:
            raise CheckpointStructureError(
                f"{match.target(pick.slot)}: {error}; nothing was changed",
                instead="cast=True",
            ) from error
    return found


def _written(matches: list[Match], values: list[dict[Any, Any]]) -> None:
    """Write all items; on an error, the old values into those that were written."""
    undo: list[Callable[[], None]] = []
    try:
        for match, new in zip(matches, values, strict=True):
            undo.append(match.slots.write(new))
    except BaseException:
        for back in reversed(undo):
            back()
        raise
