"""What the table shows, as one document: the facts, and what we give on each release.

The document is what ``nnx.json`` beside the table has in it. ``assets/nnx.schema.json``
is its schema. Intervals of releases are objects, both ends included and ``last`` null
where there is no end yet.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from nnx_compat import band, facts
from nnx_compat.facts import Interval
from nnx_compat.matrix import grid

#: The areas of the table, in its order, with the homes of names and the areas of
#: changes that belong to each. What is in none goes to the last one.
AREAS: dict[str, tuple[str, ...]] = {
    "Graph: split, merge, update": (
        "graphlib", "graph", "extract", "split", "merge", "graphdef", "update", "pop",
    ),
    "State": ("statelib", "state"),
    "Variables": ("variablelib", "variables", "variable"),
    "Modules and containers": (
        "module", "pytreelib", "dataclasses", "helpers", "object", "containers",
    ),
    "Layers": ("nn", "layers", "initial weights"),
    "Transforms": ("transforms",),
    "Random numbers": ("rnglib", "rngs"),
    "Filters": ("filterlib",),
    "Training": ("training", "optimizer"),
    "Sharding": ("spmd",),
    "Modules of Flax, and the rest": (),
}  # fmt: skip

_AREA_OF = {home: area for area, homes in AREAS.items() for home in homes}
_REST = list(AREAS)[-1]

#: What a release has of a name through ``nnx_compat.nnx``.
GIVEN = ("native", "replaced", "backported", "refused")

_SIGNS = {"+": "native", "o": "drop-in", "x": "breaks", "-": "no import"}


def area(home: str) -> str:
    """The area of the table for a module below ``flax.nnx``, or an area of changes.

    Example:
        >>> area("nn.linear"), area("rngs")
        ('Layers', 'Random numbers')
    """
    return _AREA_OF.get(home.partition(".")[0], _REST)


def given(path: str, version: str) -> str:
    """What ``nnx_compat.nnx`` gives for a name of NNX on a release: one of ``GIVEN``.

    ``""`` where neither Flax has it nor we build it. About names, not about members of
    classes: these are Flax's own.

    Example:
        >>> from nnx_compat import facts
        >>> given("nnx.List", facts.releases()[-1].version)
        'native'
    """
    row = facts.treatment(path, version)
    if row and row.treatment in ("refused", "replaced"):
        return row.treatment
    if facts.name(path).on(version):
        return "native"
    return "backported" if path.removeprefix("nnx.") in facts.backports() else ""


def document() -> dict[str, Any]:
    """All of it."""
    served = {row.version for row in facts.releases()}
    return {
        "$schema": "nnx.schema.json",
        "releases": [
            {
                "version": row.version,
                "date": row.date,
                "python": row.python,
                "revision": row.revision,
                "jax": {"oldest": row.jax_oldest, "newest": row.jax_newest},
            }
            for row in facts.releases()
        ],
        "names": [_name(path) for path in facts.names()],
        "behaviours": [
            {
                "id": row.id,
                "area": area(row.area),
                "text": row.text,
                "releases": _noted(row.intervals),
                "jax": row.jax,
                "remedy": row.remedy,
            }
            for row in facts.behaviours()
        ],
        "band": {
            "meaning": _SIGNS,
            "pairs": [
                {"flax": pair.flax, "jax": pair.jax, "sign": grid.sign(pair)}
                for pair in band.pairs().values()
                if pair.flax in served
            ],
        },
    }


def _name(path: str) -> dict[str, Any]:
    row = facts.name(path)
    top = ".".join(path.split(".")[:2])
    return {
        "path": path,
        "area": area(facts.name(top).home),
        "releases": _noted(row.intervals),
        "parameters": {
            parameter: _noted(having) for parameter, having in row.parameters.items()
        },
        "gives": _gives(path) if path == top else {},
        "notes": [
            {
                "about": about,
                "treatment": one.treatment,
                "releases": _noted(one.intervals),
                "why": one.why,
                "instead": one.instead,
            }
            for about, some in _treated().get(path, ())
            for one in some
        ],
    }


@cache
def _treated() -> dict[str, list[tuple[str, tuple[facts.Treatment, ...]]]]:
    """What is done with a name and, below it, with what has no row of its own.

    ``nnx.Linear.__init__`` is no public name: it is said of ``nnx.Linear``.
    """
    found: dict[str, list[tuple[str, tuple[facts.Treatment, ...]]]] = {}
    for path, some in facts.treatments().items():
        owner, _, about = path.rpartition(".")
        if path in facts.names():
            owner, about = path, ""
        found.setdefault(owner, []).append((about, some))
    return found


def _gives(path: str) -> dict[str, list[dict[str, str | None]]]:
    found: dict[str, list[str]] = {}
    for release in facts.releases():
        if kind := given(path, release.version):
            found.setdefault(kind, []).append(release.version)
    return {
        kind: _noted(facts.spanning(found[kind])) for kind in GIVEN if kind in found
    }


def _noted(intervals: Iterable[Interval]) -> list[dict[str, str | None]]:
    return [{"first": one.first, "last": one.last} for one in intervals]
