"""Graph mode and updates, set for all functions that are not given them."""

from __future__ import annotations

from ..._release import here
from ...errors import RefusedArgumentError
from ...revisions import flax_version
from .._parameters import current_mode, set_mode
from .._setting import Setting

__all__ = ["set_graph_mode", "set_graph_updates"]


class _Mode(Setting):
    _parameter: str

    def __init__(self, value: bool, /) -> None:
        super().__init__(lambda: set_mode(self._parameter, value))

    @classmethod
    def current_value(cls) -> bool:
        """What was set last, or True."""
        return current_mode(cls._parameter) is not False


class set_graph_mode(_Mode):
    """Graph mode, which is all there is: a statement, a context or a decorator.

    Args:
        value: True. False may be set, and then each function that would see a graph is
            an error.

    Raises:
        RefusedArgumentError: False, where functions take ``graph=False`` themselves
            and look at no setting.

    Example:
        >>> from nnx_compat import nnx
        >>> with nnx.set_graph_mode(True):
        ...     nnx.set_graph_mode.current_value()
        True
    """

    _parameter = "graph"

    def __init__(self, value: bool, /) -> None:
        if value is False and here.clone_takes_graph:
            raise RefusedArgumentError(
                f"set_graph_mode was given False, and flax {flax_version} has tree "
                "mode by argument only",
                instead="graph=False for each function",
            )
        super().__init__(value)


class set_graph_updates(_Mode):
    """Whether transforms propagate updates, which they always do here.

    Args:
        value: True. False may be set, and then each transform is an error.

    Example:
        >>> from nnx_compat import nnx
        >>> with nnx.set_graph_updates(True):
        ...     nnx.set_graph_updates.current_value()
        True
    """

    _parameter = "graph_updates"
