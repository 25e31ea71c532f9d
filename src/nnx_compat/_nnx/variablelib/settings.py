"""Settings of what kind of Variable is made: where a release has one kind, that one.

A setting that asks for what the release does anyway is taken, any other is refused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import NoReturn, overload

import flax

from ..._release import native, native_settings
from ...errors import RefusedArgumentError
from ...revisions import flax_version
from .._setting import Setting

__all__ = ["use_eager_sharding", "using_eager_sharding", "var_defaults"]

_SHARDING_FLAG = "flax_always_shard_variable"


def using_eager_sharding() -> bool:
    """Whether a Variable with a sharding is sharded as soon as it is made.

    Example:
        >>> from nnx_compat import nnx
        >>> with nnx.use_eager_sharding(False):
        ...     nnx.using_eager_sharding()
        False
    """
    return _SHARDING_FLAG in native_settings and bool(
        getattr(flax.config, _SHARDING_FLAG)
    )


class use_eager_sharding(Setting):
    """Set whether a Variable with a sharding is sharded as soon as it is made.

    Holds from here on; as a context manager or a decorator, for that extent. On the one
    release whose Flax has a switch for it here, it is that of the process, and not of
    the thread as on newer ones. Older releases never shard eagerly.

    Args:
        value: whether.

    Raises:
        RefusedArgumentError: ``True`` on a release that cannot.

    Example:
        >>> import jax.numpy as jnp
        >>> from nnx_compat import nnx
        >>> with nnx.use_eager_sharding(False):
        ...     weight = nnx.Param(jnp.ones(2), out_sharding=("data",))
        >>> weight.out_sharding
        ('data',)
    """

    def __init__(self, value: bool, /) -> None:
        if value and _SHARDING_FLAG not in native_settings:
            raise RefusedArgumentError(
                f"use_eager_sharding was given True, and flax {flax_version} shards no "
                "Variable when it is made",
                instead="jax.lax.with_sharding_constraint on the state inside jit",
            )
        super().__init__(lambda: _set_eager_sharding(value))


def _set_eager_sharding(value: bool) -> Callable[[], None]:
    was = using_eager_sharding()
    if value == was:
        return lambda: None
    flax.config.update(_SHARDING_FLAG, value)
    return lambda: flax.config.update(_SHARDING_FLAG, was)


# -- defaults of Variables ----------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class VarDefaults(Mapping[str, bool]):
    """The kind of Variable that is made by default: a mapping with attributes."""

    hijax: bool
    ref: bool

    def __getitem__(self, key: str) -> bool:
        return dataclasses.asdict(self)[key]  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[str]:
        return iter(dataclasses.asdict(self))

    def __len__(self) -> int:
        return len(dataclasses.fields(self))


@overload
def var_defaults() -> VarDefaults: ...
@overload
def var_defaults(*, hijax: bool | None = ..., ref: bool | None = ...) -> Setting: ...
def var_defaults(
    *, hijax: bool | None = None, ref: bool | None = None
) -> VarDefaults | Setting:
    """What kind of Variable is made by default, or a setting of it.

    Args:
        hijax: whether new Variables are objects that jax knows itself.
        ref: whether they hold a reference to a mutable array.

    Returns:
        Without arguments the defaults, a mapping; else a context manager or decorator.

    Raises:
        RefusedArgumentError: another setting than the release's own.

    Example:
        >>> from nnx_compat import nnx
        >>> dict(nnx.var_defaults())
        {'hijax': False, 'ref': False}
        >>> with nnx.var_defaults(hijax=False):
        ...     weight = nnx.Param(1.0)
    """
    current = VarDefaults(
        hijax=_using("using_hijax"),
        ref=_using("using_refs") or _using("using_mutable_arrays"),
    )
    if hijax is None and ref is None:
        return current
    for name, value in (("hijax", hijax), ("ref", ref)):
        if value is not None and value != current[name]:
            _refuse_default(name, value)
    return Setting(lambda: lambda: None)


def _using(name: str) -> bool:
    return name in native and bool(native[name]())


def _refuse_default(name: str, value: bool) -> NoReturn:
    raise RefusedArgumentError(
        f"var_defaults was given {name}={value}, and the Variables of flax "
        f"{flax_version} are of another kind",
        instead=f"leave {name}= out: ordinary Variables, in split and merge",
        otherwise="pip install --upgrade flax",
    )
