"""The probes: small programs that people write, each checked by its values.

``Newest`` spells them for the newest release. The classes after it say what an older
release writes otherwise (``forms``), so that a native failure is a failure of the pair
and not of a spelling. Neither flax nor jax is imported before a probe runs.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .forms import NEEDS, PROBES, Forms
from .values import of_ones, ones, same, the_jax, the_jnp

__all__ = ["probes"]

Probe = Callable[[], None]


def probes(way: str, of: Forms) -> dict[str, Probe | None]:
    """The probes of a way by name, ``None`` for what the release has no name for.

    Args:
        way: ``native``, ``drop-in`` or ``install``.
        of: the forms of the installed release.
    """
    if way == "native":
        kind = _native(of)
        program = kind(_native_nnx(), of)
        absent = {probe for probe, name in NEEDS.items() if of[f"no {name}"]}
    else:
        program, absent = _through_us(way, of), set()
    return {
        name: None if name in absent else getattr(program, _method(name))
        for name in PROBES
    }


def _method(name: str) -> str:
    return name.replace(" ", "_").lower() + "_"


def _native_nnx() -> Any:
    try:
        return importlib.import_module("flax.nnx")
    except ModuleNotFoundError as error:
        if error.name != "flax.nnx":
            raise
    return importlib.import_module("flax.experimental.nnx")


def _native(of: Forms) -> type[Newest]:
    if of["attributes unwrap"]:
        return Unwrapping
    if of["split is a method"]:
        return Methods
    if not of["axes by filter"]:
        return StateAxes
    return Newest if of["get_value"] else ByValue


def _through_us(way: str, of: Forms) -> Newest:
    ours = importlib.import_module("nnx_compat")
    if way == "install":
        ours.install()
        return Installed(importlib.import_module("flax.nnx"), {})
    return DropIn(importlib.import_module("nnx_compat.nnx"), {})


# -- the programs -------------------------------------------------------------------


class Newest:
    """The probes as the newest release writes them.

    Args:
        nnx: the namespace to probe.
        of: the forms of its release.
    """

    def __init__(self, nnx: Any, of: Forms) -> None:
        self.nnx, self.of = nnx, of

    # what older releases write otherwise

    def read(self, module: Any, name: str) -> Any:
        return getattr(module, name).get_value()

    def write(self, module: Any, name: str, value: Any) -> None:
        getattr(module, name).set_value(value)

    def split(self, module: Any) -> tuple[Any, Any]:
        graphdef, state = self.nnx.split(module)
        return graphdef, state

    def merge(self, graphdef: Any, state: Any) -> Any:
        return self.nnx.merge(graphdef, state)

    def update(self, module: Any, state: Any) -> None:
        self.nnx.update(module, state)

    def over_stacked(self, f: Any) -> Any:
        """A function of a stacked module and of what is the same for all, by vmap."""
        return self.nnx.vmap(f, in_axes=(0, None))

    def stacked(self, make: Callable[[Any], Any], keys: Any) -> Any:
        return self.nnx.vmap(make, in_axes=0, out_axes=0)(keys)

    def scanned(self, module: Any, x: Any) -> Any:
        scan = self.nnx.scan
        over = scan(in_axes=(self.nnx.Carry, 0), out_axes=self.nnx.Carry)
        return over(lambda x, module: module(x))(x, module)

    def optimizer(self, module: Any, tx: Any) -> Any:
        return self.nnx.Optimizer(module, tx, wrt=self.nnx.Param)

    def step(self, optimizer: Any, module: Any, grads: Any) -> None:
        optimizer.update(module, grads)

    def dropped(self, x: Any) -> Any:
        return self.nnx.Dropout(0.5, rngs=self.nnx.Rngs(0))(x)

    def on_mesh(self, key: Any, shape: tuple[int, ...], dtype: Any = None) -> Any:
        """An initializer whose arrays a mesh in the context may shard at once."""
        return the_jnp().ones(shape, np.float32)

    # what they are about

    def counted(self, module: Any) -> None:
        """Change the module's state, as BatchNorm does."""
        self.write(module, "calls", self.read(module, "calls") + 1)

    def model(self) -> Any:
        """A Linear of ones that counts its calls."""
        nnx, counted = self.nnx, self.counted

        class Model(nnx.Module):  # type: ignore[misc, name-defined, unused-ignore]
            def __init__(self) -> None:
                self.calls = nnx.Variable(the_jnp().asarray(0.0))
                self.linear = nnx.Linear(2, 3, kernel_init=of_ones, rngs=nnx.Rngs(0))

            def __call__(self, x: Any) -> Any:
                counted(self)
                return self.linear(x)

        return Model()

    def scales(self) -> Any:
        """Three modules stacked, which multiply by 1, 2 and 3 and count their calls."""
        nnx, counted = self.nnx, self.counted

        class Scale(nnx.Module):  # type: ignore[misc, name-defined, unused-ignore]
            def __init__(self) -> None:
                self.calls = nnx.Variable(the_jnp().asarray(np.zeros(3)))
                self.factor = nnx.Param(the_jnp().asarray(np.array([1.0, 2.0, 3.0])))

            def __call__(self, x: Any) -> Any:
                counted(self)
                return x * read(self, "factor")

        read = self.read
        return Scale()

    def leaves(self, module: Any) -> list[Any]:
        """The arrays of a module: bias and kernel of a Linear, in this order."""
        leaves: list[Any] = the_jax().tree_util.tree_leaves(self.split(module)[1])
        return leaves

    def called(self, module: Any, times: int) -> None:
        same(self.read(module, "calls"), float(times))

    # the probes

    def import_(self) -> None:
        _ = self.nnx.Module

    def call_(self) -> None:
        model = self.model()
        same(model(ones(4, 2)), 2 * np.ones((4, 3)))
        self.called(model, 1)

    def split_and_merge_(self) -> None:
        model = self.model()
        graphdef, state = self.split(model)
        same(self.leaves(model), [0.0, np.zeros(3), np.ones((2, 3))])
        doubled = the_jax().tree_util.tree_map(lambda leaf: leaf * 2, state)
        same(self.merge(graphdef, doubled)(ones(4, 2)), 4 * np.ones((4, 3)))
        self.update(model, doubled)
        same(model(ones(4, 2)), 4 * np.ones((4, 3)))

    def jit_(self) -> None:
        model = self.model()
        step = self.nnx.jit(lambda model, x: model(x))
        for times in (1, 2):
            same(step(model, ones(4, 2)), 2 * np.ones((4, 3)))
            self.called(model, times)

    def grad_(self) -> None:
        model = self.model()
        grads = self.nnx.grad(lambda model: model(ones(4, 2)).sum())(model)
        leaves = the_jax().tree_util.tree_leaves(grads)
        same(leaves, [4 * np.ones(3), 4 * np.ones((2, 3))])
        self.called(model, 1)

    def vmap_(self) -> None:
        module = self.scales()
        found = self.over_stacked(lambda module, x: module(x))(module, ones(2))
        same(found, [[1, 1], [2, 2], [3, 3]])
        same(self.read(module, "calls"), np.ones(3))
        if not self.of.get("split is a method"):
            self.made_by_vmap()

    def made_by_vmap(self) -> None:
        jax, nnx = the_jax(), self.nnx

        def initial(key: Any, shape: Any, dtype: Any = None) -> Any:
            return jax.random.uniform(key, shape)

        def make(key: Any) -> Any:
            return nnx.Linear(2, 3, kernel_init=initial, rngs=nnx.Rngs(key))

        keys = jax.random.split(jax.random.key(0), 3)
        kernel = np.asarray(self.leaves(self.stacked(make, keys))[1])
        same(kernel.shape, (3, 2, 3))
        if np.allclose(kernel[0], kernel[1]):
            raise AssertionError("the same weights for two keys")

    def scan_(self) -> None:
        module = self.scales()
        same(self.scanned(module, ones(2)), [6, 6])
        same(self.read(module, "calls"), np.ones(3))

    def remat_(self) -> None:
        model = self.model()
        call = self.nnx.remat(lambda model, x: model(x))
        grads = self.nnx.grad(lambda model: call(model, ones(4, 2)).sum())(model)
        leaves = the_jax().tree_util.tree_leaves(grads)
        same(leaves, [4 * np.ones(3), 4 * np.ones((2, 3))])

    def cond_(self) -> None:
        model = self.model()
        for given, wanted in ((True, 2.0), (False, -2.0)):
            chosen = the_jnp().asarray(given)
            branches = (lambda model, x: model(x), lambda model, x: -model(x))
            found = self.nnx.cond(chosen, *branches, model, ones(4, 2))
            same(found, wanted * np.ones((4, 3)))
        self.called(model, 2)

    def while_loop_(self) -> None:
        model = self.model()

        def body(carry: Any) -> Any:
            model, times = carry
            model(ones(4, 2))
            return model, times + 1

        start = (model, the_jnp().asarray(0))
        model, times = self.nnx.while_loop(lambda carry: carry[1] < 3, body, start)
        same(times, 3)
        self.called(model, 3)

    def eval_shape_(self) -> None:
        abstract = self.nnx.eval_shape(self.model)
        leaves = self.leaves(abstract)
        same([leaf.shape for leaf in leaves], [(), (3,), (2, 3)])
        kind = the_jax().ShapeDtypeStruct
        if not all(isinstance(leaf, kind) for leaf in leaves):
            raise AssertionError("leaves that are not abstract")

    def optimizer_(self) -> None:
        optax = importlib.import_module("optax")
        model = self.model()
        optimizer = self.optimizer(model, optax.sgd(0.5, momentum=0.9))
        for bias in (-2.0, -5.8):
            grads = self.nnx.grad(lambda model: model(ones(4, 2)).sum())(model)
            self.step(optimizer, model, grads)
            found = self.leaves(model)[1:]
            same(found, [bias + np.zeros(3), bias + np.ones((2, 3))])

    def batchnorm_(self) -> None:
        nnx = self.nnx
        norm = nnx.BatchNorm(
            2, momentum=0.5, use_running_average=False, rngs=nnx.Rngs(0)
        )
        x = the_jnp().asarray(np.array([[0.0, 1.0], [2.0, 5.0]], np.float32))
        same(norm(x).round(2), [[-1, -1], [1, 1]])
        same(self.read(norm, "mean"), [0.5, 1.5])
        same(self.read(norm, "var"), [1.0, 2.5])

    def dropout_(self) -> None:
        x = ones(64)
        found = np.asarray(self.dropped(x))
        if set(found.tolist()) != {0.0, 2.0}:
            raise AssertionError(f"{sorted(set(found.tolist()))} instead of 0 and 2")
        same(self.nnx.Dropout(0.5, deterministic=True)(x), np.ones(64))

    def sharding_(self) -> None:
        jax, nnx = the_jax(), self.nnx
        sharding = importlib.import_module("jax.sharding")
        mesh = sharding.Mesh(np.array(jax.devices()), ("x",))
        size = mesh.size
        initial = nnx.with_partitioning(self.on_mesh, ("x", None))
        with jax.set_mesh(mesh) if hasattr(jax, "set_mesh") else mesh:
            model = nnx.Linear(
                size, 2, use_bias=False, kernel_init=initial, rngs=nnx.Rngs(0)
            )
            state = self.split(model)[1]
            (spec,) = jax.tree_util.tree_leaves(
                nnx.get_partition_spec(state),
                is_leaf=lambda leaf: isinstance(leaf, sharding.PartitionSpec),
            )
            placed = jax.jit(_constrained(nnx))(state)
            self.update(model, placed)
        wanted = sharding.PartitionSpec("x", None)
        if spec != wanted:
            raise AssertionError(f"{spec} instead of {wanted}")
        (kernel,) = self.leaves(model)
        at = sharding.NamedSharding(mesh, wanted)
        if not kernel.sharding.is_equivalent_to(at, 2):
            raise AssertionError(f"{kernel.sharding} instead of {at}")
        same(kernel, np.ones((size, 2)))

    def orbax_(self) -> None:
        checkpoints = importlib.import_module("orbax.checkpoint")
        jax, model = the_jax(), self.model()
        tree_map = jax.tree_util.tree_map
        written = tree_map(lambda leaf: leaf * 2, self.split(model)[1])
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "state")
            checkpointer = checkpoints.StandardCheckpointer()
            checkpointer.save(path, written)
            if hasattr(checkpointer, "wait_until_finished"):
                checkpointer.wait_until_finished()
            zeros = tree_map(lambda leaf: leaf * 0, written)
            restored = checkpointer.restore(path, zeros)
        self.update(model, restored)
        same(self.leaves(model), [0.0, np.zeros(3), 2 * np.ones((2, 3))])

    def linen_(self) -> None:
        linen = importlib.import_module("flax.linen")
        dense = linen.Dense(3, kernel_init=of_ones)
        variables = dense.init(the_jax().random.key(0), ones(4, 2))
        same(variables["params"]["kernel"], np.ones((2, 3)))
        same(dense.apply(variables, ones(4, 2)), 2 * np.ones((4, 3)))


def _constrained(nnx: Any) -> Callable[[Any], Any]:
    def constrained(state: Any) -> Any:
        constrain = the_jax().lax.with_sharding_constraint
        return constrain(state, nnx.get_partition_spec(state))

    return constrained


class Installed(Newest):
    """After ``install()``; an attribute may unwrap its Variable, ``vars`` does not."""

    def read(self, module: Any, name: str) -> Any:
        return vars(module)[name].get_value()

    def write(self, module: Any, name: str, value: Any) -> None:
        vars(module)[name].set_value(value)


class DropIn(Newest):
    """Through the drop-in namespace: methods that came later are functions of ours."""

    def read(self, module: Any, name: str) -> Any:
        ours = importlib.import_module("nnx_compat")
        return ours.get_value(vars(module)[name])

    def write(self, module: Any, name: str, value: Any) -> None:
        ours = importlib.import_module("nnx_compat")
        ours.set_value(vars(module)[name], value)


# -- natively, on older releases ----------------------------------------------------


class ByValue(Newest):
    """Variables have ``.value``; an Optimizer may hold its model."""

    def read(self, module: Any, name: str) -> Any:
        return getattr(module, name).value

    def write(self, module: Any, name: str, value: Any) -> None:
        getattr(module, name).value = value

    def scanned(self, module: Any, x: Any) -> Any:
        if not self.of["scan returns the carry first"]:
            return super().scanned(module, x)

        def body(x: Any, module: Any) -> Any:
            return module(x), None

        over = self.nnx.scan(body, in_axes=(self.nnx.Carry, 0), out_axes=0)
        return over(x, module)[0]

    def optimizer(self, module: Any, tx: Any) -> Any:
        wrt = {"wrt": self.nnx.Param} if self.of["Optimizer takes wrt"] else {}
        return self.nnx.Optimizer(module, tx, **wrt)

    def step(self, optimizer: Any, module: Any, grads: Any) -> None:
        if self.of["Optimizer.update takes the model"]:
            optimizer.update(module, grads)
        else:
            optimizer.update(grads)

    def on_mesh(self, key: Any, shape: tuple[int, ...], dtype: Any = None) -> Any:
        if self.of["a mesh shards at once"]:
            return super().on_mesh(key, shape, dtype)
        return ones(*shape)


class StateAxes(ByValue):
    """Transforms speak of the axes of all state, and not of an argument's."""

    def over_stacked(self, f: Any) -> Any:
        return self.nnx.vmap(f, in_axes=(None, None), state_axes={...: 0}, axis_size=3)

    def scanned(self, module: Any, x: Any) -> Any:
        def body(x: Any, module: Any) -> Any:
            return module(x)

        axes = {"in_axes": (None, None), "state_axes": {...: 0}, "length": 3}
        return self.nnx.scan(body, **axes, carry_argnum=0, scan_output=False)(x, module)


class Methods(StateAxes):
    """Operations are methods of the Module, which a transform takes first."""

    def split(self, module: Any) -> tuple[Any, Any]:
        state, graphdef = module.split()
        return graphdef, state

    def merge(self, graphdef: Any, state: Any) -> Any:
        return graphdef.merge(state)

    def update(self, module: Any, state: Any) -> None:
        module.update(state)

    def over_stacked(self, f: Any) -> Any:
        axes = {"variable_axes": {self.nnx.Variable: 0}, "in_args_axes": (None,)}
        return self.nnx.vmap(f, **axes, axis_size=3)

    def scanned(self, module: Any, x: Any) -> Any:
        def body(module: Any, x: Any, _: Any) -> Any:
            return module(x)

        axes = {"variable_axes": {self.nnx.Variable: 0}, "length": 3}
        return self.nnx.scan(body, **axes, scan_output=False)(module, x, ones(3))

    def dropped(self, x: Any) -> Any:
        rngs = self.nnx.Rngs(dropout=0)
        return self.nnx.Dropout(0.5, deterministic=False)(x, rngs=rngs)


class Unwrapping(Methods):
    """An attribute that is a Variable is its value."""

    def read(self, module: Any, name: str) -> Any:
        return getattr(module, name)

    def write(self, module: Any, name: str, value: Any) -> None:
        setattr(module, name, value)
