"""Data- and model-parallel training on eight devices keeps every array where it is."""

from __future__ import annotations

import pytest

from .models import on_eight_devices

TRAINING = """
import jax, jax.numpy as jnp, numpy as np
import nnx_compat as nc
nnx = nc.nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
mesh = Mesh(np.array(jax.devices()).reshape(4, 2), ("data", "model"))

class Net(nnx.Module):
    def __init__(self):
        self.a = nnx.Linear(16, 64, rngs=nnx.Rngs(0))
        self.b = nnx.Linear(64, 16, rngs=nnx.Rngs(1))
        self.count = nnx.Variable(jnp.array(0))
    def __call__(self, x):
        return self.b(jax.nn.relu(self.a(x)))

def train(net, x):
    graphdef, params, rest = nc.split(net, nnx.Param, ...)
    def loss(params):
        return (nc.merge(graphdef, params, rest)(x) ** 2).mean()
    value, grads = jax.value_and_grad(loss)(params)
    nc.update(net, jax.tree_util.tree_map(lambda p, g: p - 0.1 * g, params, grads))
    count = nc.variables(net)["count",]
    nc.set_value(count, nc.get_value(count) + 1)
    return value

def run(specs):
    net, alone, losses = Net(), Net(), []
    for path, spec in specs.items():
        variable = nc.variables(net)[path]
        array = jax.device_put(nc.get_value(variable), NamedSharding(mesh, spec))
        nc.set_value(variable, array)
    given = {p: nc.get_value(nc.variables(net)[p]).sharding for p in specs}
    data = jnp.arange(32 * 16.0).reshape(32, 16) / 512
    x = jax.device_put(data, NamedSharding(mesh, P("data")))
    call, texts, done = start(net, x)
    wanted = [float(train(alone, data)) for _ in range(3)]
    for _ in range(3):
        losses.append(float(call()))
    assert np.allclose(losses, wanted, rtol=1e-5), (losses, wanted)
    for text in texts():
        for word in ("all-gather", "all-to-all", "collective-permute"):
            assert word not in text, word
        assert "all-reduce" in text
    assert done() == 1, done()
    for path, sharding in given.items():
        array = nc.get_value(nc.variables(net)[path])
        assert array.sharding.is_equivalent_to(sharding, array.ndim), path
    assert int(nc.get_value(net.count)) == 3
"""

LAYOUTS = """
whole = {("a", "kernel"): P(), ("a", "bias"): P(), ("b", "kernel"): P(),
         ("b", "bias"): P(), ("count",): P()}
run(whole)
run({**whole, ("a", "kernel"): P(None, "model"), ("a", "bias"): P("model"),
     ("b", "kernel"): P("model", None)})
print("kept")
"""

STEP = """
def start(net, x):
    step = nc.compile_step(train, net)
    def done():
        step.sync()
        return step.traces
    return lambda: step(x), lambda: [step.lower(x).compile().as_text()], done
"""

#: The text of what ``lower`` gives, and of the very program that ran.
JIT = """
def start(net, x):
    step = nc.jit(train, **OPTIONS)
    def texts():
        yield step.lower(net, x).compile().as_text()
        ((entry,),) = step._entries.values()
        arrays = entry.plan.values(entry.plan.match((net,))) + [x]
        donated = entry.donated(arrays) if entry.donated else ()
        lowered = entry.program.run.lower(donated, entry.others(arrays))
        yield lowered.compile().as_text()
    ran = []
    def call():
        result = step(net, x)
        ran.append(step.traces)
        return result
    return call, texts, lambda: ran[-1]
"""


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(STEP, id="compile_step"),
        pytest.param("OPTIONS = {}" + JIT, id="jit"),
        pytest.param("OPTIONS = {'donate_argnums': 0}" + JIT, id="jit-donating"),
    ],
)
def test_on_a_mesh_shardings_stay_and_nothing_is_gathered(start):
    ran = on_eight_devices(TRAINING + start + LAYOUTS)
    assert ran.stdout.strip() == "kept", ran.stderr
