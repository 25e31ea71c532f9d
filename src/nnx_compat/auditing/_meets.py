"""The changes of meaning that what a model has would meet on other releases.

Each feature below looks for one thing that a model can have, and names the behaviours
of the facts that are about it. A behaviour that holds on every release is no news.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .. import facts
from ..functional import get_metadata, is_variable, show, stored, variable_type
from ..revisions import bound, flax_version, jax_version, nnx
from ._finding import Finding, Path
from ._leaves import annotation, is_eager
from ._structure import ties
from ._walk import Walked, attributes, elements, is_object, is_stock

if TYPE_CHECKING:
    from ._finding import Leaves


class Seen(NamedTuple):
    """A model or a state: its leaves, and for a model what Python can reach."""

    leaves: Leaves
    walk: Walked


class Feature(NamedTuple):
    """What a model can have: in words, where it is, and what the facts say of it."""

    name: str
    places: Callable[[Seen], Iterator[Path]]
    behaviours: tuple[str, ...]


def met_elsewhere(leaves: Leaves, walk: Walked | None) -> Iterator[Finding]:
    """One note for each behaviour that the model meets, at the first such place.

    Args:
        leaves: of the state.
        walk: of the model, ``None`` for a state.
    """
    seen = Seen(leaves, walk or Walked())
    noted: set[str] = set()
    for feature in FEATURES:
        places = list(feature.places(seen))
        for id in feature.behaviours if places else ():
            behaviour = facts.behaviour(id)
            if id not in noted and _differs(behaviour):
                noted.add(id)
                yield _note(feature, places, behaviour)


def narrowed(found: Iterable[Finding], target: int) -> tuple[Finding, ...]:
    """What is no note of a behaviour, and the notes that matter on some releases.

    Args:
        found: by an audit.
        target: the releases, as bits (``check.releases``): a note matters where one of
            them does otherwise than the installed one.
    """
    from ..check import releases

    here = facts.nearest(flax_version)
    behaviours = {row.id: row for row in facts.behaviours()}

    def matters(one: Finding) -> bool:
        if one.severity != "note" or one.code not in behaviours:
            return True
        holds = releases.of(behaviours[one.code].intervals)
        return bool(target & (~holds if releases.has(holds, here) else holds))

    return tuple(filter(matters, found))


def _differs(behaviour: facts.Behaviour) -> bool:
    everywhere = all(behaviour.holds(r.version) for r in facts.releases())
    return bool(behaviour.jax) or not everywhere


def _note(feature: Feature, places: list[Path], behaviour: facts.Behaviour) -> Finding:
    # here, for the checker takes 20 ms to import and `import nnx_compat` needs it not
    from ..check import releases

    mask = releases.of(behaviour.intervals)
    where = releases.spelled(mask)
    if mask != releases.ALL:
        where = f"flax {where}"
    jax_needed = f" with jax{behaviour.jax}" if behaviour.jax else ""
    here = behaviour.holds(flax_version, jax_version)
    more = f" and {len(places) - 1} more" if len(places) > 1 else ""
    return Finding(
        behaviour.id, "note", places[0],
        f"{feature.name} ({show(places[0])}{more}): on {where}{jax_needed}, "
        f"{'here too' if here else 'not here'}: {behaviour.text}",
        behaviour.remedy,
    )  # fmt: skip


# -- what a model can have ----------------------------------------------------------


def _random(seen: Seen) -> Iterator[Path]:
    for path, value in seen.walk.met:
        if isinstance(value, nnx.Rngs):
            yield path
    yield from _static_rngs(seen)
    if not seen.walk.met:
        yield from _of_type(seen, "RngState")


def _static_rngs(seen: Seen) -> Iterator[Path]:
    """Where a Rngs is no object of the graph, an attribute holds it."""
    for owner_path, owner in seen.walk.objects():
        for name, value in attributes(owner):
            if isinstance(value, nnx.Rngs) and not is_object(value):
                yield (*owner_path, name)


def _raw_keys(seen: Seen) -> Iterator[Path]:
    for path in _of_type(seen, "RngKey"):
        if getattr(stored(seen.leaves[path]), "dtype", None) == jnp.uint32:
            yield path


def _changed_by_calls(seen: Seen) -> Iterator[Path]:
    for name in ("BatchStat", "RngState", "Cache"):
        yield from _of_type(seen, name)


def _of_type(seen: Seen, name: str) -> Iterator[Path]:
    for path, leaf in seen.leaves.items():
        if is_variable(leaf) and any(
            kind.__name__ == name for kind in variable_type(leaf).__mro__
        ):
            yield path


def _forking_layers(seen: Seen) -> Iterator[Path]:
    """Dropout, and attention with dropout, that were given a Rngs."""
    kinds = (nnx.Dropout, nnx.MultiHeadAttention)
    for path, value in seen.walk.objects():
        if isinstance(value, kinds) and vars(value).get("rngs") is not None:
            yield path


def _stock_weights(seen: Seen) -> Iterator[Path]:
    """Layers that were given a Rngs to draw their first weights from."""
    for path, value in seen.walk.objects():
        if (
            is_stock(value)
            and type(value).__name__ in _take_rngs()
            and any(isinstance(child, nnx.Param) for _, child in attributes(value))
        ):
            yield path


@functools.cache
def _take_rngs() -> frozenset[str]:
    """The classes of NNX whose constructors take a Rngs, on some release."""
    rows = map(facts.name, facts.names())
    return frozenset(
        row.path.rpartition(".")[2] for row in rows if "rngs" in row.parameters
    )


def _absent_weights(seen: Seen) -> Iterator[Path]:
    for path, value in seen.walk.objects():
        for name, child in attributes(value) if is_stock(value) else ():
            absent = child is None or (is_variable(child) and stored(child) is None)
            if absent and name in ("bias", "scale"):
                yield (*path, name)


def _containers(seen: Seen) -> Iterator[tuple[Path, Collection[object], bool]]:
    """Plain lists, tuples and dicts of the user's: path, value, whether of children."""
    for path, owner in seen.walk.objects():
        for name, value in attributes(owner):
            if isinstance(value, (list, tuple, dict)):
                # of a stock layer only what may be the user's, as a kernel_size is
                children = _holds_children(value)
                users = isinstance(owner, nnx.Module) and not children
                if users or not is_stock(owner):
                    yield (*path, name), value, children


def _holds_children(value: object) -> bool:
    if isinstance(value, nnx.Variable) or is_object(value):
        return True
    if isinstance(value, (jax.Array, np.ndarray)):
        return True
    if isinstance(value, (list, tuple, dict)):
        return any(_holds_children(child) for _, child in elements(value) or ())
    return False


def _lists_of_children(seen: Seen) -> Iterator[Path]:
    return (path for path, _, children in _containers(seen) if children)


def _open_lists(seen: Seen) -> Iterator[Path]:
    """To which a child may be added later."""
    for path, value, children in _containers(seen):
        if isinstance(value, (list, dict)) and (children or not value):
            yield path


def _static_lists(seen: Seen) -> Iterator[Path]:
    for path, value, children in _containers(seen):
        if isinstance(value, (list, dict)) and not children:
            yield path


def _numbered(seen: Seen) -> Iterator[Path]:
    return (p for p in seen.leaves if any(isinstance(key, int) for key in p))


def _arrays(seen: Seen) -> Iterator[Path]:
    """Bare arrays of the user's: a stock optimizer once had them, too."""
    stock = [path for path, value in seen.walk.objects() if is_stock(value)]
    for path, leaf in seen.leaves.items():
        if is_variable(leaf):
            continue
        if not any(path[: len(owner)] == owner for owner in stock):
            yield path


def _annotated(seen: Seen) -> Iterator[Path]:
    for path, leaf in seen.leaves.items():
        if annotation(leaf) is not None and is_eager(leaf):
            yield path


def _with_metadata(seen: Seen) -> Iterator[Path]:
    for path, variable in seen.walk.variables():
        if not isinstance(variable, bound.random_types) and get_metadata(variable):
            yield path


def _hooked(seen: Seen) -> Iterator[Path]:
    hooks = ("on_get_value", "on_set_value", "on_create_value")
    for path, variable in seen.walk.variables():
        for kind in type(variable).__mro__:
            users = kind.__module__.split(".")[0] != "flax"
            if users and any(hook in vars(kind) for hook in hooks):
                yield path
                break


def _tied(seen: Seen) -> Iterator[Path]:
    return (finding.path for finding in ties(seen.walk))


def _settings(seen: Seen) -> Iterator[Path]:
    for path, owner in seen.walk.objects():
        for name, value in attributes(owner) if not is_stock(owner) else ():
            if isinstance(value, (bool, int, float, str)):
                yield (*path, name)


FEATURES = (
    Feature(
        "it holds a Rngs", _random,
        ("rngs-are-static", "merge-shares-stored-rngs", "rngs-hash-their-counts"),
    ),
    Feature("it holds a key of the old kind", _raw_keys, ("rngs-keep-raw-keys",)),
    Feature(
        "it has a layer that drops out", _forking_layers, ("dropout-forks-its-rngs",)
    ),
    Feature(
        "calling it changes its Variables", _changed_by_calls,
        ("split-shares-variables", "merge-shares-variables",
         "merge-cannot-mutate-under-grad", "trace-level-is-unchecked"),
    ),
    Feature(
        "its weights come from a seed", _stock_weights,
        ("rngs-hash-their-counts", "threefry-is-partitionable"),
    ),
    Feature(
        "a layer has no bias or scale", _absent_weights,
        ("absent-parameter-is-a-variable",),
    ),
    Feature(
        "a plain list, tuple or dict holds children", _lists_of_children,
        ("list-of-modules-is-refused",),
    ),
    Feature(
        "a plain list or dict can get children later", _open_lists,
        ("module-appended-later-is-lost",),
    ),
    Feature(
        "a plain list or dict is an attribute", _static_lists,
        ("graphdef-with-a-list-is-unhashable",),
    ),
    Feature("leaves have a number in their path", _numbered,
            ("state-list-index-is-text",)),
    Feature("bare arrays are leaves", _arrays, ("split-refuses-raw-arrays",)),
    Feature(
        "a Variable is annotated with a sharding", _annotated,
        ("variable-sharding-needs-a-mesh",),
    ),
    Feature("a Variable has metadata", _with_metadata, ("graphdef-carries-metadata",)),
    Feature(
        "a Variable's class has hooks", _hooked, ("variable-class-hooks-are-inert",)
    ),
    Feature("weights are tied", _tied, ("state-tie-is-where-assigned-first",)),
    Feature(
        "settings are attributes", _settings, ("graphdef-equality-ignores-static",)
    ),
)  # fmt: skip
