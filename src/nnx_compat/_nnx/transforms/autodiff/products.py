"""Products with the Jacobian of a function, with respect to all of its arguments.

A tangent or a cotangent of a Module is a Module of the same type, with the derivatives
as values.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, cast

import jax

from ....errors import ArgumentValueError
from .._checks import free_function, not_shared, values_only
from .._layout import Layout
from .._outcome import Traced
from .._transform import MISSING, Function

__all__ = ["jvp", "vjp"]


def vjp(
    f: Function = MISSING,
    *primals: Any,
    has_aux: bool = False,
    reduce_axes: Sequence[str] = (),
    graph: bool | None = None,
    graph_updates: bool | None = None,
) -> Any:
    """The output of ``f``, and what takes its cotangent to those of the arguments.

    The values of Variables that ``f`` changes are propagated. One of ``graph=False``
    and ``graph_updates=False`` has to be said, as to the newest Flax.

    Args:
        f: a function of Modules, Variables and arrays. Without ``primals`` the result
            is a function of them, without ``f`` a decorator.
        *primals: its arguments.
        has_aux: whether ``f`` returns a pair of its output and auxiliary data.
        reduce_axes: nothing; jax has given it up.
        graph: False to refuse Modules and Variables that are shared.
        graph_updates: False.

    Returns:
        ``(output, vjp_fn)``, with ``has_aux`` ``(output, vjp_fn, aux)``. ``vjp_fn``
        returns a cotangent for each argument; a Module's is a Module.

    Raises:
        ArgumentValueError: ``f`` is a bound method, or neither mode is False.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> loss = lambda model, x: model(x).sum()
        >>> x = jnp.ones((1, 2))
        >>> out, vjp_fn = nnx.vjp(loss, model, x, graph_updates=False)
        >>> d_model, d_x = vjp_fn(jnp.ones_like(out))
        >>> type(d_model).__name__, d_x.shape
        ('Linear', (1, 2))
    """
    options: Any = {"has_aux": has_aux, "graph": graph, "graph_updates": graph_updates}
    values_only("vjp", graph, graph_updates)
    if reduce_axes:
        raise NotImplementedError("reduce_axes of nnx.vjp: jax has given it up")
    if f is MISSING:
        return functools.partial(vjp, **options)
    f = free_function("vjp", f)
    if not primals:
        return functools.partial(vjp, f, **options)
    not_shared("vjp", graph, primals)
    layout = Layout(primals)
    call = _Values("vjp", f, layout, has_aux)
    arrays, pull, rest = jax.vjp(call, *layout.arrays, has_aux=True)
    inward, outward = layout, call.out
    result = call.result(arrays, rest)
    layout.forget()

    def vjp_fn(cotangent: Any) -> tuple[Any, ...]:
        given = Layout(cotangent)
        if given.treedef != outward.treedef:
            raise ArgumentValueError(
                "a cotangent does not have the structure of the output: "
                f"{given.treedef} for {outward.treedef}",
                instead="jax.tree.map(jnp.ones_like, output)",
            )
        return cast("tuple[Any, ...]", inward.merge(pull(given.arrays))[0])

    return (result[0], vjp_fn, *result[1:])


def jvp(
    f: Function = MISSING,
    primals: Any = MISSING,
    tangents: Any = MISSING,
    *,
    has_aux: bool = False,
    graph: bool | None = None,
    graph_updates: bool | None = None,
) -> Any:
    """The output of ``f`` and its derivative in the direction of ``tangents``.

    As in ``nnx.vjp``, values are propagated, and one of ``graph=False`` and
    ``graph_updates=False`` has to be said.

    Args:
        f: a function of Modules, Variables and arrays. Without ``primals`` the result
            is a function of them and the tangents, without ``f`` a decorator.
        primals: a tuple of its arguments.
        tangents: a tuple of the same structure; a Module's tangent is a Module of the
            same type with the tangents as values.
        has_aux: whether ``f`` returns a pair of its output and auxiliary data.
        graph: False to refuse Modules and Variables that are shared.
        graph_updates: False.

    Returns:
        ``(output, tangent)``, with ``has_aux`` ``(output, tangent, aux)``.

    Raises:
        ArgumentValueError: ``f`` is a bound method, neither mode is False, or the
            tangents do not have the structure of the primals.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> x = jnp.ones((1, 2))
        >>> out, tangent = nnx.jvp(
        ...     lambda model, x: model(x).sum(), (model, x), (model, x),
        ...     graph_updates=False,
        ... )
        >>> tangent.shape
        ()
    """
    options: Any = {"has_aux": has_aux, "graph": graph, "graph_updates": graph_updates}
    values_only("jvp", graph, graph_updates)
    if f is MISSING:
        return functools.partial(jvp, **options)
    f = free_function("jvp", f)
    if primals is MISSING or tangents is MISSING:
        return functools.partial(jvp, f, **options)
    not_shared("jvp", graph, primals)
    layout, directions = Layout(tuple(primals)), Layout(tuple(tangents))
    if not layout.fits(directions):
        raise ArgumentValueError(
            "the tangents of nnx.jvp do not have the structure of the primals",
            instead="Modules of the same types with the same attributes, and arrays",
        )
    call = _Values("jvp", f, layout, has_aux)
    arrays, rates, rest = jax.jvp(
        call, tuple(layout.arrays), tuple(directions.arrays), has_aux=True
    )
    result = call.result(arrays, rest)
    return (result[0], call.out.merge(rates)[0], *result[1:])


class _Values:
    """A function over nodes as one over arrays, of which values are propagated."""

    def __init__(self, name: str, f: Function, layout: Layout, has_aux: bool) -> None:
        self.name, self.f, self.layout, self.has_aux = name, f, layout, has_aux

    def __call__(
        self, *arrays: jax.Array
    ) -> tuple[list[jax.Array], tuple[list[jax.Array], list[jax.Array]]]:
        """``(arrays of the output, (those of aux, those that changed))``."""
        traced = Traced(self.layout, arrays)
        out = self.f(*traced.tree)
        out, aux = out if self.has_aux else (out, None)
        every, both, self.changed = traced.values(self.name, (out, aux))
        self.out, self.aux = Layout(out), Layout(aux)
        found = self.out.arrays, (self.aux.arrays, every[both.count :])
        self.out.forget()
        self.aux.forget()
        return found

    def result(
        self,
        arrays: Sequence[jax.Array],
        rest: tuple[Sequence[jax.Array], Sequence[jax.Array]],
    ) -> tuple[Any, ...]:
        """The output, with ``has_aux`` also aux; what changed is written."""
        aux, changed = rest
        self.changed.apply(self.layout, changed)
        result = (self.out.merge(arrays)[0],)
        return (*result, self.aux.merge(aux)[0]) if self.has_aux else result
