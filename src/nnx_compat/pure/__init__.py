"""New models from old ones, the originals untouched; and the compiled step.

>>> import nnx_compat as nc
>>> model = nc.nnx.Linear(2, 3, rngs=nc.nnx.Rngs(0))
>>> average = nc.clone(model)
>>> average = nc.pure.ema(average, model, 0.999)

Every function takes a model (a Module, or a tuple, list or dict of Modules) or a State,
and gives back one of the same kind, with Variable types, metadata, ties and shardings
kept. *In scope* are the inexact arrays of Variables that hold no RNG state; filters
narrow this, and nothing widens it. Keys, counters and integers pass through bit for
bit. With ``donate=True`` the arrays in scope of the first model are given up, and their
memory is used for the result.
"""

from ._arithmetic import cast, ema, lerp, scale
from ._map import map, map_with_path
from ._programs import clear_cache
from ._state_update import pure_state_update
from ._step import CompiledStep, compile_step
from ._updates import apply_updates, cond_replace, global_norm

__all__ = [
    "CompiledStep",
    "apply_updates",
    "cast",
    "clear_cache",
    "compile_step",
    "cond_replace",
    "ema",
    "global_norm",
    "lerp",
    "map",
    "map_with_path",
    "pure_state_update",
    "scale",
]
