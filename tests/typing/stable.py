"""A user's program with ``import nnx_compat as nc``: the stable operations.

Not run, as ``drop_in.py`` beside it.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from typing_extensions import assert_type

import nnx_compat as nc
import nnx_compat.stable.v1 as v1


class Model(nnx.Module):
    """Of Flax's own types: those of nnx_compat are the same."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.linear = nnx.Linear(2, 3, rngs=rngs)
        self.scale = nnx.Param(jnp.ones(3))


def step(model: Model, x: jax.Array, *, flag: bool = False) -> float:
    return 0.0


def both(model: Model, average: Model, x: jax.Array) -> jax.Array:
    return x


model = Model(nnx.Rngs(0))
x = jnp.ones((4, 2))

# -- the graph ----------------------------------------------------------------------

graphdef, state = nc.split(model)
assert_type(graphdef, nnx.GraphDef[Model])
assert_type(state, nnx.State)
assert_type(nc.merge(graphdef, state), Model)
assert_type(nc.merge(*nc.split(model)), Model)
assert_type(nc.merge(nc.graphdef(model), nc.state(model)), Model)
graphdef, params, rest = nc.split(model, nnx.Param, ...)
assert_type(rest, nnx.State)
assert_type(nc.merge(graphdef, params, rest), Model)
graphdef, a, b, c = nc.split(model, "params", lambda path, leaf: path == (), ...)
graphdef, *parts = nc.split(model, nnx.Param, [nnx.BatchStat, nnx.Cache], None, ...)
assert_type(nc.clone(model), Model)
assert_type(nc.clone((model, model)), tuple[Model, Model])
assert_type(nc.state(model, nnx.Param), nnx.State)
assert_type(nc.state(model, nnx.Param, ...), tuple[nnx.State, nnx.State])
assert_type(nc.pop(model, nnx.Intermediate), nnx.State)
nc.update(model, state)
nc.update(model, {"linear": {"bias": jnp.ones(3)}})
nc.merge(state, graphdef)  # an error
nc.split()  # an error
nc.splitt(model)  # an error
nc.update(model)  # an error
nc.update(model, 3)  # an error
nc.split(model, 3.5)  # an error
nc.clone(model).no_such_attribute  # an error

# -- what is inside -----------------------------------------------------------------

assert_type(nc.variables(model), dict[tuple[Any, ...], nnx.Variable[Any]])
for path, module in nc.iter_modules(model):
    assert_type(module, nnx.Module)
    print("/".join(path))
for path, value in nc.iter_graph(model):
    assert_type(path, tuple[Any, ...])
    if nc.is_variable(value):
        assert_type(nc.get_metadata(value), dict[str, Any])

# -- Variables ----------------------------------------------------------------------

variable = nc.variables(model)["scale",]
assert_type(nc.get_value(nnx.Variable(3)), int)
assert_type(nc.get_value(x), jax.Array)
nc.set_value(variable, jnp.ones(3))
nc.set_metadata(variable, unit="m")
if issubclass(nc.variable_type(variable), nnx.Param):
    print(variable)
nc.set_value(variable)  # an error
nc.get_metadata(model)  # an error

# -- State --------------------------------------------------------------------------

flat = nc.to_flat_state(state)
assert_type(nc.from_flat_state(flat), nnx.State)
assert_type(nc.from_flat_state({("a", "b"): jnp.ones(3)}), nnx.State)
assert_type(nc.from_pure_dict(state, nc.to_pure_dict(state)), nnx.State)
nc.to_pure_dict(state)["linear"]["kernel"].shape
assert_type(nc.filter_state(state, nnx.Param), nnx.State)
stats, others = nc.split_state(state, nnx.BatchStat, ...)
assert_type(nc.merge_state(stats, others), nnx.State)
assert_type(nc.map_state(lambda path, leaf: nc.get_value(leaf) * 0, state), nnx.State)
nc.map_state(state, state)  # an error
nc.to_flat_state(model)  # an error

# -- pure ---------------------------------------------------------------------------

assert_type(nc.pure.scale(model, 2.0), Model)
assert_type(nc.pure.scale(model, jnp.ones(())), Model)
assert_type(nc.pure.ema(model, nc.clone(model), 0.9, nnx.Param, donate=True), Model)
assert_type(nc.pure.lerp(state, state, 0.5), nnx.State)
assert_type(nc.pure.cast(model, jnp.bfloat16), Model)
assert_type(nc.pure.cast(model, "float32", nnx.Param), Model)
assert_type(nc.pure.map(jnp.zeros_like, model), Model)
assert_type(nc.pure.map_with_path(lambda path, array: array * 2, model), Model)
assert_type(nc.pure.apply_updates(model, {"scale": None}), Model)
assert_type(nc.pure.cond_replace(jnp.isfinite(x).all(), model, model), Model)
assert_type(nc.pure.global_norm(model), jax.Array)
assert_type(nc.pure_state_update(0, x, 2, 2.0), jax.Array)
assert_type(nc.pure_state_update(0, [1.0, 2.0], 2, jnp.ones(())), jax.Array)
nc.pure.scale(model, "2")  # an error
nc.pure.map(3, model)  # an error
nc.pure_state_update("a", x, 2, 2.0)  # an error

# -- the compiled step --------------------------------------------------------------

with nc.compile_step(step, model) as compiled:
    assert_type(compiled(x), float)
    assert_type(compiled(x, flag=True), float)
    assert_type(compiled.traces, int)
    compiled("x")  # an error
    compiled()  # an error
    compiled.sync()
two = nc.compile_step(both, model, nc.clone(model), donate=False, pack="auto")
assert_type(two(x), jax.Array)
nc.compile_step(step, model, donate="yes")  # an error
nc.compile_step(both, model, x)  # an error

# -- the release --------------------------------------------------------------------

assert_type(nc.supports("nnx.List"), bool)
assert_type(nc.flax_version, str)
assert_type(nc.facts.name("nnx.List").on(nc.flax_version), bool)
with nc.reproducible_init():
    assert_type(v1.clone(model), Model)
assert_type(v1.split(model), tuple[nnx.GraphDef[Model], nnx.State])

# -- compiled functions: the signature stays --------------------------------------------

assert_type(nc.jit(step)(model, x), float)
assert_type(nc.jit(step)(model, x, flag=True), float)
assert_type(nc.jit(static_argnames="flag")(step)(model, x, flag=True), float)
assert_type(v1.jit(both, donate_argnums=0)(model, model, x), jax.Array)
assert_type(nc.jit(step).traces, int)
assert_type(nc.jit(step).why(), str)
nc.jit(step)(model)  # an error
nc.jit(step, donate=True)  # an error
