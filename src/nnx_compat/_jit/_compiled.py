"""What ``nc.jit`` returns: a compiled function over Modules, at the cost of a flat one.

A call looks for the plan of a structure that was met before, reads the Variables, runs
the program of that structure on their values, and gives them the new ones. Flax walks
nothing. A structure that was not met is walked once; what no plan is for is left to
``nnx.jit`` itself, call by call: abstract values, calls under a trace, references.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, filterfalse
from operator import itemgetter
from typing import Any, Generic, NamedTuple, ParamSpec, TypeVar, cast

import jax

from .. import _plan
from .._nnx.transforms._layout import Layout, LayoutKey, is_node
from .._nnx.transforms.compilation._jitted import Jitted
from .._plan import Plan
from .._release import here
from ..errors import RefusedNameError
from ..revisions import bound, flax_version
from ._arguments import Labels
from ._program import Arrays, Effect, Key, Program, compiled, no_references
from ._trace import at_top, in_native_context
from ._why import History, described

P = ParamSpec("P")
R = TypeVar("R")

#: How many structures one function keeps programs and plans for, the oldest go first.
#: Each program has one compiled version for each shape, which jax keeps and bounds.
STRUCTURES = 128
#: How many plans of one form of arguments are tried, those used last first.
PLANS = 8

_first = itemgetter(0)


class Entry(NamedTuple):
    """A structure that was met: how it is recognised and what is run."""

    plan: Plan
    program: Program
    #: of the values of the Variables; None where each is one array
    treedef: jax.tree_util.PyTreeDef | None
    donated: _plan.Pick | None
    others: _plan.Pick


class Compiled(Generic[P, R]):
    """A compiled function over Modules; made by ``nc.jit``.

    Args:
        fun: the function.
        slow: makes of a function what ``nnx.jit`` makes of it.
        planned: whether the calls may be served by plans.
        static: the arguments that are static.
        donated: the arguments whose memory may be used up.
        shardings: prefixes of the arguments and of the output.
        **options: what ``jax.jit`` takes besides.
    """

    def __init__(
        self,
        fun: Callable[P, R],
        slow: Callable[[Callable[P, R]], Any],
        planned: bool,
        static: Labels,
        donated: Labels,
        shardings: tuple[Any, Any],
        **options: object,
    ) -> None:
        functools.update_wrapper(self, fun, updated=())
        self._fun, self._planned = fun, planned
        self._static, self._donated = static, donated
        self._shardings = shardings
        self._options: dict[str, Any] = options
        self._history = History()
        self._slow = slow(_counted(fun, self._history))
        self.clear_cache()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function; its arguments are brought up to date."""
        if self._planned and at_top() and not in_native_context():
            try:
                return self._by_plan(args, kwargs)
            except _plan.Unplanned:
                pass  # nothing was run
        return cast(R, self._slow(*args, **kwargs))

    def _by_plan(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> R:
        """The call as one of a program on arrays.

        Raises:
            Unplanned: it cannot be one; nothing was run.
        """
        given = self._given(args, kwargs)
        nodes, entries = given.nodes, given.entries
        for number, entry in enumerate(entries):
            found = entry.plan.match(nodes)
            if found is None:
                continue
            arrays = entry.plan.values(found)
            if entry.treedef is not None:
                arrays, treedef = jax.tree_util.tree_flatten(arrays)
                if treedef != entry.treedef:
                    continue
            if number:
                self._used(given.form, entry, entries)
            break
        else:
            entry = self._met(given)
            found = entry.plan.match(nodes)
            assert found is not None
            arrays = jax.tree_util.tree_leaves(entry.plan.values(found))
        arrays += given.arrays
        try:
            return cast(R, _run(entry, nodes, found.variables, arrays))
        except _plan.Unplanned:
            self._refused[given.form] = PLANS + 1
            self._entries.pop(given.form, None)
            raise

    def _used(self, form: object, entry: Entry, entries: tuple[Entry, ...]) -> None:
        """Try this one first from now on.

        A new tuple each time: other threads may look at the old one.
        """
        others = [other for other in entries if other is not entry]
        self._entries[form] = (entry, *others[: PLANS - 1])
        while len(self._entries) > STRUCTURES:
            self._entries.pop(next(iter(self._entries)), None)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        called: Any = self
        return called if instance is None else functools.partial(called, instance)

    def __repr__(self) -> str:
        return f"<nnx_compat.jit of {self._fun!r}, traced {self.traces} times>"

    @property
    def traces(self) -> int:
        """How often the function was traced."""
        return self._history.count

    def why(self) -> str:
        """What was different at the last trace, compared with the one before it.

        Example:
            >>> import jax.numpy as jnp
            >>> import nnx_compat as nc
            >>> add = nc.jit(lambda x: x + 1)
            >>> _ = add(jnp.ones(2)), add(jnp.ones(3))
            >>> print(add.why())
            args[0]: float32[2] became float32[3]
        """
        return self._history.why()

    def clear_cache(self) -> None:
        """Forget all programs and plans, so that the next call traces."""
        self._programs: dict[object, list[tuple[Key, Program]]] = {}
        self._entries: dict[object, tuple[Entry, ...]] = {}
        self._refused: dict[object, int] = {}
        if hasattr(self._slow, "clear_cache"):
            self._slow.clear_cache()

    def lower(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """The function lowered for these arguments; ``compile()`` compiles it."""
        return self._staged.lower(*args, **kwargs)

    def trace(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """The function traced for these arguments.

        Raises:
            RefusedNameError: the installed release cannot.
        """
        if not hasattr(self._slow, "trace"):
            raise RefusedNameError(
                f"the nnx.jit of flax {flax_version} cannot stop after tracing",
                instead="lower(...), which traces and lowers",
            )
        return self._slow.trace(*args, **kwargs)

    def eval_shape(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """What the function returns, without values; the arguments stay as they are."""
        return self._staged.eval_shape(*args, **kwargs)

    @functools.cached_property
    def _staged(self) -> Any:
        """What can be lowered: the ``nnx.jit`` of the first releases is a function."""
        if hasattr(self._slow, "lower") and hasattr(self._slow, "eval_shape"):
            return self._slow
        return Jitted(
            _counted(self._fun, self._history),
            *self._shardings,
            (tuple(self._static.positions), tuple(self._static.names)),
            (tuple(self._donated.positions), tuple(self._donated.names)),
            **self._options,
        )

    # -- the arguments --------------------------------------------------------------

    def _given(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Given:
        static, names = self._static.of(args, kwargs)
        rest: Sequence[Any] = args
        if static:
            rest = [arg for i, arg in enumerate(args) if i not in static]
        if names:
            kwargs = {k: v for k, v in kwargs.items() if k not in names}
        tree = (list(rest), dict(kwargs))
        leaves, treedef = jax.tree_util.tree_flatten(tree, is_leaf=_is_node)
        at = tuple(map(_is_node, leaves))
        nodes = tuple(leaf for leaf, node in zip(leaves, at, strict=True) if node)
        arrays = [leaf for leaf, node in zip(leaves, at, strict=True) if not node]
        form = treedef, at, tuple(sorted(static.items())), tuple(sorted(names.items()))
        entries = self._entries.get(form, ())
        return Given(tree, nodes, arrays, form, entries, len(args))

    def _met(self, given: Given) -> Entry:
        """An entry for a structure that no plan was found for.

        Raises:
            Unplanned: it cannot have one.
        """
        if self._refused.get(given.form, 0) > PLANS:
            raise _plan.Unplanned("as it was before")
        self._refused[given.form] = self._refused.get(given.form, 0) + 1
        no_references(given.arrays)
        layout = Layout(given.tree)
        live = bound.live_variables(layout.nodes) if layout.nodes else {}
        plan = _plan.Plan(layout.nodes, layout.leaves, live)
        found = plan.match(layout.nodes)
        if found is None:
            raise _plan.Unplanned("not even itself")
        _, _, static, names = given.form
        donated = self._donated.leaves(layout, given.positional, dict(static))
        shardings = None
        if self._shardings[0] is not None:
            each = layout.broadcast((self._shardings[0], None))
            shardings = (
                tuple(s for s, d in zip(each, donated, strict=True) if d),
                tuple(s for s, d in zip(each, donated, strict=True) if not d),
            )
        fixed = plan.fixed if here.split_is_a_method else ()
        key = Key(LayoutKey(layout), static, names, donated, shardings, fixed)
        values = plan.values(found)
        treedef = jax.tree_util.tree_structure(values)
        entry = Entry(
            plan,
            self._program(key, given, layout),
            None
            if treedef == jax.tree_util.tree_structure([0] * len(values))
            else treedef,
            _plan.pick([i for i, d in enumerate(donated) if d])
            if any(donated)
            else None,
            _plan.pick([i for i, d in enumerate(donated) if not d]),
        )
        self._refused.pop(given.form, None)
        self._used(given.form, entry, given.entries)
        return entry

    def _program(self, key: Key, given: Given, layout: Layout) -> Program:
        """The program of a structure: jax's own compiled function."""
        alike = self._programs.setdefault(key.rough(), [])
        for known, program in alike:
            if known == key:
                return program
        static = {
            **{f"args[{i}]": value for i, value in key.positions},
            **{f"kwargs[{name!r}]": value for name, value in key.names},
        }
        note = functools.partial(
            self._history.note, described(given.tree, layout, static)
        )
        made = compiled(key, self._fun, self._options, self._shardings, note)
        alike.append((key, made))
        while sum(map(len, self._programs.values())) > STRUCTURES:
            oldest = next(iter(self._programs))
            self._programs[oldest].pop(0)
            if not self._programs[oldest]:
                self._programs.pop(oldest)
        return made


class Given(NamedTuple):
    """The arguments of a call, looked at as far as it costs nothing."""

    tree: tuple[list[Any], dict[str, Any]]
    nodes: tuple[Any, ...]
    arrays: list[Any]
    form: Any
    entries: tuple[Entry, ...]
    positional: int


# -- one call -----------------------------------------------------------------------


def _run(
    entry: Entry, nodes: tuple[Any, ...], variables: tuple[Any, ...], arrays: list[Any]
) -> object:
    """Run a program on arrays, and bring the nodes up to date."""
    run, guard = entry.program
    if guard is None:
        results = run((), entry.others(arrays))
        effect: Effect = next(iter(results[2]))
        if effect.values_only:
            changed = effect.changed
            if changed is not None and len(changed) < len(variables):
                variables = tuple(variables[i] for i in changed)
            _plan.write(variables, results[0])
        return _applied(entry, nodes, results)
    if not guard.slow:
        return _applied(entry, nodes, _run_donated(entry, variables, arrays))
    guard.interrupts.begin()
    try:
        return _applied(entry, nodes, _run_donated(entry, variables, arrays))
    finally:
        guard.after(run)


def _applied(
    entry: Entry,
    nodes: tuple[Any, ...],
    results: tuple[Arrays, Arrays, dict[Effect, Any]],
) -> object:
    """What the function returned, once the rest of its results is in the nodes."""
    (effect,) = results[2]
    if not effect.values_only:
        return effect.outcome.apply(nodes, results[1])
    rest = results[1]
    if effect.bare:
        entry.plan.put(nodes, rest[: effect.bare])
        rest = rest[effect.bare :]
    return effect.out.unflatten(rest)


def _run_donated(
    entry: Entry, variables: tuple[Any, ...], arrays: list[Any]
) -> tuple[Arrays, Arrays, dict[Effect, Any]]:
    """Run a program that uses up arrays; their Variables get the new ones at once.

    Between the run, after which the old arrays are gone, and the last Variable that has
    its new one, no bytecode runs: a KeyboardInterrupt comes before or after. So this is
    one call of iterators in C; ``box`` has the results while they are distributed.
    """
    assert entry.donated is not None
    donated, others = entry.donated(arrays), entry.others(arrays)
    donated = _owned(donated, others)
    box: list[Any] = []
    ran = filterfalse(box.append, map(entry.program.run, (donated,), (others,)))
    values = chain.from_iterable(map(_first, ran))
    _plan.write_each(variables, values)
    if not variables:
        deque(values, maxlen=0)
    (results,) = box
    return cast("tuple[Arrays, Arrays, dict[Effect, Any]]", results)


def _owned(donated: tuple[Any, ...], others: tuple[Any, ...]) -> tuple[Any, ...]:
    """A buffer may be donated once and not be read elsewhere: such ones are copied."""
    if len({*map(id, donated), *map(id, others)}) == len(donated) + len(others):
        return donated
    taken = set(map(id, others))
    owned = []
    for array in donated:
        if id(array) in taken:
            array = jax.numpy.array(array, copy=True)
        taken.add(id(array))
        owned.append(array)
    return tuple(owned)


def _counted(fun: Callable[..., Any], history: History) -> Callable[..., Any]:
    """A function whose calls, inside ``nnx.jit``, count as traces."""

    @functools.wraps(fun)
    def call(*args: object, **kwargs: object) -> object:
        history.count += 1
        return fun(*args, **kwargs)

    return call


_nodes: dict[type, bool] = {}


def _is_node(value: object) -> bool:
    kind = type(value)
    found = _nodes.get(kind)
    if found is None:  # isinstance of a Variable is slow
        found = _nodes[kind] = is_node(value)
    return found
