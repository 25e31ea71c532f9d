"""Programs that meet a native error or warning, by what its text is about.

They use the native API. Which of them raises what on which release is in symptoms.toml.
"""

from __future__ import annotations

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax

from nnx_compat.check.rules import RULES
from nnx_compat.revisions import nnx

from .test_behaviours import MET, PROBES


def _layer():
    return nnx.Linear(2, 2, rngs=nnx.Rngs(0))


def _assigned_late():
    class Model(nnx.Module):
        def __init__(self):
            self.w = None

    Model().w = nnx.Param(jnp.ones(2))


def _replaced():
    class Model(nnx.Module):
        def __init__(self):
            setattr(self, "0", nnx.Param(jnp.ones(2)))

    state = nnx.state(Model())
    nnx.replace_by_pure_dict(state, nnx.to_pure_dict(state))


class _Dropping(nnx.Module):
    def __init__(self, rngs):
        self.linear = nnx.Linear(2, 2, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x):
        return self.dropout(self.linear(x))


def _mapped(split):
    make = nnx.split_rngs(splits=3)(nnx.vmap(_Dropping, in_axes=0, out_axes=0))
    run = nnx.scan(
        lambda layer, x: layer(x), in_axes=(0, nnx.Carry), out_axes=nnx.Carry
    )
    run = nnx.split_rngs(splits=3)(run) if split else run
    run(make(nnx.Rngs(0)), jnp.ones((1, 2)))


def _restored():
    """What a model with a Dropout had in a file, when its Rngs was another's."""
    stream = {"count": jnp.array(0), "key": jax.random.key(0)}
    state = nnx.state(_Dropping(nnx.Rngs(0)))
    nnx.replace_by_pure_dict(state, {"dropout": {"rngs": {"dropout": stream}}})


def _optimizer():
    model = _layer()
    try:
        return model, nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param)
    except TypeError:  # the first ones take no wrt=
        return model, nnx.Optimizer(model, optax.sgd(0.1))


def _updated(*others):
    model, optimizer = _optimizer()
    optimizer.update(*others, {})


def _key():
    return jax.random.key(0)


#: Besides the example of a rule, for the texts that are about its code.
PROGRAMS = {
    "NC302": [lambda: nnx.jit(static_argnames="n")],
    "NC310": [
        lambda: _updated(None),
        lambda: _updated(),
        lambda: _optimizer()[1].model,
    ],
    "NC311": [lambda: nnx.Optimizer(_layer(), optax.sgd(0.1))],
    "NC341": [lambda: _mapped(split=False), lambda: _mapped(split=True)],
    "NC342": [lambda: nnx.Rngs(params=0).dropout()],
    "NC402": [
        lambda: _key() * 0.5,
        lambda: np.zeros((), _key().dtype),
        lambda: jax.grad(lambda key: 1.0)(_key()),
        lambda: np.asarray(_key()),
    ],
    "dropout-forks-its-rngs": [_restored],
    "nnx.LSTMCell": [
        lambda: nnx.LSTMCell(2, 2, rngs=nnx.Rngs(0)).initialize_carry((1, 2))
    ],
    "nnx.Rngs": [lambda: nnx.Rngs(0).split(2)],
    "nnx.Sequential": [
        lambda: nnx.Sequential(_layer(), _layer()),
        lambda: nnx.Sequential([_layer(), _layer()])(jnp.ones((1, 2))),
    ],
    "nnx.VariableState": [lambda: nnx.VariableState(nnx.Param, jnp.ones(2))],
    "nnx.capture": [lambda: _layer().sow(nnx.Intermediate, "seen", 1)],
    "nnx.data": [_assigned_late],
    "nnx.grad wrt": [lambda: nnx.grad(lambda model: 1.0, wrt=nnx.Param)(_layer())],
    "nnx.jit": [lambda: nnx.jit(lambda x: x)(1.0)],
    "nnx.replace_by_pure_dict": [_replaced],
}


def _example(script):
    return lambda: exec(compile(script, "example", "exec"), {"__name__": "example"})


def met(about):
    """The texts of what the programs about something raise here, and warn of."""
    programs = [_example(rule.before) for rule in RULES if rule.code == about]
    programs += [PROBES[about]] if about in PROBES else []
    MET.clear()  # where a probe keeps what it met
    texts = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for program in programs + PROGRAMS.get(about, []):
            try:
                program()
            except Exception as error:
                texts.append(str(error))
    return texts + MET + [str(warning.message) for warning in caught]
