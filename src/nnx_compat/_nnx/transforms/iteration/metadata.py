"""The names of axes in the metadata of Variables, where a transform maps an axis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ....errors import ArgumentValueError
from ....functional import AXES
from ....revisions import bound, nnx
from .._checks import not_shared, unsupported
from .._layout import flattened, is_node
from .._lifted import Lifted, lift
from .._prefixes import broadcast, by_filter, value_at
from .._transform import MISSING, Function, transform
from .axes import Axes

__all__ = ["transform_metadata"]

#: Stands for the name of an axis where there is none to add; None is a name.
UNNAMED: object = object()
Names = Sequence["str | None"]


def _any_function(name: str, f: Function, graph: bool | None = None) -> Function:
    return f  # the newest Flax takes bound methods here


@transform(prefixes=("in_axes", "out_axes"), check=_any_function)
def transform_metadata(
    f: Function = MISSING,
    *,
    in_axes: Axes = 0,
    out_axes: Axes = 0,
    partition: str | None,
    graph: bool | None = None,
) -> Function:
    """A function that does with sharding metadata what ``vmap`` does with arrays.

    Under a ``vmap`` the Variables that ``f`` is given have one axis less, so the name
    of that axis is taken out of their metadata; the Variables it returns have one more
    outside, so the name is put in.

    Args:
        f: takes Modules and arrays; without it the result is a decorator.
        in_axes: a prefix of the arguments, as in ``vmap``.
        out_axes: likewise of the output.
        partition: the name of the axis, as in the metadata.
        graph: True or False; with False nothing may be shared.

    Raises:
        ArgumentValueError: a Module is among the axes.

    Example:
        >>> from nnx_compat import nnx
        >>> @nnx.transform_metadata(in_axes=0, out_axes=0, partition="layers")
        ... def same(x):
        ...     return x
        >>> same(3)
        3
    """

    def run(lifted: Lifted) -> Sequence[Any]:
        return lifted(lifted.arrays)

    def checked(*args: object) -> object:
        not_shared("transform_metadata", graph, args)
        return step(*args)

    step = renaming(f, in_axes, out_axes, partition)
    return lift(f, run, step=checked)


def axis_name(transform: str, metadata: Mapping[str, Any] | None) -> object:
    """The name of the axis in the ``transform_metadata`` of a transform.

    Raises:
        RefusedArgumentError: it has more than this.
    """
    metadata = metadata or {}
    if set(metadata) - {nnx.PARTITION_NAME}:
        raise unsupported(
            transform,
            f"transform_metadata={dict(metadata)!r}",
            "of metadata other than the name of the axis it knows nothing",
        )
    return metadata.get(nnx.PARTITION_NAME, UNNAMED)


def renaming(f: Function, in_axes: object, out_axes: object, name: object) -> Function:
    """A function within a map, whose Variables have one axis less inside.

    The name of the mapped axis is taken out of the metadata of the arguments for as
    long as the function runs, and put into that of the output.
    """
    if name is UNNAMED:
        return f

    def step(*args: object) -> object:
        _rename(args, in_axes, name, _without, "remove_axis")
        out = f(*args)
        _rename(args, in_axes, name, _with, "add_axis")
        _rename(out, out_axes, name, _with, "add_axis")
        return out

    return step


def _rename(
    tree: object,
    axes: object,
    name: object,
    edit: Callable[[Names, int, object], Names],
    hook: str,
) -> None:
    leaves, treedef = flattened(tree)
    done: set[int] = set()
    for leaf, value in zip(leaves, broadcast(axes, treedef), strict=True):
        if not is_node(leaf):
            continue
        for path, variable in bound.live_variables((leaf,)).items():
            axis = value_at(value, path[1:], variable) if by_filter(value) else value
            if not isinstance(axis, int) or id(variable) in done:
                continue
            done.add(id(variable))
            metadata = bound.metadata(variable)
            for key in AXES:
                if metadata.get(key):
                    names = edit(metadata[key], axis, name)
                    bound.set_metadata(variable, {key: names})
            # by name: at first the name of the axis was the first parameter
            getattr(variable, hook)(axis_index=axis, axis_name=name)


def _with(names: Names, axis: int, name: Any) -> Names:
    padded = list(names) + [None] * (axis - len(names))
    padded.insert(axis, name)
    return tuple(padded)


def _without(names: Names, axis: int, name: object) -> Names:
    found = list(names)
    if axis >= len(found) or found[axis] != name:
        raise ArgumentValueError(
            f"the axes {tuple(names)} of a Variable do not have {name!r} at {axis}",
            instead="in_axes and partition as they were when the axis was added",
        )
    del found[axis]
    return tuple(found)
