"""Things chosen by number, in C."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

Pick = Callable[[Sequence[Any]], tuple[Any, ...]]


def pick(numbers: Sequence[int]) -> Pick:
    """A function from all things to those of these numbers, as fast as there is."""
    if not numbers:
        return lambda things: ()
    if len(numbers) == 1:
        (number,) = numbers
        return lambda things: (things[number],)
    found: Pick = operator.itemgetter(*numbers)
    return found
