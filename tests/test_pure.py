"""The pure-state toolkit: what it computes, what it leaves alone, what it refuses."""

from __future__ import annotations

import gc
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nnx_compat as nc
from nnx_compat import pure
from nnx_compat.revisions import nnx

from .models import (
    HAS,
    NODES,
    Bare,
    Block,
    Counter,
    Custom,
    Dropped,
    Nested,
    on_eight_devices,
    snapshot,
    unkeyed,
)

each_node = pytest.mark.parametrize("kind", NODES)

#: Every function of the toolkit that gives a model, as it is called on one.
FUNCTIONS = {
    "map": lambda m, **k: pure.map(jnp.negative, m, **k),
    "map_with_path": lambda m, **k: pure.map_with_path(lambda p, a: -a, m, **k),
    "scale": lambda m, **k: pure.scale(m, 2.0, **k),
    "cast": lambda m, **k: pure.cast(m, jnp.bfloat16, **k),
    "ema": lambda m, **k: pure.ema(m, nc.clone(m), 0.9, **k),
    "lerp": lambda m, **k: pure.lerp(m, nc.clone(m), 0.5, **k),
    "apply_updates": lambda m, **k: pure.apply_updates(m, inexact(m), **k),
    "cond_replace": lambda m, **k: pure.cond_replace(True, m, nc.clone(m), **k),
}
each_function = pytest.mark.parametrize("name", FUNCTIONS)


def inexact(model):
    """The state of what is in scope."""
    return nc.state(model, lambda path, leaf: is_inexact(nc.get_value(leaf)))


def is_inexact(value):
    return jnp.issubdtype(value.dtype, jnp.inexact)


def by_path(model):
    """Values by path, of a model or a State."""
    leaves = (
        nc.to_flat_state(model) if isinstance(model, nnx.State) else nc.variables(model)
    )
    return {path: nc.get_value(leaf) for path, leaf in leaves.items()}


def trained(kind):
    """A node after a few calls, so that its counters are not zero."""
    node = NODES[kind]()
    if isinstance(node, nnx.Module) and callable(node):
        for _ in range(3):
            node(jnp.ones((4, 3)))
    return node


@each_function
@each_node
def test_keys_and_counters_pass_through_and_the_original_stays(name, kind):
    node = trained(kind)
    before = snapshot(node)
    made = FUNCTIONS[name](node)
    assert snapshot(node) == before
    assert type(made) is type(node)
    after = snapshot(made)
    assert list(after) == list(before)
    exact = [p for p, value in by_path(node).items() if not is_inexact(value)]
    exact += [p for p in before if p not in by_path(node)]  # Rngs that are static
    assert {p: after[p] for p in exact} == {p: before[p] for p in exact}
    shared = {id(v) for v in nc.variables(node).values()}
    assert not shared & {id(v) for v in nc.variables(made).values()}


# a bare Variable is its own state: the test above
@each_function
@pytest.mark.parametrize("kind", [kind for kind in NODES if kind != "variable"])
def test_a_state_gives_a_state_with_leaves_of_its_own(name, kind):
    state = nc.state(trained(kind))
    if name in ("ema", "lerp", "cond_replace", "apply_updates"):
        other = pure.scale(state, 1.0)
        made = {
            "ema": lambda: pure.ema(state, other, 0.9),
            "lerp": lambda: pure.lerp(state, other, 0.5),
            "cond_replace": lambda: pure.cond_replace(False, state, other),
            "apply_updates": lambda: pure.apply_updates(
                state, nc.filter_state(other, lambda p, v: is_inexact(nc.get_value(v)))
            ),
        }[name]()
    else:
        made = FUNCTIONS[name](state)
    assert isinstance(made, nnx.State)
    mine, theirs = nc.to_flat_state(state), nc.to_flat_state(made)
    assert list(mine) == list(theirs)
    for path, leaf in mine.items():
        assert theirs[path] is not leaf
        assert nc.variable_type(theirs[path]) is nc.variable_type(leaf)
        assert nc.get_metadata(theirs[path]) == nc.get_metadata(leaf)


def test_what_each_function_computes():
    a, b = Bare(), Bare()
    nc.set_value(nc.variables(b)["w",], jnp.array([2.0, 2.0, 2.0]))

    def values(model):
        return nc.get_value(model.w).tolist()

    assert values(pure.map(lambda x: x + 1, a)) == [1, 2, 3]
    assert values(pure.map_with_path(lambda p, x: x + len(p), a)) == [1, 2, 3]
    assert values(pure.scale(a, 3)) == [0, 3, 6]
    assert values(pure.lerp(a, b, 0.0)) == [0, 1, 2]
    assert values(pure.lerp(a, b, 1.0)) == [2, 2, 2]
    assert values(pure.lerp(a, b, 0.5)) == [1, 1.5, 2]
    assert values(pure.ema(a, b, 0.75)) == [0.5, 1.25, 2]
    assert values(pure.apply_updates(a, {"w": jnp.ones(3)})) == [1, 2, 3]
    assert values(pure.apply_updates(a, {"w": None})) == [0, 1, 2]
    assert values(pure.apply_updates(a, {})) == [0, 1, 2]
    assert values(pure.cond_replace(jnp.array(True), a, b)) == [0, 1, 2]
    assert values(pure.cond_replace(False, a, b)) == [2, 2, 2]
    assert float(pure.global_norm(a)) == pytest.approx(5**0.5, rel=1e-6)
    assert values(a) == [0, 1, 2]
    assert values(b) == [2, 2, 2]


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, "float32"])
def test_a_round_trip_of_casts_restores_the_dtypes(dtype):
    model = Nested(nnx.Rngs(0))
    mixed = pure.map_with_path(
        lambda p, a: a.astype(jnp.float16) if p[-1] == "bias" else a, model
    )
    low = pure.cast(mixed, dtype)
    assert {str(v.dtype) for v in by_path(low).values()} == {jnp.dtype(dtype).name}
    back = by_path(pure.cast(low, mixed))
    for path, value in by_path(mixed).items():
        assert back[path].dtype == value.dtype, path
        rounded = value.astype(dtype).astype(value.dtype)
        assert bool((back[path] == rounded).all())


def test_filters_narrow_and_dots_never_widen_to_keys():
    model = Dropped(nnx.Rngs(0, dropout=1))
    only = by_path(pure.scale(model, 0.0, nnx.BatchStat))
    whole = by_path(pure.scale(model, 0.0, ...))
    both = by_path(pure.scale(model, 0.0, nnx.Param, nnx.BatchStat))
    for path, variable in nc.variables(model).items():
        value, kind = nc.get_value(variable), nc.variable_type(variable)
        if not is_inexact(value):
            kept, was = np.asarray(unkeyed(whole[path])), np.asarray(unkeyed(value))
            assert kept.tobytes() == was.tobytes()
            continue
        assert not whole[path].any()
        assert not both[path].any()
        assert bool((only[path] == 0).all()) == (
            issubclass(kind, nnx.BatchStat) or not value.any()
        )


def test_ties_are_kept():
    model = NODES["shared"]()
    made = pure.scale(model, 2.0)
    assert list(nc.variables(made)) == list(nc.variables(model))
    assert made.again is made.a


def test_cond_replace_takes_the_integers_along():
    old = Counter()
    new = nc.clone(old)
    new(None)
    assert by_path(pure.cond_replace(False, new, old))["count",] == 0
    assert by_path(pure.cond_replace(True, new, old))["count",] == 1


@pytest.mark.skipif(HAS["rngs-are-static"], reason="no randomness is in the state")
def test_cond_replace_leaves_the_randomness_where_the_new_model_has_it():
    old = Dropped(nnx.Rngs(0, dropout=1))
    new = nc.clone(old)
    new(jnp.ones((4, 3)))
    kept = snapshot(pure.cond_replace(False, new, old))
    random = [
        path
        for path, variable in nc.variables(old).items()
        if issubclass(nc.variable_type(variable), nnx.RngState)
    ]
    assert random
    assert {p: kept[p] for p in random} == {p: snapshot(new)[p] for p in random}
    rest = set(kept) - set(random)
    assert {p: kept[p] for p in rest} == {p: snapshot(old)[p] for p in rest}


def test_a_value_that_is_a_pytree_is_mapped_leaf_by_leaf():
    model = Bare()
    model.w = Custom({"a": jnp.ones(2), "n": jnp.arange(2), "b": (jnp.ones(()), None)})
    made = by_path(pure.map_with_path(lambda path, a: a * len(path), model))["w",]
    assert made["a"].tolist() == [2, 2]
    assert made["n"].tolist() == [0, 1]
    assert made["b"][0] == 3
    assert made["b"][1] is None
    new = pure.apply_updates(
        model, {"w": {"a": jnp.ones(2), "n": None, "b": (None, None)}}
    )
    assert by_path(new)["w",]["a"].tolist() == [2, 2]


def test_dtypes_stay_whatever_the_factor():
    state = pure.cast(nc.state(Bare()), jnp.bfloat16)
    for factor in (2, 2.0, np.float64(2), jnp.float32(2), jnp.array(2)):
        (value,) = by_path(pure.scale(state, factor)).values()
        assert value.dtype == jnp.bfloat16
        assert value.tolist() == [0, 2, 4]
    wide = nc.state(Bare())
    (value,) = by_path(pure.ema(state, wide, 0.5)).values()
    assert value.dtype == jnp.bfloat16


# -- programs, donation, transformations --------------------------------------------


def test_one_program_for_a_structure():
    traced = []

    def fn(array):
        traced.append(array.shape)
        return array * 2

    model = Nested(nnx.Rngs(0))
    for _ in range(3):
        model = pure.map(fn, model)
    assert len(traced) == len(by_path(model))


def test_a_program_lives_no_longer_than_its_function():
    big = jnp.ones(1000)
    fn = lambda array: array + big.sum()  # noqa: E731
    dead = weakref.ref(fn)
    pure.map(fn, Bare())
    del fn
    gc.collect()
    assert dead() is None


@each_function
def test_donated_arrays_are_given_up_and_nothing_else(name):
    model = Dropped(nnx.Rngs(0, dropout=1))
    made = FUNCTIONS[name](nc.clone(model))
    before = by_path(model)
    donated = FUNCTIONS[name](model, donate=True)
    assert snapshot(donated) == snapshot(made)
    for path, array in before.items():
        deleted = is_inexact(array) and name not in ("ema", "lerp", "cond_replace")
        if name in ("apply_updates", "map", "map_with_path", "scale", "cast"):
            # the updates of this test are the arrays of the model: they were copied
            assert array.is_deleted() == (deleted and name != "apply_updates"), path
        else:
            assert not array.is_deleted(), path  # the clone holds the same arrays


def test_an_average_gives_up_its_arrays_from_the_second_step_on():
    model = Nested(nnx.Rngs(0))
    first = pure.ema(nc.clone(model), model, 0.5, donate=True)
    held = by_path(first)
    pure.ema(first, model, 0.5, donate=True)
    assert all(array.is_deleted() for array in held.values())
    assert not any(array.is_deleted() for array in by_path(model).values())


def test_under_jit_grad_and_vmap():
    state = nc.state(Nested(nnx.Rngs(0)), nnx.Param)

    @jax.jit
    def step(state, factor):
        state = pure.scale(state, factor)
        state = pure.ema(state, pure.map(jnp.cos, state), 0.5)
        ok = jnp.isfinite(pure.global_norm(state))
        return pure.cond_replace(
            ok, pure.cast(pure.cast(state, "bfloat16"), state), state
        )

    once = step(state, 2.0)
    assert isinstance(once, nnx.State)
    expected = pure.scale(state, 2.0)
    expected = pure.ema(expected, pure.map(jnp.cos, expected), 0.5)
    for path, value in by_path(pure.cast(expected, jnp.bfloat16)).items():
        assert bool(jnp.allclose(by_path(once)[path], value.astype(jnp.float32), 1e-2))

    gradient = jax.grad(lambda t: pure.global_norm(pure.scale(state, t)))(3.0)
    assert float(gradient) == pytest.approx(float(pure.global_norm(state)), rel=1e-5)
    slope = jax.grad(lambda s: pure.global_norm(pure.lerp(s, state, 0.5)))(state)
    assert float(pure.global_norm(slope)) == pytest.approx(0.5, rel=1e-5)

    norms = jax.vmap(lambda t: pure.global_norm(pure.scale(state, t)))(jnp.arange(3.0))
    norm = float(pure.global_norm(state))
    assert norms.tolist() == pytest.approx([0, norm, 2 * norm], rel=1e-6)


def test_a_model_is_made_and_trained_inside_jit():
    graphdef, state = nc.split(Block(3, nnx.Rngs(0)))

    @jax.jit
    def run(x):
        model = pure.scale(nc.merge(graphdef, state), 2.0)
        y = model(x)
        return y, nc.state(model, nnx.BatchStat)

    y, stats = run(jnp.ones((4, 3)))
    assert y.shape == (4, 3)
    assert all(not isinstance(v, jax.core.Tracer) for v in by_path(stats).values())


def test_abstract_models_stay_abstract():
    graphdef, state = jax.eval_shape(lambda: nc.split(Nested(nnx.Rngs(0))))
    model = nc.merge(graphdef, state)
    for given in (model, state):
        low = pure.cast(pure.scale(given, 2.0), jnp.bfloat16)
        values = by_path(low).values()
        assert all(isinstance(v, jax.ShapeDtypeStruct) for v in values)
        assert {v.dtype for v in values} == {jnp.dtype("bfloat16")}
    assert pure.global_norm(state).shape == ()
    assert isinstance(pure.ema(state, state, 0.5), nnx.State)


def test_on_several_devices_the_shardings_stay():
    """In a process of its own: the number of devices is fixed when jax starts."""
    code = """
import jax, jax.numpy as jnp, numpy as np
import nnx_compat as nc
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
mesh = Mesh(np.array(jax.devices()).reshape(4, 2), ("data", "model"))
model = nc.nnx.Linear(8, 16, rngs=nc.nnx.Rngs(0))
specs = {("kernel",): P("data", "model"), ("bias",): P("model")}
for path, variable in nc.variables(model).items():
    array = jax.device_put(nc.get_value(variable), NamedSharding(mesh, specs[path]))
    nc.set_value(variable, array)
other = nc.clone(model)
with jax.default_device(jax.devices()[0]):
    plain = nc.nnx.Linear(8, 16, rngs=nc.nnx.Rngs(1))
made = {
    "scale": nc.pure.scale(model, 2.0),
    "cast": nc.pure.cast(model, jnp.bfloat16),
    "ema": nc.pure.ema(model, other, 0.9),
    "map": nc.pure.map(jnp.ones_like, model),
    "cond_replace": nc.pure.cond_replace(jnp.array(True), model, other),
    "donated": nc.pure.scale(nc.pure.map(jnp.cos, model), 2.0, donate=True),
}
for name, result in made.items():
    for path, variable in nc.variables(result).items():
        array = nc.get_value(variable)
        wanted = NamedSharding(mesh, specs[path])
        assert array.sharding.is_equivalent_to(wanted, array.ndim), (name, path, array.sharding)
assert nc.pure.global_norm(model).shape == ()
abstract = nc.pure.cast(nc.pure.map(jnp.cos, jax.tree_util.tree_map(
    lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=a.sharding), nc.state(model)
)), jnp.float16)
for path, leaf in nc.to_flat_state(abstract).items():
    assert nc.get_value(leaf).sharding == NamedSharding(mesh, specs[path]), path
print("kept")
"""
    ran = on_eight_devices(code)
    assert ran.stdout.strip() == "kept", ran.stderr


def test_python_floats_count_as_arrays():
    model = Bare()
    model.w = Custom(3.0)
    assert by_path(pure.scale(model, 2.0))["w",] == 6.0
    assert float(pure.global_norm(model)) == 3.0


def test_an_empty_model_has_no_norm_and_nothing_to_scale():
    model = NODES["empty"]()
    assert float(pure.global_norm(model)) == 0.0
    assert pure.scale(model, 2.0).size == 3


# -- errors -------------------------------------------------------------------------


def test_a_changed_shape_is_named():
    with pytest.raises(nc.errors.StateStructureError) as raised:
        pure.map(lambda a: a.sum(), {"m": Bare()})
    assert str(raised.value) == (
        "the function changes m/w: shape was (3,), is (). [NC010]\n"
        "  instead: return an array of the same shape"
    )
    with pytest.raises(ValueError, match=r"m/w: shape was \(3,\), is no array"):
        pure.map(lambda a: None, {"m": Bare()})


def test_structures_that_differ_are_named():
    average = {"a": Bare(), "b": nnx.Linear(2, 2, rngs=nnx.Rngs(0))}
    model = {"b": nnx.Linear(2, 3, rngs=nnx.Rngs(0)), "c": Bare()}
    with pytest.raises(nc.errors.StateStructureError) as raised:
        pure.ema(average, model, 0.9)
    assert str(raised.value) == (
        "average and model differ in structure. [NC010]\n"
        "    a/w: not in model\n"
        "    b/bias: float32[2] in average, float32[3] in model\n"
        "    b/kernel: float32[2,2] in average, float32[2,3] in model\n"
        "    c/w: not in average\n"
        "  instead: two models of one structure, or a filter that selects what they share"
    )


def test_an_average_of_the_parameters_only_takes_a_filter():
    model = Block(3, nnx.Rngs(0))
    average = nc.state(model, nnx.Param)
    with pytest.raises(ValueError, match="norm/mean: not in average"):
        pure.ema(average, model, 0.9)
    assert isinstance(pure.ema(average, model, 0.9, nnx.Param), nnx.State)


@pytest.mark.parametrize("name", ["scale", "cast", "map"])
def test_integers_asked_for_by_a_filter_are_refused(name):
    model = {"m": Bare(), "n": Counter()}
    calls = {
        "scale": lambda *f: pure.scale(model, 2.0, *f),
        "cast": lambda *f: pure.cast(model, jnp.float16, *f),
        "map": lambda *f: pure.map(jnp.negative, model, *f),
    }
    with pytest.raises(
        ValueError,
        match=rf"{name} leaves integers.*<lambda> selects nothing else: n/count \(int32\[\]\)",
    ):
        calls[name](lambda path, leaf: path[-1] == "count")
    assert snapshot(calls[name](...))["n", "count"] == ["int32", (), 0]


def test_updates_that_do_not_fit_are_named():
    model = {"m": Bare(), "n": Counter()}
    updates = {"m": {"w": jnp.ones(4)}, "n": {"count": jnp.array(1)}, "o": jnp.ones(1)}
    with pytest.raises(nc.errors.StateStructureError) as raised:
        pure.apply_updates(model, updates)
    assert str(raised.value) == (
        "the updates do not fit the model. [NC010]\n"
        "    m/w: shape is (3,) in the model, (4,) in the update\n"
        "    n/count: is int32[], has to be None\n"
        "    o: not in the model\n"
        "  instead: None for what is to stay"
    )


def test_wrong_operands_are_refused_before_anything_is_computed():
    model = Bare()
    with pytest.raises(
        ValueError, match=r"factor is not a scalar: its shape is \(2,\)"
    ):
        pure.scale(model, jnp.ones(2))
    with pytest.raises(TypeError, match="factor is not a number: found 'a'"):
        pure.scale(model, "a")
    with pytest.raises(TypeError, match="int8, which is no floating-point dtype"):
        pure.cast(model, jnp.int8)
    with pytest.raises(TypeError, match=r"pred is not a bool scalar: found float"):
        pure.cond_replace(1.0, model, model)
    with pytest.raises(TypeError, match=r"pred is not a bool scalar: found bool\[2\]"):
        pure.cond_replace(jnp.ones(2, bool), model, model)
    with pytest.raises(TypeError, match="is not a node"):
        pure.scale(jnp.ones(3), 2.0)
    with pytest.raises(
        ValueError, match=r"m/w: float32\[3\] in new, bfloat16\[3\] in old"
    ):
        pure.cond_replace(True, {"m": model}, {"m": pure.cast(model, "bfloat16")})


def test_the_programs_that_are_kept_are_bounded_and_can_be_dropped(monkeypatch):
    import gc

    from nnx_compat.pure import _programs, _state_update

    def executables():
        gc.collect()
        return len(jax.devices()[0].client.live_executables())

    shapes = [jnp.ones((1, size)) for size in range(1, 8)]
    nc.pure.clear_cache()
    monkeypatch.setattr(_programs, "LIMIT", 5)
    before, sizes = executables(), []
    for x in shapes:
        nc.pure_state_update(0, x, 1, 1.0)
        sizes.append(_state_update._program._cache_size())
    assert max(sizes) == 5
    assert sizes[5] == 0
    assert executables() - before <= 5
    nc.pure_state_update(0, shapes[0], 1, 1.0)
    nc.pure.clear_cache()
    assert _state_update._program._cache_size() == 0
    assert executables() <= before
