"""How a function over Modules becomes one over arrays, which jax can transform.

A tree of arguments is *taken apart* into a list of arrays and a ``Layout``, which is
static: the structure of the tree, the graphdef of all nodes in it together (so what two
arguments share stays shared) and where each array belongs. Inside the transformed
function the layout puts new nodes together from traced arrays; what the function did to
them is taken apart again, and outside the nodes of the caller are brought up to date.

Two ways to bring them up to date, as in Flax: the values of Variables only
(``Inside.values``), or everything that changed, new attributes and references included
(``Inside.outcome``).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax

from ... import functional
from ...errors import ArgumentValueError
from ...functional import Path
from ...revisions import bound, nnx

_Base: Any = nnx.Module.__mro__[1]

#: The class of objects that have Variables of their own. A Rngs is one, but on the
#: first releases, where only a Module is.
NODE_TYPE: type = _Base if issubclass(nnx.Rngs, _Base) else nnx.Module

_VARIABLE: type = nnx.Variable
#: On the first releases a Rngs is a static attribute that counts.
_STATIC_RNGS: tuple[type, ...] = () if NODE_TYPE is _Base else (nnx.Rngs,)
_CHANGEABLE: tuple[type, ...] = (_VARIABLE, NODE_TYPE, *_STATIC_RNGS)


def is_node(value: Any) -> bool:
    """Whether a leaf of a tree of arguments has Variables, or is one."""
    return isinstance(value, (_VARIABLE, NODE_TYPE))


def flattened(tree: Any) -> tuple[list[Any], Any]:
    """The leaves of a tree, its nodes among them, and its structure."""
    leaves, treedef = jax.tree_util.tree_flatten(tree, is_leaf=is_node)
    return leaves, treedef


def nodes_of(tree: Any) -> tuple[Any, ...]:
    """The nodes of a tree, in order; one that is there twice, twice."""
    return tuple(leaf for leaf in flattened(tree)[0] if is_node(leaf))


def objects(nodes: tuple[Any, ...]) -> Iterator[tuple[Path, Any]]:
    """All that can be changed in place in some nodes, each once: Modules, Variables."""
    if not nodes:
        return
    seen: set[int] = set()
    for path, value in bound.iter_graph(nodes):
        if isinstance(value, _CHANGEABLE) and id(value) not in seen:
            seen.add(id(value))
            yield path, value


class Layout:
    """Where the arrays of a tree belong: everything about it that is static.

    Attributes:
        treedef: of the tree, with a leaf for each node and each array.
        at: for each leaf the number of the node, or None for an array.
        graphdef: of all nodes together, a tuple.
        leaves: of their state by path, with the values they had: types and metadata.
        structures: of the value of each of these leaves, which may be a pytree.
    """

    def __init__(self, tree: Any) -> None:
        found, self.treedef = flattened(tree)
        self.nodes = tuple(leaf for leaf in found if is_node(leaf))
        count = iter(range(len(self.nodes)))
        self.at = [next(count) if is_node(leaf) else None for leaf in found]
        self.graphdef: Any = None
        self.leaves: dict[Path, Any] = {}
        if self.nodes:
            self.graphdef, state = bound.split(self.nodes)
            self.leaves = bound.flatten(state)
        self.arrays: list[Any] = []
        self.structures: list[Any] = []
        self.owners: list[tuple[int, Path]] = []
        for path, leaf in self.leaves.items():
            values, structure = jax.tree_util.tree_flatten(functional.stored(leaf))
            self.arrays += values
            self.structures.append(structure)
            self.owners += [(self.at.index(path[0]), path)] * len(values)
        for position, leaf in enumerate(found):
            if self.at[position] is None:
                self.arrays.append(leaf)
                self.owners.append((position, ()))
        self.count = len(self.arrays)

    def forget(self) -> Layout:
        """Without the arrays and nodes it was made of, to be kept for longer."""
        self.arrays, self.nodes = [], ()
        return self

    def empty(self) -> None:
        """Without any array, to be kept for good: a cache is no place for a model."""
        self.forget()
        self.leaves = {path: _holding(leaf, None) for path, leaf in self.leaves.items()}

    def values(self, arrays: Sequence[Any]) -> tuple[dict[Path, Any], list[Any]]:
        """The values of the nodes' leaves by path, and the arrays that are leaves."""
        at = 0
        found: dict[Path, Any] = {}
        for path, structure in zip(self.leaves, self.structures, strict=True):
            end = at + structure.num_leaves
            found[path] = structure.unflatten(arrays[at:end])
            at = end
        return found, list(arrays[at:])

    def state(self, arrays: Sequence[Any], keep: Callable[[Path], bool]) -> Any:
        """A state with these arrays as values, of the leaves at the paths to keep."""
        found = self.values(arrays)[0]
        return bound.unflatten(
            {p: _holding(self.leaves[p], v) for p, v in found.items() if keep(p)}
        )

    def together(self, arrays: Sequence[Any]) -> tuple[Any, tuple[Any, ...]]:
        """The tree with new nodes around these arrays, and the nodes."""
        values, plain = self.values(arrays)
        nodes: tuple[Any, ...] = ()
        if self.graphdef is not None:
            flat = {p: _holding(self.leaves[p], v) for p, v in values.items()}
            nodes = tuple(bound.merge(self.graphdef, (bound.unflatten(flat),)))
        rest = iter(plain)
        leaves = [next(rest) if i is None else nodes[i] for i in self.at]
        return self.treedef.unflatten(leaves), nodes

    def spread(self, prefix: Any) -> list[Any]:
        """What a prefix of the tree says of each array.

        Args:
            prefix: a pytree prefix of the tree; None is a leaf of it, and a mapping
                from filters (``StateAxes``) says something of each leaf of a node.

        Raises:
            ArgumentValueError: it says two things of a Variable that is shared.
        """
        of_leaf = broadcast(prefix, self.treedef)
        self._check_shared(of_leaf)
        return [self._said(of_leaf[i], path) for i, path in self.owners]

    def _said(self, prefix: Any, path: Path) -> Any:
        if not hasattr(prefix, "filters"):
            return prefix
        if path not in self.leaves:
            raise ArgumentValueError(
                f"{prefix!r} is given for an array, which has no leaves to filter",
                instead="the axis itself",
            )
        return said_by(prefix, path[1:], self.leaves[path])

    def _check_shared(self, of_leaf: list[Any]) -> None:
        if len(self.nodes) < 2 or len(set(map(id, of_leaf))) < 2:
            return
        said: dict[int, Any] = {}
        for position, number in enumerate(self.at):
            if number is None:
                continue
            for path, value in objects((self.nodes[number],)):
                if not isinstance(value, _VARIABLE):
                    continue
                now = of_leaf[position]
                if hasattr(now, "filters"):
                    now = said_by(now, path[1:], value)
                was = said.setdefault(id(value), now)
                if was != now:
                    raise ArgumentValueError(
                        "Inconsistent aliasing: a shared "
                        f"{type(value).__name__} at {functional.show(path[1:])} is "
                        f"given {now!r} in one argument and {was!r} in another",
                        instead="the same axis for all that shares it",
                    )

    # -- as the key of a cache ------------------------------------------------------

    def _key(self) -> tuple[Any, ...]:
        kinds = tuple(
            (path, type(leaf), functional.variable_type(leaf), leaf.__class__)
            if functional.is_variable(leaf)
            else (path, type(leaf))
            for path, leaf in self.leaves.items()
        )
        return self.treedef, self.graphdef, kinds, tuple(self.structures)

    def __hash__(self) -> int:
        return hash(self._key())

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Layout)
            and self._key() == other._key()
            and all(
                _same_metadata(mine, its)
                for mine, its in zip(
                    self.leaves.values(), other.leaves.values(), strict=True
                )
            )
        )

    def fits(self, other: Layout) -> bool:
        """Whether arrays of one can be arrays of the other, as in a loop."""
        return self._key() == other._key()


def _same_metadata(one: Any, other: Any) -> bool:
    if not functional.is_variable(one):
        return True
    mine, its = bound.metadata(one), bound.metadata(other)
    return mine.keys() == its.keys() and all(
        _equal(value, its[key]) for key, value in mine.items()
    )


def _equal(one: Any, other: Any) -> bool:
    try:
        return one is other or bool(one == other)
    except (TypeError, ValueError):  # arrays, say
        return False


def _holding(leaf: Any, value: Any) -> Any:
    return bound.with_value(leaf, value) if functional.is_variable(leaf) else value


def said_by(prefix: Any, path: Path, leaf: Any) -> Any:
    """What a mapping from filters says of a leaf of a state."""
    for wanted, value in pairs(prefix):
        if functional.predicate(wanted)(path, leaf):
            return value
    raise ArgumentValueError(
        f"{prefix!r} has no filter that selects {functional.show(path)}",
        instead="end it with ...: None",
    )


def pairs(prefix: Any) -> list[tuple[Any, Any]]:
    """The filters of a ``StateAxes`` or ``StateSharding``, and what they say."""
    said = prefix.axes if hasattr(prefix, "axes") else prefix.shardings
    return list(zip(prefix.filters, said, strict=True))


def is_prefix_leaf(value: Any) -> bool:
    """Whether jax is not to look into this part of a prefix."""
    return value is None or hasattr(value, "filters")


def broadcast(prefix: Any, treedef: Any) -> list[Any]:
    """What a pytree prefix says of each leaf."""
    said: list[Any] = []
    numbered = treedef.unflatten(range(treedef.num_leaves))

    def visit(value: Any, part: Any) -> None:
        said.extend([value] * len(jax.tree_util.tree_leaves(part)))

    jax.tree_util.tree_map(visit, prefix, numbered, is_leaf=is_prefix_leaf)
    return said


def of_nodes(layout: Layout, prefix: Any) -> tuple[Any, ...]:
    """What a prefix of the arguments says of each node in them."""
    said = broadcast(prefix, layout.treedef)
    return tuple(
        p for p, number in zip(said, layout.at, strict=True) if number is not None
    )


class Inside:
    """The arguments of a call as the function sees them, and what became of them.

    Args:
        layout: of the arguments.
        arrays: traced ones.
    """

    def __init__(self, layout: Layout, arrays: Sequence[Any]) -> None:
        self.layout, self.given = layout, list(arrays)
        self.tree, self.nodes = layout.together(arrays)
        self.objects = [value for _, value in objects(self.nodes)]
        self.variables = bound.live_variables(self.nodes) if self.nodes else {}

    def values(self, asked: str, out: Any) -> tuple[list[Any], Layout, Changed]:
        """The arrays of the output, then those that changed; only values count.

        Raises:
            ArgumentValueError: the output holds a Variable of the arguments.
        """
        mine = {id(value) for value in self.variables.values()}
        for path, value in objects(nodes_of(out)):
            if id(value) in mine:
                raise ArgumentValueError(
                    f"nnx.{asked} is to return a {type(value).__name__} of its "
                    f"arguments, at {functional.show(path[1:])}: Duplicate",
                    instead="a copy, nnx.clone(...), or its value",
                )
        layout = Layout(out)
        arrays, changed = layout.arrays, Changed()
        was = self.layout.values(self.given)[0]
        for path, variable in self.variables.items():
            leaves, structure = jax.tree_util.tree_flatten(bound.raw(variable))
            before = jax.tree_util.tree_leaves(was[path])
            if structure != jax.tree_util.tree_structure(was[path]) or any(
                new is not old for new, old in zip(leaves, before, strict=True)
            ):
                changed.structures[path] = structure
                arrays = arrays + leaves
        changed.counts = [_counts(value) for value in self.objects]
        return arrays, layout.forget(), changed

    def outcome(self, out: Any, prefix: Any = None) -> tuple[list[Any], Outcome]:
        """The arrays of the arguments after the call and of the output, and the rest.

        Args:
            out: of the function.
            prefix: of ``(arguments' nodes, out)``; what it says of each array is in
                ``Outcome.said``.
        """
        layout = Layout((self.nodes, out))
        arrays = layout.arrays
        said = layout.spread(prefix) if prefix is not None else []
        return arrays, Outcome(layout, self, said)


class Changed:
    """Which Variables of the arguments have another value after the call."""

    def __init__(self) -> None:
        self.structures: dict[Path, Any] = {}
        self.counts: list[Any] = []

    def apply(self, layout: Layout, arrays: Sequence[Any]) -> None:
        """Write the values into the nodes that the caller has."""
        new: dict[Path, Any] = {}
        at = 0
        for path, structure in self.structures.items():
            end = at + structure.num_leaves
            value = structure.unflatten(arrays[at:end])
            new[path] = _holding(layout.leaves[path], value)
            at = end
        if new:
            bound.update(layout.nodes, bound.unflatten(new))
        if any(count is not None for count in self.counts):
            for (_, value), count in zip(
                list(objects(layout.nodes)), self.counts, strict=True
            ):
                _set_counts(value, count)


class Outcome:
    """What a call did, all that is static of it: to be applied outside.

    Attributes:
        layout: of ``(the arguments' nodes, the output)``.
        origins: for each object that is reachable after the call its number among those
            from before, or None for a new one.
    """

    def __init__(self, layout: Layout, inside: Inside, said: list[Any]) -> None:
        numbers = {id(value): i for i, value in enumerate(inside.objects)}
        after = [value for _, value in objects(layout.nodes)]
        self.origins = [numbers.get(id(value)) for value in after]
        same = self.origins[: len(inside.objects)] == list(range(len(inside.objects)))
        before = inside.layout
        count = len(before.nodes or inside.nodes)
        if count:
            same = same and before.graphdef == bound.graphdef(inside.nodes)
        self.same, self.count, self.said = same, count, said
        self.layout = layout.forget()

    def apply(self, nodes: tuple[Any, ...], arrays: Sequence[Any]) -> Any:
        """Bring the caller's nodes up to date.

        Returns:
            The output, in which they are themselves again.
        """
        mine = [value for _, value in objects(nodes)]
        (_, out), made = self.layout.together(arrays)
        if not made:
            return out
        new = [value for _, value in objects(made)]
        theirs = {
            id(value): mine[origin]
            for value, origin in zip(new, self.origins, strict=True)
            if origin is not None
        }
        if self.same:
            self._write(nodes, arrays)
        moved = _Moved(theirs)
        for value in new:
            if self.same and id(value) in theirs:
                continue
            moved.into_place(value)
        return jax.tree_util.tree_map(moved.standing_for, out, is_leaf=is_node)

    def _write(self, nodes: tuple[Any, ...], arrays: Sequence[Any]) -> None:
        """Nothing but values: as an update writes them."""
        if not nodes:
            return
        state = self.layout.state(arrays, lambda path: path[0] < self.count)
        flat = bound.flatten(state)
        if flat:
            bound.update(nodes, bound.unflatten(flat))


class _Moved:
    """Gives objects made from a call's outcome their place among those of the caller.

    Args:
        theirs: the caller's object by the id of the one that was made for it.
    """

    def __init__(self, theirs: dict[int, Any]) -> None:
        self.theirs = theirs

    def standing_for(self, value: Any) -> Any:
        """The caller's object, or the value itself, containers made anew."""
        if id(value) in self.theirs:
            return self.theirs[id(value)]
        if type(value) in (list, tuple):
            return type(value)(map(self.standing_for, value))
        if type(value) is dict:
            return {key: self.standing_for(item) for key, item in value.items()}
        return value

    def into_place(self, made: Any) -> None:
        """The attributes of a made object, put into the caller's or left in it."""
        target = self.standing_for(made)
        if isinstance(made, _VARIABLE):
            if target is not made:
                _copy_value(target, made)
            return
        if isinstance(made, _STATIC_RNGS):
            _set_counts(target, _counts(made))
            return
        kept = {k: v for k, v in vars(target).items() if k.endswith("__state")}
        new = {key: self.standing_for(value) for key, value in vars(made).items()}
        attributes = vars(target)
        attributes.clear()
        attributes.update({**new, **kept})


def _copy_value(target: Any, made: Any) -> None:
    if _STATIC_RNGS:  # there an update reaches Variables by their Modules only
        target.copy_from(made)
    else:
        bound.update((target,), bound.split((made,))[1])


def _counts(value: Any) -> Any:
    """How many keys the streams of a static Rngs have given, or None."""
    if not isinstance(value, _STATIC_RNGS):
        return None
    return {
        name: list(stream.counts) if hasattr(stream, "counts") else stream.count
        for name, stream in getattr(value, "_rngs", {}).items()
    }


def _set_counts(value: Any, counts: Any) -> None:
    if counts is None or not isinstance(value, _STATIC_RNGS):
        return
    streams: Any = getattr(value, "_rngs", {})
    for name, count in counts.items():
        stream = streams[name]
        if hasattr(stream, "counts"):
            stream.counts[:] = count
        else:
            stream.count = count


def grouped(arrays: Sequence[Any], said: Sequence[Any], groups: Sequence[Any]) -> Any:
    """The arrays of each group, in the order of the groups.

    jax wants to know the axes of an output before it knows the output. What the axes
    can be is known, so there is a list of arrays for each.

    Args:
        arrays: all of them.
        said: for each array one of the groups.
        groups: different values.
    """
    lists: list[list[Any]] = [[] for _ in groups]
    for array, value in zip(arrays, said, strict=True):
        lists[index_of(value, groups)].append(array)
    return lists


def ungrouped(lists: Sequence[Sequence[Any]], said: Sequence[Any], groups: Any) -> Any:
    """The arrays in their first order, from those of each group."""
    parts = [iter(arrays) for arrays in lists]
    return [next(parts[index_of(value, groups)]) for value in said]


def index_of(value: Any, groups: Sequence[Any]) -> int:
    """Where a value is among the groups; True is not 1 here, and None is a group."""
    return next(
        i for i, g in enumerate(groups) if g is value or (g == value and g is not None)
    )


def groups_in(*prefixes: Any) -> list[Any]:
    """The different values that prefixes say of arrays."""
    found: list[Any] = []
    for prefix in prefixes:
        for leaf in jax.tree_util.tree_leaves(prefix, is_leaf=is_prefix_leaf):
            said = [leaf]
            if hasattr(leaf, "filters"):
                said = [value for _, value in pairs(leaf)]
            for value in said:
                if not any(g is value or g == value for g in found):
                    found.append(value)
    return found


class Static:
    """A static value on its way out of ``jax.jit``: a pytree without leaves."""

    def __init__(self, value: Any) -> None:
        self.value = value


jax.tree_util.register_pytree_node(
    Static, lambda static: ((), static.value), lambda value, _: Static(value)
)


def positional(
    f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, ...]:
    """The arguments of a call, all by position, defaults included.

    Raises:
        TypeError: they do not fit ``f``, or one can be given by keyword only.
    """
    if not kwargs and isinstance(f, type):
        return args
    try:
        signature = inspect.signature(f)
    except ValueError:  # a builtin: only what is given by position can be known
        if kwargs:
            raise
        return args
    given = signature.bind(*args, **kwargs)
    given.apply_defaults()
    if given.kwargs:
        raise TypeError(
            f"keyword-only arguments, here {', '.join(given.kwargs)}, cannot be given "
            "to a transformed function"
        )
    return given.args


def merged(rest: Sequence[Any], fixed: dict[int, Any]) -> list[Any]:
    """All arguments in their order, from the rest and those at fixed positions."""
    args = list(rest)
    for position in sorted(fixed):
        args.insert(position, fixed[position])
    return args
