"""The stable operations: the same promise on every Flax release that ships NNX.

Plain functions over native objects: a Module stays an ``nnx.Module``, a state an
``nnx.State``. What differs between releases is spelled in ``nnx_compat.revisions``;
here is the contract, its checks and its words.

A *path* is a tuple of attribute names (``str``) and list indices (``int``). A *filter*
selects leaves: a Variable class, a string (the ``tag`` of a Variable), ``...`` or
``True`` (all), ``False`` or ``None`` (none), a callable ``(path, leaf) -> bool``, or a
list or tuple of filters (any of them).
"""

from ..revisions.get_value import Path
from ._filters import Filter, Predicate, predicate
from ._fitting import Nested, given_leaves, show
from ._graph import clone, graphdef, merge, pop, split, state, update
from ._keys import reproducible_init, supports
from ._lent import Donated, Loan, refuse_lent
from ._nodes import INTERNAL, check_node, iter_graph, iter_modules, variables
from ._states import (
    filter_state,
    from_flat_state,
    from_pure_dict,
    map_state,
    merge_state,
    split_state,
    to_flat_state,
    to_pure_dict,
)
from ._variables import (
    AXES,
    as_leaf,
    get_metadata,
    get_value,
    is_variable,
    own_metadata,
    set_metadata,
    set_value,
    stored,
    variable_type,
    write_value,
)

__all__ = [
    # public: nnx_compat has them all
    "clone", "filter_state", "from_flat_state", "from_pure_dict", "get_metadata",
    "get_value", "graphdef", "is_variable", "iter_graph", "iter_modules", "map_state",
    "merge", "merge_state", "pop", "reproducible_init", "set_metadata", "set_value",
    "split", "split_state", "state", "supports", "to_flat_state", "to_pure_dict",
    "update", "variable_type", "variables",
    # what other rooms of the package share
    "AXES", "INTERNAL", "Donated", "Filter", "Loan", "Nested", "Path", "Predicate",
    "as_leaf", "check_node", "given_leaves", "own_metadata", "predicate", "refuse_lent",
    "show", "stored", "write_value",
]  # fmt: skip
