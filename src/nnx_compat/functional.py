"""The stable operations: the same promise on every Flax release that ships NNX.

Plain functions over native objects: a Module stays an ``nnx.Module``, a state an
``nnx.State``. What differs between releases is spelled in ``nnx_compat.revisions``;
this file is the contract, its checks and its words.

A *path* is a tuple of attribute names (``str``) and list indices (``int``). A *filter*
selects leaves: a Variable class, a string (the ``tag`` of a Variable), ``...`` or
``True`` (all), ``False`` or ``None`` (none), a callable ``(path, leaf) -> bool``, or a
list or tuple of filters (any of them).
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from . import facts
from .errors import NodeTypeError, StateStructureError, VariableTypeError, listed
from .revisions import bound, flax_version, nnx
from .revisions.get_value import nested

__all__ = [
    "clone",
    "filter_state",
    "from_flat_state",
    "from_pure_dict",
    "get_metadata",
    "get_value",
    "graphdef",
    "is_variable",
    "iter_graph",
    "iter_modules",
    "map_state",
    "merge",
    "merge_state",
    "pop",
    "reproducible_init",
    "set_metadata",
    "set_value",
    "split",
    "split_state",
    "state",
    "supports",
    "to_flat_state",
    "to_pure_dict",
    "update",
    "variable_type",
    "variables",
]

Path = tuple[Any, ...]
Predicate = Callable[[Path, Any], bool]

_State: Any = nnx.State
_split = bound.split
_merge = bound.merge
_write = bound.write

# -- the graph ----------------------------------------------------------------------


def split(node: Any, /, *filters: Any) -> tuple[Any, ...]:
    """Take a node apart into its static structure and its state.

    The state is detached: a later change of ``node`` does not show in it, nor the
    reverse. The arrays themselves are shared, never copied.

    Args:
        node: a Module, or a tuple, list or dict of Modules; a bare Variable where the
            release allows it.
        *filters: one state for each, every leaf in the first that selects it. They must
            select every leaf; end with ``...`` for the rest.

    Returns:
        ``(graphdef, state)``, or ``(graphdef, state, ...)`` with one state per filter.

    Raises:
        NodeTypeError: the installed release cannot split such an object.
        ValueError: the filters leave something over, or ``...`` is not the last.

    Example:
        >>> import nnx_compat as nc
        >>> model = nc.nnx.Linear(2, 3, rngs=nc.nnx.Rngs(0))
        >>> graphdef, params, rest = nc.split(model, nc.nnx.Param, ...)
        >>> sorted(nc.to_flat_state(params))
        [('bias',), ('kernel',)]
        >>> len(nc.to_flat_state(rest))
        0
    """
    check_node(node)
    graphdef, whole = _split(node)
    if not filters:
        return graphdef, whole
    return (graphdef, *_partition(whole, filters, exhaustive=True))


def merge(graphdef: Any, state: Any, /, *states: Any) -> Any:
    """Build a new node from a graphdef and one or more states.

    The node has Variables of its own: running or changing it never changes ``state`` or
    the model that the state came from. Inside ``jit``, ``grad`` and ``vmap`` the states
    may come from outside and the node may still be changed (BatchNorm, dropout).

    Args:
        graphdef: from ``split`` or ``graphdef``.
        state: a State.
        *states: further States, when ``split`` was given filters.

    Returns:
        A node of the type that was split.

    Raises:
        ValueError: leaves are missing or too many.

    Example:
        >>> import jax.numpy as jnp
        >>> import nnx_compat as nc
        >>> model = nc.nnx.Linear(2, 3, rngs=nc.nnx.Rngs(0))
        >>> copy = nc.merge(*nc.split(model))
        >>> nc.set_value(nc.variables(copy)["kernel",], jnp.zeros((2, 3)))
        >>> bool((nc.get_value(model.kernel) == 0).all())
        False
    """
    return _merge(graphdef, (state, *states))


def state(node: Any, /, *filters: Any) -> Any:
    """The detached state of a node, or the part of it that filters select.

    Args:
        node: as in ``split``.
        *filters: one State for each; what none of them selects is left out.

    Returns:
        A State; with two filters or more a tuple of States.

    Example:
        >>> import nnx_compat as nc
        >>> model = nc.nnx.Linear(2, 3, rngs=nc.nnx.Rngs(0))
        >>> [leaf.shape for leaf in jax.tree_util.tree_leaves(nc.state(model))]
        [(3,), (2, 3)]
    """
    check_node(node)
    whole = _split(node)[1]
    if not filters:
        return whole
    return _one_or_all(_partition(whole, filters, exhaustive=False))


def graphdef(node: Any, /) -> Any:
    """The static structure of a node: types, static attributes, how Variables are tied.

    Example:
        >>> import nnx_compat as nc
        >>> model = nc.nnx.Linear(2, 3, rngs=nc.nnx.Rngs(0))
        >>> copy = nc.merge(nc.graphdef(model), nc.state(model))
        >>> type(copy).__name__
        'Linear'
    """
    check_node(node)
    return bound.graphdef(node)


def update(node: Any, state: Any, /, *states: Any) -> None:
    """Write states into a node in place, keeping the identity of its Variables.

    All or nothing: everything is checked before anything is written. A partial state is
    fine. List indices may be strings, as they are in a restored checkpoint.

    Args:
        node: as in ``split``.
        state: a State, or a nested dict of arrays.
        *states: further ones; where two have the same path, the later one counts.

    Raises:
        StateStructureError: a path is not in the node, or a shape is not that of the
            node; the message names up to 10 of them.

    Example:
        >>> import jax.numpy as jnp
        >>> import nnx_compat as nc
        >>> model = nc.nnx.Linear(2, 3, rngs=nc.nnx.Rngs(0))
        >>> nc.update(model, {"bias": jnp.ones(3)})
        >>> nc.get_value(model.bias).tolist()
        [1.0, 1.0, 1.0]
    """
    check_node(node)
    template = bound.flatten(bound.live_split(node)[1])
    new: dict[Path, Any] = {}
    for given in (state, *states):
        new.update(_fitted(template, given, "update", dtypes=False, partial=True))
    bound.update(node, bound.unflatten(new))


def clone(node: Any, /) -> Any:
    """A copy of a node with Variables of its own around the same arrays.

    Example:
        >>> import nnx_compat as nc
        >>> model = nc.nnx.Linear(2, 3, rngs=nc.nnx.Rngs(0))
        >>> copy = nc.clone(model)
        >>> nc.get_value(copy.kernel) is nc.get_value(model.kernel)
        True
        >>> nc.variables(copy)["kernel",] is nc.variables(model)["kernel",]
        False
    """
    check_node(node)
    return bound.clone(node)


def pop(node: Any, /, *filters: Any) -> Any:
    """Take the Variables that filters select out of a node.

    Args:
        node: as in ``split``.
        *filters: at least one.

    Returns:
        A detached State; with two filters or more a tuple of States.

    Raises:
        ValueError: no filter was given.

    Example:
        >>> import nnx_compat as nc
        >>> model = nc.nnx.BatchNorm(3, rngs=nc.nnx.Rngs(0))
        >>> sorted(nc.to_flat_state(nc.pop(model, nc.nnx.BatchStat)))
        [('mean',), ('var',)]
        >>> sorted(nc.variables(model))
        [('bias',), ('scale',)]
    """
    if not filters:
        raise StateStructureError(
            "pop was asked without a filter", instead="pop(node, nnx.Intermediate)"
        )
    wanted = set(variables(node, *filters))
    taken = bound.pop(node, wanted.__contains__)
    return _one_or_all(_partition(taken, filters, exhaustive=False))


def iter_graph(node: Any, /) -> Iterator[tuple[Path, Any]]:
    """All nodes, Variables and static values of a node, each node and Variable once.

    Children come before their parents, attributes sorted by name; the last pair is
    ``((), node)``. What NNX stores on a Module for itself is left out.

    Yields:
        ``(path, value)`` pairs.

    Example:
        >>> import nnx_compat as nc
        >>> model = nc.nnx.Linear(2, 3, rngs=nc.nnx.Rngs(0))
        >>> [p for p, v in nc.iter_graph(model) if nc.is_variable(v)]
        [('bias',), ('kernel',)]
    """
    check_node(node)
    seen: set[int] = set()
    for path, value in bound.iter_graph(node):
        if path and isinstance(path[-1], str) and path[-1].startswith(_INTERNAL):
            continue
        if is_variable(value):
            if id(value) in seen:
                continue
            seen.add(id(value))
        yield path, value


#: Attributes that NNX keeps on a Module for itself, by how their names begin.
_INTERNAL = ("_object__", "_pytree__", "_module__", "_graph_node__")


def iter_modules(node: Any, /) -> Iterator[tuple[Path, Any]]:
    """The Modules of a node, children before parents.

    Yields:
        ``(path, module)`` pairs.

    Example:
        >>> import nnx_compat as nc
        >>> class Block(nc.nnx.Module):
        ...     def __init__(self, rngs):
        ...         self.a = nc.nnx.Linear(2, 2, rngs=rngs)
        >>> [(p, type(m).__name__) for p, m in nc.iter_modules(Block(nc.nnx.Rngs(0)))]
        [(('a',), 'Linear'), ((), 'Block')]
    """
    return (
        (p, value) for p, value in iter_graph(node) if isinstance(value, nnx.Module)
    )


def variables(node: Any, /, *filters: Any) -> dict[Path, Any]:
    """The Variables of a node themselves, by path; writing to one changes the node.

    Also where reading an attribute unwraps it (``model.kernel`` is the array on the
    first releases). A Variable that is tied is there once.

    Args:
        node: as in ``split``.
        *filters: what to include; everything when there is none.

    Returns:
        A dict from path to Variable, in the order of ``jax.tree.leaves(state)``.

    Example:
        >>> import nnx_compat as nc
        >>> model = nc.nnx.Linear(2, 3, rngs=nc.nnx.Rngs(0))
        >>> list(nc.variables(model, nc.nnx.Param))
        [('bias',), ('kernel',)]
    """
    check_node(node)
    live = bound.live_variables(node)
    if not filters:
        return live
    chosen = predicate(filters)
    return {path: variable for path, variable in live.items() if chosen(path, variable)}


def check_node(node: Any) -> None:
    if is_variable(node) and not _splits_variables():
        raise NodeTypeError(
            f"flax {flax_version} cannot split a bare {type(node).__name__}",
            instead="put it in a tuple, split((variable,)), or in a Module",
        )
    if isinstance(node, (jax.Array, np.ndarray, str, bytes, int, float, _State)):
        raise NodeTypeError(
            f"a {type(node).__name__} is not a node: it has no Variables of its own",
            instead="a Module, or a tuple, list or dict of Modules",
        )


@functools.cache
def _splits_variables() -> bool:
    return facts.behaviour("split-takes-a-bare-variable").holds(flax_version)


# -- Variables ----------------------------------------------------------------------


def is_variable(value: Any, /) -> bool:
    """Whether this is a Variable, or the VariableState that stands for one in a state.

    Example:
        >>> import nnx_compat as nc
        >>> nc.is_variable(nc.nnx.Param(1.0)), nc.is_variable(1.0)
        (True, False)
    """
    return type(value) in _READERS or _is_new_variable(value)


#: How to read a Variable, by its class: isinstance alone takes 0.1 to 0.3 us here, for
#: the metaclass of Variable answers it, and that is more than all the rest of
#: get_value.
_READERS: dict[type, Callable[[Any], Any]] = {}


def _is_new_variable(value: Any) -> bool:
    found = isinstance(value, bound.variable_types)
    if found:
        _READERS[type(value)] = bound.reader(type(value))
    return found


def variable_type(variable: Any, /) -> type:
    """The class of a Variable, also of one that a VariableState stands for.

    Raises:
        VariableTypeError: it is neither.

    Example:
        >>> import nnx_compat as nc
        >>> model = nc.nnx.BatchNorm(3, rngs=nc.nnx.Rngs(0))
        >>> leaf = nc.to_flat_state(nc.state(model))["mean",]
        >>> nc.variable_type(leaf) is nc.nnx.BatchStat
        True
    """
    if not is_variable(variable):
        raise _not_a_variable("variable_type", variable)
    return bound.variable_type(variable)


def get_value(variable: Any, /) -> Any:
    """The value of a Variable or of a leaf of a state; anything else as it is.

    So ``nc.get_value(self.w)`` is right on every release, also on the first two, where
    ``self.w`` is already the array. Hooks of the Variable (``on_get_value``) apply.

    Raises:
        VariableTypeError: it is a Module or a State, which have no one value.

    Example:
        >>> import nnx_compat as nc
        >>> nc.get_value(nc.nnx.Param(2.0)), nc.get_value(3.0)
        (2.0, 3.0)
    """
    reader = _READERS.get(type(variable))
    if reader is not None:
        return reader(variable)
    if _is_new_variable(variable):
        return get_value(variable)
    if isinstance(variable, _HOLDERS):
        raise _not_a_variable("get_value", variable)
    return variable


_HOLDERS: tuple[type, ...] = (nnx.Module, _State)


def set_value(variable: Any, value: Any, /) -> None:
    """Replace the value of a Variable or of a leaf of a state: no broadcast, no cast.

    Args:
        variable: the Variable itself; ``nc.variables(model)[path]`` reaches it on every
            release.
        value: any value that a Variable may hold, but not a Variable.

    Raises:
        VariableTypeError: ``variable`` is not a Variable, or ``value`` is one.

    Example:
        >>> import jax.numpy as jnp
        >>> import nnx_compat as nc
        >>> weight = nc.nnx.Param(jnp.zeros(3))
        >>> nc.set_value(weight, jnp.ones((2, 2)))
        >>> nc.get_value(weight).shape
        (2, 2)
    """
    if not is_variable(variable):
        raise _not_a_variable("set_value", variable)
    if is_variable(value):
        raise VariableTypeError(
            f"set_value was given a {type(value).__name__} as the value of a Variable",
            instead="set_value(variable, get_value(other))",
        )
    _write(variable, value)


def get_metadata(variable: Any, /) -> dict[str, Any]:
    """The metadata that were given to a Variable, without what Flax keeps for itself.

    Returns:
        A new dict; hooks and Flax's own settings (``hijax``, ``eager_sharding``, ...)
        are left out, so it is the same on every release.

    Raises:
        VariableTypeError: it is not a Variable.

    Example:
        >>> import nnx_compat as nc
        >>> nc.get_metadata(nc.nnx.Param(1.0, unit="m"))
        {'unit': 'm'}
    """
    if not is_variable(variable):
        raise _not_a_variable("get_metadata", variable)
    return {
        key: value
        for key, value in bound.metadata(variable).items()
        if key not in _BOOKKEEPING and not key.endswith("_hooks")
    }


#: What Flax stores among the metadata for itself, on one release or another.
_BOOKKEEPING = frozenset(
    [
        "eager_sharding",
        "has_ref",
        "hijax",
        "is_hijax",
        "is_mutable",
        "mutable",
        "ref",
        "on_add_axis",
        "on_create_value",
        "on_get_value",
        "on_remove_axis",
        "on_set_value",
    ]
)


def set_metadata(variable: Any, /, **metadata: Any) -> None:
    """Add metadata to a Variable, or replace some.

    Raises:
        VariableTypeError: it is not a Variable.

    Example:
        >>> import nnx_compat as nc
        >>> weight = nc.nnx.Param(1.0, unit="m")
        >>> nc.set_metadata(weight, unit="cm", frozen=True)
        >>> nc.get_metadata(weight) == {"unit": "cm", "frozen": True}
        True
    """
    if not is_variable(variable):
        raise _not_a_variable("set_metadata", variable)
    bound.set_metadata(variable, metadata)


def _not_a_variable(asked: str, found: Any) -> VariableTypeError:
    return VariableTypeError(
        f"{asked} needs a Variable and was given a {type(found).__name__}",
        instead="nnx_compat.variables(model)[path], with a path like ('kernel',)",
    )


# -- State --------------------------------------------------------------------------


def to_flat_state(state: Any, /) -> dict[Path, Any]:
    """The leaves of a state by path, in the order of ``jax.tree.leaves(state)``.

    The leaves are those of ``state`` itself, not copies.

    Example:
        >>> import nnx_compat as nc
        >>> state = nc.state(nc.nnx.Linear(2, 3, rngs=nc.nnx.Rngs(0)))
        >>> list(nc.to_flat_state(state))
        [('bias',), ('kernel',)]
    """
    _check_state("to_flat_state", state)
    return bound.flatten(state)


def from_flat_state(flat: Mapping[Path, Any] | Iterable[tuple[Path, Any]], /) -> Any:
    """The State with these leaves at these paths.

    Args:
        flat: a mapping from path to leaf, or pairs of them.

    Example:
        >>> import nnx_compat as nc
        >>> state = nc.state(nc.nnx.Linear(2, 3, rngs=nc.nnx.Rngs(0)))
        >>> again = nc.from_flat_state(nc.to_flat_state(state))
        >>> list(nc.to_flat_state(again))
        [('bias',), ('kernel',)]
    """
    return bound.unflatten(dict(flat))


def to_pure_dict(state: Any, /) -> Any:
    """The values of a state as nested plain dicts, without Variables.

    The values are the stored ones, as in ``jax.tree.leaves(state)``. A bare Variable is
    a state of its own where a release splits one, and gives its value.

    Example:
        >>> import nnx_compat as nc
        >>> state = nc.state(nc.nnx.Linear(2, 3, rngs=nc.nnx.Rngs(0)))
        >>> {key: value.shape for key, value in nc.to_pure_dict(state).items()}
        {'bias': (3,), 'kernel': (2, 3)}
    """
    _check_state("to_pure_dict", state)
    return nested({p: stored(leaf) for p, leaf in bound.flatten(state).items()})


def from_pure_dict(template: Any, nested: Any, /) -> Any:
    """A new State with the types and metadata of one and the values of a nested dict.

    Args:
        template: a State; it is not changed, and may be abstract.
        nested: values for exactly its paths, as ``to_pure_dict`` gives them. List
            indices may be strings, as they are in a restored checkpoint.

    Raises:
        StateStructureError: paths are unknown or missing, or shapes or dtypes are not
            those of the template; the message names up to 10, old and new.

    Example:
        >>> import jax.numpy as jnp
        >>> import nnx_compat as nc
        >>> state = nc.state(nc.nnx.Linear(2, 3, rngs=nc.nnx.Rngs(0)))
        >>> new = {"bias": jnp.ones(3), "kernel": jnp.ones((2, 3))}
        >>> float(nc.to_pure_dict(nc.from_pure_dict(state, new))["kernel"].sum())
        6.0
    """
    _check_state("from_pure_dict", template)
    leaves = bound.flatten(template)
    return bound.unflatten(
        _fitted(leaves, nested, "from_pure_dict", dtypes=True, partial=False)
    )


def filter_state(state: Any, /, first: Any, *filters: Any) -> Any:
    """The parts of a state that filters select; the rest is left out.

    The leaves are those of ``state`` itself, not copies.

    Returns:
        A State; with two filters or more a tuple of States, every leaf in the first
        that selects it.

    Example:
        >>> import nnx_compat as nc
        >>> state = nc.state(nc.nnx.BatchNorm(3, rngs=nc.nnx.Rngs(0)))
        >>> list(nc.to_flat_state(nc.filter_state(state, nc.nnx.BatchStat)))
        [('mean',), ('var',)]
    """
    _check_state("filter_state", state)
    return _one_or_all(_partition(state, (first, *filters), exhaustive=False))


def split_state(state: Any, /, first: Any, *filters: Any) -> Any:
    """Part a state by filters that select every leaf; end with ``...`` for the rest.

    The leaves are those of ``state`` itself, not copies.

    Returns:
        A State; with two filters or more a tuple of States.

    Raises:
        StateStructureError: leaves are left over, or ``...`` is not the last filter.

    Example:
        >>> import nnx_compat as nc
        >>> state = nc.state(nc.nnx.BatchNorm(3, rngs=nc.nnx.Rngs(0)))
        >>> stats, rest = nc.split_state(state, nc.nnx.BatchStat, ...)
        >>> list(nc.to_flat_state(rest))
        [('bias',), ('scale',)]
    """
    _check_state("split_state", state)
    return _one_or_all(_partition(state, (first, *filters), exhaustive=True))


def merge_state(state: Any, /, *states: Any) -> Any:
    """One State with the leaves of all; where two have a path, the later one counts.

    Example:
        >>> import nnx_compat as nc
        >>> state = nc.state(nc.nnx.BatchNorm(3, rngs=nc.nnx.Rngs(0)))
        >>> parts = nc.split_state(state, nc.nnx.BatchStat, ...)
        >>> list(nc.to_flat_state(nc.merge_state(*parts)))
        [('bias',), ('mean',), ('scale',), ('var',)]
    """
    flat: dict[Path, Any] = {}
    for part in (state, *states):
        _check_state("merge_state", part)
        flat.update(bound.flatten(part))
    return bound.unflatten(flat)


def map_state(fn: Callable[[Path, Any], Any], state: Any, /) -> Any:
    """A new State with ``fn(path, leaf)`` in the place of every leaf.

    Args:
        fn: takes the path and the leaf, a Variable or VariableState. When it returns a
            plain value, the new leaf holds it and keeps the old one's type and
            metadata.
        state: a State; it is not changed.

    Example:
        >>> import nnx_compat as nc
        >>> state = nc.state(nc.nnx.Linear(2, 3, rngs=nc.nnx.Rngs(0)))
        >>> zeros = nc.map_state(lambda path, leaf: nc.get_value(leaf) * 0, state)
        >>> float(nc.to_pure_dict(zeros)["kernel"].sum())
        0.0
    """
    _check_state("map_state", state)
    return bound.unflatten(
        {p: as_leaf(leaf, fn(p, leaf)) for p, leaf in bound.flatten(state).items()}
    )


def as_leaf(like: Any, new: Any) -> Any:
    """``new`` as a leaf: in a copy of ``like`` unless it is a leaf already."""
    if is_variable(new) or not is_variable(like):
        return new
    return bound.with_value(like, new)


def _check_state(asked: str, found: Any) -> None:
    if not (isinstance(found, _State) or is_variable(found)):
        raise VariableTypeError(
            f"{asked} needs a State and was given a {type(found).__name__}",
            instead=f"{asked}(nnx_compat.state(model), ...)",
        )


def _fitted(
    template: Mapping[Path, Any],
    given: Any,
    asked: str,
    *,
    dtypes: bool,
    partial: bool,
) -> dict[Path, Any]:
    """The leaves of ``given``, checked against ``template``, as leaves of its kind."""
    flat = given_leaves(given, template, asked)
    fitted: dict[Path, Any] = {}
    problems: list[str] = []
    for path, new in flat.items():
        if path not in template:
            problems.append(f"{show(path)}: not in the template")
            continue
        old = template[path]
        for what in ("type", "shape", "dtype") if dtypes else ("type", "shape"):
            was, now = _aspect(old, what), _aspect(new, what)
            if was != now and not (what == "type" and now is None):
                problems.append(f"{show(path)}: {what} was {was}, is {now}")
        fitted[path] = as_leaf(old, new)
    if not partial:
        missing = [path for path in template if path not in fitted]
        problems += [f"{show(p)}: missing" for p in missing if p not in flat]
    if problems:
        raise StateStructureError(
            f"{asked}: {len(problems)} of the leaves do not fit{listed(problems)}\n ",
            instead="values for the paths, shapes"
            + (" and dtypes" if dtypes else "")
            + " of nnx_compat.to_pure_dict(nnx_compat.state(model))",
        )
    return fitted


def given_leaves(given: Any, paths: Collection[Path], asked: str) -> dict[Path, Any]:
    """The leaves of a State or of nested dicts, by path.

    Args:
        given: a State, or nested dicts; a dict at one of ``paths`` is a value.
        paths: of what it is given for. List indices that are strings in ``given``
            become those of ``paths``.
        asked: the operation, for the error.

    Raises:
        VariableTypeError: it is neither.
    """
    by_text = {tuple(map(str, path)): path for path in paths}
    flat: dict[Path, Any] = {}

    def visit(path: Path, value: Any) -> None:
        if isinstance(value, Mapping) and tuple(map(str, path)) not in by_text:
            for key, child in value.items():
                visit((*path, key), child)
        else:
            flat[path] = value

    if isinstance(given, _State) or is_variable(given):
        flat = bound.flatten(given)
    elif isinstance(given, Mapping) or () in by_text:
        visit((), given)
    else:
        raise VariableTypeError(
            f"{asked} needs a State or a nested dict and was given a "
            f"{type(given).__name__}",
            instead=f"{asked}(..., nnx_compat.state(model))",
        )
    return {by_text.get(tuple(map(str, p)), p): leaf for p, leaf in flat.items()}


def stored(leaf: Any) -> Any:
    return bound.raw(leaf) if is_variable(leaf) else leaf


def _aspect(leaf: Any, what: str) -> Any:
    """What a leaf has to agree in: its Variable type, its value's shape and dtype."""
    if what == "type":
        return bound.variable_type(leaf).__name__ if is_variable(leaf) else None
    value = stored(leaf)
    if isinstance(value, (bool, int, float, complex)):
        value = jax.numpy.asarray(value)
    # a value without a shape is a dict, a tuple, None: its type has to agree
    return getattr(value, what, type(value).__name__)


def show(path: Path) -> str:
    return "/".join(map(str, path)) or "the root"


# -- filters ------------------------------------------------------------------------


def predicate(wanted: Any) -> Predicate:
    """What a filter means, the newest meaning, on every release."""
    if wanted is ... or wanted is True:
        return lambda path, leaf: True
    if wanted is None or wanted is False:
        return lambda path, leaf: False
    if isinstance(wanted, type):
        return lambda path, leaf: (
            issubclass(bound.variable_type(leaf), wanted)
            if is_variable(leaf)
            else isinstance(leaf, wanted)
        )
    if isinstance(wanted, str):
        return lambda path, leaf: getattr(leaf, "tag", None) == wanted
    if isinstance(wanted, (list, tuple)):
        parts = [predicate(part) for part in wanted]
        return lambda path, leaf: any(part(path, leaf) for part in parts)
    if callable(wanted):
        given: Predicate = wanted
        return given
    raise VariableTypeError(
        f"{wanted!r} is not a filter",
        instead="a Variable class, a tag, a callable (path, leaf) -> bool, or ...",
    )


def _partition(state: Any, filters: tuple[Any, ...], *, exhaustive: bool) -> list[Any]:
    """One State per filter, every leaf in the first that selects it."""
    for wanted in filters[:-1]:
        if wanted is ... or wanted is True:
            raise StateStructureError(
                f"`{wanted}` selects everything and is not the last of {len(filters)} "
                "filters",
                instead="put it at the end",
            )
    predicates = [predicate(wanted) for wanted in filters]
    parts: list[dict[Path, Any]] = [{} for _ in filters]
    rest: list[Path] = []
    for path, leaf in bound.flatten(state).items():
        for part, selects in zip(parts, predicates, strict=True):
            if selects(path, leaf):
                part[path] = leaf
                break
        else:
            rest.append(path)
    if rest and exhaustive:
        shown = ", ".join(map(show, rest[:10])) + (", ..." if len(rest) > 10 else "")
        raise StateStructureError(
            f"the filters leave {len(rest)} leaves over: {shown}",
            instead="end the filters with ...",
        )
    return [bound.unflatten(part) for part in parts]


def _one_or_all(states: list[Any]) -> Any:
    return states[0] if len(states) == 1 else tuple(states)


# -- the release --------------------------------------------------------------------


@contextlib.contextmanager
def reproducible_init() -> Iterator[None]:
    """Inside, the same seed gives the same initial weights on every release.

    Sets ``jax_threefry_partitionable``, whose default changed with jax 0.5, for this
    thread, and on the first two releases of NNX derives keys as all later ones do.
    Linear, Conv, ConvTranspose, Embed, Einsum, attention, LSTM and GRU layers agree
    within 2 ulp for one layer built from fresh ``Rngs``. What cannot hold: jaxlibs
    differ in the last bits of ``normal``; and where a Dropout is built from shared
    ``Rngs``, the layers after it get other keys from the release on that made Dropout
    fork a stream (``facts.behaviour("dropout-forks-its-rngs")``); give it a stream of
    its own, ``Rngs(0, dropout=1)``.

    Example:
        >>> import nnx_compat as nc
        >>> with nc.reproducible_init():
        ...     model = nc.nnx.Linear(3, 2, rngs=nc.nnx.Rngs(0))
        >>> round(float(nc.get_value(model.kernel)[0, 0]), 4)
        0.6179
    """
    with jax.threefry_partitionable(True), bound.stable_keys():
        yield


def supports(name: str, parameter: str | None = None, /) -> bool:
    """Whether the installed Flax has a public name of NNX, or a parameter of one.

    Answered from the facts, measured on every release; on a build newer than all of
    them it answers for the newest.

    Args:
        name: ``"nnx.List"``, ``"nnx.Variable.get_value"``.
        parameter: of a function or of a class's constructor.

    Raises:
        UnknownFactError: no release ever had that name.

    Example:
        >>> import nnx_compat as nc
        >>> nc.supports("nnx.Linear"), nc.supports("nnx.Linear", "rngs")
        (True, True)
    """
    return facts.name(name).on(flax_version, parameter)
