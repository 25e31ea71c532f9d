"""Layers and training compute the same whether ``install`` came first or not.

Each answer is computed in an interpreter of its own: which file of the backports is
imported first, and whether ``flax.nnx`` has been added to by then, must not matter.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

COMPUTE = """
import json, sys, warnings
warnings.simplefilter("ignore")
import jax, jax.numpy as jnp, numpy as np, optax
import nnx_compat as nc
if sys.argv[1] == "install":
    nc.install()
from nnx_compat import nnx

X, found = jnp.ones((1, 2)), {}

def linear():
    return nnx.Linear(2, 3, rngs=nnx.Rngs(0))

def paths(node):
    return sorted(map(str, nc.to_flat_state(nc.state(node))))

def loss(model):
    return ((model(X) - 1) ** 2).mean()

def optimizer():
    model = linear()
    optimizer = nnx.Optimizer(model, optax.adam(0.1), wrt=nnx.Param)
    for _ in range(3):
        optimizer.update(model, nnx.grad(loss)(model))
    return float(loss(model)), paths(optimizer)

def around(layer):
    y = layer(X)
    again = nc.merge(*nc.split(layer))(X)
    return np.asarray(y).tolist(), np.asarray(again).tolist(), paths(layer)

def metric():
    metric = nnx.MultiMetric(
        loss=nnx.metrics.Average("loss"), accuracy=nnx.metrics.Accuracy()
    )
    metric.update(loss=jnp.ones(3), logits=jnp.eye(3), labels=jnp.arange(3))
    metric = nc.merge(*nc.split(metric))
    return {name: float(v) for name, v in metric.compute().items()}, paths(metric)

def average():
    model = linear()
    ema = nnx.EMA(model, decay=0.5)
    ema.update(model)
    return float(loss(ema.apply_to(model))), paths(ema)

def masked():
    mask = jnp.ones((3, 2, 3))
    layer = nnx.ConvTranspose(2, 3, (3,), mask=mask, rngs=nnx.Rngs(0))
    return layer(jnp.ones((1, 4, 2))).shape

def recurrent():
    layer = nnx.RNN(nnx.GRUCell(2, 3, rngs=nnx.Rngs(0)))
    return float(layer(jnp.ones((1, 4, 2))).sum()), paths(layer)

for name, compute in dict(
    optimizer=optimizer,
    weight_norm=lambda: around(nnx.WeightNorm(linear(), rngs=nnx.Rngs(1))),
    spectral_norm=lambda: around(nnx.SpectralNorm(linear(), rngs=nnx.Rngs(1))),
    lora=lambda: around(nnx.LoRALinear(2, 3, lora_rank=2, rngs=nnx.Rngs(0))),
    metric=metric,
    average=average,
    masked=masked,
    recurrent=recurrent,
).items():
    try:
        found[name] = compute()
    except nc.errors.NnxCompatError as error:
        found[name] = f"refused: {error}"
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def answers():
    """What is computed, by name, without ``install`` and after it."""
    started = {
        way: subprocess.Popen(
            [sys.executable, "-c", COMPUTE, way], stdout=subprocess.PIPE, text=True
        )
        for way in ("plain", "install")
    }
    return {way: json.loads(ran.communicate()[0]) for way, ran in started.items()}


def test_install_changes_no_answer(answers):
    assert answers["plain"] == answers["install"]


def test_only_a_mask_is_refused_anywhere(answers):
    refused = [name for name, answer in answers["plain"].items() if "refused" in answer]
    assert refused in ([], ["masked"])
