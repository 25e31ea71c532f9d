"""What the drop-in namespace is made of: which object a name stands for.

Four answers, asked in this order: Flax's own object when it means what it means on the
newest release; ours when Flax has none or one with an older meaning; a refusal with its
reason, from the facts; and Python's usual error for a name that never was.
"""

from __future__ import annotations

import importlib
import warnings
from functools import cache
from typing import Any

from .. import facts
from ..errors import RefusedNameError, RemovedNameWarning
from ..revisions import flax_version, nnx

#: The table of contents: which file here builds which names.
PLACES: dict[str, tuple[str, ...]] = {
    "compiling": (
        "cached_partial",
        "checkify",
        "eval_shape",
        "jit",
        "jit_partial",
        "make_jaxpr",
        "remat",
    ),
    "grads": ("custom_vjp", "grad", "jvp", "value_and_grad", "vjp"),
    "loops": ("cond", "fori_loop", "scan", "switch", "while_loop"),
    "mapping": ("pmap", "shard_map", "transform_metadata", "vmap"),
    "prefixes": ("Carry", "DiffState", "StateAxes", "StateSharding"),
    "filters": (
        "All",
        "Any",
        "Everything",
        "Not",
        "Nothing",
        "OfType",
        "PathContains",
        "WithTag",
    ),
    "rngs": ("RngStream", "Rngs"),
    "streams": (
        "ForkStates",
        "fork",
        "fork_rngs",
        "reseed",
        "restore_rngs",
        "split_rngs",
        "with_rngs",
    ),
    "states": (
        "FlatState",
        "filter_state",
        "from_flat_state",
        "map_state",
        "merge_state",
        "replace_by_pure_dict",
        "restore_int_paths",
        "split_state",
        "to_flat_state",
        "to_pure_dict",
    ),
    "variables": (
        "LoRAParam",
        "Perturbation",
        "Rng",
        "RngCount",
        "RngKey",
        "RngState",
        "TraceContextError",
        "VariableState",
        "identity",
        "register_variable_name",
        "register_variable_name_type_pair",
        "variable_name_from_type",
        "variable_type_from_name",
    ),
    "metadata": (
        "VariableMetadata",
        "logical_axis_rules",
        "with_metadata",
        "with_partitioning",
        "with_sharding_constraint",
    ),
    "settings": ("use_eager_sharding", "using_eager_sharding", "var_defaults"),
    "attention": ("RoPE", "dot_product_attention_with_rope"),
    "layers": ("ConvTranspose", "Einsum", "PReLU"),
    "lora": ("LoRA", "LoRALinear"),
    "norms": ("GroupNorm", "InstanceNorm", "RMSNorm", "SpectralNorm", "WeightNorm"),
    "recurrent": (
        "Bidirectional",
        "GRUCell",
        "LSTMCell",
        "OptimizedLSTMCell",
        "RNN",
        "RNNCellBase",
        "SimpleCell",
    ),
    "ema": ("EMA",),
    "metrics": ("Metric", "MultiMetric", "metrics"),
    "optimizer": (
        "ModelAndOptimizer",
        "OptArray",
        "OptState",
        "OptVariable",
        "Optimizer",
        "optimizer",
    ),
    "train_state": ("TrainState",),
    "attributes": (
        "Object",
        "Pytree",
        "Static",
        "check_pytree",
        "data",
        "dataclass",
        "has_data",
        "is_data",
        "is_data_type",
        "register_data_type",
        "static",
    ),
    "containers": ("Dict", "List", "Sequence", "Sequential"),
    "graph": (
        "GraphState",
        "PureState",
        "abstract_with_sharding",
        "as_abstract",
        "as_pure",
        "call",
        "clone",
        "display",
        "find_duplicates",
        "flatten",
        "get_abstract_model",
        "graphdef",
        "iter_children",
        "iter_graph",
        "iter_module_children",
        "iter_modules",
        "map",
        "merge",
        "merge_context",
        "pop",
        "pure",
        "recursive_map",
        "set_graph_mode",
        "set_graph_updates",
        "set_metadata",
        "split",
        "state",
        "unflatten",
        "unpack",
        "update",
        "variables",
        "vars_as",
        "with_vars",
    ),
    "modes": (
        "capture",
        "eval_mode",
        "set_mode",
        "set_mode_info",
        "train_mode",
        "view",
        "view_info",
        "with_attributes",
    ),
    "paths": (
        "bridge",
        "compat",
        "compatibility",
        "errors",
        "filterlib",
        "graph",
        "graph_utils",
        "graphlib",
        "helpers",
        "module",
        "nn",
        "nnx",
        "object",
        "proxy_caller",
        "pytreelib",
        "reprlib",
        "rnglib",
        "spmd",
        "statelib",
        "tracers",
        "training",
        "transforms",
        "variablelib",
        "visualization",
        "wrappers",
    ),
}


@cache
def _place(name: str) -> str | None:
    return next((place for place, names in PLACES.items() if name in names), None)


def resolve(name: str, *, warn: bool = True) -> tuple[Any, bool]:
    """The object that a name stands for, and whether it may be kept.

    Args:
        name: without ``nnx.``.
        warn: whether a deprecated name is warned of; one that may not be kept.

    Raises:
        RefusedNameError: it exists on other releases and cannot be had here.
        AttributeError: no release has it.
    """
    if name.startswith("__"):
        raise AttributeError(f"module 'nnx_compat.nnx' has no attribute {name!r}")
    row = facts.treatment(f"nnx.{name}", flax_version)
    kind = row.treatment if row else ""
    if row and kind == "refused":
        raise RefusedNameError(
            f"nnx.{name} is not in flax {flax_version} ({_where(name)}), and cannot "
            f"be given to it: {row.why}",
            instead=row.instead,
        )
    value = _find(name, replaced=kind == "replaced")
    if row is None or kind != "deprecated":
        return value, True
    if not warn:
        return value, False
    warnings.warn(
        f"nnx.{name} ({_where(name)}) is kept by nnx-compat only\n"
        f"  instead: {row.instead}",
        RemovedNameWarning,
        stacklevel=3,
    )
    return value, False


def _find(name: str, *, replaced: bool) -> Any:
    place = _place(name)
    if not replaced or place is None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            try:
                native = getattr(nnx, name)
            except AttributeError:
                pass
            else:
                return _up_to_date(name, native)
    if place is None:
        raise _unknown(name)
    return getattr(importlib.import_module(f".{place}", __name__), name)


def _up_to_date(name: str, native: Any) -> Any:
    """Flax's own function, or one around it that takes the arguments of the newest."""
    from . import parameters

    return parameters.accepting(name, native)


def _where(name: str) -> str:
    intervals = facts.name(f"nnx.{name}").intervals
    return "it is in " + " and ".join(map(str, intervals))


def _unknown(name: str) -> AttributeError:
    if f"nnx.{name}" in facts.names():
        return RefusedNameError(
            f"nnx.{name} is not in flax {flax_version} ({_where(name)})",
            instead=f"a release that has it: pip install 'flax=={_last(name)}'",
        )
    import difflib

    alike = difflib.get_close_matches(name, public(), n=1)
    hint = f". Did you mean: {alike[0]!r}?" if alike else ""
    return AttributeError(f"module 'nnx_compat.nnx' has no attribute {name!r}{hint}")


def _last(name: str) -> str:
    last = facts.name(f"nnx.{name}").intervals[-1]
    return last.last or facts.releases()[-1].version


def public() -> list[str]:
    """What ``dir`` shows: the names of the newest release that can be had here."""
    newest = facts.releases()[-1].version
    here = {name for name in vars(nnx) if not name.startswith("_")}
    known = [path[4:] for path in facts.names() if path.count(".") == 1]
    backported = {name for names in PLACES.values() for name in names}
    for name in known:
        row = facts.treatment(f"nnx.{name}", flax_version)
        if row and row.treatment in ("refused", "deprecated"):
            here.discard(name)
        elif name in backported and facts.name(f"nnx.{name}").on(newest):
            here.add(name)
    return sorted(here)
