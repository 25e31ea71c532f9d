"""NC302: too many arguments by position, or too few: ``nnx.static((1, 2))``."""

from __future__ import annotations

from functools import cache

from ... import facts
from .. import events, masks, releases
from ..findings import Problem
from . import Rule


def find(event: events.Call) -> Problem | None:
    """A call that gives more arguments by position, or fewer, than a release takes."""
    call = facts.call(event.path)
    if call is None or event.open or _is_unbound(event):
        return None
    if event.path in _OF_THEIR_OWN or event.path.startswith(_WRAPPED):
        return None
    there = releases.of(call.intervals)
    too_many = too_few = 0
    given = len(event.arguments)
    for most, where in call.most.items():
        too_many |= releases.of(where) if given > most else 0
    by_name = event.keywords.intersection(call.needed)
    missing = ""
    for name, where in call.needed.items():
        # what went by another name goes by position: it is only known to be too few
        lacks = releases.of(where) & _more_than(event.path, given + len(by_name))
        if name not in by_name and lacks:
            too_few |= lacks
            missing = name
    excluded = (too_many | too_few) & there
    if event.compat:  # what our namespace hands on as it is takes what it takes
        excluded &= masks.native(event.path) if event.owner is None else 0
    if not excluded:
        return None
    what = f"without `{missing}`" if too_few else (
        f"with {given} argument{'' if given == 1 else 's'} by position"
    )  # fmt: skip
    if excluded == there and not masks.name(event.path):
        return None
    taken = (masks.on(event.path) or there) & ~excluded
    return Problem(
        f"`{event.path}` {what} is taken on flax {releases.spelled(taken)}",
        excluded,
        error="TypeError",
        instead=INSTEAD.get(event.path, ""),
    )


@cache
def _more_than(path: str, given: int) -> int:
    """The releases on which more arguments are needed than are given, as bits."""
    call = facts.call(path)
    needed = [releases.of(where) for where in call.needed.values()] if call else []
    return releases.which(
        lambda v: sum(releases.has(mask, v) for mask in needed) > given
    )


def _is_unbound(event: events.Call) -> bool:
    """Whether it is a method that is reached by its class: ``nnx.Conv.__call__``."""
    parts = event.path.removeprefix("nnx.metrics.").removeprefix("nnx.").split(".")
    return event.owner is None and len(parts) > 1


#: What is a function of jax behind a wrapper, whose signature says another first
#: argument, and Variables, which take what their class and its hooks take.
_WRAPPED = ("nnx.Variable", "nnx.Rngs.", "nnx.RngStream.")
#: What has rules of its own.
_OF_THEIR_OWN = (
    "nnx.Optimizer", "nnx.Optimizer.update", "nnx.VariableState", "nnx.scan",
    "nnx.merge", "nnx.ModelAndOptimizer.update", "nnx.ModelAndOptimizer",
)  # fmt: skip
INSTEAD = {
    "nnx.jit": "nnx.jit of nnx_compat's namespace, or functools.partial(nnx.jit, ...)",
    "nnx.data": "nnx.data of nnx_compat's namespace",
    "nnx.static": "nnx.static of nnx_compat's namespace",
}

RULE = Rule(
    code="NC302",
    title="a call with too many arguments, or too few",
    why=(
        "The callable is there and takes another number of arguments: `nnx.jit` with "
        "options alone became a decorator later, `nnx.data()` may be a field without a "
        "value since."
    ),
    before="""\
from flax.experimental import nnx


@nnx.jit(static_argnames="n")
def scaled(x, n):
    return x * n


assert scaled(2.0, n=2) == 4.0
""",
    after="""\
from nnx_compat import nnx


@nnx.jit(static_argnames="n")
def scaled(x, n):
    return x * n


assert scaled(2.0, n=2) == 4.0
""",
    remedy="Take the namespace from nnx_compat: `from nnx_compat import nnx`.",
    event=events.Call,
    find=find,
    compat=True,
)
