"""New models from old ones, the originals untouched; and the compiled step.

>>> import nnx_compat as nc
>>> model = nc.nnx.Linear(2, 3, rngs=nc.nnx.Rngs(0))
>>> average = nc.clone(model)
>>> average = nc.pure.ema(average, model, 0.999)
"""

from ._state_update import pure_state_update
from ._step import CompiledStep, compile_step
from ._toolkit import (
    apply_updates,
    cast,
    cond_replace,
    ema,
    global_norm,
    lerp,
    map,
    map_with_path,
    scale,
)

__all__ = [
    "CompiledStep",
    "apply_updates",
    "cast",
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
