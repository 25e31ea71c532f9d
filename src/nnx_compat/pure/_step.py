"""The compiled step: one ``jax.jit`` over a flat tuple of leaves, no NNX per call.

``nnx.jit`` walks the object graph in Python at every call, which takes longer than the
step itself on most models. Here the walk is done once, when the step is made; inside
the program, while it is traced, the nodes are built from the leaves, the function
changes them as it likes, and the leaves are taken out again.

Between two calls the nodes hold markers (or, without donation, what they held), so that
it costs next to nothing to see that nobody has written into them.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable, Sequence
from itertools import repeat, starmap
from sys import getrefcount
from types import TracebackType
from typing import (
    Any,
    Concatenate,
    Generic,
    Literal,
    ParamSpec,
    TypeVar,
    overload,
)

import jax

from ..errors import ArgumentTypeError, DonatedError
from ..functional import Donated, Loan, check_node, merge, show
from ..revisions import bound
from ._cells import Cells, Written, fitting_leaves
from ._claims import Claim
from ._concrete import (
    check_options,
    concrete,
    layout_of,
    like_before,
    placed,
)
from ._leaves import Leaves
from ._tracing import Tracing, traced

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
    counters, metrics). The nodes are taken apart once, now, and the changes of the step
    show in them after ``sync()``. Values that are written into them between two calls,
    such as a checkpoint's after ``sync()``, are taken in by the next one; changes of
    their structure and of static attributes are not.

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
        DonatedError: another step, not synced, has Variables of these nodes.

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
    """A step made by ``compile_step``; several threads take turns in it."""

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
        self._graphdef, state = bound.split(nodes)
        leaves, self._treedef = jax.tree_util.tree_flatten(state)
        self._paths = Leaves(state).paths
        arrays = placed(concrete(self._paths, leaves, donate))
        self._layout = layout_of(arrays, pack)
        self._like = [
            jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding) for x in arrays
        ]
        self._cells = Cells(nodes, state)
        self._borrower = object()
        self._claim = Claim(self._cells, self._borrower, repr(self))
        self._lock = threading.RLock()
        # What goes in and out, the leaves or what they are packed into, and beside it
        # the result of the last call until that has taken it.
        stored = self._layout.packed(arrays) if self._layout else arrays
        self._held: list[tuple[Any, ...]] = [(stored,)]
        # The loan of the nodes while markers are in them, and how many references it
        # has then: one less for every marker that is overwritten. So it costs 50 ns to
        # see that nothing was written into a model of thousands of arrays. Where
        # something else keeps a marker alive, ``sync`` finds what was written.
        self._loan: object = None
        self._intact = _IN_HAND
        # Nodes whose Variables hold the leaves that the next call goes on from.
        self._lent: list[object] = [nodes]
        self._tracing = Tracing()
        if isinstance(static_argnums, int):
            static_argnums = (static_argnums,)
        self._program = jax.jit(
            traced(
                fn, self._graphdef, self._treedef, arrays, self._layout, self._tracing
            ),
            donate_argnums=(0,) if donate else (),
            static_argnums=tuple(n + 1 if n >= 0 else n for n in static_argnums),
            **jit_options,
        )

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the step on the current leaves; what ``fn`` returns.

        Raises:
            DonatedError: another step has the nodes.
            StateStructureError: what was written into the nodes since the last call
                does not fit; what fits is taken in.
        """
        program = (
            functools.partial(self._program, **kwargs) if kwargs else self._program
        )
        tracing, held = self._tracing, self._held
        with self._lock:
            if getrefcount(self._loan) != self._intact:
                self._open()
            before = held[0]
            if tracing.slow:
                tracing.interrupts.begin()
            try:
                # The old leaves go in and the new ones are kept without a bytecode in
                # between, so that Ctrl-C comes before or after: 20 of 20 interrupts
                # lost all weights when this was two statements.
                held[:] = starmap(program, ((before[0], *args),))
            finally:
                if tracing.slow:
                    tracing.after(self._program)
            made = held[0]
            leaves = made[0]
            if leaves and type(leaves[0]) is not type(before[0][0]):
                held[0] = before
                raise _inside_a_transformation()
            held[0] = (leaves,)
            if self._lent:
                self._lend()
        result: R = made[1] if len(made) == 2 else tracing.result(made[1], made[2])
        return result

    @property
    def traces(self) -> int:
        """How often the function was traced: 1, and 1 more for every new shape."""
        return self._tracing.count

    @property
    def nodes(self) -> tuple[Any, ...]:
        """The nodes as they are now, built anew; changing them changes nothing here.

        They share the arrays of the step, so with ``donate=True`` they can be read
        until its next call.
        """
        with self._lock:
            made = merge(self._graphdef, self._treedef.unflatten(self._arrays()))
            if self._donate:
                self._lent.append(made)
        return made

    def sync(self) -> None:
        """Write the current leaves into the original nodes, whose Variables stay.

        What was written into them since the last call stays and is taken in. From then
        on, and until the next call, another step may be made of the nodes.

        Raises:
            DonatedError: the last call failed after it had used the memory; or a node
                was written to in a way that does not tell before or after which call.
            StateStructureError: what was written into the nodes does not fit.
            StepStructureError: the nodes have other Variables than at first.
        """
        with self._lock:
            self._settle()
            self._claim.release()

    def lower(self, *args: P.args, **kwargs: P.kwargs) -> jax.stages.Lowered:
        """The ``jax.stages.Lowered`` of a call with these arguments, not run."""
        with self._lock:
            try:
                lowered: jax.stages.Lowered = self._program.lower(
                    self._held[0][0], *args, **kwargs
                )
            finally:
                self._tracing.interrupts.end()
        return lowered

    def __enter__(self) -> CompiledStep[P, R]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.sync()
        except Exception as failed:
            if error is None:
                raise
            _add_note(error, f"the nodes of {self!r} were not synced: {failed}")
        except BaseException:  # Ctrl-C before anything was written
            self.sync()
            raise

    def __repr__(self) -> str:
        types = ", ".join(type(node).__name__ for node in self._nodes)
        packed = f" in {self._layout.arrays} arrays" if self._layout else ""
        return f"<compiled step over ({types}), {len(self._paths)} leaves{packed}>"

    # -- the nodes between two calls ------------------------------------------------

    def _open(self) -> None:
        """Before a call: take the nodes, and take in what was written into them."""
        if self._intact == _IN_HAND:
            self._claim.take()
            if self._cells.same():
                return
        self._settle()

    def _settle(self) -> None:
        """Let the nodes hold what the step does; what was written there is newer."""
        self._cells.check_structure()
        with self._tracing.interrupts:
            written = self._cells.written(self._borrower)
            if written:
                if getrefcount(self._loan) == self._intact:
                    raise _written_unseen(written)
                self._take_in(written)
            self._cells.write(self._arrays())
            self._intact = _IN_HAND
            self._loan = None
            if not any(lent is self._nodes for lent in self._lent):
                self._lent.append(self._nodes)

    def _take_in(self, written: list[Written]) -> None:
        """Go on from what somebody has written into the nodes."""
        replaced = sum(len(new.numbers) for new in written)
        leaves: list[Any] = [None] * len(self._like)
        if replaced < len(leaves):  # else no matter if a failed call has used them up
            leaves = list(self._arrays())
        for new in written:
            leaves[new.numbers.start : new.numbers.stop] = fitting_leaves(new)
        made = concrete(self._paths, leaves, self._donate)
        arrays = like_before(self._paths, made, self._like)
        self._held[0] = (self._layout.packed(arrays) if self._layout else arrays,)

    def _arrays(self) -> Sequence[jax.Array]:
        """The current leaves."""
        stored = self._held[0][0]
        if self._donate and any(leaf.is_deleted() for leaf in stored):
            raise DonatedError(
                "the last call failed after it had used the memory of the state",
                instead="restore a checkpoint and compile again",
                otherwise="compile_step(..., donate=False), with twice the memory",
            )
        return self._layout.unpacked(stored) if self._layout else stored

    def _lend(self) -> None:
        """After a call: where arrays were that it has used up, put markers."""
        with self._tracing.interrupts:
            for nodes in self._lent:
                loan = self._mark(nodes) if self._donate else object()
                if nodes is self._nodes:
                    self._loan = loan
            self._lent = []
        del loan  # no reference to be counted
        self._intact = getrefcount(self._loan)

    def _mark(self, nodes: object) -> Loan:
        loan = Loan(self._borrower)
        markers = list(map(Donated, self._paths, self._like, repeat(loan)))
        if nodes is self._nodes:
            self._cells.mark(markers)
        else:
            bound.update(nodes, self._treedef.unflatten(markers))
        return loan


#: In the place of a number of references: the nodes hold what the step does.
_IN_HAND = -1


# -- what can go wrong --------------------------------------------------------------


def _written_unseen(written: Sequence[Written]) -> DonatedError:
    return DonatedError(
        "nodes were written to while a compiled step had them, in a way that does not "
        "tell whether calls came after",
        details=[show(new.path) for new in written],
        instead="step.sync(), then write into the nodes",
        otherwise="step.nodes, which are what the step made, without what was written",
    )


def _inside_a_transformation() -> ArgumentTypeError:
    return ArgumentTypeError(
        "a compiled step was called inside of a jax transformation, where it would "
        "keep traced values for its state",
        instead="the function that the step was made of, inside of jit, grad and vmap",
    )


def _add_note(error: BaseException, text: str) -> None:
    if hasattr(error, "add_note"):
        error.add_note(text)
    else:  # before Python 3.11
        print(text, file=sys.stderr)
