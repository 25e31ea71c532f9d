"""The corpus: published packages as the judge of the checker, ``run`` and ``fix``.

``pins`` says which packages, as data, and unpacks them; ``places`` makes one
environment a release; ``host`` is the process of a release, ``probe`` what is tried in
a child of it, with ``arguments``, ``outcomes`` and ``lines``; ``measure`` drives them
and ``checking`` asks the checker. The records and what follows from them are in
``nnx_compat.matrix.corpus``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator


def recorded() -> Iterator[tuple[str, bool, int | None]]:
    """For each package and way: how to renew it, whether that is needed, the seconds.

    Where no cell of it is measured, the seconds are None; where some are not, renewing
    measures these too, and they are reckoned at the mean of the others.
    """
    from nnx_compat.matrix import corpus, source
    from tools.corpus import measure, pins

    src = source.digest("src")
    for package in pins.packages().values():
        file = corpus.RECORDS / f"{package.id}.json"
        there = json.loads(file.read_text("utf-8")) if file.exists() else {"cells": {}}
        for way in corpus.WAYS:
            here = measure.sources(package, way, src)
            cells = [ways[way] for ways in there["cells"].values() if way in ways]
            stale = [cell for cell in cells if cell["source"] != here]
            wanting = len(pins.releases()) - len(cells)
            mean = sum(c["seconds"] for c in cells) / len(cells) if cells else 0
            seconds = sum(c["seconds"] for c in stale) + round(mean * wanting)
            name = f"--package {package.id} --ways {way}"
            yield name, not (stale or wanting), seconds if cells else None
