"""The names nearest to one that is not there. Imports no flax, no jax."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, names: Iterable[str], count: int = 3) -> list[str]:
    """Up to ``count`` of the names that resemble ``name``, the most alike first.

    Only names that share its last component are compared when there are thousands:
    a comparison with all of a large file takes seconds.
    """
    pool = list(names)
    if len(pool) > 500:
        last = name.rsplit("/", 1)[-1].rsplit(".", 1)[-1]
        pool = [one for one in pool if one.endswith(last)][:500] or pool[:500]
    return difflib.get_close_matches(name, pool, count, 0.5)
