"""NC322: an abstract class beside one of NNX: ``class Model(ABC, nnx.Module)``."""

from __future__ import annotations

from .. import events, kinds, masks, releases
from ..findings import Problem, works_on
from ..values import Dotted, Instance, Value
from . import Rule

_ABSTRACT = "abc.ABC"
#: The classes of NNX whose bases the facts know, and what is of them.
_NATIVES = {"nnx.Module": kinds.is_module, "nnx.Variable": kinds.is_variable}


def find(event: events.Class) -> Problem | None:
    """``abc.ABC`` among the bases, before or behind what derives from NNX."""
    bases = event.owner.bases
    abstract = next((i for i, base in enumerate(bases) if _is_abstract(base)), None)
    if abstract is None or "metaclass" in event.keywords or event.handed_on:
        return None
    there = releases.ALL
    for native, holds in _NATIVES.items():
        for index, base in enumerate(bases):
            if holds(_instance(base)):
                before = abstract < index
                pair = (_ABSTRACT, native) if before else (native, _ABSTRACT)
                there &= masks.bases(*pair)
    if there == releases.ALL:
        return None
    return works_on(
        there,
        f"`class {event.owner.name}` can have these bases on flax",
        error="TypeError",
        instead="the class of NNX first, or without ABC",
    )


def _is_abstract(base: Value) -> bool:
    return isinstance(base, Dotted) and base.path == _ABSTRACT


def _instance(base: Value) -> Value:
    if isinstance(base, Dotted):
        return Instance(base.path)
    return None if base is None else Instance(base)  # type: ignore[arg-type]


RULE = Rule(
    code="NC322",
    title="abc.ABC among the bases of a class of NNX",
    why=(
        "`nnx.Module` and `nnx.Variable` derived from `abc.ABC` once, and then it "
        "cannot come before them. Later a Variable became a class whose kind does not "
        "go together with ABC's, in either order."
    ),
    before="""\
import abc

from flax.experimental import nnx


class Model(abc.ABC, nnx.Module):
    pass


assert isinstance(Model(), abc.ABC)
""",
    after="""\
import abc

from nnx_compat import nnx


class Model(nnx.Module, abc.ABC):
    pass


assert isinstance(Model(), abc.ABC)
""",
    remedy="`class Model(nnx.Module, abc.ABC)`; of a Variable leave ABC out.",
    event=events.Class,
    find=find,
)
