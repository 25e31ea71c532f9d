"""Version 1 of the stable API: these names and their signatures never change.

Libraries that want to be left alone import from here::

    import nnx_compat.stable.v1 as nc
"""

from .. import nnx
from .._install import install, installed, installed_names, uninstall
from .._jit import jit
from ..auditing import audit
from ..functional import (
    clone,
    filter_state,
    from_flat_state,
    from_pure_dict,
    get_metadata,
    get_value,
    graphdef,
    is_variable,
    iter_graph,
    iter_modules,
    map_state,
    merge,
    merge_state,
    pop,
    reproducible_init,
    set_metadata,
    set_value,
    split,
    split_state,
    state,
    supports,
    to_flat_state,
    to_pure_dict,
    update,
    variable_type,
    variables,
)
from ..pure import compile_step, pure_state_update
from ..revisions import flax_version, jax_version, revision

__all__ = [
    "audit",
    "clone",
    "compile_step",
    "filter_state",
    "flax_version",
    "from_flat_state",
    "from_pure_dict",
    "get_metadata",
    "get_value",
    "graphdef",
    "install",
    "installed",
    "installed_names",
    "is_variable",
    "iter_graph",
    "iter_modules",
    "jax_version",
    "jit",
    "map_state",
    "merge",
    "merge_state",
    "nnx",
    "pop",
    "pure_state_update",
    "reproducible_init",
    "revision",
    "set_metadata",
    "set_value",
    "split",
    "split_state",
    "state",
    "supports",
    "to_flat_state",
    "to_pure_dict",
    "uninstall",
    "update",
    "variable_type",
    "variables",
]
