"""The names before ``view``, which are gone from the newest Flax."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from .. import newest

if TYPE_CHECKING:
    from ...functional import Filter

__all__ = ["eval_mode", "set_mode", "set_mode_info", "train_mode"]

_N = TypeVar("_N")


def set_mode(
    node: _N,
    /,
    *,
    only: Filter = ...,
    raise_if_not_found: bool = True,
    **kwargs: Any,
) -> _N:
    """The former name of ``view``.

    Example:
        >>> from nnx_compat import nnx
        >>> nnx.view(nnx.Dropout(0.5), deterministic=True).deterministic
        True
    """
    changed: _N = newest("view")(
        node, only=only, raise_if_not_found=raise_if_not_found, **kwargs
    )
    return changed


def train_mode(node: _N, /, *, only: Filter = ..., **kwargs: Any) -> _N:
    """A view for training: dropout drops, and BatchNorm uses and learns statistics.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Dropout(0.5, deterministic=True)
        >>> nnx.view(model, deterministic=False).deterministic
        False
    """
    mode = {"deterministic": False, "use_running_average": False, **kwargs}
    return set_mode(node, only=only, raise_if_not_found=False, **mode)


def eval_mode(node: _N, /, *, only: Filter = ..., **kwargs: Any) -> _N:
    """A view for evaluation: dropout keeps all, and BatchNorm uses what it has learnt.

    Example:
        >>> from nnx_compat import nnx
        >>> nnx.view(nnx.Dropout(0.5), deterministic=True).deterministic
        True
    """
    mode = {"deterministic": True, "use_running_average": True, **kwargs}
    return set_mode(node, only=only, raise_if_not_found=False, **mode)


def set_mode_info(node: object, /, *, only: Filter = ...) -> str:
    """The former name of ``view_info``.

    Example:
        >>> from nnx_compat import nnx
        >>> nnx.view_info(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
        ''
    """
    info: str = newest("view_info")(node, only=only)
    return info
