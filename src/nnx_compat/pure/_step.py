"""The compiled step: one ``jax.jit`` over a flat tuple of leaves, no NNX per call.

``nnx.jit`` walks the object graph in Python at every call, which takes longer than the
step itself on most models. Here the walk is done once, when the step is made; inside
the program, while it is traced, the nodes are built from the leaves, the function
changes them as it likes, and the leaves are taken out again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    Literal,
    ParamSpec,
    TypeVar,
    overload,
)

import jax

from ..errors import DonatedError
from ..functional import check_node, merge, split
from ..revisions import bound
from ._concrete import (
    check_options,
    concrete,
    is_weak,
    layout_of,
    mesh_sharding,
    placed,
)
from ._donated import Donated
from ._leaves import Leaves
from ._pack import Layout
from ._structure import check_structure, structure

if TYPE_CHECKING:
    from flax.nnx import GraphDef, State
    from jax.tree_util import PyTreeDef

P = ParamSpec("P")
R = TypeVar("R")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")


# No type says "as many as there are nodes", so one to four are spelled out.
@overload
def compile_step(
    fn: Callable[Concatenate[A, P], R],
    a: A,
    /,
    *,
    donate: bool = ...,
    static_argnums: int | Sequence[int] = ...,
    pack: bool | Literal["auto"] = ...,
    **jit_options: Any,
) -> CompiledStep[P, R]: ...
@overload
def compile_step(
    fn: Callable[Concatenate[A, B, P], R],
    a: A,
    b: B,
    /,
    *,
    donate: bool = ...,
    static_argnums: int | Sequence[int] = ...,
    pack: bool | Literal["auto"] = ...,
    **jit_options: Any,
) -> CompiledStep[P, R]: ...
@overload
def compile_step(
    fn: Callable[Concatenate[A, B, C, P], R],
    a: A,
    b: B,
    c: C,
    /,
    *,
    donate: bool = ...,
    static_argnums: int | Sequence[int] = ...,
    pack: bool | Literal["auto"] = ...,
    **jit_options: Any,
) -> CompiledStep[P, R]: ...
@overload
def compile_step(
    fn: Callable[Concatenate[A, B, C, D, P], R],
    a: A,
    b: B,
    c: C,
    d: D,
    /,
    *,
    donate: bool = ...,
    static_argnums: int | Sequence[int] = ...,
    pack: bool | Literal["auto"] = ...,
    **jit_options: Any,
) -> CompiledStep[P, R]: ...
@overload
def compile_step(
    fn: Callable[..., R],
    a: object,
    b: object,
    c: object,
    d: object,
    e: object,
    /,
    *nodes: object,
    donate: bool = ...,
    static_argnums: int | Sequence[int] = ...,
    pack: bool | Literal["auto"] = ...,
    **jit_options: Any,
) -> CompiledStep[..., R]: ...
def compile_step(
    fn: Callable[..., R],
    /,
    *nodes: object,
    donate: bool = True,
    static_argnums: int | Sequence[int] = (),
    pack: bool | Literal["auto"] = False,
    **jit_options: Any,
) -> CompiledStep[..., R]:
    """Compile a function that changes NNX nodes into a step over their leaves.

    ``fn`` is written as for ``nnx.jit``: it takes the nodes and then the arguments of a
    call, and may change the nodes (parameters, optimizer, batch statistics, dropout
    counters, metrics). The nodes are taken apart once, now; later changes to them are
    not seen by the step, and its own show in them after ``sync()``.

    Args:
        fn: ``fn(*nodes, *args)``; what it returns, the step returns.
        *nodes: Modules, optimizers, metrics, or tuples, lists and dicts of them; one
            that is given twice, or is part of another, is one node.
        donate: let each call use the memory of the state before it. The arrays of
            ``nodes`` are given up by the first call, and with them those of a clone or
            a state that shares them. Without, twice the memory is needed.
        static_argnums: which of ``args`` are part of the program, counted from the
            first argument of a call, the nodes not included.
        pack: keep small leaves of one shape and dtype in one array and take them apart
            inside the program: fewer arguments for jax to handle, the same results bit
            for bit, and up to twice the time to compile. Large leaves and those on
            several devices stay as they are. ``"auto"`` packs where the gain is sure:
            on a CPU, where it was measured, with 100 arguments less at least.
        **jit_options: further options of ``jax.jit``: ``static_argnames``,
            ``compiler_options``, ...

    Returns:
        The step: call it with ``args``.

    Raises:
        StepStructureError: at the first call, or one that traces anew: ``fn`` adds or
            removes a Variable, or changes a static attribute, a shape or a dtype. The
            state is the one before the call. It is a ``ValueError``.
        ArgumentTypeError: the nodes hold abstract or traced values, or an option cannot
            be given. It is a ``TypeError``.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> import nnx_compat as nc
        >>> class Counter(nc.nnx.Module):
        ...     def __init__(self):
        ...         self.count = nc.nnx.Variable(jnp.array(0))
        >>> def add(counter, amount):
        ...     count = nc.variables(counter)["count",]
        ...     nc.set_value(count, nc.get_value(count) + amount)
        ...     return nc.get_value(count)
        >>> counter = Counter()
        >>> with nc.compile_step(add, counter) as step:
        ...     results = [int(step(2)) for _ in range(3)]
        >>> results, int(nc.get_value(counter.count)), step.traces
        ([2, 4, 6], 6, 1)
    """
    return CompiledStep(fn, nodes, donate, static_argnums, pack, jit_options)


class CompiledStep(Generic[P, R]):
    """A step made by ``compile_step``. Not safe for two threads at once."""

    def __init__(
        self,
        fn: Callable[..., R],
        nodes: tuple[object, ...],
        donate: bool,
        static_argnums: int | Sequence[int],
        pack: bool | Literal["auto"],
        jit_options: dict[str, Any],
    ) -> None:
        check_options(jit_options)
        for node in nodes:
            check_node(node)
        self._nodes = nodes
        self._donate = donate
        self._graphdef, state = split(nodes)
        leaves, self._treedef = jax.tree_util.tree_flatten(state)
        self._paths = Leaves(state).paths
        arrays = placed(concrete(self._paths, leaves, donate))
        self._layout = layout_of(arrays, pack)
        # What goes in and out: the leaves, or what they are packed into.
        self._leaves = self._layout.packed(arrays) if self._layout else arrays
        self._avals = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in arrays]
        # Nodes whose Variables hold the leaves that the next call gives up.
        self._lent: list[object] = [nodes] if donate else []
        self._counted = [0]
        if isinstance(static_argnums, int):
            static_argnums = (static_argnums,)
        self._program = jax.jit(
            _traced(
                fn, self._graphdef, self._treedef, arrays, self._layout, self._counted
            ),
            donate_argnums=(0,) if donate else (),
            static_argnums=tuple(n + 1 if n >= 0 else n for n in static_argnums),
            **jit_options,
        )

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the step on the current leaves; what ``fn`` returns."""
        result: R
        self._leaves, result = self._program(self._leaves, *args, **kwargs)
        if self._lent:
            self._give_up()
        return result

    @property
    def traces(self) -> int:
        """How often the function was traced: 1, and 1 more for every new shape."""
        return self._counted[0]

    @property
    def nodes(self) -> tuple[Any, ...]:
        """The nodes as they are now, built anew; changing them changes nothing here.

        They share the arrays of the step, so with ``donate=True`` they can be read
        until its next call.
        """
        made = merge(self._graphdef, self._state())
        if self._donate:
            self._lent.append(made)
        return made

    def sync(self) -> None:
        """Write the current leaves into the original nodes, whose Variables stay."""
        bound.update(self._nodes, self._state())
        if self._donate and not any(lent is self._nodes for lent in self._lent):
            self._lent.append(self._nodes)

    def lower(self, *args: P.args, **kwargs: P.kwargs) -> jax.stages.Lowered:
        """The ``jax.stages.Lowered`` of a call with these arguments, not run."""
        lowered: jax.stages.Lowered = self._program.lower(self._leaves, *args, **kwargs)
        return lowered

    def __enter__(self) -> CompiledStep[P, R]:
        return self

    def __exit__(self, *exception: object) -> None:
        self.sync()

    def __repr__(self) -> str:
        types = ", ".join(type(node).__name__ for node in self._nodes)
        packed = f" in {len(self._leaves)} arrays" if self._layout else ""
        return f"<compiled step over ({types}), {len(self._paths)} leaves{packed}>"

    def _state(self) -> State:
        if self._donate and any(leaf.is_deleted() for leaf in self._leaves):
            raise DonatedError(
                "the last call failed after it had used the memory of the state",
                instead="restore a checkpoint and compile again",
                otherwise="compile_step(..., donate=False), with twice the memory",
            )
        layout = self._layout
        leaves = layout.unpacked(self._leaves) if layout else self._leaves
        state: State = self._treedef.unflatten(leaves)
        return state

    def _give_up(self) -> None:
        """Put a marker where arrays were that the call has used up."""
        state = self._treedef.unflatten(map(Donated, self._paths, self._avals))
        for nodes in self._lent:
            bound.update(nodes, state)
        self._lent = []


# -- the program --------------------------------------------------------------------


def _traced(
    fn: Callable[..., R],
    graphdef: GraphDef[tuple[Any, ...]],
    treedef: PyTreeDef,
    leaves: Sequence[jax.Array],
    layout: Layout | None,
    counted: list[int],
) -> Callable[..., tuple[tuple[jax.Array, ...], R]]:
    """The function that is jitted: leaves and arguments in, leaves and result out."""
    dtypes = [leaf.dtype for leaf in leaves]
    shardings = [mesh_sharding(leaf) for leaf in leaves]

    def step(
        stored: tuple[jax.Array, ...], *args: Any, **kwargs: Any
    ) -> tuple[tuple[jax.Array, ...], R]:
        counted[0] += 1
        leaves = layout.taken(stored) if layout else stored
        nodes = merge(graphdef, treedef.unflatten(leaves))
        before = structure(nodes)
        result = fn(*nodes, *args, **kwargs)
        check_structure(before, structure(nodes))
        _, state = split(nodes)
        made = []
        new = jax.tree_util.tree_leaves(state)
        for leaf, dtype, sharding in zip(new, dtypes, shardings, strict=True):
            leaf = jax.lax.convert_element_type(leaf, dtype) if is_weak(leaf) else leaf
            if sharding is not None:
                leaf = jax.lax.with_sharding_constraint(leaf, sharding)
            made.append(leaf)
        return layout.put_back(stored, made) if layout else tuple(made), result

    return step
