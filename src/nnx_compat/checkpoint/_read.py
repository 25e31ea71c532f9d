"""``read``: a checkpoint of any form as one table. Imports no flax, no jax."""

from __future__ import annotations

import os

from ._table import Contents
from .forms import opened


def read(path: str | os.PathLike[str], *, step: int | None = None) -> Contents:
    """What is in a checkpoint of any form; arrays are read when they are asked for.

    The form is recognised by content: orbax folders of every release, safetensors (also
    sharded), npz, flax msgpack, pickles. Nothing of what a file names is imported or
    run. Paths are those on file.

    Args:
        path: a file or a folder.
        step: of a folder of steps, which one; the newest that is finished by default.

    Returns:
        A mapping of item names to items, which map paths to entries.

    Raises:
        CheckpointNotFoundError: there is nothing at the path, or no such step.
        CheckpointFormError: it is of no known form, damaged, or an unfinished save.

    Example:
        >>> import os, tempfile
        >>> import numpy as np
        >>> from nnx_compat import checkpoint
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = os.path.join(folder, "weights")
        ...     with open(file, "wb") as stream:
        ...         np.savez(stream, **{"lin/bias": np.ones(3)})
        ...     item = checkpoint.read(file)[""]
        ...     item["lin/bias"].shape, item["lin/bias"].read().tolist()
        ((3,), [1.0, 1.0, 1.0])
    """
    return opened(path, step)
