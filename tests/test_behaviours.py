"""Every change of meaning in the facts, asked of the installed release itself.

A probe uses the native API and answers one question with yes or no: does this behaviour
hold here? The facts say on which releases the answer is yes; a probe that disagrees fails.
"""

from __future__ import annotations

import collections
import contextlib
import copy
import importlib
import itertools
import operator
import pickle
import tempfile
import threading
import types
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nnx_compat as nc
from nnx_compat import facts
from nnx_compat.revisions import nnx

PROBES = {}
#: The messages of the errors and warnings that the running probe met.
MET = []
METHODS = not hasattr(nnx, "split")


def probe(function):
    PROBES[function.__name__.removeprefix("probe_").replace("_", "-")] = function
    return function


@pytest.mark.parametrize("id", [b.id for b in facts.behaviours()])
def test_a_behaviour_holds_exactly_where_the_facts_say(id):
    behaviour = facts.behaviour(id)
    assert behaviour.probe == PROBES[id].__name__
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = PROBES[id]()
    assert found is behaviour.holds(nc.flax_version, nc.jax_version), behaviour.text


@pytest.mark.parametrize(
    "symptom",
    [
        s
        for s in facts.symptoms()
        if facts.within(facts.nearest(nc.flax_version), s.intervals)
    ],
    ids=lambda symptom: f"{symptom.behaviour}: {symptom.text}",
)
def test_a_probe_meets_the_symptoms_of_its_behaviour(symptom):
    MET.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        PROBES[symptom.behaviour]()
    assert any(symptom.found_in(message) for message in MET), MET


def test_every_probe_is_in_the_facts_and_every_fact_has_its_probe():
    assert sorted(PROBES) == sorted(b.id for b in facts.behaviours())


# -- the native calls, spelled for the installed release ----------------------------


def linear(**options):
    return nnx.Linear(3, 2, rngs=nnx.Rngs(0), **options)


def split(node, *filters):
    if METHODS:
        *states, graphdef = node.split(*filters)
        return (graphdef, *states)
    return nnx.split(node, *filters)


def merge(graphdef, *states):
    return graphdef.merge(*states) if METHODS else nnx.merge(graphdef, *states)


def update(node, state):
    node.update(state) if METHODS else nnx.update(node, state)


def leaf(state, *path):
    at = state.raw_mapping
    for key in path:
        at = at[key]
    return at


def warns(function):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        function()
    MET.extend(str(w.message) for w in caught)
    return any(issubclass(w.category, DeprecationWarning) for w in caught)


def raises(errors, function):
    try:
        function()
    except errors as error:
        MET.append(str(error))
        return True
    return False


class Holder(nnx.Module):
    def __init__(self, **attributes):
        for name, value in attributes.items():
            setattr(self, name, value)


class Counter(nnx.Module):
    def __init__(self):
        self.n = nnx.BatchStat(jnp.array(0.0))

    def __call__(self):
        variable = vars(self)["n"]
        nc.set_value(variable, nc.get_value(variable) + 1)


# -- split --------------------------------------------------------------------------


@probe
def probe_nnx_is_experimental():
    return raises(ImportError, lambda: importlib.import_module("flax.nnx"))


@probe
def probe_split_is_a_method():
    if not hasattr(nnx.Module, "split"):
        return False
    first, second = linear().split()
    return isinstance(first, nnx.State) and isinstance(second, nnx.GraphDef)


@probe
def probe_split_shares_variables():
    model = Counter()
    _, state = split(model)
    model()
    return float(jax.tree_util.tree_leaves(state)[0]) == 1


@probe
def probe_split_takes_a_bare_variable():
    if METHODS:
        return False
    return not raises(RuntimeError, lambda: nnx.split(nnx.Param(jnp.ones(2))))


@probe
def probe_state_refuses_a_bare_variable():
    if METHODS:
        return False
    with contextlib.suppress(RuntimeError):  # refused as split refuses it
        return raises(IndexError, lambda: nnx.state(nnx.Param(jnp.ones(2))))
    return False


@probe
def probe_split_refuses_raw_arrays():
    return raises(ValueError, lambda: split(Holder(array=jnp.ones(2))))


@probe
def probe_merge_shares_stored_rngs():
    model = Holder(rngs=nnx.Rngs(0))
    graphdef, state = split(model)
    return merge(graphdef, state).rngs is model.rngs


@probe
def probe_filter_string_is_a_path():
    model = linear()
    found = model.extract("kernel") if METHODS else nnx.state(model, "kernel")
    return len(jax.tree_util.tree_leaves(found)) == 1


@probe
def probe_filter_path_is_text():
    seen = []
    split(Holder(a=linear()), lambda path, _: not seen.append(path))
    return isinstance(seen[0], str)


@probe
def probe_state_filters_add_a_rest():
    if METHODS:
        return False
    return len(nnx.state(linear(), nnx.Param, nnx.BatchStat)) == 3


@probe
def probe_split_knows_nodes_by_thread():
    model, failed = Holder(layer=linear()), []

    def run():
        try:
            split(model)
        except Exception as error:
            failed.append(error)
            MET.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return bool(failed)


# -- graphdef -----------------------------------------------------------------------


@probe
def probe_graphdef_is_no_class():
    return raises(TypeError, lambda: isinstance(split(linear())[0], nnx.GraphDef))


@probe
def probe_graphdef_equality_ignores_static():
    return split(Holder(size=1))[0] == split(Holder(size=2))[0]


@probe
def probe_graphdef_carries_metadata():
    one, two = (Holder(w=nnx.Param(jnp.ones(2), unit=u)) for u in "ab")
    return split(one)[0] != split(two)[0] and not METHODS


@probe
def probe_graphdef_with_a_list_is_unhashable():
    return raises(TypeError, lambda: hash(split(Holder(sizes=[1, 2]))[0]))


@probe
def probe_graphdef_with_a_set_is_unhashable():
    values = ({1}, collections.deque([1]), types.SimpleNamespace(size=1))
    without = [
        raises(TypeError, lambda: hash(split(Holder(value=value))[0]))  # noqa: B023
        for value in values
    ]
    assert len(set(without)) == 1
    return without[0]


@probe
def probe_graphdef_of_a_layer_is_picklable():
    refused = (AttributeError, pickle.PicklingError, TypeError)
    return not raises(refused, lambda: pickle.dumps(split(linear())[0]))


# -- merge --------------------------------------------------------------------------


@probe
def probe_merge_shares_variables():
    graphdef, state = split(Counter())
    merge(graphdef, state)()
    return float(jax.tree_util.tree_leaves(state)[0]) == 1


@probe
def probe_merge_cannot_mutate_under_grad():
    graphdef, state = split(Counter())

    def run(x):
        model = merge(graphdef, state)
        variable = vars(model)["n"]
        nc.set_value(variable, x)
        return x * nc.get_value(variable)

    return raises(Exception, lambda: jax.grad(run)(2.0))


@probe
def probe_merge_accepts_missing_leaves():
    graphdef, state = split(linear())
    del state["bias"]
    return not raises(ValueError, lambda: merge(graphdef, state))


@probe
def probe_merge_ignores_paths():
    graphdef, state = split(linear())
    flat = nc.to_flat_state(state)
    flat["other",] = flat.pop(("kernel",))
    other = nc.from_flat_state(flat)
    return not raises(ValueError, lambda: merge(graphdef, other))


@probe
def probe_merge_takes_plain_dicts():
    graphdef, state = split(linear())
    plain = {k: nc.get_value(v) for k, v in state.raw_mapping.items()}
    return not raises(
        (TypeError, ValueError, AttributeError), lambda: merge(graphdef, plain)
    )


# -- state --------------------------------------------------------------------------


@probe
def probe_state_leaf_is_a_variable():
    kernel = leaf(split(linear())[1], "kernel")
    for compute in (lambda: kernel + 1, lambda: jnp.ones((3, 2)) * kernel):
        raises(TypeError, compute)
    return isinstance(kernel, nnx.Variable)


@probe
def probe_state_keys_are_sorted():
    model = Holder(b=linear(), a=linear())
    return list(split(model)[1].raw_mapping) == ["a", "b"]


@probe
def probe_state_tie_is_where_assigned_first():
    later = nnx.Param(1.0)
    model = Holder(z=later, a=later)
    return list(split(model)[1].raw_mapping) == ["z"]


@probe
def probe_state_path_ends_in_raw_value():
    paths = jax.tree_util.tree_flatten_with_path(split(linear())[1])[0]
    restore({"kernel": {"raw_value": jnp.ones(2)}}, {"kernel": {"value": jnp.ones(2)}})
    return jax.tree_util.keystr(paths[0][0]).endswith("raw_value")


@probe
def probe_state_list_index_is_text():
    layers = [linear(), linear()]
    try:
        state = split(Holder(layers=layers))[1]
    except ValueError:  # a plain list of Modules is refused
        state = split(Holder(layers=nnx.List(layers)))[1]
    return next(iter(state.raw_mapping["layers"])) == "0"


@probe
def probe_state_flat_is_a_sequence():
    state = split(linear())[1]
    return not hasattr(state.flat_state(), "items")


@probe
def probe_state_methods_warn():
    return warns(lambda: split(linear())[1].flat_state())


@probe
def probe_state_nested_write_is_lost():
    state = split(Holder(a=linear()))[1]
    state["a"]["kernel"] = nnx.Param(jnp.zeros((3, 2)))
    (kernel,) = jax.tree_util.tree_leaves(leaf(state, "a", "kernel"))
    return not bool((nc.get_value(kernel) == 0).all())


@probe
def probe_state_item_becomes_a_bare_array():
    state = split(linear())[1]
    raises(ValueError, lambda: operator.setitem(state, "kernel", jnp.zeros((3, 2))))
    return isinstance(leaf(state, "kernel"), jax.Array)


@probe
def probe_state_equality_is_by_content():
    state = split(Holder(w=nnx.Param(1.0)))[1]
    again = jax.tree_util.tree_map(lambda a: a, state)
    return state == again


@probe
def probe_state_difference_fails():
    one, two = (split(Holder(**{k: nnx.Param(1.0)}))[1] for k in "ab")
    return raises(AttributeError, lambda: one - two)


@probe
def probe_state_deepcopy_loses_variables():
    state = copy.deepcopy(split(linear())[1])
    return isinstance(leaf(state, "kernel"), jax.Array)


# -- update, clone, pop -------------------------------------------------------------


@probe
def probe_update_takes_plain_dicts():
    if METHODS:
        return False
    return not raises(
        AttributeError, lambda: nnx.update(linear(), {"bias": jnp.ones(2)})
    )


@probe
def probe_update_accepts_any_shape():
    model = linear()
    state = jax.tree_util.tree_map(lambda a: jnp.ones((7, 7)), split(model)[1])
    update(model, state)
    return nc.get_value(model.kernel).shape == (7, 7)


@probe
def probe_update_overwrites_metadata():
    model = Holder(w=nnx.Param(1.0, unit="a"))
    update(model, split(Holder(w=nnx.Param(1.0, unit="b")))[1])
    return vars(model)["w"].unit == "b"


@probe
def probe_pop_hands_out_the_variable():
    model = Holder(w=nnx.Intermediate(jnp.ones(2)), v=nnx.Param(1.0))
    variable = vars(model)["w"]
    popped = (
        model.pop(nnx.Intermediate) if METHODS else nnx.pop(model, nnx.Intermediate)
    )
    return leaf(popped, "w") is variable


@probe
def probe_pop_leaves_an_empty_variable():
    model = Holder(w=nnx.Intermediate(jnp.ones(2)), v=nnx.Param(1.0))
    model.pop(nnx.Intermediate) if METHODS else nnx.pop(model, nnx.Intermediate)
    return hasattr(model, "w")


# -- Variable -----------------------------------------------------------------------


@probe
def probe_attribute_unwraps_the_variable():
    return isinstance(Holder(w=nnx.Param(jnp.ones(2))).w, jax.Array)


@probe
def probe_variable_value_is_deprecated():
    return warns(lambda: nnx.Param(1.0).value)


@probe
def probe_variable_has_get_value():
    raises(AttributeError, lambda: nnx.Param(jnp.ones(2)).get_value())
    return hasattr(nnx.Param, "get_value")


@probe
def probe_variable_replace_value_is_lost():
    new = nnx.Param(jnp.zeros(2)).replace(value=jnp.ones(2))
    return not bool((nc.get_value(new) == 1).all())


@probe
def probe_variable_is_a_pytree():
    variable = nnx.Param(jnp.ones(2))
    opened = not isinstance(jax.tree_util.tree_leaves(variable)[0], nnx.Variable)
    assert isinstance(jax.jit(lambda v: v)(variable), nnx.Variable) is opened
    return opened


@probe
def probe_variable_getitem_works():
    return not raises(TypeError, lambda: nnx.Param(jnp.arange(3.0))[1])


@probe
def probe_variable_setitem_works():
    variable = nnx.Param(jnp.zeros(3))

    def write():
        variable[...] = jnp.ones(3)

    return not raises(TypeError, write)


@probe
def probe_variable_setitem_replaces():
    variable = nnx.Param(jnp.zeros(3))
    with contextlib.suppress(TypeError, ValueError):
        variable[...] = jnp.ones((2, 2))
    return nc.get_value(variable).shape == (2, 2)


@probe
def probe_variable_iadd_is_in_place():
    variable, found = nnx.Param(jnp.zeros(3)), []
    raises(
        (AttributeError, NotImplementedError, TypeError),
        lambda: found.append(operator.iadd(variable, 1)),
    )
    return any(one is variable for one in found)


@probe
def probe_variable_equality_is_elementwise():
    one, two = nnx.Param(jnp.ones(3)), nnx.Param(jnp.ones(3))
    try:
        return getattr(one == two, "shape", None) == (3,)
    except ValueError:
        return False


@probe
def probe_variable_is_hashable():
    return not raises(TypeError, lambda: hash(nnx.Param(1.0)))


@probe
def probe_variable_iteration_never_ends():
    variable, found = nnx.Param(jnp.arange(2.0)), []
    raises(TypeError, lambda: found.extend(itertools.islice(iter(variable), 10)))
    return len(found) == 10


@probe
def probe_variable_forwards_attributes():
    return not raises(AttributeError, lambda: nnx.Param(jnp.ones((2, 3))).T)


@probe
def probe_variable_deepcopy_is_an_array():
    return isinstance(copy.deepcopy(nnx.Param(jnp.ones(2))), jax.Array)


@probe
def probe_variable_asarray_is_an_object():
    return np.asarray(nnx.Param(jnp.ones(2))).dtype == object


@probe
def probe_variable_metadata_attribute_is_frozen():
    def write():
        nnx.Param(1.0, unit="m").unit = "cm"

    return raises(AttributeError, write)


@probe
def probe_variable_vars_is_empty():
    return not getattr(nnx.Param(1.0), "__dict__", None)


@probe
def probe_variable_class_hooks_are_inert():
    class Doubled(nnx.Variable):
        def on_get_value(self, value):
            return value * 2

    return float(nc.get_value(Doubled(jnp.array(3.0)))) == 3


@probe
def probe_variable_in_a_variable_is_nested():
    variable = nnx.Param(jnp.zeros(2))

    def write():
        variable.value = nnx.Param(jnp.ones(2))

    return not raises(ValueError, write)


@probe
def probe_variable_sharding_needs_a_mesh():
    return raises(ValueError, lambda: nnx.Param(jnp.ones(2), sharding=("data",)))


@probe
def probe_absent_parameter_is_a_variable():
    return "bias" in split(linear(use_bias=False))[1].raw_mapping


@probe
def probe_trace_level_is_unchecked():
    variable = nnx.Param(jnp.array(0.0))

    @jax.jit
    def leak(x):
        nc.set_value(variable, x)
        return x

    return not raises(Exception, lambda: leak(1.0))


# -- containers ---------------------------------------------------------------------


@probe
def probe_list_of_modules_is_refused():
    class Appending(nnx.Module):
        def __init__(self):
            self.layers = []
            self.layers.append(linear())

    def assign_again():
        model = Holder(layers=None)
        model.layers = [linear()]
        split(model)

    refused = {
        raises(ValueError, lambda: split(Holder(layers=[linear(), linear()]))),
        raises(ValueError, lambda: split(Appending())),
        raises(ValueError, assign_again),
    }
    assert len(refused) == 1
    return refused.pop()


@probe
def probe_module_appended_later_is_lost():
    model = Holder(layers=[])
    model.layers.append(linear())
    try:
        return jax.tree_util.tree_leaves(split(model)[1]) == []
    except ValueError:
        return False


@probe
def probe_array_appended_later_is_lost():
    model = Holder(arrays=[])
    model.arrays.append(jnp.ones(2))
    try:
        return jax.tree_util.tree_leaves(split(model)[1]) == []
    except ValueError:
        return False


@probe
def probe_module_in_a_set_is_lost():
    layer = linear()
    held = ({layer}, types.SimpleNamespace(layer=layer), layer.__call__, lambda: layer)
    models = [Holder(held=value) for value in held]
    copies = [merge(*split(model)) for model in models]
    return all(
        jax.tree_util.tree_leaves(split(model)[1]) == [] and copy.held is model.held
        for model, copy in zip(models, copies, strict=True)
    )


@probe
def probe_module_is_a_pytree():
    model = linear()
    raises(TypeError, lambda: jax.grad(lambda model: 1.0)(model))
    return isinstance(jax.tree_util.tree_leaves(model)[0], jax.Array)


@probe
def probe_module_may_be_no_pytree():
    found = []

    def define():
        class Plain(nnx.Module, pytree=False):
            def __init__(self):
                self.layers = [linear()]

        found.append(nnx.state(Plain())["layers"])

    return not raises(TypeError, define) and len(found[0]) == 1


@probe
def probe_iter_graph_shows_internals():
    if not hasattr(nnx, "iter_graph"):
        return False
    return any(str(p[-1:]).startswith("('_") for p, _ in nnx.iter_graph(linear()))


# -- Rngs and initial weights -------------------------------------------------------


@probe
def probe_rngs_are_static():
    return jax.tree_util.tree_leaves(split(Holder(rngs=nnx.Rngs(0)))[1]) == []


@probe
def probe_rngs_hash_their_counts():
    key = nnx.Rngs(0).params()
    folded = jax.random.fold_in(jax.random.key(0), 0)
    return not bool((jax.random.key_data(key) == jax.random.key_data(folded)).all())


@probe
def probe_rngs_are_a_mapping():
    return hasattr(nnx.Rngs, "keys")


@probe
def probe_rngs_keep_raw_keys():
    return nnx.Rngs(jax.random.PRNGKey(0)).params().dtype == jnp.uint32


@probe
def probe_scan_out_axes_hold_the_carry():
    if not hasattr(nnx, "Carry"):
        return False
    scan = nnx.scan(lambda c, x: c + x, in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)
    try:
        return float(scan(jnp.array(0.0), jnp.arange(3.0))) == 3.0
    except TypeError:
        return False


@probe
def probe_rngs_fork_is_a_stream():
    raises(TypeError, lambda: nnx.Rngs(0).fork(split=2))
    return isinstance(nnx.Rngs(0).fork(), jax.Array)


@probe
def probe_dropout_forks_its_rngs():
    rngs = nnx.Rngs(0)
    try:
        nnx.Dropout(0.5, rngs=rngs)
    except TypeError:  # no such argument yet
        return False
    after, fresh = rngs.params(), nnx.Rngs(0).params()
    return not bool((jax.random.key_data(after) == jax.random.key_data(fresh)).all())


@probe
def probe_module_takes_experimental_pytree():
    def define():
        class Model(nnx.Module, experimental_pytree=True):
            pass

    return not raises(TypeError, define)


@probe
def probe_list_of_modules_is_refused_later():
    model = Holder()

    def assign():
        model.layers = [linear(), linear()]

    return raises(ValueError, assign)


@probe
def probe_vmap_splits_the_rngs():
    def make(rngs):
        return nnx.Linear(3, 3, rngs=rngs)

    errors = (AttributeError, TypeError, ValueError, IndexError)
    raises(errors, lambda: nnx.vmap(make, axis_size=2)(nnx.Rngs(0)))
    try:
        stack = nnx.vmap(make, in_axes=None, axis_size=2)(nnx.Rngs(0))
    except errors:
        return False
    kernel = nc.get_value(vars(stack)["kernel"])
    return not bool(jnp.allclose(kernel[0], kernel[1]))


@probe
def probe_while_loop_refuses_a_tuple_of_modules():
    if not hasattr(nnx, "while_loop"):
        return False

    def step(pair):
        first, second = pair
        first()
        return first, second

    def run():
        nnx.while_loop(
            lambda pair: nc.get_value(pair[0].n) < 2, step, (Counter(), Counter())
        )

    return raises(ValueError, run)


@probe
def probe_jit_result_can_be_lowered():
    return not raises(AttributeError, lambda: nnx.jit(lambda x: x).lower)


def saved_paths_of_an_optimizer():
    """As orbax names what it writes of an Optimizer's state; none where there is none."""
    import optax

    if not hasattr(nnx, "Optimizer"):
        return []
    try:
        optimizer = nnx.Optimizer(linear(), optax.adam(0.1), wrt=nnx.Param)
    except TypeError:
        optimizer = nnx.Optimizer(linear(), optax.adam(0.1))
    leaves = jax.tree_util.tree_flatten_with_path(nnx.state(optimizer))[0]
    return [jax.tree_util.keystr(path) for path, _ in leaves]


def restore(written, into):
    """Restore with orbax what has the same leaves in another structure."""
    import orbax.checkpoint

    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/tree"
        checkpointer = orbax.checkpoint.StandardCheckpointer()
        checkpointer.save(path, written)
        getattr(checkpointer, "wait_until_finished", int)()  # newer ones save meanwhile
        raises((KeyError, ValueError), lambda: checkpointer.restore(path, into))


@probe
def probe_optimizer_state_holds_the_model():
    ones = jnp.ones(2)
    restore(
        {"model": {"a": ones}, "step": ones}, {"opt_state": {"a": ones}, "step": ones}
    )
    return any("model" in path for path in saved_paths_of_an_optimizer())


@probe
def probe_optimizer_state_keeps_raw_arrays():
    counts = [p for p in saved_paths_of_an_optimizer() if "count" in p]
    return any(not path.endswith("value") for path in counts)


@probe
def probe_optimizer_refuses_masked_states():
    if not facts.name("nnx.Optimizer").on(nc.flax_version, "wrt"):
        return False
    import optax

    def mask(tree):
        return jax.tree_util.tree_map(lambda leaf: leaf.ndim > 1, tree)

    tx = optax.masked(optax.adam(0.1), mask)
    return raises(TypeError, lambda: nnx.Optimizer(linear(), tx, wrt=nnx.Param))


@probe
def probe_optimizer_is_subscriptable():
    kind = getattr(nnx, "Optimizer", None)
    return kind is not None and not raises(TypeError, lambda: kind[nnx.Module])


@probe
def probe_variable_sharding_is_the_arrays():
    names = ("rows", None)
    variable = nnx.Param(jnp.ones((2, 2)), sharding=names, eager_sharding=False)
    return getattr(variable, "sharding", None) != names


@probe
def probe_lora_is_a_param():
    kind = getattr(nnx, "LoRAParam", None)
    return kind is not None and issubclass(kind, nnx.Param)


@probe
def probe_cell_keeps_its_rngs():
    if not hasattr(nnx, "LSTMCell"):
        return False
    cell = nnx.LSTMCell(2, 3, rngs=nnx.Rngs(0))
    refused = raises(ValueError, lambda: cell.initialize_carry((1, 2)))
    assert refused is (getattr(cell, "rngs", None) is None)
    return not refused


@probe
def probe_sequential_hands_keywords_to_all():
    if not hasattr(nnx, "Sequential"):
        return False
    layers = [linear(), nnx.Dropout(0.5, rngs=nnx.Rngs(0))]
    try:
        model = nnx.Sequential(*layers)
    except TypeError:  # the first ones take a list
        model = nnx.Sequential(layers)
    x = jnp.ones((1, 3))
    return not raises((TypeError, AttributeError), lambda: model(x, deterministic=True))


@probe
def probe_threefry_is_partitionable():
    with jax.threefry_partitionable(True):
        partitionable = jax.random.uniform(jax.random.key(0), (2,))
    return bool((jax.random.uniform(jax.random.key(0), (2,)) == partitionable).all())
