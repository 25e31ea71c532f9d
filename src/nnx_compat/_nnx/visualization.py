"""What is shown of a model."""

from __future__ import annotations

__all__ = ["display"]


def display(*args: object) -> None:
    """Print each argument.

    Newer releases draw them in a notebook, and print elsewhere.

    Example:
        >>> from nnx_compat import nnx
        >>> nnx.display()
    """
    for arg in args:
        print(arg)
