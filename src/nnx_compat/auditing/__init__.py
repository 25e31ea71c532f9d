"""What no static look can see: a live model or state, on the installed release.

``audit`` finds what is lost (not in the state, so not saved and not trained), what is
wrong, and what is worth knowing before the model meets another release. Nothing of the
model is changed and none of its code is called.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .. import facts
from ..errors import NodeTypeError, kind_of
from ..functional import check_node, refuse_lent
from ..revisions import bound, flax_version, nnx
from ._children import lost_arrays, lost_children
from ._finding import SEVERITIES, Finding
from ._leaves import bare_leaves, counters, shardings
from ._meets import met_elsewhere, narrowed
from ._structure import refused, ties, unhashable
from ._walk import Walked, is_object, walked

if TYPE_CHECKING:
    from flax.nnx import State

__all__ = ["SEVERITIES", "Finding", "audit", "narrowed"]


def audit(model: object, /) -> tuple[Finding, ...]:
    """What is lost, wrong or worth knowing in a live model, or in a state.

    Looks for: children that the state has lost and merged models share; attributes that
    make the graphdef unhashable; Variables annotated with a sharding outside a mesh;
    counts and steps that are no integers any more; states whose leaves became bare
    arrays; tied weights; and the changes of meaning that what the model has would meet
    on other releases. The last two are notes, not faults.

    Args:
        model: a Module, an Optimizer or another NNX object; a tuple, list or dict of
            them; a State; or the path of a checkpoint of any form, of which is said
            what the installed Flax would misread if it restored it by itself.

    Returns:
        The findings, what is lost first, then what is wrong, then the notes.

    Raises:
        NodeTypeError: it is none of these.
        CheckpointNotFoundError: there is nothing at the path.
        CheckpointFormError: what is there is of no known form, or damaged.
        DonatedError: a compiled step has the arrays of the model.

    Example:
        >>> import nnx_compat as nc
        >>> class Model(nc.nnx.Module):
        ...     def __init__(self, rngs):
        ...         self.chosen = {nc.nnx.Linear(2, 2, rngs=rngs)}
        >>> [finding.path for finding in nc.audit(Model(nc.nnx.Rngs(0)))
        ...  if finding.severity == "lost"]
        [('chosen', 0)]
    """
    if isinstance(model, (str, os.PathLike)):
        return tuple(_of_checkpoint(model))
    found = _of_state(model) if isinstance(model, nnx.State) else _of_node(model)
    return tuple(sorted(found, key=lambda one: SEVERITIES.index(one.severity)))


def _of_checkpoint(path: str | os.PathLike[str]) -> list[Finding]:
    # here, for `import nnx_compat` needs no checkpoint
    from ..checkpoint import read
    from ..checkpoint._layout import REMEDY, layout, misread

    remedy = REMEDY.replace("PATH", repr(os.fspath(path)))
    rows = misread(layout(read(path)), facts.nearest(flax_version))
    return [Finding(id, "wrong", (), text, remedy) for id, text in rows]


def _of_state(state: State) -> list[Finding]:
    refuse_lent("audit", state)
    leaves = bound.flatten(state)
    return [
        *bare_leaves(leaves),
        *counters(leaves),
        *shardings(leaves),
        *met_elsewhere(leaves, None),
    ]


def _of_node(model: object) -> list[Finding]:
    check_node(model)
    if not (is_object(model) or isinstance(model, (nnx.Variable, tuple, list, dict))):
        raise NodeTypeError(
            f"audit was given {kind_of(model)}, in which flax {flax_version} "
            "sees no model",
            instead="nnx_compat.audit(model), with a Module or a State",
        )
    whole = walked(model)
    fault = refused(model)
    if fault is not None:
        # what split refuses has no state: what remains is what Python can reach
        return [fault, *ties(whole), *met_elsewhere({}, whole)]
    return _of_split_node(model, whole)


def _of_split_node(model: object, whole: Walked) -> list[Finding]:
    state = bound.live_split(model)[1]
    refuse_lent("audit", state)
    leaves = bound.flatten(state)
    twin = bound.clone(model)
    own = walked(twin, known=whole)
    return [
        *lost_children(model, whole, own),
        *lost_arrays(twin, own),
        *unhashable(model, own),
        *counters(leaves),
        *shardings(leaves),
        *ties(own),
        *met_elsewhere(leaves, own),
    ]
