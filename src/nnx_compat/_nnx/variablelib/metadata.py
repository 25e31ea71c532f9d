"""Metadata of Variables: initializers that carry them, hooks, and shardings.

The hooks of ``with_metadata`` are called ``on_get_value`` and so on. They were called
``get_value_hooks``, and for a while were natively taken under that name and never
called. Here both names work, and all of them are called.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import flax.core.meta
import jax

from ...errors import ArgumentTypeError
from ...revisions import nnx

__all__ = [
    "VariableMetadata",
    "logical_axis_rules",
    "with_metadata",
    "with_partitioning",
    "with_sharding_constraint",
]

_Variable: Any = nnx.Variable
_with_metadata: Any = nnx.with_metadata
_with_partitioning: Any = nnx.with_partitioning

# -- metadata and hooks -------------------------------------------------------------

#: Each hook by its name today and the name it had.
_HOOKS = {
    "on_set_value": "set_value_hooks",
    "on_get_value": "get_value_hooks",
    "on_create_value": "create_value_hooks",
    "on_add_axis": "add_axis_hooks",
    "on_remove_axis": "remove_axis_hooks",
}
_NATIVE_METADATA: Any = nnx.VariableMetadata
_FIELDS = [field.name for field in dataclasses.fields(_NATIVE_METADATA)]

#: Whether a Variable has several hooks of a kind, or one, among its metadata.
_SEVERAL = "get_value_hooks" in inspect.signature(_Variable.__init__).parameters

#: Whether the axis hooks are called with ``(name, index)``, as they were first.
_NAME_FIRST = list(inspect.signature(_Variable.add_axis).parameters)[1] == "axis_name"


def _taken(metadata: dict[str, Any]) -> dict[str, tuple[Any, ...]]:
    """The hooks among keyword arguments, by either name, taken out of them."""
    found: dict[str, tuple[Any, ...]] = {}
    for name, old in _HOOKS.items():
        given = [metadata.pop(key) for key in (name, old) if key in metadata]
        hooks = [h for some in given for h in ((some,) if callable(some) else some)]
        if hooks and name in ("on_add_axis", "on_remove_axis") and _NAME_FIRST:
            hooks = [_index_first(hook) for hook in hooks]
        if hooks:
            found[name] = tuple(hooks)
    return found


def _index_first(hook: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(hook)
    def call(variable: Any, name: Any, index: Any) -> Any:
        return hook(variable, index, name)

    return call


def _chained(hooks: tuple[Any, ...]) -> Any:
    """One hook that calls all in turn, each with the value that the last one gave."""
    if len(hooks) == 1:
        return hooks[0]

    def call(variable: Any, value: Any, *axis: Any) -> Any:
        for hook in hooks:
            result = hook(variable, value, *axis)
            value = value if axis else result  # an axis hook gives nothing
        return value

    return call


def _with_hooks(made: Any, hooks: Mapping[str, tuple[Any, ...]]) -> Any:
    """Flax's VariableMetadata with more hooks, where this release looks for them."""
    if not hooks:
        return made
    if _SEVERAL:
        added = {
            _HOOKS[name]: (*some, *getattr(made, _HOOKS[name]))
            for name, some in hooks.items()
        }
        return dataclasses.replace(made, **added)
    metadata = {name: _chained(some) for name, some in hooks.items()}
    return dataclasses.replace(made, metadata={**made.metadata, **metadata})


class _VariableMetadataMeta(type):
    """Makes ``VariableMetadata`` Flax's own, with the names of today for its hooks."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _NATIVE_METADATA)

    def __call__(cls, raw_value: Any, **kwargs: Any) -> Any:
        metadata = kwargs.pop("metadata", {})
        hooks = _taken(kwargs)
        if kwargs:
            raise ArgumentTypeError(
                f"VariableMetadata has no {', '.join(sorted(kwargs))}",
                instead="metadata={...} for what a Variable is to carry",
            )
        given: dict[str, Any] = dict.fromkeys(_HOOKS.values(), ())
        given |= {_FIELDS[0]: raw_value, "metadata": dict(metadata)}
        return _with_hooks(_NATIVE_METADATA(**given), hooks)


class VariableMetadata(metaclass=_VariableMetadataMeta):
    """A value and the metadata of the Variable that is to be made of it.

    What an initializer from ``with_metadata`` gives; a Variable made of it takes both.
    The object is Flax's own, so its attributes have the names of the installed release.

    Args:
        raw_value: the value.
        on_set_value: hooks ``(variable, value) -> value`` for when it is set.
        on_get_value: hooks for when it is read.
        on_create_value: hooks for when the Variable is made.
        on_add_axis: hooks ``(variable, index, name)`` for when it is stacked.
        on_remove_axis: hooks for when it is taken apart.
        metadata: a dict.

    Example:
        >>> from nnx_compat import nnx
        >>> nnx.Param(nnx.VariableMetadata(1.0, metadata={"unit": "m"})).unit
        'm'
    """


def with_metadata(
    initializer: Callable[..., Any],
    on_set_value: Any = (),
    on_get_value: Any = (),
    on_create_value: Any = (),
    on_add_axis: Any = (),
    on_remove_axis: Any = (),
    **metadata: Any,
) -> Callable[..., Any]:
    """An initializer whose Variables get metadata and hooks.

    Args:
        initializer: ``(key, shape, dtype) -> array``.
        on_set_value: a hook ``(variable, value) -> value`` for when the value is set,
            or several; ``set_value_hooks`` before, which is taken too, as are the
            others by their old names.
        on_get_value: for when it is read.
        on_create_value: for when the Variable is made.
        on_add_axis: ``(variable, index, name)`` for when it is stacked.
        on_remove_axis: for when it is taken apart.
        **metadata: of the Variable.

    Example:
        >>> import jax.numpy as jnp
        >>> from nnx_compat import nnx
        >>> ones = nnx.with_metadata(nnx.initializers.ones_init(), unit="m")
        >>> nnx.Param(ones(jax.random.key(0), (2,), jnp.float32)).unit
        'm'
    """
    metadata.update(
        on_set_value=on_set_value,
        on_get_value=on_get_value,
        on_create_value=on_create_value,
        on_add_axis=on_add_axis,
        on_remove_axis=on_remove_axis,
    )
    hooks = _taken(metadata)
    return _hooked(_with_metadata(initializer, **metadata), hooks)


def with_partitioning(
    initializer: Callable[..., Any],
    sharding: Any,
    mesh: Any = None,
    **metadata: Any,
) -> Callable[..., Any]:
    """An initializer whose Variables say how they are to be sharded.

    Args:
        initializer: ``(key, shape, dtype) -> array``.
        sharding: the name of a mesh axis, or ``None``, for each axis of the array.
        mesh: the mesh; that of the context when not given.
        **metadata: of the Variable; hooks as in ``with_metadata``.

    Example:
        >>> import jax.numpy as jnp
        >>> import nnx_compat as nc
        >>> from nnx_compat import nnx
        >>> init = nnx.with_partitioning(
        ...     nnx.initializers.ones_init(), ("data", None), eager_sharding=False
        ... )
        >>> weight = nnx.Param(init(jax.random.key(0), (2, 2), jnp.float32))
        >>> ("data", None) in nc.get_metadata(weight).values()
        True
    """
    hooks = _taken(metadata)
    return _hooked(_with_partitioning(initializer, sharding, mesh, **metadata), hooks)


def _hooked(
    initializer: Callable[..., Any], hooks: Mapping[str, tuple[Any, ...]]
) -> Callable[..., Any]:
    if not hooks:
        return initializer

    @functools.wraps(initializer)
    def initialize(*args: Any) -> Any:
        return _with_hooks(initializer(*args), hooks)

    return initialize


# -- sharding -----------------------------------------------------------------------


def with_sharding_constraint(x: Any, axis_resources: Any, mesh: Any = None) -> Any:
    """Constrain how arrays are sharded; without a mesh, give them back as they are.

    Args:
        x: a pytree of arrays.
        axis_resources: a PartitionSpec, or a pytree of them as ``x`` is one of arrays;
            ``None`` for no constraint.
        mesh: the mesh; that of the context when not given.

    Example:
        >>> import warnings
        >>> import jax.numpy as jnp
        >>> from nnx_compat import nnx
        >>> from jax.sharding import PartitionSpec
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")  # newer releases do not have it
        ...     constrain = nnx.with_sharding_constraint
        >>> constrain(jnp.ones(2), PartitionSpec("data")).shape
        (2,)
    """
    leaves, tree = jax.tree_util.tree_flatten(x)
    if axis_resources is None or isinstance(axis_resources, jax.sharding.PartitionSpec):
        specs = [axis_resources] * len(leaves)
    else:
        specs = tree.flatten_up_to(axis_resources)
    if mesh is None and not flax.core.meta.global_mesh_defined():
        return x
    return tree.unflatten(
        _constrained(leaf, spec, mesh) for leaf, spec in zip(leaves, specs, strict=True)
    )


def _constrained(leaf: Any, spec: Any, mesh: Any) -> Any:
    if spec is None:
        return leaf
    at = spec if mesh is None else jax.sharding.NamedSharding(mesh, spec)
    return jax.lax.with_sharding_constraint(leaf, at)


@contextlib.contextmanager
def logical_axis_rules(rules: Any) -> Iterator[None]:
    """Inside, names of logical axes in a sharding stand for mesh axes.

    Args:
        rules: pairs of a logical name and the name of a mesh axis.

    Example:
        >>> from nnx_compat import nnx
        >>> if hasattr(nnx, "logical_axis_rules"):
        ...     with nnx.logical_axis_rules((("embed", "model"),)):
        ...         pass
    """
    import flax.core.spmd  # the releases before it have nothing that reads rules

    with flax.core.spmd.logical_axis_rules(rules):
        yield
