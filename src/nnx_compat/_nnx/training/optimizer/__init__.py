"""``Optimizer`` with the newest meaning, where Flax has an older one or none.

The newest holds no model: ``update(model, grads)`` is told which one to change, so the
model is not in the optimizer's state and a step takes the two side by side. The older
one holds its model and calls ``update(grads)``; that meaning is ``ModelAndOptimizer``.

This package is also what ``nnx.optimizer`` is where Flax's has the older class.
"""

from __future__ import annotations

import sys

from .classes import ModelAndOptimizer as ModelAndOptimizer
from .classes import Optimizer as Optimizer
from .variables import OptArray as OptArray
from .variables import OptState as OptState
from .variables import OptVariable as OptVariable
from .variables import to_opt_state as to_opt_state

__all__ = ["optimizer"]

#: ``nnx.optimizer``
optimizer = sys.modules[__name__]
