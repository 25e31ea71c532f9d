"""``save(..., format="orbax")``: through the installed orbax, as two items of it.

The arrays are one tree with the names of the newest release; the manifest is a JSON
item beside it, so that the folder says as much as the canonical file does. What orbax
does well stays its own: several processes, remote stores, temporary names.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import MissingPackageError
from . import _manifest

if TYPE_CHECKING:
    from ._collect import Saved

#: The name of the item with the arrays.
_ARRAYS = "state"


def written(
    place: Path,
    saved: Saved,
    metadata: dict[str, Any],
    writer: dict[str, str],
    overwrite: bool,
) -> None:
    """Save with orbax; from several processes, in each of them."""
    try:
        import orbax.checkpoint as ocp
    except ImportError:
        raise MissingPackageError(
            'format="orbax" needs the package orbax-checkpoint',
            instead="pip install orbax-checkpoint",
        ) from None
    tree: dict[str, Any] = {}
    for name, array in saved.arrays.items():
        inside = tree
        *above, last = saved.paths[name]
        for key in above:
            inside = inside.setdefault(key, {})
        inside[last] = array
    rows = {
        item: {".".join((item, *map(str, row["path"]))): row for row in named.values()}
        for item, named in saved.rows.items()
    }
    manifest = _manifest.written(rows, writer, metadata)
    names = (_ARRAYS, _manifest.KEY)
    arguments = ocp.args.Composite(
        **{
            _ARRAYS: ocp.args.PyTreeSave(tree),
            _manifest.KEY: ocp.args.JsonSave({"manifest": manifest}),
        }
    )
    checkpointer = ocp.Checkpointer(ocp.CompositeCheckpointHandler(*names))
    checkpointer.save(place, args=arguments, force=overwrite)
    if hasattr(checkpointer, "close"):
        checkpointer.close()
