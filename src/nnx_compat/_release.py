"""The one room that knows what the installed Flax does and has.

Everything else asks here: ``here`` answers what the installed release *does*, each
answer taken from the facts; ``native`` is what its namespace *has*, as it was before
``install()`` could add to it. So an answer is the same before ``install()`` and after,
and none is guessed from a ``hasattr`` that somebody's patch may have made true.

    >>> from nnx_compat._release import here, native
    >>> here.split_is_a_method == ("split" not in native)
    True

An answer that is the same on all releases that are served is a test's failure: the
branch that asks for it is dead, and both can be deleted.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, MutableMapping
from functools import cache
from types import MappingProxyType, ModuleType
from typing import Any

import jax
import numpy as np

from . import facts
from .revisions import flax_version, jax_version, nnx, revision

__all__ = [
    "Answers",
    "here",
    "members",
    "native",
    "native_in",
    "native_settings",
    "parameters_of",
    "raising",
    "registry",
    "taking",
    "variable_names",
]


class Answers:
    """What one release of Flax does, as far as code here depends on it.

    Args:
        version: of a release in the facts.
        jax: the version of the jax beside it; without it, of one that breaks whatever
            a newer jax breaks in this release.
    """

    def __init__(self, version: str, jax: str | None = None) -> None:
        def does(behaviour: str) -> bool:
            return facts.behaviour(behaviour).holds(version)

        def inside(id: str) -> bool:
            return facts.internals()[id].holds(version)

        def broken(id: str) -> bool:
            return facts.fault(id).holds(version, jax)

        def has(name: str, parameter: str | None = None) -> bool:
            return facts.name(f"nnx.{name}").on(version, parameter)

        # -- the graph --
        #: ``split``, ``merge`` and ``update`` are methods of Module; only a Module can
        #: be split, and a State holds Variables only.
        self.split_is_a_method = does("split-is-a-method")
        #: Only a Module is a node; later what it derives from is one.
        self.only_modules_are_nodes = inside("objects-derive-from-module-only")
        #: A NamedTuple, such as optax has, is no node.
        self.named_tuples_are_no_nodes = inside("tuples-with-names-are-no-nodes")
        #: A bare Variable can be split.
        self.splits_variables = does("split-takes-a-bare-variable")
        #: A bare array as an attribute makes ``split`` raise.
        self.refuses_arrays = does("split-refuses-raw-arrays")
        #: ``merge`` takes nested dicts where a State is expected.
        self.merge_takes_dicts = does("merge-takes-plain-dicts")
        #: ``merge`` builds of leaves with other paths, too, and says nothing.
        self.merge_ignores_paths = does("merge-ignores-paths")
        #: ``merge`` can be told to copy the Variables it is given.
        self.merge_takes_copy = has("merge", "copy")
        #: And what it knows counts in its hash and in whether it is equal to another.
        self.graphdef_carries_metadata = does("graphdef-carries-metadata")
        self.clone_takes_graph = has("clone", "graph")
        self.merge_context_takes_inner = has("merge_context", "inner")
        self.flatten_returns_variables = inside("flatten-returns-variables")
        self.unflatten_copies_variables = inside("unflatten-copies-variables")
        self.registry_tells_graph_nodes = inside("registry-tells-graph-nodes")
        #: The registry's ``node_dict`` gives children as they are, ``flatten`` wrapped.
        self.node_dict_is_bare = inside("node-dict-is-bare")

        # -- objects --
        #: A Module is a pytree of jax, and not a leaf.
        self.module_is_a_pytree = does("module-is-a-pytree")
        #: A class statement takes ``pytree=``. Before, NNX's transforms took what jax
        #: looks into for plain data, and lost all updates of it.
        self.class_takes_pytree = inside("class-takes-pytree")
        #: The attribute in which a Module keeps which of its attributes are data.
        self.data_names = (
            "_pytree__nodes"
            if inside("data-names-are-pytree-nodes")
            else "_object__nodes"
            if inside("data-names-are-object-nodes")
            else ""
        )
        #: ``static`` marks a value; the first one only made fields of a dataclass.
        self.static_marks_values = has("static", "value")
        self.sequential_is_a_list = inside("sequential-is-a-list")
        #: ``nnx.List`` can grow; the first one could not.
        self.list_can_grow = has("List.append")

        # -- Variables --
        #: The metadata that annotate a Variable for a mesh: the name of them all.
        self.annotation = (
            "sharding"
            if inside("annotation-is-sharding")
            else "sharding_names"
            if inside("annotation-is-sharding-names")
            else "out_sharding"
        )
        #: A Variable has lists of hooks of its own; later each hook is metadata.
        self.hooks_are_lists = has("Variable", "get_value_hooks")
        self.axis_hooks_take_the_name_first = inside("axis-hooks-take-the-name-first")
        self.lora_param_is_no_param = inside("lora-param-is-no-param")
        #: A Variable keeps its value in a slot of its class, not in a ``__dict__``.
        self.variables_have_slots = does("variable-vars-is-empty")

        # -- random streams --
        #: A Rngs is a static attribute that counts, and no part of a state.
        self.rngs_are_static = does("rngs-are-static")
        #: It hashes a list of counts, and folds that into its key.
        self.streams_hash_their_counts = has("RngStream", "counts")
        self.stream_takes_count = has("RngStream", "count")

        # -- transforms --
        self.scan_puts_the_carry_first = inside("scan-puts-the-carry-first")
        #: StateAxes, StateSharding and DiffState: axes, shardings and gradients of the
        #: leaves of a Module, by filter. Before, transforms were about whole Modules.
        self.transforms_take_filters = has("StateAxes")
        self.custom_vjp_takes_arrays = inside("custom-vjp-takes-arrays")

        # -- what a newer jax broke --
        self.jit_raises = broken("jit-passes-abstracted-axes")
        self.pmap_raises = broken("pmap-passes-global-arg-shapes")


def _known(version: str) -> str:
    """The release to ask the facts about.

    A build may lie about its version (a checkout, a fork): then it was told apart by
    probing, and the newest release of the revision that was found is nearest to it.
    """
    alike = [r.version for r in facts.releases() if r.revision == revision]
    try:
        nearest = facts.nearest(version)
    except ValueError:  # a version string that is none
        return (alike or [facts.releases()[-1].version])[-1]
    if not alike or facts.release(nearest).revision == revision:
        return nearest  # without one alike it is a plug-in's, which serves what it says
    return alike[-1]


_RELEASE = _known(flax_version)
here = Answers(_RELEASE, jax_version)

#: The public and private names of ``flax.nnx`` itself, without what ``install()`` adds.
native: Mapping[str, Any] = MappingProxyType(dict(vars(nnx)))

#: The public names, without ``nnx.``, that raise on this pair of Flax and jax, and that
#: the drop-in namespace builds itself for that reason.
raising = frozenset(
    name.removeprefix("nnx.")
    for fault in facts.faults().values()
    if "drop-in" in fault.repaired and fault.holds(_RELEASE, jax_version)
    for name in fault.breaks
)

#: NNX's module with the registry of node types, ``graphlib`` today.
registry: Any = sys.modules[
    (nnx.GraphDef if here.split_is_a_method else nnx.split).__module__
]


#: The settings that ``flax.config`` itself has, among its other attributes.
# (Flax is not imported here: where there is none, the revisions say what to do.)
native_settings = frozenset(dir(sys.modules["flax"].config))

#: The names of Variable types that NNX's bridge to Linen reads, once in a file of its.
variable_names: MutableMapping[str, type] = sys.modules[
    native.get("register_variable_name_type_pair", nnx.Variable).__module__
].VariableTypeCache


@cache
def members(kind: type) -> frozenset[str]:
    """What an object of a native class has of its own, or forwards to its value.

    ``install()`` asks before it adds to the class. What a class has from ``object``
    alone, like a comparison by identity, is not its own.
    """
    if issubclass(kind, nnx.State):
        found = set(dir(kind({})))
    else:
        # numpy's value: an array of jax would start the backend, and a script may set
        # the flags of that later
        value = np.zeros(1)
        one = kind(value) if kind is nnx.Variable else kind(nnx.Param, value)
        found = set(dir(one))
        if hasattr(one, "nbytes"):  # which no Variable has: it asks its value
            found |= {*dir(np.ndarray), *dir(jax.Array)}
    own = {name for base in kind.__mro__[:-1] for name in vars(base)}
    return frozenset(found - set(dir(object)) | own)


def native_in(module: str, name: str, default: Any = None) -> Any:
    """What Flax has in a module of NNX, ``("metrics", "Average")``, or ``default``."""
    found = native.get(module)
    return vars(found).get(name, default) if isinstance(found, ModuleType) else default


def taking(function: Callable[..., Any]) -> Callable[..., bool]:
    """What says of a call whether the signature of a function of Flax's takes it."""
    signature = inspect.signature(function)

    def takes(*args: Any, **kwargs: Any) -> bool:
        try:
            signature.bind(*args, **kwargs)
        except TypeError:
            return False
        return True

    return takes


def parameters_of(name: str) -> frozenset[str]:
    """The parameters that the installed ``nnx.<name>`` takes; none if there is none."""
    row = facts.name(f"nnx.{name}")
    return frozenset(p for p in row.parameters if row.on(_RELEASE, p))
