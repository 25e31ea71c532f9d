"""The compiled step: one ``jax.jit`` over a flat tuple of leaves, no NNX per call.

``nnx.jit`` walks the object graph in Python at every call, which takes longer than the
step itself on most models. Here the walk is done once, when the step is made; inside
the program, while it is traced, the nodes are built from the leaves, the function
changes them as it likes, and the leaves are taken out again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from ..errors import (
    ArgumentTypeError,
    ArgumentValueError,
    DonatedError,
    StepStructureError,
    listed,
)
from ..functional import (
    Path,
    check_node,
    is_variable,
    iter_graph,
    merge,
    show,
    split,
    stored,
    variable_type,
)
from ..revisions import bound
from ._leaves import Leaves, describe
from ._pack import SURE, Layout, can_pack

_Tracer: Any = jax.core.Tracer


def compile_step(
    fn: Callable[..., Any],
    /,
    *nodes: Any,
    donate: bool = True,
    static_argnums: int | Sequence[int] = (),
    pack: bool | Literal["auto"] = False,
    **jit_options: Any,
) -> CompiledStep:
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


class CompiledStep:
    """A step made by ``compile_step``. Not safe for two threads at once."""

    def __init__(
        self,
        fn: Callable[..., Any],
        nodes: tuple[Any, ...],
        donate: bool,
        static_argnums: int | Sequence[int],
        pack: bool | Literal["auto"],
        jit_options: dict[str, Any],
    ) -> None:
        _check_options(jit_options)
        for node in nodes:
            check_node(node)
        self._nodes = nodes
        self._donate = donate
        self._graphdef, state = split(nodes)
        leaves, self._treedef = jax.tree_util.tree_flatten(state)
        self._paths = Leaves(state).paths
        placed = _placed(_concrete(self._paths, leaves, donate))
        self._layout = _layout(placed, pack)
        # What goes in and out: the leaves, or what they are packed into.
        self._leaves = self._layout.packed(placed) if self._layout else placed
        self._avals = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in placed]
        # Nodes whose Variables hold the leaves that the next call gives up.
        self._lent: list[Any] = [nodes] if donate else []
        self._counted = [0]
        if isinstance(static_argnums, int):
            static_argnums = (static_argnums,)
        self._program = jax.jit(
            _traced(
                fn, self._graphdef, self._treedef, placed, self._layout, self._counted
            ),
            donate_argnums=(0,) if donate else (),
            static_argnums=tuple(n + 1 if n >= 0 else n for n in static_argnums),
            **jit_options,
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the step on the current leaves; what ``fn`` returns."""
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
        made: tuple[Any, ...] = merge(self._graphdef, self._state())
        if self._donate:
            self._lent.append(made)
        return made

    def sync(self) -> None:
        """Write the current leaves into the original nodes, whose Variables stay."""
        bound.update(self._nodes, self._state())
        if self._donate and not any(lent is self._nodes for lent in self._lent):
            self._lent.append(self._nodes)

    def lower(self, *args: Any, **kwargs: Any) -> Any:
        """The ``jax.stages.Lowered`` of a call with these arguments, not run."""
        return self._program.lower(self._leaves, *args, **kwargs)

    def __enter__(self) -> CompiledStep:
        return self

    def __exit__(self, *exception: object) -> None:
        self.sync()

    def __repr__(self) -> str:
        types = ", ".join(type(node).__name__ for node in self._nodes)
        packed = f" in {len(self._leaves)} arrays" if self._layout else ""
        return f"<compiled step over ({types}), {len(self._paths)} leaves{packed}>"

    def _state(self) -> Any:
        if self._donate and any(leaf.is_deleted() for leaf in self._leaves):
            raise DonatedError(
                "the last call failed after it had used the memory of the state",
                instead="restore a checkpoint and compile again",
                otherwise="compile_step(..., donate=False), with twice the memory",
            )
        layout = self._layout
        leaves = layout.unpacked(self._leaves) if layout else self._leaves
        return self._treedef.unflatten(leaves)

    def _give_up(self) -> None:
        """Put a marker where arrays were that the call has used up."""
        state = self._treedef.unflatten(map(Donated, self._paths, self._avals))
        for nodes in self._lent:
            bound.update(nodes, state)
        self._lent = []


# -- the program --------------------------------------------------------------------


def _traced(
    fn: Callable[..., Any],
    graphdef: Any,
    treedef: Any,
    leaves: Sequence[Any],
    layout: Layout | None,
    counted: list[int],
) -> Callable[..., Any]:
    """The function that is jitted: leaves and arguments in, leaves and result out."""
    dtypes = [leaf.dtype for leaf in leaves]
    shardings = [_mesh_sharding(leaf) for leaf in leaves]

    def step(stored: Any, *args: Any, **kwargs: Any) -> Any:
        counted[0] += 1
        leaves = layout.taken(stored) if layout else stored
        nodes = merge(graphdef, treedef.unflatten(leaves))
        before = _structure(nodes)
        result = fn(*nodes, *args, **kwargs)
        _check_structure(before, _structure(nodes))
        _, state = split(nodes)
        made = []
        new = jax.tree_util.tree_leaves(state)
        for leaf, dtype, sharding in zip(new, dtypes, shardings, strict=True):
            leaf = jax.lax.convert_element_type(leaf, dtype) if _is_weak(leaf) else leaf
            if sharding is not None:
                leaf = jax.lax.with_sharding_constraint(leaf, sharding)
            made.append(leaf)
        return layout.put_back(stored, made) if layout else tuple(made), result

    return step


# -- what must stay -----------------------------------------------------------------


class _Static:
    """A static value as it was, compared by equality; a container by what it held."""

    def __init__(self, value: Any) -> None:
        self.value = bound.frozen(value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Static):
            return False
        if self.value is other.value:
            return True
        try:
            return bool(self.value == other.value)
        except Exception:  # an array among the values: not one truth value
            return False

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        text = repr(self.value)
        return text if len(text) <= 60 else text[:57] + "..."


def _structure(nodes: Any) -> dict[Path, Any]:
    """What must stay, by path: types, shapes, dtypes, metadata, static attributes."""
    found: dict[Path, Any] = {}
    parents: set[Path] = set()
    for path, value in iter_graph(nodes):
        parents.add(path[:-1])
        if is_variable(value):
            raw = stored(value)
            leaves, tree = jax.tree_util.tree_flatten(raw)
            shown = ", ".join(describe(leaf) for leaf in leaves)
            found[path] = f"{variable_type(value).__name__} of {shown or tree}"
            for key, metadata in bound.metadata(value).items():
                found[(*path, f"metadata {key!r}")] = _Static(metadata)
        elif isinstance(value, jax.Array):  # tracers are such, too
            found[path] = f"array of {describe(value)}"
        elif path in parents or isinstance(value, bound.nnx.Module):
            found[path] = type(value).__name__
        else:
            found[path] = _Static(value)
    return found


def _check_structure(before: dict[Path, Any], after: dict[Path, Any]) -> None:
    problems = [
        f"{show(path)}: {'is gone' if path not in after else 'was added'}, "
        f"{before.get(path, after.get(path))}"
        for path in (before.keys() ^ after.keys())
    ]
    problems += [
        f"{show(path)}: was {was}, is {after[path]}"
        for path, was in before.items()
        if path in after and after[path] != was
    ]
    if problems:
        raise StepStructureError(
            "the step changes the structure of its nodes, which one compiled program "
            f"cannot{listed(sorted(problems))}\n"
            "  (a path begins with the number of the node)",
            instead="make what is added before compile_step, and pass what changes as "
            "an argument of the step",
            otherwise="nnx.jit, which walks the graph at every call",
        )


# -- the leaves ---------------------------------------------------------------------


_ARRAYS = (jax.Array, np.ndarray, np.generic, bool, int, float, complex)


def _no_array(path: Path, leaf: Any) -> ArgumentTypeError:
    found, instead = f"a {type(leaf).__name__}", "a static attribute for what is none"
    if isinstance(leaf, _Tracer):
        found, instead = "a traced value", "compile outside of jit"
    elif isinstance(leaf, Donated):
        instead = "sync() the step that has the node, then compile again"
    elif isinstance(leaf, jax.ShapeDtypeStruct):
        instead = "nodes with values: nnx_compat.update(model, state)"
    elif is_variable(leaf) or isinstance(leaf, bound.reference_types):
        found += ", which jax itself mutates"
        instead = "jax.jit, which needs no leaves for it; or plain Variables"
    return ArgumentTypeError(
        f"compile_step needs arrays, and {show(path)} holds {found}", instead=instead
    )


def _concrete(paths: list[Path], leaves: list[Any], donate: bool) -> list[Any]:
    """The leaves as strongly typed arrays, each with a buffer of its own if donated."""
    taken: set[int] = set()
    made: list[Any] = []
    for path, leaf in zip(paths, leaves, strict=True):
        if not isinstance(leaf, _ARRAYS) or isinstance(leaf, _Tracer):
            raise _no_array(path, leaf)
        array = jnp.asarray(leaf)
        if _is_weak(array):
            array = jax.lax.convert_element_type(array, array.dtype)
        if donate and id(array) in taken:
            array = jnp.array(array, copy=True)
        taken.add(id(array))
        made.append(array)
    return made


def _layout(leaves: Sequence[Any], pack: bool | str) -> Layout | None:
    if pack not in (True, False, "auto"):
        raise ArgumentValueError(
            f"pack is {pack!r}", instead="pack=True, pack=False or pack='auto'"
        )
    if pack is True and not can_pack():
        raise ArgumentValueError(
            "pack=True needs an XLA that keeps to optimization barriers, and that of "
            f"jax {jax.__version__} does not: the results would differ in their last "
            "bits",
            instead="pack='auto', which packs where it can",
        )
    if not (pack and can_pack()):
        return None
    layout = Layout(leaves)
    if pack == "auto":
        on_cpu = all(d.platform == "cpu" for leaf in leaves for d in leaf.devices())
        return layout if on_cpu and layout.saved >= SURE else None
    return layout if layout.rows else None


def _placed(leaves: list[Any]) -> tuple[Any, ...]:
    """Beside leaves on a mesh the others replicated on it, as the step returns them."""
    meshes = [s.mesh for s in map(_mesh_sharding, leaves) if s is not None]
    if not meshes:
        return tuple(leaves)
    everywhere = jax.sharding.NamedSharding(meshes[0], jax.sharding.PartitionSpec())
    return tuple(
        leaf if _mesh_sharding(leaf) is not None else jax.device_put(leaf, everywhere)
        for leaf in leaves
    )


def _mesh_sharding(leaf: Any) -> Any:
    sharding = leaf.sharding
    return sharding if isinstance(sharding, jax.sharding.NamedSharding) else None


def _is_weak(leaf: Any) -> bool:
    return bool(getattr(leaf, "weak_type", False))


def _check_options(options: dict[str, Any]) -> None:
    for name in ("donate_argnums", "donate_argnames", "in_shardings", "out_shardings"):
        if name in options:
            raise ArgumentTypeError(
                f"compile_step does not take {name}: it donates the leaves and keeps "
                "their shardings itself",
                instead="jax.device_put the nodes and the arguments where they belong",
                otherwise="donate=False",
            )


class Donated:
    """In the place of an array that a compiled step has used up; reading is an error.

    Args:
        path: where it is in the nodes of the step.
        like: an array of its shape and dtype, which can still be asked for.
    """

    __slots__ = ("_path", "dtype", "shape")

    def __init__(self, path: Path, like: Any) -> None:
        self._path = path
        self.shape: tuple[int, ...] = like.shape
        self.dtype: Any = like.dtype

    def __repr__(self) -> str:
        return f"<{show(self._path)}: given up to a compiled step>"

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    def _refuse(self, *_: object, **__: object) -> Any:
        raise DonatedError(
            f"the array at {show(self._path)} was given up to a compiled step, which "
            "has used its memory",
            instead="step.sync(), then read the node; or read step.nodes",
            otherwise="compile_step(..., donate=False), with twice the memory",
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what Python and jax probe for
            raise AttributeError(name)
        return self._refuse()

    # A property: jax.jit is refused when it asks whether there is such a method.
    __jax_array__ = property(_refuse)
    __array__ = __getitem__ = __len__ = __iter__ = _refuse
    __bool__ = __float__ = __int__ = __index__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _refuse
    __truediv__ = __rtruediv__ = __matmul__ = __rmatmul__ = __neg__ = __pow__ = _refuse
